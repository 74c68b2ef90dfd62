"""What JAX lacks, or writes differently, for the twins."""

import jax.numpy as jnp
import numpy as np
from jax import lax


def mod(x, y):
    """`x % y` with the sign of the divisor; slopes 1 and `-floor(x / y)`."""
    return x - lax.stop_gradient(jnp.floor(x / y)) * y


def mask(condition):
    """A mask by which to index, from what carries a derivative."""
    return np.flatnonzero(np.asarray(lax.stop_gradient(condition)))


def pair(v, n):
    return tuple(v) if isinstance(v, tuple) else (v,) * n


def conv(x, w, stride=1, padding=0, dilation=1, groups=1):
    """Cross-correlation, channels first, one or two spatial axes."""
    n = x.ndim - 2
    pads = [(p, p) for p in pair(padding, n)]
    return lax.conv_general_dilated(
        x, w, pair(stride, n), pads, rhs_dilation=pair(dilation, n), feature_group_count=groups
    )


def conv_transpose(x, w, stride=1, padding=0):
    """The transpose of a convolution with weights `w[in, out, kh, kw]`, written as scattered sums."""
    (b, _, h, v), (_, out, kh, kw) = x.shape, w.shape
    (sh, sw), (ph, pw) = pair(stride, 2), pair(padding, 2)
    full = jnp.zeros((b, out, (h - 1) * sh + kh, (v - 1) * sw + kw))
    for i in range(h):
        for j in range(v):
            part = jnp.einsum("bi,iokl->bokl", x[:, :, i, j], w)
            full = full.at[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw].add(part)
    return full[:, :, ph : full.shape[2] - ph, pw : full.shape[3] - pw]


def windows(x, size, stride, padding, fill):
    (kh, kw), (sh, sw), (ph, pw) = pair(size, 2), pair(stride, 2), pair(padding, 2)
    x = jnp.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=fill)
    rows = range(0, x.shape[2] - kh + 1, sh)
    columns = range(0, x.shape[3] - kw + 1, sw)
    return jnp.stack([jnp.stack([x[:, :, i : i + kh, j : j + kw] for j in columns], 2) for i in rows], 2)


def max_pool(x, size, stride, padding=0):
    return jnp.max(windows(x, size, stride, padding, -jnp.inf), axis=(-2, -1))


def avg_pool(x, size, stride, padding=0):
    return jnp.mean(windows(x, size, stride, padding, 0.0), axis=(-2, -1))


def fmod(x, y):
    """Remainder with the sign of the dividend; slopes 1 and `-trunc(x / y)`."""
    return x - lax.stop_gradient(jnp.trunc(x / y)) * y


def det3(x):
    return x[0] @ jnp.cross(x[1], x[2])
