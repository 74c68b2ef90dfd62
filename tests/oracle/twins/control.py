"""Twins of the programs about the language: loops, recursion, containers, assignment, closures, errors."""

import jax.numpy as jnp
from jax import lax


def loop_power_sum(x):
    return sum(x**k / k for k in range(1, 7))


def while_halving(x):
    y, steps = x, 0
    while y > 0.4:
        y = y / 2 if y > 2 else jnp.sin(y) * 0.8
        steps += 1
    return y * steps


def newton_root(a):
    return a ** (2 / 3)


def newton_with_grad(a, b):
    x = 1.0
    for _ in range(8):
        x = x - (jnp.exp(b * x) + x - 3 * a) / (b * jnp.exp(b * x) + 1)
    return x


def tree_recursion(t):
    if isinstance(t, tuple):
        return tree_recursion(t[0]) * 2 + jnp.sin(tree_recursion(t[1]))
    return t**2


def tree_struct(x):
    return (x[0] ** 2 + 0.5 * x[1] ** 2) * (x[2] ** 2 + 0.5 * x[3] ** 2)


def fibonacci(a, b):
    values = [a, b]
    for _ in range(6):
        values.append(values[-1] * 0.5 + jnp.sin(values[-2]))
    return values[7]


def mutual_recursion(x):
    def even(n, x):
        return x if n == 0 else 0.9 * odd(n - 1, x * x + 0.1)

    def odd(n, x):
        return -x if n == 0 else 1.1 * even(n - 1, jnp.cos(x))

    return even(5, x) + odd(4, x)


