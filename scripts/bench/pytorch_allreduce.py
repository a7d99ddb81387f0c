"""All-reduce of fp32 gradients between local processes by PyTorch's gloo, as `drover bench allreduce` times it."""

import argparse
import json
import statistics
import sys
import time


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--mib", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=20)
    return parser.parse_args()


def member(rank, options, port, results):
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=options.workers)
    gradient = torch.ones(options.mib << 18)
    times = []
    for _ in range(3 + options.rounds):
        gradient.fill_(1.0)
        dist.barrier()
        start = time.perf_counter()
        dist.all_reduce(gradient)
        times.append(time.perf_counter() - start)
    assert gradient[0].item() == options.workers
    results.put(times[3:])
    dist.destroy_process_group()


def main():
    import socket

    import torch.multiprocessing as multiprocessing

    options = arguments()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    members = [context.Process(target=member, args=(rank, options, port, results)) for rank in range(options.workers)]
    for process in members:
        process.start()
    times = [results.get(timeout=300) for _ in members]
    for process in members:
        process.join()
    # A round is over when its last member has the sum.
    rounds = [max(values) for values in zip(*times)]
    seconds = statistics.median(rounds)
    json.dump(
        {
            "program": "gloo", "workers": options.workers, "mib": options.mib, "rounds": options.rounds,
            "seconds": seconds, "bytes_per_second": (options.mib << 20) / seconds,
        },
        sys.stdout,
    )
    print()


if __name__ == "__main__":
    main()
