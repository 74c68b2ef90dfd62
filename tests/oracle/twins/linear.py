"""Twins of the programs about linear algebra."""

import jax
import jax.numpy as jnp
from jax.numpy import linalg as la


def least_squares_normal(x, y):
    w = la.solve(x.T @ x + jnp.eye(3), x.T @ y)
    return jnp.sum((x @ w - y) ** 2) + jnp.sum(w**2)


def least_squares(x, y):
    return jnp.sum((x @ la.solve(x.T @ x, x.T @ y) - y) ** 2)


def ridge_solve(x, y, strength):
    w = la.solve(x[:4].T @ x[:4] + strength * jnp.eye(3), x[:4].T @ y[:4])
    return jnp.mean((x[4:] @ w - y[4:]) ** 2)


def gp_likelihood(x, y, lengthscale, noise):
    k = jnp.exp(-0.5 * ((x[:, None] - x[None, :]) / lengthscale) ** 2) + noise * jnp.eye(5)
    return -0.5 * y @ la.solve(k, y) - 0.5 * la.slogdet(k)[1] - 2.5 * jnp.log(2 * jnp.pi)


def gp_by_hand(x, y, lengthscale, noise):
    k = jnp.exp(-0.5 * ((x[:, None] - x) / lengthscale) ** 2) + noise * jnp.eye(4)
    return -0.5 * y @ la.solve(k, y) - 0.5 * la.slogdet(k)[1]


def gaussian_density(x, mu, a):
    factor = jnp.tril(a)
    z = jax.scipy.linalg.solve_triangular(factor, x - mu, lower=True)
    return -0.5 * jnp.sum(z**2) - jnp.sum(jnp.log(jnp.diag(factor)))


def kalman_step(m, p, z, q):
    a = jnp.array([[1.0, 0.1], [0.0, 0.9]])
    h = jnp.array([[1.0, 0.5]])
    for i in range(2):
        m, p = a @ m, a @ p @ a.T + q * jnp.eye(2)
        s = h @ p @ h.T + 0.3
        gain = p @ h.T @ la.inv(s)
        m, p = m + gain @ (z[i : i + 1] - h @ m), (jnp.eye(2) - gain @ h) @ p
    return jnp.sum(m**2) + jnp.trace(p) + p[0, 1]


def matrix_exponential(a, v):
    return jax.scipy.linalg.expm(a) @ v


def power_iteration(a):
    v = jax.lax.fori_loop(0, 12, lambda _, v: a @ v / la.norm(a @ v), jnp.array([1.0, 0.4, 0.7]))
    return v @ a @ v


def spectral_function(x):
    w, v = la.eigh(x @ x.T + jnp.eye(3))
    return jnp.sum((v * jnp.sqrt(w)) @ v.T * x)


def nuclear_norm(x):
    u, s, vt = la.svd(x, full_matrices=False)
    return jnp.sum(s) + jnp.sum((u[:, :1] * s[:1]) @ vt[:1])


def whitening(x):
    c = x - jnp.mean(x, axis=0)
    factor = la.cholesky(c.T @ c / 5 + 0.1 * jnp.eye(2))
    return jax.scipy.linalg.solve_triangular(factor, c.T, lower=True).T[:2]


def gram_schmidt(x):
    q, r = la.qr(x)
    return q * jnp.sign(jnp.diag(r))


def qr_solve(a, b):
    return la.solve(a, b)


def conjugate_gradient(a, b):
    x, r, p = jnp.zeros(4), b, b
    for _ in range(4):
        ap = a @ p
        step = (r @ r) / (p @ ap)
        x = x + step * p
        following = r - step * ap
        p = following + (following @ following) / (r @ r) * p
        r = following
    return x


def jacobi_sweep(a, b):
    d = jnp.diag(a)
    rest = a - jnp.diag(d)
    x = b / d
    for _ in range(6):
        x = (b - rest @ x) / d
    return x


def low_rank_update(u, d):
    return la.solve(jnp.diag(d) + u @ u.T, jnp.array([1.0, 2.0, 3.0]))


def log_determinant_flow(x, w, u, b):
    t = jnp.tanh(w @ x + b)
    return jnp.log(jnp.abs(1 + (1 - t**2) * (w @ u))) - 0.5 * jnp.sum((x + u * t) ** 2)


def quaternion_rotation(q, points):
    w, x, y, z = q / la.norm(q)
    matrix = jnp.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    return points @ matrix.T


def quaternion_product(p, n):
    def times(a, b):
        (w, v), (x, u) = a, b
        return w * x - v @ u, w * u + x * v + jnp.cross(v, u)

    return times(times((p.w, p.v), (n.w, n.v)), (p.w, p.v))


def rotation_chain(angles, lengths):
    total = jnp.cumsum(angles)
    return jnp.stack([jnp.sum(lengths * jnp.cos(total)), jnp.sum(lengths * jnp.sin(total))])


def pagerank(logits):
    p = jax.nn.softmax(logits, axis=1)
    d = jax.lax.fori_loop(0, 10, lambda _, d: 0.85 * (d @ p) + 0.05, jnp.full(3, 1 / 3))
    return d @ jnp.array([1.0, 2.0, 4.0])


def graph_laplacian(weights, signal):
    start, end = jnp.array([0, 0, 1, 2, 3]), jnp.array([1, 2, 3, 3, 0])
    b = jnp.zeros((5, 4)).at[jnp.arange(5), end].add(1.0).at[jnp.arange(5), start].add(-1.0)
    moved = -b.T @ (weights * (b @ signal))
    return moved @ signal + jnp.sum(moved**3)


def linalg_library(x, y):
    norms = jnp.sum(la.svd(x, compute_uv=False)) + jnp.sqrt(jnp.sum(y**2))
    return jax.scipy.linalg.expm(0.3 * x), x @ x @ x, norms, la.inv(y.T @ y) @ y.T
