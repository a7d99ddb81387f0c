"""Runs `drover bench step` and pytorch_step.py in turn on the same weights and tokens; prints a table and one JSON line."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", required=True)
    parser.add_argument("--drover", help="the binary; default: the release build")
    parser.add_argument("--config", required=True, help="config.json of the model")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--seq", type=int, default=512)
    parser.add_argument("--micro-batch", type=int, default=2)
    parser.add_argument("--virtual-shards", type=int, default=1)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--lora", type=int)
    return parser.parse_args()


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"failed: {' '.join(command)}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main():
    options = arguments()
    drover = options.drover or os.path.join(options.repository, ".build/release/drover")
    if not os.access(drover, os.X_OK):
        sys.exit(f"{drover} is missing: swift build -c release --product drover, or give --drover")
    with tempfile.TemporaryDirectory(prefix="drover-compare-") as folder:
        model = os.path.join(folder, "model")
        subprocess.run(
            [drover, "init", "--config", options.config, "--seed", "0", "--out", model], check=True, stdout=sys.stderr
        )
        shared = [
            "--model", model, "--precision", options.precision, "--seq", str(options.seq), "--micro-batch",
            str(options.micro_batch), "--virtual-shards", str(options.virtual_shards), "--steps", str(options.steps),
            "--threads", str(options.threads),
        ] + (["--lora", str(options.lora)] if options.lora else [])
        script = os.path.join(options.repository, "scripts/bench/pytorch_step.py")
        runs = {"drover": [], "pytorch": []}
        for number in range(options.rounds):
            runs["drover"].append(run([drover, "bench", "step", "--json"] + shared))
            runs["pytorch"].append(run([sys.executable, "-W", "ignore", script] + shared))
            rates = {name: round(list[-1]["tokens_per_second"], 1) for name, list in runs.items()}
            print(f"round {number + 1}: {rates}", file=sys.stderr)
    median = lambda name, key: statistics.median(run[key] for run in runs[name])
    ours, theirs = runs["drover"][0]["losses"], runs["pytorch"][0]["losses"]
    summary = {
        "config": options.config, "precision": options.precision, "seq": options.seq,
        "micro_batch": options.micro_batch, "virtual_shards": options.virtual_shards, "threads": options.threads,
        "lora": options.lora, "rounds": options.rounds,
        "drover_tokens_per_second": median("drover", "tokens_per_second"),
        "pytorch_tokens_per_second": median("pytorch", "tokens_per_second"),
        "ratio": median("drover", "tokens_per_second") / median("pytorch", "tokens_per_second"),
        "drover_peak_rss_mib": median("drover", "peak_rss_mib"),
        "pytorch_peak_rss_mib": median("pytorch", "peak_rss_mib"),
        "largest_relative_loss_difference": max(abs(a - b) / abs(b) for a, b in zip(ours, theirs)),
    }
    print(f"{'':10}{'tokens/s':>12}{'peak MiB':>12}")
    for name in ("drover", "pytorch"):
        print(f"{name:10}{summary[name + '_tokens_per_second']:12.1f}{summary[name + '_peak_rss_mib']:12.0f}")
    print(f"ratio {summary['ratio']:.2f}, losses differ by at most {summary['largest_relative_loss_difference']:.2e}")
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
