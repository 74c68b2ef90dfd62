"""particle and saddle in JAX: descents of a length that is not known before are loops of `lax.while_loop`.

Such a loop has no derivative in reverse mode, so the outer derivative is in forward mode only.
"""
import jax
import jax.numpy as jnp
from jax import lax

MODES = ("ff", "fr")  # of the outer and the inner derivative
TOLERANCE = 1e-5


def gradient(mode):
    return jax.jacfwd if mode == "f" else jax.grad


def norm(x):
    return jnp.sqrt(jnp.vdot(x, x))


def argmin(f, slope_of, x):
    """Where `f` is least, by descent from `x`: ten good steps in a row double the rate, a bad one halves it."""
    def step(state):
        x, value, slope, rate, good, _ = state
        full = good == 10
        rate = jnp.where(full, 2 * rate, rate)
        good = jnp.where(full, 0, good)
        after = x - rate * slope
        there = f(after)
        close = norm(x - after) <= TOLERANCE
        lower = (there < value) & ~close
        slope = lax.cond(lower, slope_of, lambda _: slope, after)
        x = jnp.where(lower, after, x)
        value = jnp.where(lower, there, value)
        done = close | (norm(slope) <= TOLERANCE)
        return x, value, slope, jnp.where(lower, rate, rate / 2), jnp.where(lower, good + 1, 0), done
    slope = slope_of(x)
    start = x, f(x), slope, 1e-5, 0, norm(slope) <= TOLERANCE
    return lax.while_loop(lambda state: ~state[-1], step, start)[0]


# particle

def potential(position, w):
    charges = jnp.array([[10.0, 10.0], [10.0, 0.0]]) - w * jnp.array([[0.0, 1.0], [0.0, 0.0]])
    return jnp.sum(1 / jnp.sqrt(jnp.sum((position - charges) ** 2, axis=1)))


def crossing(inner, w):
    """The square of where the particle crosses the x axis."""
    force = gradient(inner)(lambda position: -potential(position, w))

    def step(state):
        position, velocity, _ = state
        after = position + 0.1 * velocity
        return after, jnp.where(after[1] <= 0, velocity, velocity + 0.1 * force(position)), after[1] <= 0
    start = jnp.array([0.0, 8.0]), jnp.array([0.75, 0.0]), False
    (x, y), (vx, vy), _ = lax.while_loop(lambda state: ~state[-1], step, start)
    return (x - y / vy * vx) ** 2


def particle(modes, w):
    outer, inner = modes

    def cost(w):
        return crossing(inner, w)
    return argmin(cost, gradient(outer)(cost), w)


# saddle

def f(p, q):
    return p[0] ** 2 + p[1] ** 2 - q[0] ** 2 - q[1] ** 2


def saddle(modes, start):
    outer, inner = modes

    def answer(p):
        def below(q):
            return -f(p, q)
        return argmin(below, gradient(inner)(below), start)

    def answered(p):
        return f(p, answer(p))
    p = argmin(answered, gradient(outer)(answered), start)
    return jnp.concatenate([p, answer(p)])
