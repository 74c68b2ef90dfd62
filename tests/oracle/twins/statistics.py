"""Twins of the programs about probability, statistics and finance."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.nn import log_sigmoid, sigmoid, softmax
from jax.scipy import stats
from jax.scipy.special import digamma, gammaln, logsumexp


def normal_cdf(x, mu, sigma):
    p = stats.norm.cdf(x, mu, sigma)
    return jnp.sum(jnp.log(p)) - jnp.sum(p * (1 - p))


def beta_density(x, a, b):
    return jnp.sum(stats.beta.logpdf(x, a, b))


def gamma_density(x, shape, rate):
    return jnp.sum(stats.gamma.logpdf(x * rate, shape) + jnp.log(rate))


def student_density(x, nu, mu, sigma):
    return jnp.sum(stats.t.logpdf(x, nu, mu, sigma))


def dirichlet_entropy(a):
    total = jnp.sum(a)
    log_b = jnp.sum(gammaln(a)) - gammaln(total)
    return log_b + (total - 3) * digamma(total) - jnp.sum((a - 1) * digamma(a))


def poisson_glm(w, x):
    y = jnp.array([0.0, 2.0, 1.0, 4.0, 1.0])
    return jnp.sum(y * (x @ w) - jnp.exp(x @ w) - gammaln(y + 1))


def negative_binomial(mu, r):
    k = jnp.array([0, 3, 1, 7])
    return jnp.sum(stats.nbinom.logpmf(k, r, r / (r + mu)))


def logistic_regression(w, b, x):
    y = jnp.array([1.0, 0.0, 0.0, 1.0, 1.0, 0.0])
    z = x @ w + b
    return -jnp.mean(y * log_sigmoid(z) + (1 - y) * log_sigmoid(-z)) + 0.1 * jnp.sum(w**2)


def gaussian_mixture(x, logits, mu, log_sigma):
    density = stats.norm.pdf(x[:, None], mu, jnp.exp(log_sigma))
    return jnp.sum(jnp.log(density @ softmax(logits)))


def em_step(x, mu):
    def log_density(mu):
        return -0.5 * (x[:, None] - mu) ** 2

    r = softmax(log_density(mu), axis=1)
    following = r.T @ x / jnp.sum(r, axis=0)
    return jnp.sum(logsumexp(log_density(following), axis=1))


def hmm_forward(start, move, emit):
    seen = [0, 2, 1, 3, 3, 0]
    p, q = softmax(move, axis=1), softmax(emit, axis=1)
    alpha = softmax(start) * q[:, 0]
    for s in seen[1:]:
        alpha = (alpha @ p) * q[:, s]
    return jnp.log(jnp.sum(alpha))


def ctc_loss(logits):
    # Sums the probabilities of all paths that read 1, 2.
    p = softmax(logits, axis=1)
    label = [0, 1, 0, 2, 0]
    alpha = [p[0, 0], p[0, 1], 0.0, 0.0, 0.0]
    for t in range(1, 5):
        following = []
        for s in range(5):
            total = alpha[s] + (alpha[s - 1] if s > 0 else 0.0)
            if s > 1 and label[s] != 0 and label[s] != label[s - 2]:
                total = total + alpha[s - 2]
            following.append(total * p[t, label[s]])
        alpha = following
    return -jnp.log(alpha[4] + alpha[3])


def soft_dtw(a, b, gamma):
    r = {(0, 0): 0.0}
    for i in range(5):
        for j in range(6):
            if i == 0 or j == 0:
                r[i, j] = 0.0 if i == j else 1e3
            else:
                before = jnp.array([r[i - 1, j], r[i, j - 1], r[i - 1, j - 1]])
                r[i, j] = (a[i - 1] - b[j - 1]) ** 2 - gamma * logsumexp(-before / gamma)
    return r[4, 5]


def edit_distance_soft(costs, similar):
    d = {}
    for i in range(4):
        for j in range(5):
            if i == 0:
                d[i, j] = j * costs[0]
            elif j == 0:
                d[i, j] = i * costs[1]
            else:
                change = d[i - 1, j - 1] + costs[2] * sigmoid(similar[i - 1, j - 1])
                ways = jnp.array([d[i - 1, j] + costs[1], d[i, j - 1] + costs[0], change])
                d[i, j] = -jnp.log(jnp.sum(jnp.exp(-ways)))
    return d[3, 4]


def sinkhorn(x, y, eps):
    cost = jnp.sum((x[:, None, :] - y[None, :, :]) ** 2, axis=-1)
    k = jnp.exp(-cost / eps)

    def step(_, ab):
        a = 1 / (3 * (k @ ab[1]))
        return a, 1 / (4 * (k.T @ a))

    a, b = lax.fori_loop(0, 6, step, (jnp.ones(3), jnp.ones(4)))
    return jnp.sum(a[:, None] * k * b * cost)


def soft_sort(x, temperature):
    ranks = 0.5 + jnp.sum(sigmoid((x[:, None] - x) / temperature), axis=1)
    return ranks @ x + jnp.sum(ranks**2)


def neural_sort(s, tau):
    b = jnp.sum(jnp.abs(s[:, None] - s), axis=1)
    scaling = 5 - 2 * jnp.arange(1.0, 5.0)
    return softmax((scaling[:, None] * s - b) / tau, axis=1) @ s


def spearman_soft(x, y):
    def ranks(x):
        return jnp.sum(sigmoid(3 * (x[:, None] - x)), axis=1)

    return jnp.corrcoef(ranks(x), ranks(y))[0, 1]


def black_scholes(s, k, t, r, sigma):
    d1 = (jnp.log(s / k) + (r + 0.5 * sigma**2) * t) / (sigma * jnp.sqrt(t))
    return s * stats.norm.cdf(d1) - k * jnp.exp(-r * t) * stats.norm.cdf(d1 - sigma * jnp.sqrt(t))


def greeks(s, sigma):
    d1 = jnp.log(s) / sigma + 0.5 * sigma
    delta = stats.norm.cdf(d1)
    price = s * delta - stats.norm.cdf(d1 - sigma)
    return price - delta * s + (s * stats.norm.pdf(d1)) ** 2


def binomial_tree(s, sigma):
    n = 6
    up = jnp.exp(sigma * jnp.sqrt(1 / n))
    p = (jnp.exp(0.05 / n) - 1 / up) / (up - 1 / up)
    values = jnp.maximum(1 - s * up ** (2 * jnp.arange(n + 1.0) - n), 0.0)
    for i in reversed(range(n)):
        hold = jnp.exp(-0.05 / n) * (p * values[1:] + (1 - p) * values[:-1])
        values = jnp.maximum(hold, 1 - s * up ** (2 * jnp.arange(i + 1.0) - i))
    return values[0]


def cvar(w, returns, t):
    losses = -(returns @ softmax(w))
    return jnp.mean(jnp.sort(losses)[-3:]) + t + jnp.mean(jnp.maximum(losses - t, 0.0)) / 0.25


def portfolio(w, mu, a):
    p = softmax(w)
    variance = jnp.sum((a.T @ p) ** 2) + 0.1 * jnp.sum(p**2)
    return p @ mu / jnp.sqrt(variance) - 0.05 * jnp.sum(jnp.abs(p - 0.25))


def garch(omega, alpha, beta, r):
    def step(h, v):
        return omega + alpha * v**2 + beta * h, -0.5 * (jnp.log(h) + v**2 / h)

    return jnp.sum(lax.scan(step, jnp.var(r), r)[1])


def variational_bound(mu, log_sigma, x):
    noise = jnp.array([[0.3, -1.2], [-0.7, 0.4], [1.5, 0.1]])

    def one(e):
        z = mu + jnp.exp(log_sigma) * e
        return jnp.sum(log_sigmoid(x @ z)) - 0.5 * jnp.sum(z**2)

    return jnp.mean(jax.vmap(one)(noise)) + jnp.sum(log_sigma)


def kernel_two_sample(x, y, h):
    def kernel(a, b):
        return jnp.exp(-jnp.sum((a[:, None] - b[None]) ** 2, axis=-1) / (2 * h**2))

    return jnp.mean(kernel(x, x)) + jnp.mean(kernel(y, y)) - 2 * jnp.mean(kernel(x, y))


def survival_cox(w, x):
    score = x @ w
    event = jnp.array([1.0, 0.0, 1.0, 1.0, 0.0])
    at_risk = jnp.stack([jnp.sum(jnp.exp(score[i:])) for i in range(5)])
    return jnp.sum(event * (score - jnp.log(at_risk)))


def ising_mean_field(j, h):
    m = jnp.tanh(h)
    for _ in range(10):
        m = jnp.tanh(h + j @ m + j.T @ m)
    return m


def bradley_terry(skill):
    gap = skill[jnp.array([0, 2, 3, 1, 0])] - skill[jnp.array([1, 0, 2, 3, 3])]
    return jnp.sum(jnp.log1p(jnp.exp(-gap))) + 0.1 * jnp.sum(skill**2)
