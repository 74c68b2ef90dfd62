"""Twins of the programs about optimization and nested derivatives."""

import jax
import jax.numpy as jnp
from jax import grad, hessian, jacfwd, jacrev, vmap


def rosenbrock(x):
    return jnp.sum(10 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def himmelblau(x, y):
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


def unrolled_descent(x, rate):
    def objective(x):
        return jnp.sum(x**4) / 4 - 0.5 * x[0] * x[1] + x[0]

    for _ in range(10):
        x = x - rate * grad(objective)(x)
    return objective(x)


def momentum_unrolled(p, beta, rate, x):
    def objective(w, b):
        return jnp.mean(jax.nn.softplus(x @ w + b)) + 0.1 * jnp.sum(w**2)

    w, b, m, n = p.w, p.b, jnp.zeros(2), 0.0
    for _ in range(4):
        g, h = grad(objective, (0, 1))(w, b)
        m, n = beta * m + g, beta * n + h
        w, b = w - rate * m, b - rate * n
    return objective(w, b)


def maml(w, rate, x, y):
    def task(w, x, y):
        return jnp.mean((jnp.tanh(x @ w) - y) ** 2)

    adapted = [w - rate * grad(task)(w, x[i : i + 2], y[i : i + 2]) for i in (0, 2)]
    return sum(task(v, x, y) for v in adapted)


def newton_step_tensor(x):
    def g(x):
        return jnp.exp(0.3 * x[0]) + x[0] ** 2 * x[1] ** 2 + 2 * x[1] ** 2 + x[0] ** 2

    return x - jnp.linalg.solve(hessian(g)(x), grad(g)(x))


def newton_step_solve(x):
    def g(x):
        return jnp.sum(jnp.cosh(x)) + 0.3 * x[0] * x[1] * x[2]

    return x - jnp.linalg.inv(hessian(g)(x)) @ grad(g)(x)


def jvp_inside(x, v):
    def g(x):
        return jnp.sum(jnp.sin(x) * x[::-1] ** 2)

    return (grad(g)(x) @ v) ** 2 + g(x)


def hvp_inside(x, v):
    def g(x):
        return jnp.sum(jnp.exp(0.5 * x)) * x[0] + x[0] * x[1] * x[2]

    return v @ hessian(g)(x) @ v / (v @ v)


def vjp_inside(x):
    def g(x):
        return jnp.stack([x[0] * x[1], jnp.sin(x[2]) * x[0], x[1] ** 3])

    j = jacfwd(g)(x)
    return (g(x) @ j) @ (jnp.array([1.0, -1.0, 0.5]) @ j)


def jacobian_inside(x, w):
    j = jacrev(lambda x: jnp.tanh(w @ x) * x[0])(x)
    return jnp.sum(j**2) + jnp.sum(j[0]) * jnp.sum(j[1])


def jacobian_of_jacobian(x):
    return jacfwd(jacrev(lambda x: jnp.stack([x[0] ** 2 * x[1], jnp.sin(x[0] * x[1])])))(x)


def hessian_of_scalar_field(x):
    return hessian(lambda x: x[0] ** 2 * jnp.exp(x[1]) + jnp.sin(x[2] * x[0]) * x[1])(x)


def third_derivative(x):
    def g(x):
        return jnp.sin(x**2) * jnp.exp(-0.3 * x)

    return grad(grad(grad(g)))(x) + grad(grad(g))(x) ** 2


def taylor_series(x, h):
    def g(x):
        return jnp.log1p(x) * jnp.cos(x)

    total, scale = g(x), 1.0
    for k in range(1, 5):
        g, scale = grad(g), scale * h / k
        total = total + scale * g(x)
    return total


def vmap_of_grad(w, x):
    g = -jax.nn.sigmoid(-(x @ w))[:, None] * x + 0.2 * w
    return jnp.sum(jnp.mean(g, axis=0) ** 2) + jnp.mean(jnp.sum(g**2, axis=1))


def grad_of_vmap(x, a):
    y = x
    for _ in range(3):
        y = jnp.where(y > 0, y * a, jnp.sin(y) - a)
    return jnp.sum(y * x)


def vmap_matrix(x):
    return jnp.sum((jnp.sqrt(jnp.sum(x**2, axis=0)) * jnp.sum(x**2, axis=0) * x[0]) ** 2)


def implicit_fixed_point(a, x):
    def g(z):
        return 0.5 * jnp.tanh(z * a + z[::-1]) + a

    z = jax.lax.fori_loop(0, 60, lambda _, z: g(z), jnp.zeros(2))
    return jnp.sum(z * x**2)


def root_implicit(a, b):
    def g(x):
        return jnp.stack([x[0] ** 3 + a[0] * x[0] + b * x[1] - 2, a[1] * x[1] + jnp.sin(x[0]) - 1])

    def step(_, x):
        return x - jnp.linalg.solve(jacfwd(g)(x), g(x))

    x = jax.lax.fori_loop(0, 20, step, jnp.array([0.5, 0.5]))
    return b * jnp.sum(x**2) + x[0] * a[1]


def fixed_point_implicit(w, b):
    z = jax.lax.fori_loop(0, 200, lambda _, z: jnp.tanh(w @ z + b), jnp.zeros(3))
    return jnp.sum(z * b) + jnp.sum(z**3)


def gradient_penalty(w, v, x):
    def critic(x):
        return jax.nn.softplus(x @ w) @ v

    slopes = vmap(grad(critic))(x)
    return jnp.sum((jnp.linalg.norm(slopes, axis=1) - 1) ** 2) + jnp.sum(critic(x))


def natural_gradient(z):
    p = jax.nn.softmax(z)
    fisher = jnp.diag(p) - jnp.outer(p, p)
    # j / p divides column k by p[k]; j is symmetric.
    matrix = (fisher / p) @ fisher + 0.1 * jnp.eye(3)
    return p @ matrix @ p + jnp.sum(matrix**2)


def adjoint_by_hand(x, w):
    def final(x):
        for _ in range(3):
            x = jnp.sin(w @ x) + 0.5 * x
        return jnp.sum(x**2)

    return grad(final)(x)


def lagrange_multiplier(x, m):
    a = jnp.stack([2 * x[0] + m, 4 * x[1] + 2 * m * x[1]])
    return jnp.sum(a**2) + (x[0] + x[1] ** 2 - 1) ** 2


def score_matching(x, scale):
    def log_p(x):
        return -jnp.sum(jnp.log(jnp.cosh(x * scale))) - 0.1 * jnp.sum(x**2) * x[0] ** 2

    return jnp.trace(hessian(log_p)(x)) + 0.5 * jnp.sum(grad(log_p)(x) ** 2)


def hamiltonian_proposal(q, p, step):
    def energy(q):
        return 0.5 * jnp.sum(q**2) + 0.2 * q[0] ** 2 * q[1] ** 2

    def force(q):
        return -q - 0.4 * q * jnp.flip(q) ** 2

    x, v = q, p
    for _ in range(3):
        v = v + 0.5 * step * force(x)
        x = x + step * v
        v = v + 0.5 * step * force(x)
    return jnp.exp(energy(q) + 0.5 * jnp.sum(p**2) - energy(x) - 0.5 * jnp.sum(v**2))


def bilevel(a, b):
    def outer(a):
        w = jnp.zeros(2)
        for _ in range(5):
            w = w - 0.2 * (2 * a * (w - b) + 0.4 * w**3)
        return jnp.sum(w**2)

    return jnp.sum(grad(outer)(a) ** 2)


def confusion_checks(x, y):
    return x * (x + y) * y * jnp.cos(x * y)
