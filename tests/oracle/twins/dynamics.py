"""Twins of the programs about motion, curves and simulation."""

import jax
import jax.numpy as jnp
from jax import lax

from inputs import Record


def pendulum_euler(q, p, length):
    for _ in range(15):
        q, p = q + 0.1 * p, p - 0.1 * (9.81 / length * jnp.sin(q) + 0.2 * p)
    return q, p


def rk4(g, s, h):
    a = g(s)
    b = g(s + 0.5 * h * a)
    c = g(s + 0.5 * h * b)
    d = g(s + h * c)
    return s + h / 6 * (a + 2 * b + 2 * c + d)


def runge_kutta(s, r):
    def flow(y):
        return jnp.stack([r[0] * y[0] - r[1] * y[0] * y[1], 0.5 * r[2] * y[0] * y[1] - r[3] * y[1]])

    y = lax.fori_loop(0, 6, lambda _, y: rk4(flow, y, 0.1), jnp.stack([s.prey, s.predator]))
    return Record("State", {"prey": y[0], "predator": y[1]})


def leapfrog(x, v, k):
    def potential(q):
        return 0.5 * k * jnp.sum(q**2) + 0.1 * q[0] ** 2 * q[1] - 0.1 * q[1] ** 3

    def force(q):
        return -jnp.stack([k * q[0] + 0.2 * q[0] * q[1], k * q[1] + 0.1 * q[0] ** 2 - 0.3 * q[1] ** 2])

    for _ in range(4):
        v = v + 0.05 * force(x)
        x = x + 0.1 * v
        v = v + 0.05 * force(x)
    return 0.5 * jnp.sum(v**2) + potential(x) + x[0]


def lagrangian(q, v, m):
    # The Euler-Lagrange equations by hand.
    c, s = jnp.cos(q[0] - q[1]), jnp.sin(q[0] - q[1])
    mass = m * jnp.array([[1.0, 0.25 * c], [0.25 * c, 1.0]])
    by_q = jnp.array([-jnp.sin(q[0]), -0.7 * jnp.sin(q[1])]) - 0.25 * m * v[0] * v[1] * s * jnp.array([1.0, -1.0])
    turning = -0.25 * m * s * (v[0] - v[1]) * jnp.array([v[1], v[0]])
    return jnp.linalg.solve(mass, by_q - turning)


def n_body(bodies):
    x = jnp.stack([b.x for b in bodies])
    v = jnp.stack([b.v for b in bodies])
    m = jnp.stack([b.m for b in bodies])
    for _ in range(3):
        d = x[None, :] - x[:, None]
        force = jnp.sum((m[None, :] / (jnp.sum(d**2, axis=-1) + 0.1) ** 1.5)[:, :, None] * d, axis=1)
        v = v + 0.05 * force
        x = x + 0.05 * v
    return jnp.sum(0.5 * m * jnp.sum(v**2, axis=1)) + x[0, 0]


def lorenz(s, p):
    def step(_, s):
        x, y, z = s
        return s + 0.02 * jnp.stack([5 * p[0] * (y - x), x * (10 * p[1] - z) - y, x * y - p[2] * z])

    return lax.fori_loop(0, 12, step, s)


def adaptive_step(s, k):
    def g(t, y):
        return -k * y + jnp.sin(t)

    t, h = 0.0, 0.1
    while t < 1.0:
        step = min(h, 1.0 - t)
        a = g(t, s)
        b = g(t + step, s + step * a)
        gap = plain(jnp.abs(0.5 * step * (b - a)))
        if gap < 0.01:
            s = s + 0.5 * step * (a + b)
            t += step
        h = step * min(max(0.9 * (0.01 / gap) ** 0.5, 0.3), 2.0)
    return s


def plain(x):
    """The number in what carries a derivative."""
    return float(lax.stop_gradient(x))


def implicit_euler(s, k):
    def step(before):
        def newton(_, s):
            return s - (s - before + 0.2 * k * s**3) / (1 + 0.6 * k * s**2)

        return lax.fori_loop(0, 6, newton, before)

    return lax.fori_loop(0, 5, lambda _, s: step(s), s)


def heat_equation(u, k):
    difference = jnp.eye(7, 8, 1) - jnp.eye(7, 8)
    for _ in range(6):
        u = u - 0.3 * difference.T @ (k * (difference @ u))
    return u


