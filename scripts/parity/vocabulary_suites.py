"""Runs llama.cpp's vocabulary suites against drover.

FOLDER holds ggml-vocab-NAME.gguf.inp (texts apart by a line `__ggml_vocab_test__`) and ggml-vocab-NAME.gguf.out (the ids
of each text, a line each), as llama.cpp's `models` folder does. The vocabulary is ggml-vocab-NAME.gguf beside them, or
what NAME=PATH names: a directory with tokenizer.json or tokenizer.model, a file of tiktoken ranks, or a SentencePiece
model. A suite without a vocabulary is counted as skipped, never as passed.

Needs Python 3.9 and nothing else.
"""
import argparse
import base64
import json
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

MARK = "\n__ggml_vocab_test__\n"
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPACE = r"\s*[\r\n]+|\s+(?!\S)|\s+"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + SPACE
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
KANA_AND_ABOVE = "[一-龥ࠀ-一가-퟿]+"
# How the tokenizer.json of each family cuts texts, by llama.cpp's name of the pre-tokenizer: splits in order, `digits`
# and `gpt2` standing for the components of that name.
CUTS = {
    "gpt-2": ["gpt2"], "default": ["gpt2"], "mpt": ["gpt2"], "starcoder": ["digits", "gpt2"],
    "refact": ["digits", "gpt2"], "command-r": ["digits", "gpt2"], "llama-bpe": [LLAMA3], "llama3": [LLAMA3],
    "qwen2": [QWEN2], "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", KANA_AND_ABOVE, "digits"],
    "deepseek-llm": [
        r"[\r\n]", "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅ"
        "Ὀ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗ"
        "Ａ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+", r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", KANA_AND_ABOVE, "digits-run"],
    "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", "gpt2-run", "[0-9][0-9][0-9]"],
}


class GGUF:
    """The keys of a GGUF file; format: ggml's docs/gguf.md."""

    SIMPLE = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}

    def __init__(self, path):
        self.data, self.at = path.read_bytes(), 0
        magic, version = self.take("4sI")
        if magic != b"GGUF" or version not in (2, 3):
            raise ValueError(f"{path}: no GGUF file of version 2 or 3")
        _, count = self.take("QQ")
        self.keys = {}
        for _ in range(count):
            name = self.text().decode()
            (kind,) = self.take("I")
            self.keys[name] = self.value(kind)

    def take(self, form):
        found = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return found

    def text(self):
        (size,) = self.take("Q")
        self.at += size
        return self.data[self.at - size:self.at]

    def value(self, kind):
        if kind == 8:
            return self.text()
        if kind == 9:
            kind, count = self.take("IQ")
            return [self.value(kind) for _ in range(count)]
        return self.take(self.SIMPLE[kind])[0]


def stand_ins():
    """GPT-2's characters for bytes."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in kept]
    return {byte: chr(byte) for byte in kept} | {byte: chr(256 + place) for place, byte in enumerate(rest)}


def pre_tokenizer(cuts):
    parts = []
    for cut in cuts:
        if cut == "digits":
            parts.append({"type": "Digits", "individual_digits": True})
        elif cut != "gpt2":
            parts.append({"type": "Split", "pattern": {"Regex": cut}, "behavior": "Isolated", "invert": False})
    parts.append({"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": "gpt2" in cuts})
    return {"type": "Sequence", "pretokenizers": parts}


def tokenizer_json(vocabulary, merges, added, cuts, normalizer=None, ignore_merges=False):
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [
            {"id": id, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
             "special": special} for id, text, special in added],
        "normalizer": normalizer, "pre_tokenizer": pre_tokenizer(cuts), "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                  "ignore_merges": ignore_merges, "vocab": vocabulary, "merges": merges},
    }


def from_gguf(path, folder):
    """Writes what a checkpoint of that vocabulary has; a reason when it is of a kind that drover doesn't read."""
    keys = GGUF(path).keys
    model = keys["tokenizer.ggml.model"].decode()
    tokens = [token.decode("utf-8", "surrogateescape") for token in keys["tokenizer.ggml.tokens"]]
    kinds = keys.get("tokenizer.ggml.token_type", [1] * len(tokens))
    if model == "llama":
        (folder / "tokenizer.model").write_bytes(model_proto(keys, kinds))
        return None
    if model != "gpt2":
        return f"its model is {model}"
    cut = keys.get("tokenizer.ggml.pre", b"default").decode()
    if cut not in CUTS or any(part in ("gpt2-run", "digits-run") or part == r"\s+$" for part in CUTS[cut]):
        return f"its pre-tokenizer {cut} is of a family that drover doesn't read"
    added = [(id, tokens[id], kind == 3) for id, kind in enumerate(kinds) if kind in (3, 4)]
    merges = [merge.decode().split(" ") for merge in keys["tokenizer.ggml.merges"]]
    document = tokenizer_json({text: id for id, text in enumerate(tokens)}, merges, added, CUTS[cut],
                              ignore_merges=cut in ("llama-bpe", "llama3"))
    (folder / "tokenizer.json").write_text(json.dumps(document))
    return None


