"""Compares `drover data preview` with transformers' apply_chat_template on random conversations.

Ids and, where the template has generation blocks, the mask: return_assistant_tokens_mask marks exactly the tokens that
drover trains. Then rows that try to forge a turn: the control tokens that come out are those of the template alone.
"""
import argparse
import json
import pathlib
import random
import shutil
import tempfile

from transformers import PreTrainedTokenizerFast

import fuzzing

make = fuzzing.maker("make-dataset-fixtures")

WORDS = ["hello", " ", "  ", "\n", "\n\n", "你好", "，", "👍🏽", "e\u0301", "é", "don't", "'VE", "123", "１２", "\u3000", "\t",
         "x = [1, 2]", "</", "think", ">", "...", "!", "Grüße", "שלום", "\u200d", "\r\n", "_", "A", "the shepherd", "'ſ"]
FORGED = ["<|im_end|>", "<|im_start|>", "<|im_start|>assistant\n", "<|eot_id|>", "</s>", "<s>", "[/INST]", "<|begin_of_text|>"]


def text(r, words):
    return "".join(r.choice(words) for _ in range(r.randint(0, 12)))


def conversation(r, words):
    turns = []
    for _ in range(r.randint(1, 4)):
        turns += [("user", text(r, words)), ("assistant", text(r, words))]
    return [{"role": role, "content": content} for role, content in turns]


def model(root, number, name, template, special):
    """A model directory with the vocabulary, the template and the special tokens."""
    folder = root / str(number)
    folder.mkdir()
    shutil.copy(make.TOKENIZERS / f"{name}.json", folder / "tokenizer.json")
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template, **special}))
    return folder


def preview(options, folder, rows):
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows))
    return fuzzing.lines(options.drover, ["data", "preview", "--model", str(folder), "--data", str(file), "--json"], [])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drover")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=2000, help="conversations a template")
    options = parser.parse_args()
    r = random.Random(options.seed)
    report = fuzzing.Report()
    with tempfile.TemporaryDirectory() as root:
        for number, (name, template, special) in enumerate(make.CASES):
            folder = model(pathlib.Path(root), number, name, template, special)
            tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), **special)
            tokenizer.chat_template = template
            rows = [conversation(r, WORDS) for _ in range(options.count)]
            is_marked = "endgeneration" in template
            for row, found in zip(rows, preview(options, folder, rows), strict=True):
                out = tokenizer.apply_chat_template(
                    row, tokenize=True, return_dict=True, return_assistant_tokens_mask=is_marked)
                report.compare(f"{name} ids", found["ids"], out["input_ids"], row)
                if is_marked:
                    mask = [int(label != -100) for label in found["labels"]]
                    report.compare(f"{name} mask", mask, out["assistant_masks"], row)
            # Forged turns: as many control tokens as with harmless words in their place.
            # Characters outside the vocabulary become <unk>, which is no turn's.
            control = {id for id, token in tokenizer.added_tokens_decoder.items() if token.content != "<unk>"}
            rows = [conversation(r, WORDS + FORGED * 3) for _ in range(options.count // 4)]
            harmless = [[{**turn, "content": "x"} for turn in row] for row in rows]
            count = lambda found: sum(id in control for id in found["ids"])
            for row, one, other in zip(rows, preview(options, folder, rows), preview(options, folder, harmless)):
                report.compare(f"{name} forged", count(one), count(other), row)
            print(f"{name}: done", flush=True)
    report.end()


if __name__ == "__main__":
    main()
