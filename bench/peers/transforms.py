"""Transforms of an expression of several elementwise operations, on 1024 x 1024 float32, in PyTorch (`torch.func`) and jitted JAX."""
import json

import blocks

PEERS = ["torch", "jax"]

args = blocks.arguments(PEERS)

import numpy as np  # noqa: E402


def rational(x):
    return 0.5 * x * x + 3.0 * x - x / (1.0 + x * x)


def total(x):
    return rational(x).sum()


if args.peer == "jax":
    import jax
    import jax.numpy as jnp

    put, wait, finish = jnp.asarray, jax.block_until_ready, jax.jit
    vmap, grad, jvp, vjp = jax.vmap, jax.grad, jax.jvp, jax.vjp
else:
    import torch
    from torch.func import grad, jvp, vjp, vmap

    torch.set_num_threads(args.threads)
    put, wait, finish = torch.from_numpy, lambda out: out, lambda f: f

transforms = {
    "vmap": lambda x, v: vmap(rational)(x),
    "vmap_grad": lambda x, v: vmap(grad(total))(x),
    "jvp": lambda x, v: jvp(rational, (x,), (v,)),
    "vjp": lambda x, v: vjp(rational, x)[1](v)[0],
    "hvp": lambda x, v: jvp(grad(total), (x,), (v,))[1],
}


random = np.random.default_rng(0)
x, v = (put(random.standard_normal((1024, 1024)).astype(np.float32)) for _ in range(2))
points = put(np.array([[-2.5, -0.3, 0.0, 0.7, 3.0]], np.float32))
direction = put(np.array([[1.0, 2.0, 3.0, 4.0, 5.0]], np.float32))
metrics = {}
for name, f in transforms.items():
    f = finish(f)
    metrics[f"{name}_us"], metrics[f"{name}_us_min"] = blocks.measure(args, wait, lambda: f(x, v))
    made = f(points, direction)
    made = made[-1] if isinstance(made, tuple) else made
    metrics[f"{name}_at_points"] = float(np.sum(np.asarray(made) * np.arange(1.0, 6.0)))
print(json.dumps({"workload": "transforms", "peer": args.peer, "metrics": metrics}))
