"""Times `drover generate` and transformers' greedy generation of the same fp32 model on the same cores.

The model has the given config and random weights from `drover init`; both read the same prompt of --prompt tokens and
write --tokens more with a key-value cache, turn by turn, --rounds times. Told are the medians of tokens a second while
writing (loading and reading the prompt are not counted), their ratio, and whether the tokens are the same.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time


def transformers_side(model, prompt, tokens, threads):
    """Seconds for each run, and the tokens; in this process."""
    import torch
    from transformers import AutoModelForCausalLM
    torch.set_num_threads(threads)
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    ids = torch.tensor([prompt])

    def once():
        with torch.no_grad():
            start = time.perf_counter()
            network.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, min_new_tokens=1,
                             max_new_tokens=1, eos_token_id=None, pad_token_id=0)
            first = time.perf_counter() - start
            start = time.perf_counter()
            out = network.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, min_new_tokens=tokens,
                                   max_new_tokens=tokens, eos_token_id=None, pad_token_id=0)
            return time.perf_counter() - start - first, out[0, len(prompt):].tolist()
    once()
    return once


def drover_side(program, model, text, tokens, threads):
    def once():
        command = [program, "generate", "--model", model, "--prompt", text, "--max-tokens", str(tokens),
                   "--threads", str(threads), "--json"]
        answer = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        return answer["seconds"], answer["ids"], answer["prompt_ids"]
    return once


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drover")
    parser.add_argument("--config", required=True)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--prompt", type=int, default=32, help="about so many tokens")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    tokenizer = pathlib.Path(__file__).resolve().parents[2] / "configs/models/quickstart"
    with tempfile.TemporaryDirectory() as root:
        model = f"{root}/model"
        subprocess.run([options.drover, "init", "--config", options.config, "--tokenizer", str(tokenizer), "--seed", "1",
                        "--out", model], check=True, stdout=subprocess.DEVNULL)
        ours = drover_side(options.drover, model, "word " * options.prompt, options.tokens, options.threads)
        prompt = ours()[2]
        theirs = transformers_side(model, prompt, options.tokens, options.threads)
        times, same = ([], []), True
        for _ in range(options.rounds):
            seconds, ids, _ = ours()
            other, expected = theirs()
            times[0].append((len(ids) - 1) / seconds)
            times[1].append((options.tokens - 1) / other)
            same = same and ids == expected
    drover, peer = map(statistics.median, times)
    print(json.dumps({"drover_tokens_per_second": round(drover, 1), "transformers_tokens_per_second": round(peer, 1),
                      "ratio": round(drover / peer, 2), "same_tokens": same, "prompt_tokens": len(prompt),
                      "tokens": options.tokens, "rounds": options.rounds, "threads": options.threads}))


if __name__ == "__main__":
    main()
