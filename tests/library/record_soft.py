"""Reference values and derivatives for stdlib/soft.dl, in float64. Needs numpy, scipy and jax:

    python tests/library/record_soft.py > tests/library/soft.json
"""

import json

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from scipy.optimize import brentq, isotonic_regression

jax.config.update("jax_enable_x64", True)
rng = np.random.default_rng(0)
out = {}


def lists(x):
    return np.asarray(x, dtype=float).tolist()


def central(f, x, h=1e-4):
    """The Jacobian of f by central differences of fourth order, the input's axis last."""
    columns = []
    for i in range(len(x)):
        e = np.zeros(len(x))
        e[i] = h
        columns.append((8 * (f(x + e) - f(x - e)) - (f(x + 2 * e) - f(x - 2 * e))) / (12 * h))
    return np.stack(columns, axis=-1)


def project(z, w):
    order = np.argsort(-z)
    w = -np.sort(-w)
    v = isotonic_regression(z[order] - w, increasing=False).x
    result = np.empty_like(z)
    result[order] = z[order] - v
    return result


x = rng.normal(size=9) * 2
out["x"] = lists(x)
positions = np.arange(1.0, 10.0)
out["rank"] = []
out["sort"] = []
for strength in (0.1, 0.7, 2.0, 30.0):
    rank = lambda x: project(x / strength, positions)
    sort = lambda x: project(positions / strength, x)
    # Piecewise linear, so differences are exact away from its corners.
    out["rank"].append({"strength": strength, "y": lists(rank(x)), "slope": lists(central(rank, x, 1e-5))})
    out["sort"].append({"strength": strength, "y": lists(sort(x)), "slope": lists(central(sort, x, 1e-5))})


def project_entropic(z, w):
    """Of all ways to cut the order into blocks, the feasible one of least cost; in logarithms."""
    order = np.argsort(-z)
    s, w = z[order], -np.sort(-w)
    best = None
    for cuts in range(2 ** (len(z) - 1)):
        blocks = np.split(np.arange(len(z)), [i + 1 for i in range(len(z) - 1) if cuts >> i & 1])
        v = np.concatenate([np.full(len(b), np.log(np.exp(s[b]).sum()) - np.log(np.exp(w[b]).sum())) for b in blocks])
        cost = np.sum(np.exp(s - v)) + np.sum(np.exp(w) * v)
        if np.all(np.diff(v) <= 0) and (best is None or cost < best[0]):
            best = (cost, v)
    result = np.empty_like(z)
    result[order] = s - best[1]
    return result


out["entropic"] = []
for strength in (0.2, 1.0, 5.0):
    rank = lambda x: np.exp(project_entropic(x / strength, np.log(positions)))
    sort = lambda x: project_entropic(positions / strength, x)
    out["entropic"].append({
        "strength": strength, "rank": lists(rank(x)), "rank_slope": lists(central(rank, x, 1e-3)),
        "sort": lists(sort(x)), "sort_slope": lists(central(sort, x, 1e-3)),
    })


def soft_sort(s, tau):
    """Prillo and Eisenschlos's formula, descending."""
    s = s[:, None]
    return jax.nn.softmax(-jnp.abs(jnp.sort(s, axis=0)[::-1] - s.T) / tau, axis=1)


def neural_sort(s, tau):
    """Grover and others's formula, descending."""
    n = len(s)
    a = jnp.abs(s[:, None] - s[None, :])
    b = a @ jnp.ones(n)
    c = jnp.outer(n + 1 - 2 * jnp.arange(1, n + 1), s)
    return jax.nn.softmax((c - b[None, :]) / tau, axis=1)


weights = rng.normal(size=(9, 9))
out["weights"] = lists(weights)
for name, f in (("permutation", soft_sort), ("neural_permutation", neural_sort)):
    ascending = lambda x: f(x, 0.6)[::-1]
    out[name] = {"y": lists(ascending(x)), "bar": lists(jax.grad(lambda x: jnp.sum(weights * ascending(x)))(x))}


def topk(x):
    z = x / 0.4
    t = brentq(lambda t: np.sum(1 / (1 + np.exp(t - z))) - 3, -100, 100, xtol=1e-15, rtol=1e-15)
    return 1 / (1 + np.exp(t - z))


out["topk"] = {"y": lists(topk(x)), "slope": lists(central(topk, x, 1e-3)), "second": lists(central(lambda x: central(topk, x, 1e-2)[0], x, 1e-2))}


def sparsemax(x):
    t = brentq(lambda t: np.sum(np.maximum(x - t, 0)) - 1, -100, 100, xtol=1e-15, rtol=1e-15)
    return np.maximum(x - t, 0)


