"""Records losses and their gradients of PyTorch, torchvision's formula of focal loss, and optax for tests/library/loss.dl, in
float64.

    python tests/library/record_loss.py          # needs torch, optax
"""

import itertools
import json
from pathlib import Path

import jax
import numpy as np
import optax
import torch
import torch.nn.functional as F

jax.config.update("jax_enable_x64", True)
torch.set_default_dtype(torch.float64)
rng = np.random.default_rng(11)
cases = {}


def case(name, f, *args, **rest):
    """The value of f and its gradient in every float argument."""
    tensors = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in args]
    value = f(*tensors, **rest)
    value.backward()
    grads = [t.grad.tolist() for t in tensors if t.requires_grad and t.grad is not None]
    cases[name] = {"args": [a.tolist() for a in args], "value": value.item(), "grads": grads}


def n(*shape):
    return rng.normal(size=shape)


p, y = 2.0 * n(9), n(9)
case("mse", F.mse_loss, p, y)
case("mae", F.l1_loss, p, y)
case("huber", lambda a, b: F.huber_loss(a, b, delta=0.7), p, y)
case("smooth_l1", lambda a, b: F.smooth_l1_loss(a, b, beta=0.7), p, y)
case("pinball", lambda a, b: torch.maximum(0.3 * (b - a), -0.7 * (b - a)).mean(), p, y)
case("msle", lambda a, b: F.mse_loss(torch.log1p(a), torch.log1p(b)), abs(p), abs(y))
case("poisson", lambda a, b: F.poisson_nll_loss(a, b, log_input=True), n(5), abs(n(5)))
case("gaussian", lambda a, b, v: F.gaussian_nll_loss(a, b, v, eps=0.0), n(5), n(5), abs(n(5)) + 0.1)
value, g = jax.value_and_grad(lambda a, b: optax.losses.log_cosh(a, b).mean(), argnums=(0, 1))(p, y)
cases["log_cosh"] = {"args": [p.tolist(), y.tolist()], "value": float(value), "grads": [np.asarray(x).tolist() for x in g]}

logits, classes = 3.0 * n(6, 4), rng.integers(0, 4, size=6)
soft = rng.dirichlet(np.ones(4), size=6)
weight = torch.tensor([0.2, 1.0, 0.5, 2.0])
case("cross_entropy", F.cross_entropy, logits, classes)
case("cross_entropy_smooth", lambda z, t: F.cross_entropy(z, t, label_smoothing=0.2), logits, classes)
case("cross_entropy_weights", lambda z, t: F.cross_entropy(z, t, weight=weight, ignore_index=1, label_smoothing=0.2), logits, classes)
case("cross_entropy_soft", lambda z, t: F.cross_entropy(z, t, weight=weight, label_smoothing=0.2), logits, soft)
case("focal_cross_entropy", lambda z, t: (-((1 - z.softmax(-1)) ** 1.5 * z.log_softmax(-1)).gather(1, t[:, None])).mean(), logits, classes)
case("multi_margin", lambda z, t: F.multi_margin_loss(z, t, margin=0.8), logits, classes)

yes = rng.integers(0, 2, size=9).astype(float)


def focal(z, t, alpha=0.25, gamma=2.0):
    """torchvision.ops.sigmoid_focal_loss, written out from the paper."""
    q = torch.sigmoid(z)
    ce = F.binary_cross_entropy_with_logits(z, t, reduction="none")
    q_t = q * t + (1 - q) * (1 - t)
    return ((alpha * t + (1 - alpha) * (1 - t)) * ce * (1 - q_t) ** gamma).mean()


case("focal", lambda z: focal(z, torch.tensor(yes)), p)
cases["focal"]["args"].append(yes.tolist())
case("bce_logits", lambda z: F.binary_cross_entropy_with_logits(z, torch.tensor(yes), pos_weight=torch.tensor(2.5)), p)
cases["bce_logits"]["args"].append(yes.tolist())
sign = 2.0 * yes - 1.0
case("soft_margin", lambda z: F.soft_margin_loss(z, torch.tensor(sign)), p)
cases["soft_margin"]["args"].append(sign.tolist())
case("squared_hinge", lambda z: (torch.relu(1 - torch.tensor(sign) * z) ** 2).mean(), p)
cases["squared_hinge"]["args"].append(sign.tolist())
case("margin_ranking", lambda a, b: F.margin_ranking_loss(a, b, torch.tensor(sign), margin=0.3), p, y)
cases["margin_ranking"]["args"].append(sign.tolist())

