"""Writes tests/golden/grad/oracle_convolution.dl: convolutions and pools with all settings mixed, as JAX computes them.

    pip install jax; python tests/oracle/convolution.py > tests/golden/grad/oracle_convolution.dl

A program prints, for each case, the shape of y, then four elements and a weighted sum of y, of the cotangents of x and w, and
of the derivative of the cotangent of x along w.
"""

import math

import jax

jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp
from jax import lax


def pair(v):
    return v if isinstance(v, tuple) else (v, v)


def fill(shape, a, b):
    return jnp.sin(jnp.arange(math.prod(shape)) * a + b).reshape(shape)


def conv(x, w, stride=1, padding=0, dilation=1, groups=1):
    p = [(n, n) for n in pair(padding)]
    return lax.conv_general_dilated(
        x, w, pair(stride), p, rhs_dilation=pair(dilation), feature_group_count=groups
    )


def conv1d(x, w, stride=1, padding=0, dilation=1, groups=1):
    return lax.conv_general_dilated(
        x, w, (stride,), [(padding, padding)], rhs_dilation=(dilation,), feature_group_count=groups
    )


def transposed(x, w, stride=1, padding=0, dilation=1, groups=1, output_padding=0):
    s, p, d, more = pair(stride), pair(padding), pair(dilation), pair(output_padding)
    # [in, out/g, kh, kw] -> [out, in/g, kh, kw], flipped
    i, o, kh, kw = w.shape
    w = w.reshape(groups, i // groups, o, kh, kw).swapaxes(1, 2).reshape(groups * o, i // groups, kh, kw)
    k = (kh, kw)
    pads = [(d[a] * (k[a] - 1) - p[a], d[a] * (k[a] - 1) - p[a] + more[a]) for a in (0, 1)]
    return lax.conv_general_dilated(
        x, w[:, :, ::-1, ::-1], (1, 1), pads, lhs_dilation=s, rhs_dilation=d, feature_group_count=groups
    )


def pool(x, size, stride=None, padding=0, mean=False):
    k, s, p = pair(size), pair(stride or size), pair(padding)
    window, strides, pads = (1, 1, *k), (1, 1, *s), ((0, 0), (0, 0), (p[0], p[0]), (p[1], p[1]))
    if mean:
        return lax.reduce_window(x, 0.0, lax.add, window, strides, pads) / (k[0] * k[1])
    return lax.reduce_window(x, -jnp.inf, lax.max, window, strides, pads)


def show(v):
    flat = v.reshape(-1)
    parts = [float(e) for e in flat[:4]] + [float(jnp.sum(flat * jnp.cos(jnp.arange(flat.size) * 0.37 + 0.1)))]
    return " ".join(f"{0.0 if abs(e) < 5e-9 else e:.8f}" for e in parts)


def dl(v):
    return f"({', '.join(map(str, v))})" if isinstance(v, tuple) else str(v)


CASES = [
    ("conv2d", conv, (2, 3, 6, 5), (4, 3, 3, 2), {}),
    ("conv2d", conv, (2, 4, 7, 6), (6, 2, 3, 2), dict(stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2)),
    ("conv2d", conv, (1, 2, 9, 8), (3, 2, 2, 3), dict(stride=3, padding=2, dilation=(3, 1))),
    ("conv2d", conv, (2, 3, 5, 5), (6, 1, 3, 3), dict(padding=1, groups=3)),
    ("conv2d", conv, (2, 6, 4, 4), (6, 1, 2, 2), dict(stride=2, padding=(0, 1), groups=6)),
    ("conv2d", conv, (2, 3, 4, 3), (5, 3, 1, 1), {}),
    ("conv2d", conv, (1, 3, 4, 3), (5, 3, 1, 1), dict(stride=2, padding=1)),
    ("conv2d", conv, (2, 2, 4, 5), (3, 2, 4, 5), {}),
    ("conv2d", conv, (1, 2, 7, 7), (3, 2, 2, 2), dict(stride=5)),
    ("conv2d", conv, (1, 2, 3, 3), (4, 2, 2, 2), dict(padding=4, dilation=2)),
    ("conv2d", conv, (3, 2, 1, 1), (4, 1, 1, 1), dict(groups=2)),
    ("conv1d", conv1d, (2, 4, 9), (6, 2, 3), dict(stride=2, padding=3, dilation=2, groups=2)),
    ("conv1d", conv1d, (2, 3, 7), (2, 3, 4), {}),
    ("conv_transpose2d", transposed, (2, 3, 4, 3), (3, 4, 2, 3), {}),
    ("conv_transpose2d", transposed, (2, 4, 3, 4), (4, 3, 3, 2),
     dict(stride=(3, 2), padding=(1, 0), dilation=(2, 1), groups=2, output_padding=(2, 1))),
    ("conv_transpose2d", transposed, (1, 4, 3, 3), (4, 1, 3, 3),
     dict(stride=2, padding=1, groups=4, output_padding=1)),
]
POOLS = [
    ("max_pool2d", False, (2, 2, 6, 4), 2, {}),
    ("max_pool2d", False, (1, 3, 7, 6), (3, 2), dict(stride=(2, 1), padding=(1, 0))),
    ("max_pool2d", False, (1, 2, 5, 5), 2, dict(stride=3, padding=1)),
    ("avg_pool2d", True, (2, 2, 6, 4), 2, {}),
    ("avg_pool2d", True, (1, 3, 7, 6), (3, 2), dict(stride=(2, 1), padding=(1, 0))),
    ("avg_pool2d", True, (1, 2, 5, 5), 2, dict(stride=3, padding=1)),
]

print("""# Convolutions and pools with all settings mixed, against recorded values (tests/oracle/convolution.py).
set_dtype(f64)
fn fill(shape, a, b) {
    var n = 1
    for d in shape { n *= d }
    sin(arange(n) * a + b).reshape(shape)
}
fn show(v) {
    let flat = v.reshape(v.size)
    let all = concat((flat[:4], [sum(flat * cos(arange(flat.size) * 0.37 + 0.1))]))
    let all = where(abs(all) < 5e-9, 0.0, all)
    print(join(list(f"{e:.8f}" for e in all), " "))
}
fn compare(name, f, x, w) {
    let y = f(x, w)
    print(name, y.shape)
    show(y)
    let v = cos(arange(y.size) * 0.9).reshape(y.shape)
    let s = |x, w| sum(f(x, w) * f(x, w) * v)
    let (gx, gw) = grad(s, wrt: (0, 1))(x, w)
    show(gx)
    show(gw)
    show(jvp(|w| grad(s)(x, w), w, cos(w))[1])
}""")
out = []


def record(name, f, x, w):
    y = f(x, w)
    out.append(f"{name} {tuple(y.shape)}")
    out.append(show(y))
    v = jnp.cos(jnp.arange(y.size) * 0.9).reshape(y.shape)
    s = lambda x, w: jnp.sum(f(x, w) ** 2 * v)
    gx, gw = jax.grad(s, argnums=(0, 1))(x, w)
    out.extend([show(gx), show(gw)])
    out.append(show(jax.jvp(lambda w: jax.grad(s)(x, w), (w,), (jnp.cos(w),))[1]))


for name, f, x_shape, w_shape, settings in CASES:
    args = "".join(f", {k}: {dl(v)}" for k, v in settings.items())
    print(f'compare("{name}", |x, w| {name}(x, w{args}), fill({x_shape}, 1.7, 0.3), fill({w_shape}, 0.9, 0.5))')
    record(name, lambda x, w: f(x, w, **settings), fill(x_shape, 1.7, 0.3), fill(w_shape, 0.9, 0.5))
for name, mean, x_shape, size, settings in POOLS:
    args = "".join(f", {k}: {dl(v)}" for k, v in settings.items())
    print(f'compare("{name}", |x, w| {name}(x * w, {dl(size)}{args}), fill({x_shape}, 1.7, 0.3), fill({x_shape}, 0.9, 0.5))')
    record(name, lambda x, w: pool(x * w, size, mean=mean, **settings), fill(x_shape, 1.7, 0.3), fill(x_shape, 0.9, 0.5))
for line in out:
    print("#>", line)
