"""Compares `drover tokenize` with Hugging Face tokenizers and SentencePiece, id by id and character by character.

For every kind of pre-tokenizer a vocabulary is trained, given added tokens with random flags, and asked for the ids of
the nasty texts of make-tokenizer-fixtures and of --count random ones, with and without special tokens; then for the
text of those ids and of random ids. The same seed makes the same texts.
"""
import argparse
import io
import pathlib
import random
import tempfile

import sentencepiece
from tokenizers import AddedToken, Tokenizer

import fuzzing

make = fuzzing.maker("make-tokenizer-fixtures")

WORDS = [
    "the", "herd", "é", "e\u0301", "été", "café", "cafe\u0301", "Brücken", "\n", "\n\n", "  ", "\t", "是", "世界", "ſ",
    "'s", "1", "12", "👍", "👩\u200d🌾", "\u0301", "\u200d", "<x>", "<|im_end|>", "<|im_sta", "[MASK]", "<mask>", "▁", "▁a",
    " a", "a ", "ab", "aba", "Å", "\u212b", "\u1100\u1161", "가", "=", "==", "===", "\x00", "\ufffd", "_", "a_b", "ǆ",
]


def decorated(tokenizer, source):
    """The tokenizer with random added tokens; some repeat, some overlap."""
    for content in source.sample(WORDS, source.randint(0, 12)):
        token = AddedToken(
            content, single_word=source.random() < 0.3, lstrip=source.random() < 0.3, rstrip=source.random() < 0.3,
            normalized=source.random() < 0.5, special=source.random() < 0.2)
        if token.special:
            tokenizer.add_special_tokens([token])
        else:
            tokenizer.add_tokens([token])
    return tokenizer


def spiced(texts, source):
    """Some of the texts with added tokens' contents strewn in."""
    for place, text in enumerate(texts):
        if source.random() < 0.3:
            at = source.randrange(len(text) + 1)
            texts[place] = text[:at] + source.choice(WORDS) * source.randint(1, 2) + text[at:]
    return texts


def compare(report, name, drover, folder, texts, encode, encode_special, decode, size, source):
    model = ["tokenize", "--model", str(folder)]
    plain = [row["ids"] for row in fuzzing.lines(drover, model + ["--json-text", "--no-special"], texts)]
    expected = encode(texts)
    for text, found, ids in zip(texts, plain, expected):
        report.compare(f"{name} ids", found, ids, text)
    if encode_special:
        special = fuzzing.lines(drover, model + ["--json-text"], texts[:5000])
        for text, found, ids in zip(texts, special, encode_special(texts[:5000])):
            report.compare(f"{name} ids with specials", found["ids"], ids, text)
    if not decode:
        return
    lists = expected[:20000] + [[source.randrange(size) for _ in range(source.randint(1, 12))] for _ in range(20000)]
    for skip in (False, True):
        found = fuzzing.lines(drover, model + ["--decode"] + (["--no-special"] if skip else []), lists)
        for ids, row, text in zip(lists, found, decode(lists, skip)):
            report.compare(f"{name} text, skipping {skip}", row["text"], text, ids)


def hugging_face(options, report, source, texts, root):
    make.SIZE, make.TEXTS = 3000, texts[:3000]
    for name, tokenizer in make.families().items():
        if options.family and name not in options.family:
            continue
        for turn in range(options.variants):
            folder = root / f"{name}-{turn}"
            folder.mkdir()
            file = str(folder / "tokenizer.json")
            variant = Tokenizer.from_str(tokenizer.to_str())
            (decorated(variant, source) if turn else variant).save(file)
            variant = Tokenizer.from_file(file)
            some = texts if turn == 0 else texts[: len(texts) // 5]
            compare(
                report, f"{name}-{turn}", options.drover, folder, make.NASTY + spiced(list(some), source),
                lambda texts: [one.ids for one in variant.encode_batch(texts, add_special_tokens=False)],
                lambda texts: [one.ids for one in variant.encode_batch(texts, add_special_tokens=True)],
                lambda lists, skip: variant.decode_batch(lists, skip_special_tokens=skip),
                variant.get_vocab_size(), source)
            print(f"{name}-{turn}: done", flush=True)


def google(options, report, source, texts, root):
    lines = (make.FIXTURES / "text.txt").read_text(encoding="utf-8").splitlines() + texts[:400]
    lines = [line.replace("\x00", "").replace("\n", " ").replace("\r", " ") for line in lines]
    for name, settings in {
        "spm": dict(byte_fallback=True, remove_extra_whitespaces=False),
        "spm-symbols": dict(
            byte_fallback=False, user_defined_symbols=["<sep>", "羊群", "  "], add_dummy_prefix=False,
            remove_extra_whitespaces=False),
        "spm-spaces": dict(byte_fallback=True, remove_extra_whitespaces=True),
        "spm-digits": dict(byte_fallback=True, remove_extra_whitespaces=False, split_digits=True),
    }.items():
        if options.family and name not in options.family:
            continue
        folder = root / name
        folder.mkdir()
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=model, model_type="bpe", vocab_size=8000,
            normalization_rule_name="identity", character_coverage=0.98, hard_vocab_limit=False, minloglevel=2,
            **settings)
        (folder / "tokenizer.model").write_bytes(model.getvalue())
        processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
        # Control pieces in a text are plain text to SentencePiece and tokens to Hugging Face: they are not compared.
        some = [text for text in make.NASTY + texts if not any(word in text for word in ("<s>", "</s>", "<unk>"))]
        compare(report, name, options.drover, folder, some, processor.encode, None, None, 0, source)
        print(f"{name}: done", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drover")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=100_000, help="random texts a vocabulary")
    parser.add_argument("--variants", type=int, default=4, help="vocabularies a family: one plain, others with added tokens")
    parser.add_argument("--family", nargs="*", help="only these")
    options = parser.parse_args()
    source = random.Random(options.seed)
    texts = make.random_texts(options.count, options.seed)
    report = fuzzing.Report()
    with tempfile.TemporaryDirectory() as root:
        hugging_face(options, report, source, texts, pathlib.Path(root))
        google(options, report, source, texts, pathlib.Path(root))
    report.end()


if __name__ == "__main__":
    main()
