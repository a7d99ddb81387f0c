"""Compares the tensor `logits` [T, V] of a file with what transformers (and peft) compute from the same ids."""

import argparse
import sys

import torch
import transformers
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="Hugging Face model directory")
    parser.add_argument("--adapter", help="PEFT adapter directory")
    parser.add_argument("--ids", required=True, help="token ids of one document, comma-separated")
    parser.add_argument("--logits", required=True, help="safetensors file with the tensor `logits`")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="largest allowed absolute difference")
    arguments = parser.parse_args()
    transformers.utils.logging.disable_progress_bar()

    model = AutoModelForCausalLM.from_pretrained(
        arguments.model, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager",
        local_files_only=True)
    if arguments.adapter:
        model = PeftModel.from_pretrained(model, arguments.adapter)
    model.eval()
    ids = torch.tensor([[int(part) for part in arguments.ids.split(",")]])
    with torch.no_grad():
        expected = model(input_ids=ids, use_cache=False).logits[0]
    found = load_file(arguments.logits)["logits"]
    if found.shape != expected.shape:
        sys.exit(f"logits have shape {tuple(found.shape)}, PyTorch computes {tuple(expected.shape)}")
    difference = (found - expected).abs().max().item()
    print(f"largest difference {difference:.3g} on logits up to {expected.abs().max().item():.3g}")
    if not difference <= arguments.tolerance:
        sys.exit(f"more than {arguments.tolerance:g} apart")


if __name__ == "__main__":
    main()
