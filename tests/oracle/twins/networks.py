"""Twins of the programs about networks and learning."""

import jax
import jax.numpy as jnp
from jax.nn import gelu, log_softmax, relu, sigmoid, silu, softmax, softplus

from .helpers import conv, conv_transpose, max_pool


def mlp(net, x):
    hidden = jnp.tanh(x @ net.hidden.w + net.hidden.b)
    logits = hidden @ net.output.w + net.output.b
    return -jnp.mean(log_softmax(logits)[jnp.arange(5), jnp.array([0, 2, 1, 1, 0])])


def mlp_from_library(w, b, v, x):
    logits = gelu(x @ w + b, approximate=False) @ v
    return -jnp.mean(log_softmax(logits)[jnp.arange(4), jnp.array([0, 1, 1, 0])])


def cross_entropy_rows(x, w):
    rows, classes = jnp.arange(11), jnp.array([0, 4, 2, 2, 1, 3, 0, 4, 1, 1, 2])
    plain = -jnp.mean(log_softmax(3 * x)[rows, classes])
    return plain - jnp.sum(jnp.where(classes == 2, 0, w[classes] * log_softmax(x)[rows, classes]))


def losses(p, y):
    gap = 2 * p - y
    huber = jnp.where(jnp.abs(gap) <= 1, 0.5 * gap**2, jnp.abs(gap) - 0.5)
    bce = -jnp.mean(y * jnp.log(sigmoid(p)) + (1 - y) * jnp.log(sigmoid(-p)))
    cross = -jnp.mean(jnp.sum(y * log_softmax(p), axis=-1))
    q, r = softmax(y), softmax(p)
    kl = jnp.mean(jnp.sum(q * jnp.log(q / r), axis=-1))
    hinge = jnp.mean(relu(1 - jnp.abs(p) * y))
    return jnp.mean((p - y) ** 2) + 2 * jnp.mean(jnp.abs(p - y)) + jnp.mean(huber) + bce + hinge + cross + kl


def optimizer_step(w, x):
    m, s = jnp.zeros(3), jnp.zeros(3)
    for t in (1, 2):
        g = 2 * x.T @ (x @ w - 1) / 4
        m = 0.9 * m + 0.1 * g
        s = 0.999 * s + 0.001 * g**2
        w = w - 0.1 * (m / (1 - 0.9**t)) / (jnp.sqrt(s / (1 - 0.999**t)) + 1e-8)
    return jnp.sum(w**2)


def attention(x, wq, wk, wv):
    outputs = []
    for h in range(2):
        q, k, v = (x @ w[:, 2 * h : 2 * h + 2] for w in (wq, wk, wv))
        scores = jnp.exp(q @ k.T / jnp.sqrt(2.0)) * jnp.tril(jnp.ones((4, 4)))
        outputs.append(scores / jnp.sum(scores, axis=1, keepdims=True) @ v)
    return jnp.concatenate(outputs, axis=1)


def attention_library(q, k, v):
    scores = q @ k.T / jnp.sqrt(2.0)
    seen = jnp.arange(5) <= jnp.arange(2, 5)[:, None]
    return softmax(jnp.where(seen, scores, -jnp.inf)) @ v + softmax(scores) @ v**2


def standardized(x, epsilon):
    c = x - jnp.mean(x, axis=-1, keepdims=True)
    return c / jnp.sqrt(jnp.mean(c**2, axis=-1, keepdims=True) + epsilon)


def transformer_block(x, p):
    a = standardized(x, 1e-5) * p.scale
    y = x + softmax((a @ p.wq) @ (a @ p.wk).T / 2) @ (a @ p.wv)
    return y + gelu((standardized(y, 1e-5) * p.scale) @ p.up, approximate=False) @ p.down


def layer_norm(x, scale, shift):
    return standardized(x, 1e-5) * scale + shift


layer_norm_rows = layer_norm


def rms_norm(x, scale):
    return x * jax.lax.rsqrt(jnp.mean(x**2, axis=-1, keepdims=True) + 1e-6) * scale


def batch_norm(x, gain):
    return standardized(x.T, 1e-3).T * gain


def rms_norm_swiglu(x, w, v):
    y = x * jax.lax.rsqrt(jnp.mean(x**2, axis=-1, keepdims=True) + 1e-6)
    return silu(y @ w) * (y @ v)


def lstm(xs, w, u, b):
    h, c = jnp.zeros(3), jnp.zeros(3)
    for x in xs:
        i, o, g, r = jnp.split(x @ w + h @ u + b, 4)
        c = sigmoid(r + 1) * c + sigmoid(i) * jnp.tanh(g)
        h = sigmoid(o) * jnp.tanh(c)
    return h, c