close = 0.3 * x
out["sparsemax"] = {"x": lists(close), "y": lists(sparsemax(close)), "slope": lists(central(sparsemax, close))}


def sinkhorn(cost, a, b, epsilon):
    """The iteration as first published, on the scalings themselves, long enough to converge."""
    k = jnp.exp(-cost / epsilon)
    u, v = jnp.ones_like(a), jnp.ones_like(b)

    def step(uv, _):
        u, v = uv
        u = a / (k @ v)
        return (u, b / (k.T @ u)), None

    (u, v), _ = jax.lax.scan(step, (u, v), None, length=4000)
    return u[:, None] * k * v[None, :]


points, others = rng.normal(size=(5, 2)), rng.normal(size=(7, 2)) + 0.5
cost = 0.5 * ((points[:, None] - others[None]) ** 2).sum(-1)
a_logits, b_logits, plan_weights = rng.normal(size=5), rng.normal(size=7), rng.normal(size=(5, 7))


def plan(cost, a_logits, b_logits):
    return sinkhorn(cost, jax.nn.softmax(a_logits), jax.nn.softmax(b_logits), 0.3)


g = jax.grad(lambda *args: jnp.sum(plan_weights * plan(*args)), argnums=(0, 1, 2))(cost, a_logits, b_logits)
out["transport"] = {
    "cost": lists(cost), "a_logits": lists(a_logits), "b_logits": lists(b_logits), "weights": lists(plan_weights),
    "plan": lists(plan(cost, a_logits, b_logits)), "cost_bar": lists(g[0]), "a_bar": lists(g[1]), "b_bar": lists(g[2]),
}


def value(x, y):
    cost = 0.5 * ((x[:, None] - y[None]) ** 2).sum(-1)
    p = sinkhorn(cost, jnp.full(len(x), 1 / len(x)), jnp.full(len(y), 1 / len(y)), 0.3)
    return jnp.sum(p * cost) + 0.3 * jnp.sum(p * jnp.log(p))


def divergence(x, y):
    return value(x, y) - 0.5 * (value(x, x) + value(y, y))


d, d_bar = jax.value_and_grad(divergence)(jnp.asarray(points), jnp.asarray(others))
out["divergence"] = {"x": lists(points), "y": lists(others), "value": float(d), "x_bar": lists(d_bar)}


def dtw(cost, gamma):
    """The recursion, cell by cell."""
    n, m = cost.shape
    r = [[jnp.inf] * (m + 1) for _ in range(n + 1)]
    r[0][0] = 0.0
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            ways = [w for w in (r[i - 1][j], r[i][j - 1], r[i - 1][j - 1]) if not (isinstance(w, float) and np.isinf(w))]
            r[i][j] = cost[i - 1, j - 1] - gamma * logsumexp(-jnp.stack([jnp.asarray(w) for w in ways]) / gamma)
    return r[n][m]


out["dtw"] = []
for n, m, gamma in ((5, 7, 1.0), (6, 3, 0.1), (1, 4, 0.5), (4, 1, 0.5)):
    cost = jnp.asarray(rng.random((n, m)))
    v = jnp.asarray(rng.normal(size=(n, m)))
    f = lambda c: dtw(c, gamma)
    out["dtw"].append({
        "cost": lists(cost), "gamma": gamma, "value": float(f(cost)), "bar": lists(jax.grad(f)(cost)), "direction": lists(v),
        "second": lists(jax.jvp(jax.grad(f), (cost,), (v,))[1]),
    })


def tree(w, b, leaves, x, node=0):
    """One node after the other, for one input; inner nodes in heap order."""
    inner = len(b)
    if node >= inner:
        return leaves[node - inner]
    right = jax.nn.sigmoid((x @ w[:, node] + b[node]) / 0.7)
    return (1 - right) * tree(w, b, leaves, x, 2 * node + 1) + right * tree(w, b, leaves, x, 2 * node + 2)


w, b, leaves, inputs = rng.normal(size=(3, 7)), rng.normal(size=7), rng.normal(size=(8, 2)), rng.normal(size=(4, 3))
f = lambda w, b, leaves: jnp.stack([tree(w, b, leaves, x) for x in inputs])
g = jax.grad(lambda *args: jnp.sum(f(*args) ** 2), argnums=(0, 1, 2))(w, b, leaves)
out["tree"] = {
    "w": lists(w), "b": lists(b), "leaves": lists(leaves), "x": lists(inputs), "y": lists(f(w, b, leaves)),
    "w_bar": lists(g[0]), "b_bar": lists(g[1]), "leaves_bar": lists(g[2]),
}

print(json.dumps(out))