def list_grows(x):
    history = [x]
    for i in range(5):
        history.append(history[-1] * x + history[i // 2])
    return history[-1] / sum(history[:-1])


def dict_counts(x):
    even, odd = 1.0, 1.0
    for i in range(5):
        if i % 2 == 0:
            even = even * x[i] + x[i] ** 2
        else:
            odd = odd * x[i] + x[i] ** 2
    return 4 * even + 3 * odd


def part_assignment(x):
    y = [x[0]]
    for i in range(1, 5):
        y.append(y[-1] * x[i] + jnp.sin(x[i]))
    return jnp.sum(jnp.stack(y) ** 2)


def row_updates(x, r):
    y = x
    for i in range(3):
        y = y.at[i, :].add(r * y[(i + 1) % 3, :])
        y = y.at[:, i].multiply(1.5 - r[i])
    y = y.at[1:, ::2].add(-0.5)
    return jnp.sum(y * y * x)


def elimination(a):
    return jnp.linalg.det(a)


def scatter_in_loop(x, v):
    y0 = x[0] + v[0] ** 2 + v[4] ** 2
    y1 = x[1] * v[0] * v[1]
    y2 = x[2] + v[1] ** 2 + v[2] ** 2
    y3 = x[3] + v[3] ** 2
    return y0**3 + y1**3 + y2**3 + y3**3


def closures_capture(x):
    y = 0.3
    for i in range(3):
        y = jnp.tanh(y * x[i]) + x[(i + 1) % 3]
    return y


def composed(a, x):
    def inner(y):
        return a * y + y**2

    return jnp.sin(jnp.sin(inner(inner(x))))


def church(x):
    y = x
    for _ in range(6):
        y = 1 / (1 + y * x)
    return y


def fold_pipe(x):
    v = x**2 * jnp.sign(x)
    return jnp.log(jnp.sum(jnp.where(v > -2, jnp.exp(v), 0.0)))


def comprehension_matrix(x):
    k = jnp.exp(-((x[None, :] - (x * x)[:, None]) ** 2) / 2)
    return jnp.sum(k @ k.T * k)


def inout_swap(x, y):
    a, b = x, y
    for i in range(1, 4):
        k = 0.3 * i * x
        a, b = a * jnp.cos(k) - b * jnp.sin(k), a * jnp.sin(k) + b * jnp.cos(k)
    return a**2 * b


def inout_parts(x):
    w = x * x[3] + jnp.sin(x[3])
    row = x[1] * x[2] + jnp.sin(x[2])
    return jnp.sum(w**2) * row


def bank_method(rate, x):
    balance, log = 1.0, 0.0
    for i in range(4):
        balance = balance + x[i]
        log = log + balance
        balance = balance * (1 + rate * 0.1)
    return balance * log


def struct_with(p):
    pos, vel = p.pos, p.vel
    for dt in (0.3, 0.2):
        pos, vel = pos + dt * vel, vel * 0.9
    mass = p.mass**2
    return 0.5 * mass * jnp.sum(vel**2) + mass / jnp.sqrt(jnp.sum((pos - 3) ** 2))


def nested_structs(m, x):
    for layer in m:
        x = jnp.tanh(x @ layer.w + layer.b)
    return jnp.sum(x * jnp.array([1.0, -2.0]))


def try_catch(x):
    return (2 * x[0] ** 2 + jnp.sin(x[1]) + 2 + 2 * x[2] ** 2) ** 2


def try_rolls_back(x):
    y = jnp.stack([x[0] ** 2, x[1], x[2] * x[0] ** 2])
    return jnp.sum(y * y)


def early_return(x):
    x = x * 1.2
    s = 1.0
    for a in x:
        for b in x:
            s = s * 0.9 + a * b
            if s > 1.9:
                return s * a + b
            if a == b:
                continue
            if b > 0.95:
                break
    return s


def swap_tuples(p):
    a, b, c = p
    for _ in range(4):
        a, b, c = b * 0.7, c + a, a - 0.1 * b * c
    return a, b * c


def default_and_named(x, k):
    def g(x, scale=2.0, shift=0.5):
        return scale * jnp.log(x + shift)

    return g(x) * g(x, shift=k) - g(k, scale=x) / g(x, k, 0.1 * k)


def stop_grad_mix(x):
    return jnp.sum(x**2 * lax.stop_gradient(x) + lax.stop_gradient(jnp.sin(x)) * jnp.exp(x))


def checkpoint_chain(x, w):
    for _ in range(3):
        x = jnp.tanh(w @ x) + x
    return jnp.sum(x**2)


def custom_vjp_rule(x):
    return jnp.sum(jnp.sin(x**3))


def custom_jvp_rule(x, y):
    return jnp.sum(jnp.exp(x * y**2))


def collatz_like(x):
    n, y = 11, x
    while n != 1:
        if n % 2 == 0:
            n, y = n // 2, jnp.sqrt(y + 1)
        else:
            n, y = 3 * n + 1, y * 1.1 + 0.1 * x
    return y


def bisection_then_newton(a):
    # The same two steps from a root known to all digits, so that the second derivative is the unrolled one's.
    def g(x, a):
        return x**3 + a * x - 2

    x = lax.stop_gradient(cardano(a))
    y = x - g(x, a) / lax.stop_gradient(3 * x**2 + a)
    y = y - g(y, a) / (3 * y**2 + a)
    return y**2


def cardano(a):
    root = jnp.sqrt(1 + a**3 / 27)
    return jnp.cbrt(1 + root) + jnp.cbrt(1 - root)


def memo_dynamic(x):
    best = [1.0]
    for n in range(1, 8):
        best.append(sum(x[k] * best[n - k - 1] for k in range(4) if n - k - 1 >= 0) / n)
    return best[7]


def string_keys(p):
    y = jnp.array([1.0, -0.5])
    y = jnp.tanh(p.w1 @ jnp.tanh(p.w0 @ y))
    return p.scale * jnp.sum(y) + jnp.sum(p.w0) ** 2


def zip_enumerate(x, y):
    s = jnp.sum(x * y[::-1] ** 2 * jnp.arange(1.0, 5.0))
    return s * (0.5 + x[3] ** 2) * (0.5 + x[1] ** 2)


def horner(c, x):
    return jnp.polyval(c, x)


def continued_fraction(a):
    y = a[4]
    for i in (3, 2, 1, 0):
        y = a[i] + 1 / y
    return y


def agm(a, b):
    for _ in range(6):
        a, b = 0.5 * (a + b), jnp.sqrt(a * b)
    return a


def logistic_map(r, x):
    return lax.fori_loop(0, 12, lambda _, x: r * x * (1 - x), x)
