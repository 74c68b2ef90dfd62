"""Reference solutions and gradients for stdlib/ode.dl and stdlib/sde.dl, in float64. Needs numpy, scipy, jax and mpmath:

    python tests/library/record_ode.py > tests/library/ode.json
"""

import json

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
from jax.experimental.ode import odeint
from scipy.integrate import solve_ivp

jax.config.update("jax_enable_x64", True)
out = {}


def lists(x):
    return np.asarray(x, dtype=float).tolist()


def recorded(name, f, y0, p, times):
    """States at `times` by scipy; gradients of the sum of squares of all states by jax's odeint."""
    y = solve_ivp(lambda t, y: np.asarray(f(t, y, p)), (times[0], times[-1]), y0, method="DOP853", rtol=1e-13, atol=1e-13, t_eval=times).y.T

    def loss(y0, p, times):
        return jnp.sum(odeint(lambda y, t, p: f(t, y, p), y0, times, p, rtol=1e-12, atol=1e-12) ** 2)

    g = jax.grad(loss, argnums=(0, 1, 2))(jnp.asarray(y0), jnp.asarray(p), jnp.asarray(times))
    out[name] = {"y0": lists(y0), "p": lists(p), "t": lists(times), "y": lists(y), "y0_bar": lists(g[0]), "p_bar": lists(g[1]), "t_bar": lists(g[2])}


def prey(t, y, p):
    return jnp.array([p[0] * y[0] - p[1] * y[0] * y[1], p[2] * y[0] * y[1] - p[3] * y[1]])


def forced(t, y, p):
    return jnp.array([y[1], -p[0] * jnp.sin(y[0]) - p[1] * y[1] + p[2] * jnp.cos(p[3] * t)])


recorded("prey", prey, [2.0, 1.0], [1.1, 0.4, 0.1, 0.4], [0.0, 1.0, 2.5, 4.0, 7.0, 10.0])
recorded("forced", forced, [0.5, 0.0], [1.0, 0.2, 0.3, 0.8], [0.5, 1.0, 3.0, 6.0, 8.0])


def stiff(f, y0, p, times):
    s = solve_ivp(lambda t, y: f(t, y, p), (0.0, times[-1]), y0, method="Radau", rtol=2.3e-14, atol=1e-16, t_eval=times)
    assert s.success
    return s.y.T


def central(f, x):
    """Central differences of fourth order, for each entry of x."""
    columns = []
    for i in range(len(x)):
        h = 2e-3 * abs(x[i])

        def at(k):
            moved = list(x)
            moved[i] += k * h
            return f(moved)

        columns.append((8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * h))
    return np.stack(columns, axis=-1)


def robertson(t, y, p):
    slow, fast, mixed = p[0] * y[0], p[1] * y[1] ** 2, p[2] * y[1] * y[2]
    return np.array([mixed - slow, slow - mixed - fast, fast])


p, times = [0.04, 3e7, 1e4], [0.4, 4.0, 40.0, 400.0, 4000.0]
y = stiff(robertson, [1.0, 0.0, 0.0], p, times)
slopes = central(lambda p: stiff(robertson, [1.0, 0.0, 0.0], p, times)[2], p)
out["robertson"] = {"p": p, "t": times, "y": lists(y), "slope_at_40": lists(slopes)}


def van_der_pol(t, y, p):
    return np.array([y[1], p[0] * (1 - y[0] ** 2) * y[1] - y[0]])


times = [100.0, 500.0, 1000.0, 1500.0]
out["van_der_pol"] = {
    "mu": 1000.0,
    "t": times,
    "y": lists(stiff(van_der_pol, [2.0, 0.0], [1000.0], times)),
    "slope_at_500": lists(central(lambda p: stiff(van_der_pol, [2.0, 0.0], p, [500.0])[0], [1000.0])),
}


def bounce(x):
    """The height and speed at 2 s of a ball thrown up at `x[1]` from `x[0]`, with gravity `x[2]` and restitution `x[3]`."""
    height, speed, gravity, restitution = x
    left, bounces = 2.0, []
    t = 0.0
    while True:
        fall = (speed + jnp.sqrt(speed**2 + 2 * gravity * height)) / gravity
        if fall >= left:
            return jnp.array([height + speed * left - 0.5 * gravity * left**2, speed - gravity * left]), jnp.array(bounces)
        t, left = t + fall, left - fall
        bounces.append(t)
        height, speed = 0.0, -restitution * (speed - gravity * fall)


x = jnp.array([1.0, 0.7, 9.81, 0.8])
(end, bounces), (end_bar, bounces_bar) = bounce(x), jax.jacobian(bounce)(x)
out["bounce"] = {"x": lists(x), "end": lists(end), "bounces": lists(bounces), "end_slope": lists(end_bar), "bounces_slope": lists(bounces_bar)}

# The first time a pendulum let go at the angle `a` hangs straight down is the complete elliptic integral K of sin^2(a / 2).
mpmath.mp.dps = 30
quarter = lambda a: mpmath.ellipk(mpmath.sin(a / 2) ** 2)
out["pendulum"] = [[a, float(quarter(a)), float(mpmath.diff(quarter, a)), float(mpmath.diff(quarter, a, 2))] for a in (0.3, 1.0, 2.5)]

# exp(t A) of a matrix, applied to a vector: what a linear equation does, forward and backward in time.
a = np.array([[-0.5, 2.0, 0.0], [-2.0, -0.1, 0.3], [0.2, 0.0, -1.5]])
x = np.array([1.0, -0.5, 2.0])
out["linear"] = {"a": lists(a), "x": lists(x), "forward": lists(jax.scipy.linalg.expm(1.7 * a) @ x), "backward": lists(jax.scipy.linalg.expm(-1.7 * a) @ x)}

print(json.dumps(out))
