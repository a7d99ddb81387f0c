"""Optimizer steps of a causal language model in PyTorch, the same work and the same tokens as `drover bench step`.

Eager mode, scaled-dot-product attention, AdamW(fused=True), gradients of a step accumulated over V micro-batches,
clipped at norm 1. bf16 means autocast with fp32 master weights; peft makes the adapter.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import time


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--config", help="config.json of the model; its weights are random")
    source.add_argument("--model", help="model directory to start from")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--seq", type=int, default=512)
    parser.add_argument("--micro-batch", type=int, default=1)
    parser.add_argument("--virtual-shards", type=int, default=1)
    parser.add_argument("--documents", type=int, help="documents of mixed lengths in a shard, padded in micro-batches")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--lora", type=int, help="rank of an adapter on every linear layer")
    parser.add_argument("--gradient-checkpointing", action="store_true", help="compute activations again")
    parser.add_argument("--compile", action="store_true", help="torch.compile the model")
    return parser.parse_args()


def sequence(number, count, vocabulary):
    """Sequence `number` of the test's endless text, as StepBench.sequence makes it."""
    mask = (1 << 64) - 1
    state = (number * 0x9E3779B97F4A7C15 + 1) & mask
    ids = []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) & mask
        ids.append((state >> 33) % min(1000, vocabulary))
    return ids


def length(number, most):
    """Tokens of document `number` where they are mixed, as StepBench.length has it."""
    mask = (1 << 64) - 1
    state = (number * 0x9E3779B97F4A7C15) & mask
    state = ((state ^ state >> 30) * 0xBF58476D1CE4E5B9) & mask
    state = ((state ^ state >> 27) * 0x94D049BB133111EB) & mask
    spread = (state ^ state >> 31) >> 52
    return 16 + ((most - 16) * spread**3 >> 36)


def batches(step, options, vocabulary, torch):
    """The micro-batches of a step: ids, labels and attention mask; shorter rows are padded to their batch's longest."""
    count = options.documents or options.micro_batch
    for shard in range(options.virtual_shards):
        first = (step * options.virtual_shards + shard) * count
        rows = [
            sequence(number, length(number, options.seq) if options.documents else options.seq, vocabulary)
            for number in range(first, first + count)
        ]
        for start in range(0, count, options.micro_batch):
            part = rows[start : start + options.micro_batch]
            longest = max(map(len, part))
            ids = torch.tensor([row + [0] * (longest - len(row)) for row in part])
            labels = torch.tensor([row + [-100] * (longest - len(row)) for row in part])
            yield ids, labels, (labels >= 0).long(), sum(map(len, part)), sum(len(row) - 1 for row in part)


def build(options, torch):
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    if options.model:
        model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32, attn_implementation="sdpa")
    else:
        config = AutoConfig.from_pretrained(options.config)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="sdpa")
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    model.config.use_cache = False
    if options.lora:
        from peft import LoraConfig, get_peft_model

        if options.gradient_checkpointing:
            model.enable_input_require_grads()
        model = get_peft_model(
            model, LoraConfig(r=options.lora, lora_alpha=2 * options.lora, target_modules="all-linear", bias="none")
        )
    if options.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return model.train()


def gemm_ceiling(torch, threads):
    """The best rate of a square fp32 product, GFLOP/s."""
    size = 1152
    a, b = torch.randn(size * threads, size), torch.randn(size, size)
    best = float("inf")
    for _ in range(30):
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 * threads / best / 1e9


def main():
    options = arguments()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    import torch

    torch.set_num_threads(options.threads)
    model = build(options, torch)
    vocabulary = model.config.vocab_size
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        trained, lr=options.learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, fused=True
    )
    forward = torch.compile(model) if options.compile else model
    losses, times, phases, tokens = [], [], [], []
    for step in range(options.steps):
        parts = list(batches(step, options, vocabulary, torch))
        trained_tokens = sum(part[4] for part in parts)
        tokens.append(sum(part[3] for part in parts))
        start = time.perf_counter()
        total = 0.0
        for ids, labels, mask, _, targets in parts:
            inputs = {"input_ids": ids, "labels": labels}
            if options.documents:
                inputs["attention_mask"] = mask
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=options.precision == "bf16"):
                loss = forward(**inputs).loss
            share = loss * (targets / trained_tokens)
            share.backward()
            total += share.item()
        middle = time.perf_counter()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        end = time.perf_counter()
        losses.append(total)
        times.append(end - start)
        phases.append((middle - start, end - middle))
    steady = slice(2, None) if options.steps > 2 else slice(None)
    seconds = statistics.median(times[steady])
    rate = statistics.median(count / seconds for count, seconds in zip(tokens[steady], times[steady]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    json.dump(
        {
            "program": "pytorch", "torch": torch.__version__, "model_type": model.config.model_type,
            "precision": options.precision, "compiled": options.compile, "threads": options.threads,
            "seq": options.seq, "micro_batch": options.micro_batch, "virtual_shards": options.virtual_shards,
            "documents": options.documents, "tokens_per_step": sum(tokens) // len(tokens), "steps": options.steps,
            "lora": options.lora, "trained_parameters": sum(parameter.numel() for parameter in trained),
            "tokens_per_second": rate, "step_seconds": seconds,
            "phases": {
                "gradient_seconds": statistics.median(phase[0] for phase in phases[steady]),
                "update_seconds": statistics.median(phase[1] for phase in phases[steady]),
            },
            "peak_rss_mib": peak, "gemm_ceiling_gflops": gemm_ceiling(torch, options.threads), "losses": losses,
        },
        sys.stdout,
    )
    print()


if __name__ == "__main__":
    main()