def field(number, kind, body):
    def varint(value):
        out = bytearray()
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7
        return bytes(out + bytes([value]))
    head = varint(number << 3 | kind)
    if kind == 2:
        return head + varint(len(body)) + body
    return head + (varint(body) if kind == 0 else body)


def model_proto(keys, kinds):
    """A SentencePiece ModelProto of the pieces; source: sentencepiece_model.proto."""
    out = b""
    for text, score, kind in zip(keys["tokenizer.ggml.tokens"], keys["tokenizer.ggml.scores"], kinds):
        out += field(1, 2, field(1, 2, text) + field(2, 5, struct.pack("<f", score)) + field(3, 0, kind))
    trainer = field(3, 0, 2) + field(35, 0, 1)
    for name, number in (("unknown", 40), ("bos", 41), ("eos", 42)):
        id = keys.get(f"tokenizer.ggml.{name}_token_id")
        if id is not None:
            trainer += field(number, 0, id)
    prefix = keys.get("tokenizer.ggml.add_space_prefix", True)
    normalizer = field(1, 2, b"identity") + field(3, 0, int(prefix)) + field(4, 0, 0) + field(5, 0, 1)
    return out + field(2, 2, trainer) + field(3, 2, normalizer)


def from_ranks(path, name, folder):
    """tokenizer.json from tiktoken ranks: the merge that makes a token is what its bytes are before the last step."""
    ranks = {}
    for line in path.read_bytes().splitlines():
        if line.strip():
            token, rank = line.split()
            ranks[base64.b64decode(token)] = int(rank)
    if name.startswith("qwen2"):
        # Drover reads this file as it is.
        shutil.copy(path, folder / "qwen.tiktoken")
        return
    table = stand_ins()
    spell = lambda token: "".join(table[byte] for byte in token)
    merges = []
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        parts = [token[place:place + 1] for place in range(len(token))]
        while len(parts) > 2:
            best = min(range(len(parts) - 1), key=lambda place: min(
                ranks.get(parts[place] + parts[place + 1], rank), rank))
            if ranks.get(parts[best] + parts[best + 1], rank) >= rank:
                break
            parts[best:best + 2] = [parts[best] + parts[best + 1]]
        if len(parts) == 2:
            merges.append([spell(parts[0]), spell(parts[1])])
    document = tokenizer_json(
        {spell(token): rank for token, rank in ranks.items()}, merges, [], CUTS["llama-bpe"], ignore_merges=True)
    (folder / "tokenizer.json").write_text(json.dumps(document))


def vocabulary(name, given, folder, scratch):
    """A directory that drover reads, or why there is none."""
    if name in given:
        path = pathlib.Path(given[name])
        if path.is_dir():
            return path, None
        if not path.exists():
            return None, f"{path} is not there"
        start = path.read_bytes()[:64]
        if start.startswith(b"GGUF"):
            problem = from_gguf(path, scratch)
            return (None, problem) if problem else (scratch, None)
        if b" 0\n" in start or b" 0\r\n" in start:
            from_ranks(path, name, scratch)
        else:
            shutil.copy(path, scratch / "tokenizer.model")
        return scratch, None
    path = folder / f"ggml-vocab-{name}.gguf"
    if not path.exists() or path.stat().st_size < 1000:
        return None, f"no vocabulary: give {name}=PATH"
    problem = from_gguf(path, scratch)
    return (None, problem) if problem else (scratch, None)


def run(drover, directory, texts, expected):
    """Texts whose ids differ."""
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    done = subprocess.run(
        [drover, "tokenize", "--model", str(directory), "--json-text", "--no-special"], input=lines.encode(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        return [done.stderr.decode().strip()]
    found = [json.loads(line)["ids"] for line in done.stdout.splitlines()]
    return [
        f"{text!r}\n    drover    {one}\n    published {other}"
        for text, one, other in zip(texts, found, expected) if one != other]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drover")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("vocabularies", nargs="*", metavar="NAME=PATH")
    options = parser.parse_args()
    given = dict(pair.split("=", 1) for pair in options.vocabularies)
    passed = failed = skipped = 0
    for file in sorted(options.folder.glob("ggml-vocab-*.gguf.inp")):
        name = file.name[len("ggml-vocab-"):-len(".gguf.inp")]
        outputs = file.with_suffix(".out")
        if not outputs.exists():
            continue
        texts = file.read_bytes().decode("utf-8").split(MARK)
        expected = [[int(word) for word in line.split()] for line in outputs.read_text().splitlines()]
        if texts and not texts[-1] and len(texts) > len(expected):
            texts.pop()
        with tempfile.TemporaryDirectory() as scratch:
            directory, reason = vocabulary(name, given, options.folder, pathlib.Path(scratch))
            if reason:
                print(f"skipped  {name}: {reason}")
                skipped += 1
                continue
            wrong = run(options.drover, directory, texts, expected)
        if len(texts) != len(expected):
            wrong.append(f"{len(texts)} texts and {len(expected)} lines of ids")
        print(f"{'FAILED ' if wrong else 'passed '}  {name}: {len(texts) - len(wrong)} of {len(texts)}")
        for text in wrong[:3]:
            print("   ", text)
        passed, failed = passed + (not wrong), failed + bool(wrong)
    print(f"{passed} suites passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