def wave_equation(u, c):
    now, before = u, u
    for _ in range(5):
        bend = jnp.concatenate([now[-1:], now[:-1]]) - 2 * now + jnp.concatenate([now[1:], now[:1]])
        now, before = 2 * now - before + c**2 * bend, now
    return jnp.sum(now**2) + now[0]


def game_of_heat(u, a):
    line = jnp.eye(4, k=1) + jnp.eye(4, k=-1) - 2 * jnp.eye(4)
    line = line.at[0, 0].add(1.0).at[3, 3].add(1.0)
    for _ in range(3):
        u = u + 0.2 * a * (line @ u + u @ line)
    return u


def falling_event(h, g):
    y, v, t = h, 0.0, 0.0
    while True:
        y2, v2 = y + 0.05 * v, v - 0.05 * g
        if y2 < 0:
            return t + 0.05 * y / (y - y2)
        y, v, t = y2, v2, t + 0.05


def bouncing_ball(h, bounce):
    y, v, hits = h, 0.0, 0
    for _ in range(60):
        v = v - 0.02 * 9.81
        y = y + 0.02 * v
        if y < 0:
            y, v, hits = -y * bounce, -v * bounce, hits + 1
    return y, v * hits


def cubic_spline(y, t):
    inside = 4 * jnp.eye(3) + jnp.eye(3, k=1) + jnp.eye(3, k=-1)
    m = jnp.linalg.solve(inside, 6 * (y[2:] - 2 * y[1:-1] + y[:-2]))
    m = jnp.concatenate([jnp.zeros(1), m, jnp.zeros(1)])
    u, v = t - 2, 3 - t
    return m[2] * v**3 / 6 + m[3] * u**3 / 6 + (y[2] - m[2] / 6) * v + (y[3] - m[3] / 6) * u


def bezier(p, t):
    s = 1 - t
    return s**3 * p[0] + 3 * s**2 * t * p[1] + 3 * s * t**2 * p[2] + t**3 * p[3]


def arc_length(a, b):
    t = jnp.arange(9) / 8
    speed = jnp.sqrt((a * jnp.sin(t)) ** 2 + (b * jnp.cos(t)) ** 2 + (0.6 * t) ** 2)
    return speed @ jnp.array([1.0, 4, 2, 4, 2, 4, 2, 4, 1]) / 24


def interpolation(table, x):
    k = jnp.floor(x).astype(int)
    u = x - jnp.floor(x)
    return (table[k] * (1 - u) + table[k + 1] * u) ** 2


def ray_sphere(direction, centers, radius):
    unit = jnp.concatenate([direction, jnp.ones(1)])
    unit = unit / jnp.sqrt(jnp.sum(unit**2))
    nearest, shade = 1e9, 0.0
    for c in centers:
        b = unit @ c
        disc = b**2 - jnp.sum(c**2) + radius**2
        if disc > 0:
            t = b - jnp.sqrt(disc)
            if t < nearest:
                nearest = t
                shade = jax.nn.relu((t * unit - c) / radius @ jnp.array([0.0, 0.6, -0.8]))
    return shade * jnp.exp(-0.1 * nearest)


def mandelbrot_orbit(c):
    x, y, n = 0.0, 0.0, 0
    while x**2 + y**2 < 4 and n < 50:
        x, y, n = x**2 - y**2 + c[0], 2 * x * y + c[1], n + 1
    return jnp.log(x**2 + y**2) / 2.0**n


def cartpole(gains, y):
    cost = 0.0
    for _ in range(6):
        force = jnp.tanh(gains @ y)
        s, c = jnp.sin(y[2]), jnp.cos(y[2])
        t = (force + 0.05 * y[3] ** 2 * s) / 1.1
        turn = (9.8 * s - c * t) / (0.5 * (4 / 3 - 0.1 * c**2 / 1.1))
        push = t - 0.05 * turn * c / 1.1
        y = y + 0.1 * jnp.stack([y[1], push, y[3], turn])
        cost = cost + y[0] ** 2 + y[2] ** 2 + 0.01 * force**2
    return cost


def epidemic(rates, start):
    healthy, sick, over, peak = 1 - start, start, 0.0, 0.0
    for day in range(20):
        spread = rates.spread * (1.0 if day < 10 else 0.5)
        new, well = spread * healthy * sick, rates.heal * sick
        healthy, sick, over = healthy - new, sick + new - well, over + well
        peak = jnp.maximum(peak, sick)
    return peak + over**2
