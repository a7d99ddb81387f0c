"""Writes the parity fixtures: tiny random checkpoints and what PyTorch computes on them in fp32, one folder a family.

Files of a folder:
  config.json, model.safetensors, generation_config.json   as transformers saves them
  adapter/, adapter-rslora/                                as peft saves them, A and B random
  expected.json         token ids and labels of every batch, losses, gradient norms, greedy tokens, settings
  expected.safetensors  logits.{0,1}            [T, V] of the two documents, each on its own
                        grad.NAME               d(SUM of token losses of `batch`)/d(parameter): the SUM, not the mean;
                                                experts one by one as in model.safetensors, 0 for what is not trained
                        lora.logits.{0,1}       the same documents with adapter/ applied (merged into the weights)
                        lora.grad.NAME          as grad.NAME for the tensors of adapter_model.safetensors
                        rslora.logits.0         document 0 with adapter-rslora/
                        trained.logits.0        document 0 after the twenty full steps

A document is a pair of ids and labels of equal length; label -100 = not trained; the label of position t+1 is the
target of position t (so the label of position 0 never counts). A loss is the mean over the trained targets of the whole
batch. A training step: gradient of that mean, clip by norm, AdamW(lr, betas 0.9 0.999, eps 1e-8), weight decay on
tensors of two or more dimensions only. Documents run one at a time, so that no mask and no padding can play a part.

Where the configuration asks for the load-balancing loss of a mixture of experts, it is part of the loss of training:
over the whole batch in odd steps (from 1), in even steps document by document, weighted by trained targets.
"""

import argparse
import copy
import json
import pathlib
import random
import shutil

import torch
import transformers
from peft import LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers.models.qwen3_moe.modeling_qwen3_moe import load_balancing_loss_func
from transformers import AutoConfig, AutoModelForCausalLM

from families import FAMILIES, OLD_DIALECT, VOCABULARY, old_dialect

STEPS = 20
SETTINGS = {"learning_rate": 1e-3, "weight_decay": 0.01, "max_grad_norm": 0.5, "beta1": 0.9, "beta2": 0.999,
            "epsilon": 1e-8}
RANK, ALPHA = 4, 8
GREEDY_TOKENS = 64


def randomise(named_parameters, generator):
    """Draws every parameter anew, so that no norm is one and no bias is zero."""
    for name, parameter in named_parameters:
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.ndim >= 2:
            parameter.data = noise * (0.5 if "embed" in name or "wte" in name or "wpe" in name else 0.3)
        elif name.endswith("bias"):
            parameter.data = noise * 0.2
        else:
            parameter.data = 1 + noise * 0.2


def document(source, lengths):
    """Random ids with labels of which about two thirds are trained."""
    count = source.randint(*lengths)
    ids = [source.randrange(VOCABULARY) for _ in range(count)]
    labels = [token if source.random() < 0.66 else -100 for token in ids]
    labels[-1] = ids[-1]
    return {"ids": ids, "labels": labels}


def logits(model, ids):
    return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]


def backward(model, batch, balanced_together=True):
    """Accumulates the gradient of the SUM of losses; returns that sum, the plain one and the number of trained targets.

    The load-balancing loss is that of the whole batch, or of each document, times the trained targets it is over.
    """
    config = model.config
    balances = getattr(config, "output_router_logits", False) and config.model_type != "hunyuan_v1_moe"
    plain, trained, parts = 0.0, 0, []
    for entry in batch:
        targets = torch.tensor(entry["labels"][1:], dtype=torch.long)
        output = model(input_ids=torch.tensor([entry["ids"]]), use_cache=False)
        losses = torch.nn.functional.cross_entropy(
            output.logits[0][:-1], targets, ignore_index=-100, reduction="sum")
        count = int((targets != -100).sum())
        parts.append((losses, count, output.router_logits if balances else None))
        plain += losses.item()
        trained += count
    if not balances:
        total = sum(losses for losses, _, _ in parts)
    elif balanced_together:
        joined = tuple(torch.cat(layer) for layer in zip(*(router for _, _, router in parts)))
        total = sum(losses for losses, _, _ in parts) + trained * balance(config, joined)
    else:
        total = sum(losses + count * balance(config, router) for losses, count, router in parts)
    total.backward()
    return total.item(), plain, trained


def balance(config, router_logits):
    return config.router_aux_loss_coef * load_balancing_loss_func(
        router_logits, config.num_experts, config.num_experts_per_tok)


def check_balance(model, entry):
    """Of one document, loss and load-balancing loss are together what transformers returns for labels."""
    if not getattr(model.config, "output_router_logits", False):
        return
    output = model(input_ids=torch.tensor([entry["ids"]]), labels=torch.tensor([entry["labels"]]), use_cache=False)
    total, plain, trained = backward(model, [entry])
    model.zero_grad()
    assert abs(output.loss.item() - total / trained) < 1e-6, "the balanced loss must be transformers'"
    assert abs(output.loss.item() - plain / trained) > 1e-3, "the load-balancing loss must be felt"


