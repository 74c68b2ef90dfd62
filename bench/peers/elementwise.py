"""Expressions of several elementwise operations on 1024 x 1024 float32 and the gradients of their sums, in PyTorch and JAX.

PyTorch runs operation by operation (`torch`) or compiled (`torch_compile`), JAX under `jit`.
"""
import argparse
import json
import os
import statistics
import time

PEERS = ["torch", "torch_compile", "jax"]

parser = argparse.ArgumentParser()
parser.add_argument("--peer", choices=PEERS, required=True)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--seconds", type=float, default=1.5)
args = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(args.threads)
os.environ["JAX_PLATFORMS"] = "cpu"
if args.threads == 1:
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import numpy as np  # noqa: E402

x = np.random.default_rng(0).standard_normal((1024, 1024)).astype(np.float32)
points = np.array([-2.5, -0.3, 0.0, 0.7, 3.0], np.float32)


def rational(x):
    return 0.5 * x * x + 3.0 * x - x / (1.0 + x * x)


if args.peer == "jax":
    import jax
    import jax.numpy as jnp

    put, wait = jnp.asarray, jax.block_until_ready
    expressions = {"rational": rational, "tanh": lambda x: jnp.tanh(2.0 * x + 1.0) * x - 0.5 * x**2, "gelu": jax.nn.gelu}

    def both(f):
        return jax.jit(f), jax.jit(jax.grad(lambda x: f(x).sum()))
else:
    import torch
    import torch.nn.functional as functional

    torch.set_num_threads(args.threads)
    put, wait = torch.from_numpy, lambda out: out
    expressions = {"rational": rational, "tanh": lambda x: torch.tanh(2.0 * x + 1.0) * x - 0.5 * x**2,
                   "gelu": lambda x: functional.gelu(x, approximate="tanh")}

    def both(f):
        if args.peer == "torch_compile":
            f = torch.compile(f)

        def gradient(x):
            x = x.detach().requires_grad_()
            return torch.autograd.grad(f(x).sum(), x)[0]

        return f, gradient


def measure(f, blocks=15):
    """Microseconds a call: the median and the least of blocks."""
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


tensor = put(x)
metrics = {}
weights = np.arange(1.0, 6.0)
for name, f in expressions.items():
    value, gradient = both(f)
    for kind, h in (("value", value), ("gradient", gradient)):
        middle, least = measure(lambda: h(tensor))
        metrics[f"{name}_{kind}_us"], metrics[f"{name}_{kind}_us_min"] = middle, least
    metrics[f"{name}_at_points"] = float(np.dot(np.asarray(value(put(points))), weights))
    metrics[f"{name}_slopes"] = float(np.dot(np.asarray(gradient(put(points))), weights))
print(json.dumps({"workload": "elementwise", "peer": args.peer, "metrics": metrics}))