mask, area = 1.0 / (1.0 + np.exp(-n(2, 3, 3))), rng.integers(0, 2, size=(2, 3, 3)).astype(float)


def dice(q, t):
    return (1 - (2 * (q * t).sum((1, 2)) + 1) / (q.sum((1, 2)) + t.sum((1, 2)) + 1)).mean()


case("dice", dice, mask, area)

a, b, c = n(6, 3), n(6, 3), n(6, 3)
same = sign[:6]
far = (1.0 + same) / 2.0


def contrastive(u, v):
    d = (u - v).norm(dim=-1)
    together = torch.tensor(far)
    return (together * d**2 + (1 - together) * torch.relu(1.5 - d) ** 2).mean() / 2


case("contrastive", contrastive, a, b)
cases["contrastive"]["args"].append(far.tolist())
case("cosine_embedding", lambda u, v: F.cosine_embedding_loss(u, v, torch.tensor(same), margin=0.1), a, b)
cases["cosine_embedding"]["args"].append(same.tolist())
distance = lambda u, v: (u - v).norm(dim=-1)  # noqa: E731
case("triplet", lambda u, v, w: F.triplet_margin_with_distance_loss(u, v, w, distance_function=distance, margin=0.8), a, b, c)
case("triplet_swap", lambda u, v, w: F.triplet_margin_with_distance_loss(u, v, w, distance_function=distance, margin=0.8, swap=True), a, b, c)
case("info_nce", lambda u, v: F.cross_entropy(F.normalize(u) @ F.normalize(v).T / 0.2, torch.arange(6)), a, b)


def nt_xent(u, v):
    """The sum over pairs of the paper, term by term."""
    z = F.normalize(torch.cat([u, v]))
    s = torch.exp(z @ z.T / 0.4)
    total = 0.0
    for i in range(12):
        total = total - torch.log(s[i, (i + 6) % 12] / sum(s[i, k] for k in range(12) if k != i))
    return total / 12


case("nt_xent", nt_xent, a, b)

z = 2.0 * n(4, 7, 5)
labels = np.array([[1, 2, 2], [3, 3, 3], [4, 1, 2], [2, 1, 1]])
times, lengths = np.array([7, 6, 5, 4]), np.array([3, 3, 1, 0])


def ctc(reduction, blank=0):
    def f(v):
        return F.ctc_loss(
            v.log_softmax(-1).transpose(0, 1), torch.tensor(labels), torch.tensor(times), torch.tensor(lengths), blank=blank, reduction=reduction
        )

    return f


case("ctc", ctc("mean"), z)
case("ctc_sum", ctc("sum"), z)
labels[labels == 4] = 0
cases["ctc"]["args"] += [[[1, 2, 2], [3, 3, 3], [4, 1, 2], [2, 1, 1]], times.tolist(), lengths.tolist()]
case("ctc_blank", ctc("mean", blank=4), z)
cases["ctc_blank"]["args"] += [labels.tolist(), times.tolist(), lengths.tolist()]


def shortest(vectors):
    """The nearest point of every face whose weights are positive; the nearest of them all."""
    best = None
    for size in range(1, len(vectors) + 1):
        for face in itertools.combinations(range(len(vectors)), size):
            gram = vectors[list(face)] @ vectors[list(face)].T
            system = np.block([[gram, np.ones((size, 1))], [np.ones((1, size)), np.zeros((1, 1))]])
            w = np.linalg.lstsq(system, np.append(np.zeros(size), 1.0), rcond=None)[0][:size]
            if np.all(w >= 0) and (best is None or w @ gram @ w < best[0] - 1e-15):
                full = np.zeros(len(vectors))
                full[list(face)] = w
                best = (w @ gram @ w, full)
    return best[1]


pareto = []
for k, d, shift in [(2, 3, 0.0), (2, 3, 1.0), (3, 5, 0.5), (4, 6, 0.0), (4, 2, 3.0), (5, 8, 0.4), (6, 4, 1.5), (6, 9, 0.3)]:
    vectors = n(k, d) + shift
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    pareto.append({"vectors": vectors.tolist(), "weights": shortest(vectors).tolist(), "normalized": shortest(unit).tolist()})

out = Path(__file__).parent / "loss.json"
out.write_text(json.dumps({"cases": cases, "pareto": pareto}) + "\n")
