"""Expressions of several elementwise operations on 1024 x 1024 float32 and the gradients of their sums, in PyTorch and JAX.

PyTorch runs operation by operation (`torch`) or compiled (`torch_compile`), JAX under `jit`.
"""
import json

import blocks

PEERS = ["torch", "torch_compile", "jax"]

args = blocks.arguments(PEERS)

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


tensor = put(x)
metrics = {}
weights = np.arange(1.0, 6.0)
for name, f in expressions.items():
    value, gradient = both(f)
    for kind, h in (("value", value), ("gradient", gradient)):
        middle, least = blocks.measure(args, wait, lambda: h(tensor))
        metrics[f"{name}_{kind}_us"], metrics[f"{name}_{kind}_us_min"] = middle, least
    metrics[f"{name}_at_points"] = float(np.dot(np.asarray(value(put(points))), weights))
    metrics[f"{name}_slopes"] = float(np.dot(np.asarray(gradient(put(points))), weights))
print(json.dumps({"workload": "elementwise", "peer": args.peer, "metrics": metrics}))
