"""What the peers' programs here share: arguments, threads, and timing over blocks of calls."""
import argparse
import os
import statistics
import time


def arguments(peers):
    """Those of `run.py`. Sets the threads, so it comes before PyTorch and JAX are imported."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", choices=peers, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.5)
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    os.environ["JAX_PLATFORMS"] = "cpu"
    if args.threads == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    return args


def measure(args, wait, f, blocks=15):
    """Microseconds a call: the median and the least of blocks. `wait` returns when what `f` gave is there."""
    wait(f())
    began = time.perf_counter()
    wait(f())
    count = max(1, int(args.seconds / blocks / (time.perf_counter() - began)))
    times = []
    for _ in range(blocks):
        began = time.perf_counter()
        for _ in range(count):
            out = f()
        wait(out)
        times.append(1e6 * (time.perf_counter() - began) / count)
    return statistics.median(times), min(times)
