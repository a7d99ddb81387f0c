"""Times `drover bench tokenize` and Hugging Face tokenizers' batch encode on the same text and the same cores.

Both encode the lines of --file (without one: 50 MB of mixed text made from Python's own library and a few sentences in
many scripts, the same for the same Python) with --threads threads, turn by turn, --rounds times; reading and printing
are not counted. Told are medians, their ratio, and the most memory that each had, by the operating system's account.
"""
import argparse
import json
import multiprocessing
import os
import pathlib
import random
import resource
import statistics
import subprocess
import sysconfig
import tempfile
import time

SENTENCES = (pathlib.Path(__file__).resolve().parents[2] / "Tests/TokenizationTests/Fixtures/text.txt")


def mixed_text(size):
    """Code and prose of Python's library, and one line in five in another script."""
    r = random.Random(1)
    others = SENTENCES.read_text(encoding="utf-8").splitlines()
    lines = []
    for file in sorted(pathlib.Path(sysconfig.get_paths()["stdlib"]).rglob("*.py")):
        if "site-packages" not in file.parts:
            lines += file.read_text(encoding="utf-8", errors="ignore").splitlines()
    made, total = [], 0
    while total < size:
        line = r.choice(others) if r.random() < 0.2 else r.choice(lines)
        made.append(line)
        total += len(line.encode()) + 1
    return "\n".join(made) + "\n"


def hugging_face(model, file, threads, pipe):
    """One measurement in a process of its own: seconds, tokens, megabytes at most."""
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(str(pathlib.Path(model) / "tokenizer.json"))
    lines = pathlib.Path(file).read_text(encoding="utf-8").split("\n")
    if not lines[-1]:
        lines.pop()
    tokenizer.encode_batch(lines[:1000])
    found = {}
    for name, encode in (("encode_batch", tokenizer.encode_batch), ("encode_batch_fast", tokenizer.encode_batch_fast)):
        start = time.perf_counter()
        encoded = encode(lines, add_special_tokens=False)
        found[name] = time.perf_counter() - start
        found["tokens"] = sum(len(one) for one in encoded)
        del encoded
    found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pipe.send(found)


def drover(program, model, file, threads):
    command = [program, "bench", "tokenize", "--model", model, "--file", file, "--threads", str(threads), "--json"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    out = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)}: status {status}")
    return json.loads(out) | {"peak_mb": usage.ru_maxrss / 1024}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drover")
    parser.add_argument("--model", required=True, help="directory with tokenizer.json")
    parser.add_argument("--file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = options.file
        if not file:
            file = os.path.join(folder, "mixed.txt")
            pathlib.Path(file).write_text(mixed_text(50_000_000), encoding="utf-8")
        size = os.path.getsize(file)
        ours, theirs, fast = [], [], []
        context = multiprocessing.get_context("spawn")
        for _ in range(options.rounds):
            one = drover(options.drover, options.model, file, options.threads)
            ours.append(one)
            receive, send = context.Pipe(duplex=False)
            child = context.Process(target=hugging_face, args=(options.model, file, options.threads, send))
            child.start()
            other = receive.recv()
            child.join()
            theirs.append(size / other["encode_batch"])
            fast.append(size / other["encode_batch_fast"])
            if one["tokens"] != other["tokens"]:
                raise SystemExit(f"drover makes {one['tokens']} tokens, Hugging Face {other['tokens']}")
    median = statistics.median
    rate = median(one["bytes_per_second"] for one in ours)
    summary = {
        "bytes": size, "tokens": other["tokens"], "threads": options.threads, "rounds": options.rounds,
        "drover_bytes_per_second": rate, "encode_batch_bytes_per_second": median(theirs),
        "encode_batch_fast_bytes_per_second": median(fast), "ratio": rate / median(theirs),
        "ratio_to_fast": rate / median(fast), "drover_peak_mb": max(one["peak_mb"] for one in ours),
        "tokenizers_peak_mb": other["peak_mb"],
    }
    print(json.dumps(summary, indent=None if options.json else 2))


if __name__ == "__main__":
    main()
