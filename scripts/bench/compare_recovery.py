"""Kills one rank of a torchrun job (gloo, elastic restarts) with SIGKILL, again and again, and times it beside
`drover bench recovery`. A recovery is over when a step counts that did not before; what a restart goes back behind the
newest checkpoint is computed again and counts as lost. Prints one JSON line for each and one line for people."""

import argparse
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("drover", nargs="?", help="the binary; without it torchrun alone is timed")
    parser.add_argument("--repository", required=True)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--save-every", type=int, default=20, help="steps between two checkpoints of the PyTorch job")
    parser.add_argument("--seconds", type=float, default=400, help="torchrun's part takes no longer")
    parser.add_argument("--train", help=argparse.SUPPRESS)
    return parser.parse_args()


def train(folder, every):
    """One rank: data-parallel training of a small decoder; rank 0 notes each step, and saves."""
    import torch
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // int(os.environ["WORLD_SIZE"])))
    torch.manual_seed(0)
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    with open(f"{folder}/pid{rank}", "w") as file:
        file.write(str(os.getpid()))
    layer = torch.nn.TransformerEncoderLayer(128, 4, 256, batch_first=True)
    bare = torch.nn.Sequential(
        torch.nn.Embedding(512, 128), torch.nn.TransformerEncoder(layer, 2), torch.nn.Linear(128, 512))
    model = DistributedDataParallel(bare)
    optimizer = torch.optim.AdamW(bare.parameters(), lr=1e-3)
    step = 0
    if os.path.exists(f"{folder}/checkpoint"):
        state = torch.load(f"{folder}/checkpoint")
        step = state["step"]
        bare.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    log = open(f"{folder}/log", "a") if rank == 0 else None
    while True:
        step += 1
        tokens = torch.randint(0, 512, (8, 128), generator=torch.Generator().manual_seed(step * 1000 + rank))
        loss = torch.nn.functional.cross_entropy(model(tokens)[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if log:
            log.write(f"{time.monotonic()} {step}\n")
            log.flush()
            if step % every == 0:
                torch.save(
                    {"step": step, "model": bare.state_dict(), "optimizer": optimizer.state_dict()},
                    f"{folder}/checkpoint.new")
                os.replace(f"{folder}/checkpoint.new", f"{folder}/checkpoint")


class Stuck(Exception):
    """torchrun makes no steps any more."""


class TorchJob:
    """The launcher and what its rank 0 has noted."""

    def __init__(self, options, folder):
        self.folder, self.end = folder, time.monotonic() + options.seconds
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.launcher = subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", "--nnodes=1", f"--nproc-per-node={options.workers}",
             f"--max-restarts={5 * options.kills + 10}", "--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}",
             "--monitor-interval=0.1", os.path.abspath(__file__), "--repository", options.repository,
             "--save-every", str(options.save_every), "--train", folder],
            stdout=subprocess.DEVNULL, stderr=open(f"{folder}/stderr", "w"),
            # A restart finds the others' new addresses on loopback only; it may still fail, and is begun again.
            env=dict(os.environ, OMP_NUM_THREADS="1", GLOO_SOCKET_IFNAME="lo"))

    def steps(self):
        try:
            with open(f"{self.folder}/log") as file:
                lines = [line.split() for line in file if line.endswith("\n")]
        except FileNotFoundError:
            return []
        return [(float(moment), int(step)) for moment, step in lines]

    def wait(self, is_there):
        while not is_there(self.steps()):
            if time.monotonic() > self.end or self.launcher.poll() is not None:
                raise Stuck(open(f"{self.folder}/stderr").read()[-2000:])
            time.sleep(0.005)

    def stop(self):
        self.launcher.send_signal(signal.SIGTERM)
        try:
            self.launcher.wait(30)
        except subprocess.TimeoutExpired:
            self.launcher.kill()
            self.launcher.wait()


def torchrun(options):
    first, again, lost, paces = [], [], [], []
    choose = random.Random(3)
    with tempfile.TemporaryDirectory(prefix="drover-compare-") as folder:
        job = TorchJob(options, folder)
        try:
            seen = 0
            for kill in range(options.kills):
                # Somewhere between two checkpoints, but not before there is one.
                enough = options.save_every + choose.randrange(5, options.save_every + 5)
                job.wait(lambda steps: len(steps) >= seen + enough)
                steps = job.steps()
                paces += [b[0] - a[0] for a, b in zip(steps[-6:], steps[-5:])]
                with open(f"{folder}/pid{kill % options.workers}") as file:
                    victim = int(file.read())
                os.kill(victim, signal.SIGKILL)
                moment = time.monotonic()
                time.sleep(0.05)
                known = job.steps()
                seen, newest = len(known), max(step for _, step in known)
                job.wait(lambda steps: max(step for _, step in steps) > newest and len(steps) > seen)
                later = [entry for entry in job.steps()[seen:]]
                first.append(later[0][0] - moment)
                again.append(next(time for time, step in later if step > newest) - moment)
                lost.append(max(0, newest - later[0][1] + 1))
                seen = len(job.steps())
        except Stuck as problem:
            # Its restart may fail again and again: what was measured until then counts, and is said.
            print(f"torchrun makes no steps after {len(again)} of {options.kills} kills: {problem}", file=sys.stderr)
            if not again:
                return None
        finally:
            job.stop()
    return {
        "program": "torchrun", "workers": options.workers, "kills": len(again),
        "step_seconds": statistics.median(paces), "first_step_seconds": statistics.median(first),
        "kill_seconds": statistics.median(again), "kill_seconds_max": max(again),
        "steps_lost": statistics.mean(lost), "save_every": options.save_every,
    }


def drover(options):
    done = subprocess.run(
        [options.drover, "bench", "recovery", "configs/quickstart.yaml", "--workers", str(options.workers), "--kills",
         str(options.kills), "--json"], stdout=subprocess.PIPE, text=True, check=True, cwd=options.repository)
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return {"program": "drover", **found, "steps_lost": found["steps_lost"] / options.kills}


options = arguments()
if options.train:
    train(options.train, options.save_every)
if options.drover:
    options.drover = os.path.abspath(options.drover)
rows = []
for program in ([drover] if options.drover else []) + [torchrun]:
    row = program(options)
    if row is None:
        sys.exit(1)
    rows.append(row)
    print(json.dumps(row), flush=True)
for row in rows:
    print(
        f"{row['program']:8}  {row['workers']} workers, a step takes {row['step_seconds'] * 1000:.0f} ms: "
        f"{row['kill_seconds']:.2f} s (at most {row['kill_seconds_max']:.2f}) from kill -9 to the next step that counts, "
        f"{row['steps_lost']:.1f} steps lost a kill", file=sys.stderr)