def train(model, batches):
    """Runs the steps on `model` in place; one record a step: loss before the update, gradient norm before clipping."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        [{"params": [p for p in parameters if p.ndim >= 2], "weight_decay": SETTINGS["weight_decay"]},
         {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0}],
        lr=SETTINGS["learning_rate"], betas=(SETTINGS["beta1"], SETTINGS["beta2"]), eps=SETTINGS["epsilon"],
        foreach=False)
    records = []
    for step, batch in enumerate(batches, 1):
        optimizer.zero_grad()
        total, _, trained = backward(model, batch, balanced_together=step % 2 == 1)
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad /= trained
        norm = torch.nn.utils.clip_grad_norm_(parameters, SETTINGS["max_grad_norm"], foreach=False)
        optimizer.step()
        records.append({"loss": total / trained, "grad_norm": norm.item(), "trained": trained})
    clipped = sum(record["grad_norm"] > SETTINGS["max_grad_norm"] for record in records)
    assert clipped >= STEPS // 2, "clipping must bite"
    return records


def greedy(model, prompt):
    """The most likely continuation; None when a choice is too close to call in fp32."""
    ids = list(prompt)
    with torch.no_grad():
        for _ in range(GREEDY_TOKENS):
            best = logits(model, ids)[-1].topk(2)
            if best.values[0] - best.values[1] < 1e-2:
                return None
            ids.append(int(best.indices[0]))
    return ids[len(prompt):]


def liveliest(model, source):
    """Of some random prompts the one whose greedy continuation has the most distinct tokens, and that continuation."""
    prompts = [[source.randrange(VOCABULARY) for _ in range(3)] for _ in range(40)]
    found = [(prompt, tokens) for prompt in prompts if (tokens := greedy(model, prompt))]
    return max(found, key=lambda pair: len(set(pair[1])))


def check_packing(model, documents):
    """Laid one after another, with restarted positions, the documents give the logits they give alone."""
    ids = torch.tensor([sum((entry["ids"] for entry in documents), [])])
    positions = torch.tensor([sum((list(range(len(entry["ids"]))) for entry in documents), [])])
    with torch.no_grad():
        packed = model(input_ids=ids, position_ids=positions, use_cache=False).logits[0]
        alone = torch.cat([logits(model, entry["ids"]) for entry in documents])
    assert (packed - alone).abs().max() < 1e-5, "packed documents see each other"


def write_adapter(model, folder, targets, rank_stabilised, generator, is_gpt2):
    """Wraps a copy of `model` in a random adapter and saves it; returns the wrapped copy."""
    wrapped = get_peft_model(copy.deepcopy(model), LoraConfig(
        task_type="CAUSAL_LM", r=RANK, lora_alpha=ALPHA, target_modules=targets, use_rslora=rank_stabilised,
        lora_dropout=0.0, fan_in_fan_out=is_gpt2))
    for name, parameter in wrapped.named_parameters():
        if parameter.requires_grad:
            scale = 0.3 if "lora_A" in name else 0.15
            parameter.data = torch.randn(parameter.shape, generator=generator) * scale
    wrapped.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = None
    config["target_modules"] = sorted(config["target_modules"])
    config["target_parameters"] = sorted(config["target_parameters"] or []) or None
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    return wrapped


def gradients(model, batch):
    """Sum gradients of the trained tensors under the names they have on disk, with the loss mean and target count."""
    model.zero_grad()
    _, plain, trained = backward(model, batch)
    named = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.requires_grad}
    result = {name.replace(".default.weight", ".weight"): grad.clone() for name, grad in named.items()}
    model.zero_grad()
    return result, plain / trained, trained


def on_disk(named):
    """Tensors under the names of model.safetensors: experts, which transformers fuses in memory, one by one."""
    result = {}
    for name, tensor in named.items():
        if name.endswith(".experts.gate_up_proj"):
            for expert, both in enumerate(tensor):
                place = f"{name.removesuffix('gate_up_proj')}{expert}"
                result[f"{place}.gate_proj.weight"], result[f"{place}.up_proj.weight"] = both.chunk(2)
        elif name.endswith(".experts.down_proj"):
            for expert, down in enumerate(tensor):
                result[f"{name.removesuffix('down_proj')}{expert}.down_proj.weight"] = down
        else:
            result[name.replace(".gate.moe_statics.", ".moe_statics.")] = tensor
    return result


def frozen(model):
    """Zeros for the parameters that no gradient changes."""
    return {name: torch.zeros_like(value) for name, value in model.named_parameters() if not value.requires_grad}


def adapter_expectations(model, folder, name, targets, samples, generator, is_gpt2, tensors):
    """Fills `tensors` and returns the record of one adapter (plain or rank-stabilised)."""
    stabilised = name == "rslora"
    wrapped = write_adapter(
        model, folder / ("adapter-rslora" if stabilised else "adapter"), targets, stabilised, generator, is_gpt2)
    merged = copy.deepcopy(wrapped).merge_and_unload()
    documents = samples["documents"][:1] if stabilised else samples["documents"]
    with torch.no_grad():
        for index, entry in enumerate(documents):
            tensors[f"{name}.logits.{index}"] = logits(merged, entry["ids"])
            assert (tensors[f"{name}.logits.{index}"] - logits(wrapped, entry["ids"])).abs().max() < 1e-4
            assert (tensors[f"{name}.logits.{index}"] - logits(model, entry["ids"])).abs().max() > 0.1
    grads, loss, _ = gradients(wrapped, samples["batch"])
    assert sorted(grads) == sorted(get_peft_model_state_dict(wrapped)), "gradient names must be those on disk"
    if not stabilised:
        tensors.update({f"lora.grad.{key}": value for key, value in grads.items()})
    return {"loss": loss, "steps": train(wrapped, samples["steps"])}


def make_samples(seed):
    source = random.Random(seed)
    return {
        "documents": [document(source, (11, 11)), document(source, (7, 7))],
        "batch": [document(source, (2, 12)) for _ in range(4)] + [{"ids": [5], "labels": [5]}],
        "steps": [[document(source, (2, 9)) for _ in range(source.randint(1, 4))] for _ in range(STEPS)],
    }


def write_old_dialect(model, folder, ids):
    config = old_dialect(json.loads((folder / "config.json").read_text()))
    (folder / "config.old.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    kind = config.pop("model_type")
    other = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(kind, **config), attn_implementation="eager", experts_implementation="eager")
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(logits(other.eval(), ids), logits(model, ids)), "the old dialect must mean the same model"


def make(name, out, shift):
    seed = sum(name.encode()) * 1009 + shift
    generator = torch.Generator().manual_seed(seed)
    config, targets = FAMILIES[name]()
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model = AutoModelForCausalLM.from_config(
        config, attn_implementation="eager", experts_implementation="eager", dtype=torch.float32).eval()
    randomise(model.named_parameters(), generator)
    model.tie_weights()
    model.save_pretrained(folder)
    stored, named = load_file(folder / "model.safetensors"), on_disk(dict(model.named_parameters()))
    assert sorted(stored) == sorted(named) and all(torch.equal(stored[key], named[key]) for key in named)
    samples = make_samples(seed)
    check_balance(model, samples["documents"][0])
    check_packing(model, samples["documents"])
    if name in OLD_DIALECT:
        write_old_dialect(model, folder, samples["documents"][0]["ids"])

    tensors = {}
    with torch.no_grad():
        for index, entry in enumerate(samples["documents"]):
            tensors[f"logits.{index}"] = logits(model, entry["ids"])
    grads, loss, trained = gradients(model, samples["batch"])
    tensors.update({f"grad.{key}": value for key, value in on_disk(grads | frozen(model)).items()})
    prompt, continuation = liveliest(model, random.Random(seed))
    is_gpt2 = config.model_type == "gpt2"
    lora = adapter_expectations(model, folder, "lora", targets, samples, generator, is_gpt2, tensors)
    rslora = adapter_expectations(model, folder, "rslora", targets, samples, generator, is_gpt2, tensors)
    full = train(model, samples["steps"])
    with torch.no_grad():
        tensors["trained.logits.0"] = logits(model, samples["documents"][0]["ids"])

    save_file({key: value.contiguous() for key, value in tensors.items()}, folder / "expected.safetensors")
    expected = {
        "settings": SETTINGS, "documents": samples["documents"], "batch": samples["batch"], "steps": samples["steps"],
        "loss": loss, "trained": trained, "full": full, "lora": lora, "rslora": rslora,
        "greedy": {"prompt": prompt, "tokens": continuation},
    }
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{name:24} {size / 1000:6.0f} kB  loss {full[0]['loss']:.3f} -> {full[-1]['loss']:.3f}"
          f"  norm {full[0]['grad_norm']:.2f}  lora {lora['steps'][0]['loss']:.3f} -> {lora['steps'][-1]['loss']:.3f}"
          f"  distinct greedy tokens {len(set(continuation))}")
    return size


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--seed", type=int, default=0, help="other weights and samples than those that are committed")
    parser.add_argument("family", nargs="*", help=f"of {', '.join(FAMILIES)}; all when none is given")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    total = sum(make(name, arguments.out, arguments.seed) for name in arguments.family or FAMILIES)
    print(f"{total / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
