"""Runs `drover bench` and PyTorch in turn on the same weights and tokens; prints a table and one JSON line for each row."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

# Workloads of --table: name, config, options beside --precision.
TABLE = [
    ("GPT-2 124M full, micro-batch 2", "gpt2-124m", ["--micro-batch", "2"]),
    ("GPT-2 124M full, micro-batch 8", "gpt2-124m", ["--micro-batch", "8"]),
    ("GPT-2 124M LoRA r=16, micro-batch 2", "gpt2-124m", ["--micro-batch", "2", "--lora", "16"]),
    ("Qwen3-shaped 42M full, micro-batch 4", "qwen3-42m", ["--micro-batch", "4"]),
    ("Qwen3-shaped 42M full, rows of mixed length", "qwen3-42m", ["--micro-batch", "8", "--documents", "64"]),
    (
        "Qwen3 0.6B LoRA r=16, recomputed activations", "qwen3-0.6b",
        ["--micro-batch", "1", "--lora", "16", "--gradient-checkpointing", "--steps", "4"],
    ),
]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", required=True)
    parser.add_argument("--drover", help="the binary; default: the release build")
    work = parser.add_mutually_exclusive_group(required=True)
    work.add_argument("--config", help="config.json of the model")
    work.add_argument("--table", action="store_true", help="every workload of the README's table, and the all-reduce")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    return parser.parse_known_args()


def workload(rest):
    """The options of one workload as both programs take them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seq", type=int, default=512)
    parser.add_argument("--micro-batch", type=int, default=2)
    parser.add_argument("--virtual-shards", type=int, default=1)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--documents", type=int)
    parser.add_argument("--lora", type=int)
    parser.add_argument("--gradient-checkpointing", action="store_true")
    chosen = vars(parser.parse_args(rest))
    words = []
    for name, value in chosen.items():
        if value is None or value is False:
            continue
        words.append("--" + name.replace("_", "-"))
        if value is not True:
            words.append(str(value))
    return chosen, words


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"failed: {' '.join(command)}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def in_turn(rounds, ours, theirs):
    """Both commands' results, `rounds` of each."""
    runs = {"drover": [], "pytorch": []}
    for _ in range(rounds):
        runs["drover"].append(run(ours))
        runs["pytorch"].append(run(theirs))
    return lambda name, key: [result[key] for result in runs[name]]


def steps(options, drover, config, rest):
    """One workload, row by row the same in both programs."""
    chosen, words = workload(rest)
    with tempfile.TemporaryDirectory(prefix="drover-compare-") as folder:
        model = os.path.join(folder, "model")
        subprocess.run([drover, "init", "--config", config, "--seed", "0", "--out", model], check=True, stdout=sys.stderr)
        shared = ["--model", model, "--precision", options.precision, "--threads", str(options.threads)] + words
        script = os.path.join(options.repository, "scripts/bench/pytorch_step.py")
        results = in_turn(
            options.rounds, [drover, "bench", "step", "--json"] + shared,
            [sys.executable, "-W", "ignore", script] + shared,
        )
    median = lambda name, key: statistics.median(results(name, key))
    work = {name: results(name, "tokens_per_step")[0] for name in ("drover", "pytorch")}
    if work["drover"] != work["pytorch"]:
        sys.exit(f"not the same work: {work['drover']} and {work['pytorch']} tokens a step")
    ours, theirs = results("drover", "losses")[0], results("pytorch", "losses")[0]
    return {
        "config": config, "precision": options.precision, "threads": options.threads, "rounds": options.rounds, **chosen,
        "drover_tokens_per_second": median("drover", "tokens_per_second"),
        "pytorch_tokens_per_second": median("pytorch", "tokens_per_second"),
        "ratio": median("drover", "tokens_per_second") / median("pytorch", "tokens_per_second"),
        "ratios": [a / b for a, b in zip(results("drover", "tokens_per_second"), results("pytorch", "tokens_per_second"))],
        "drover_peak_rss_mib": median("drover", "peak_rss_mib"),
        "pytorch_peak_rss_mib": median("pytorch", "peak_rss_mib"),
        "memory_ratio": median("drover", "peak_rss_mib") / median("pytorch", "peak_rss_mib"),
        "efficiency": median("drover", "efficiency"),
        "largest_relative_loss_difference": max(abs(a - b) / abs(b) for a, b in zip(ours, theirs)),
    }


def show(name, row):
    print(
        f"{name}: {row['drover_tokens_per_second']:.0f} and {row['pytorch_tokens_per_second']:.0f} tokens/s"
        f" ({row['ratio']:.2f}), {row['drover_peak_rss_mib']:.0f} and {row['pytorch_peak_rss_mib']:.0f} MiB"
        f" ({row['memory_ratio']:.2f}), efficiency {row['efficiency']:.2f},"
        f" losses within {row['largest_relative_loss_difference']:.1e}"
    )
    print(json.dumps(row), flush=True)


def all_reduce(options, drover, workers):
    """The exchange of gradients beside gloo's."""
    script = os.path.join(options.repository, "scripts/bench/pytorch_allreduce.py")
    size = ["--workers", str(workers), "--mib", "16"]
    results = in_turn(
        options.rounds, [drover, "bench", "allreduce", "--json"] + size, [sys.executable, "-W", "ignore", script] + size
    )
    ours, theirs = (statistics.median(results(name, "bytes_per_second")) for name in ("drover", "pytorch"))
    print(f"all-reduce of 16 MiB, {workers} workers: {ours / 1e9:.2f} and {theirs / 1e9:.2f} GB/s ({ours / theirs:.2f})")
    print(json.dumps({"workers": workers, "mib": 16, "drover": ours, "gloo": theirs, "ratio": ours / theirs}), flush=True)


def main():
    options, rest = arguments()
    drover = options.drover or os.path.join(options.repository, ".build/release/drover")
    if not os.access(drover, os.X_OK):
        sys.exit(f"{drover} is missing: swift build -c release --product drover, or give --drover")
    if not options.table:
        return show(options.config, steps(options, drover, options.config, rest))
    for name, config, words in TABLE:
        path = os.path.join(options.repository, f"configs/bench/{config}.json")
        show(name, steps(options, drover, path, words + rest))
    for workers in (2, 4):
        all_reduce(options, drover, workers)


if __name__ == "__main__":
    main()