def gru(xs, w, u):
    def step(h, x):
        a, b = jnp.split(x @ w, 3), jnp.split(h @ u, 3)
        r, z = sigmoid(a[0] + b[0]), sigmoid(a[1] + b[1])
        h = (1 - z) * jnp.tanh(a[2] + r * b[2]) + z * h
        return h, h

    return jax.lax.scan(step, jnp.zeros(3), xs)[1]


def embedding_bag(table, w):
    return sigmoid(jnp.mean(table[jnp.array([[0, 2, 2], [4, 0, 1]])], axis=1) @ w)


def convolution_by_slices(x, k):
    y = conv(x[None, None], k[None, None])
    return max_pool(y, 2, 2)[0, 0]


def convnet(x, k, w):
    y = max_pool(jnp.tanh(conv(x, k)), 2, 2)
    return log_softmax(y.reshape(2, -1) @ w)[:, 1]


def unet_like(x, k, w):
    return x + conv_transpose(softplus(conv(x, k, stride=2)), w, stride=2)


def temporal_convolution(x, w):
    y = x[0, 0]
    for k, d in zip(w, (1, 2)):
        before = jnp.concatenate([jnp.zeros(d), y])[: len(y)]
        y = y + jnp.tanh(k[0, 0, 0] * before + k[0, 0, 1] * y)
    return y[None, None]


def graph_network(h, w, u):
    source, target = jnp.array([0, 1, 2, 3, 0]), jnp.array([1, 2, 3, 0, 2])
    adjacency = jnp.zeros((4, 5)).at[target, jnp.arange(5)].set(1.0)
    for _ in range(2):
        h = jnp.tanh(h @ u + adjacency @ relu(h[source] @ w + 0.3))
    return h


def highway_depth(x, w):
    depth = 0
    while jnp.linalg.norm(x) > 0.2 and depth < 30:
        x = jnp.tanh(w @ x) * 0.9
        depth += 1
    return jnp.sum(x) * depth


def contrastive(a, b, temperature):
    def unit(x):
        return x / jnp.sqrt(jnp.sum(x**2, axis=1, keepdims=True))

    scores = unit(a) @ unit(b).T / temperature
    return -jnp.mean(jnp.diag(log_softmax(scores))) - jnp.mean(jnp.diag(log_softmax(scores, axis=0)))


def focal_loss(z, gamma):
    pt = sigmoid(z * jnp.array([1.0, -1.0, 1.0, 1.0, -1.0]))
    return -jnp.mean((1 - pt) ** gamma * jnp.log(pt))


def gumbel_softmax(logits, values, tau):
    soft = softmax((logits + jnp.array([0.3, 1.1, -0.4, 0.2])) / tau)
    hard = jax.nn.one_hot(jnp.argmax(soft), 4)
    return (hard + soft - jax.lax.stop_gradient(soft)) @ values**2


def soft_decision_tree(w, leaf, x):
    p = sigmoid(w @ x)
    left = p[1] * leaf[0] + (1 - p[1]) * leaf[1]
    right = p[2] * leaf[2] + (1 - p[2]) * leaf[3]
    return p[0] * left + (1 - p[0]) * right


def policy_gradient(logits, rewards):
    discount = jnp.array([[0.9 ** (j - i) if j >= i else 0.0 for j in range(4)] for i in range(4)])
    returns = discount @ rewards
    advantage = jax.lax.stop_gradient(returns - jnp.mean(returns))
    chosen = log_softmax(logits)[jnp.arange(4), jnp.array([0, 2, 1, 0])]
    return -jnp.sum(chosen * advantage) + 0.1 * jnp.sum(returns**2)


def hopfield(memory, query, beta):
    recalled = softmax(beta * memory @ query) @ memory
    energy = -jax.scipy.special.logsumexp(beta * memory @ recalled) / beta + 0.5 * jnp.sum(recalled**2)
    return jnp.sum(recalled**2) + energy


def siren_laplacian(w, v, x):
    return -jnp.sum(jnp.sin(x @ w) * v * jnp.sum(w**2, axis=0))


def physics_informed(w, b, v):
    total = (jnp.tanh(b) @ v - 1) ** 2
    for t in (0.1, 0.5, 0.9):
        y = jnp.tanh(t * w + b)
        second = -2 * y * (1 - y**2) * w**2
        total = total + ((second + y) @ v - jnp.sin(t)) ** 2
    return total
