"""Inputs of the cases: what a case's header may say, drawn with a seed that its name gives.

A drawn value is a tree of floats and float64 arrays in tuples, lists and records. Numbers have four decimals, so that
the recording stays short and no rounding lies between what JAX saw and what dlang reads. They keep away from kinks.
"""

import numpy as np
import jax
import jax.numpy as jnp


class Record:
    """A dict or struct: named parts in the order in which they are written (JAX would sort a dict's keys)."""

    def __init__(self, kind, parts):
        self.kind, self.parts = kind, dict(parts)

    def __getattr__(self, name):
        try:
            return self.__dict__["parts"][name]
        except KeyError:
            raise AttributeError(name) from None

    def __getitem__(self, name):
        return self.parts[name]


jax.tree_util.register_pytree_node(
    Record,
    lambda r: (list(r.parts.values()), (r.kind, tuple(r.parts))),
    lambda aux, parts: Record(aux[0], zip(aux[1], parts)),
)


class Draw:
    """The functions that headers use. Each gives a pair: a value, and a direction in which to differentiate it."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def _pair(self, value):
        value = np.round(value, 4)
        direction = self.sixtyfourths(-1.0, 1.0, np.shape(value))
        if np.shape(value) == ():
            return float(value), float(direction)
        return jnp.asarray(value, jnp.float64), jnp.asarray(direction, jnp.float64)

    def sixtyfourths(self, lo, hi, shape):
        """Numbers that float32 holds exactly."""
        return np.round(64.0 * self.rng.uniform(lo, hi, shape)) / 64.0

    def between(self, lo, hi, *shape):
        return self._pair(self.rng.uniform(lo, hi, shape))

    def real(self, *shape):
        """Both signs, from 0.1 to 2 in magnitude."""
        sign = np.where(self.rng.uniform(size=shape) < 0.5, -1.0, 1.0)
        return self._pair(sign * self.rng.uniform(0.1, 2.0, shape))

    def small(self, *shape):
        return self.between(-0.5, 0.5, *shape)

    def positive(self, *shape):
        return self.between(0.3, 2.5, *shape)

    def unit(self, *shape):
        return self.between(0.1, 0.9, *shape)

    def spread(self, *shape):
        """No two closer than 0.1, in random order."""
        n = int(np.prod(shape))
        places = self.rng.permutation(n) - n / 2 + 0.37
        return self._pair((0.25 * places + self.rng.uniform(0.0, 0.1, n)).reshape(shape))

    def square(self, *shape):
        """Well-conditioned matrices; square ones have a positive determinant."""
        noise = self.rng.uniform(-0.6, 0.6, shape)
        return self._pair(noise + np.eye(*shape[-2:]) * np.linspace(1.5, 3.0, shape[-1]))

    def spd(self, *shape):
        """Symmetric, positive definite, with a symmetric direction and eigenvalues apart."""
        noise = self.rng.uniform(-0.5, 0.5, shape)
        value = noise @ np.swapaxes(noise, -1, -2) + np.diag(np.linspace(1.0, 3.0, shape[-1]))
        value, direction = self._pair(value)
        return value, 0.5 * (direction + jnp.swapaxes(direction, -1, -2))

    def simplex(self, *shape):
        """Rows that sum to 1."""
        value = np.round(self.rng.dirichlet(np.full(shape[-1], 3.0), shape[:-1]), 4)
        value[..., 0] += 1.0 - value.sum(-1)
        return self._pair(value)

    def exactly(self, value):
        return self._pair(np.asarray(value, float))

    def tuple(self, *parts):
        return tuple(p[0] for p in parts), tuple(p[1] for p in parts)

    def list(self, *parts):
        return list(p[0] for p in parts), list(p[1] for p in parts)

    def dict(self, **parts):
        return self.struct("dict", **parts)

    def struct(self, kind, **parts):
        value, direction = ({k: p[i] for k, p in parts.items()} for i in (0, 1))
        return Record(kind, value), Record(kind, direction)

    def arguments(self, text):
        """`x = real(3), y = unit()` as (names, values, directions)."""
        names = {n: getattr(self, n) for n in dir(self) if not n.startswith("_")}
        drawn = eval(f"_named({text})", {**names, "_named": dict})
        return list(drawn), [p[0] for p in drawn.values()], [p[1] for p in drawn.values()]
