"""Writes prob_numpyro.json: log densities, moments, divergences and maps of NumPyro in float64, with their gradients by JAX,
for prob_numpyro.dl to compare with. Needs numpyro."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as D
from numpyro.distributions import transforms as T

jax.config.update("jax_enable_x64", True)


def plain(x):
    return np.asarray(x, dtype=float).tolist()


# Name in dlang, what makes it of its parameters, parameters, points.
CORR = T.CorrCholeskyTransform()(jnp.array([0.3, -1.2, 0.8, 0.1, 0.4, -0.6]))
TRIL = [[1.4, 0.0, 0.0], [0.4, 0.9, 0.0], [-0.2, 0.3, 0.7]]
DENSITIES = [
    ("Normal", D.Normal, [[0.0, -1.5], [1.0, 0.3]], [-1.0, 0.3]),
    ("LogNormal", D.LogNormal, [[0.0, -1.5], [1.0, 0.3]], [0.2, 2.5]),
    ("HalfNormal", D.HalfNormal, [[1.0, 0.3]], [0.1, 2.5]),
    ("TruncatedNormal", lambda m, s, a, b: D.TruncatedNormal(m, s, low=a, high=b), [[0.5, -2.0], [2.0, 0.7], [-1.0, -3.0], [3.0, 0.5]], [-0.9, 0.4]),
    ("Cauchy", D.Cauchy, [[0.0, -1.5], [1.0, 0.3]], [-1.0, 0.3]),
    ("HalfCauchy", D.HalfCauchy, [[1.0, 0.3]], [0.1, 2.5]),
    ("Laplace", D.Laplace, [[0.0, -1.5], [1.0, 0.3]], [-1.0, 0.3]),
    ("Logistic", D.Logistic, [[0.0, -1.5], [1.0, 0.3]], [-1.0, 0.3]),
    ("Gumbel", D.Gumbel, [[0.0, -1.5], [1.0, 0.8]], [-1.0, 0.3]),
    ("Uniform", D.Uniform, [[-2.0, -1.5], [1.0, 0.3]], [-1.0, 0.2]),
    ("Exponential", D.Exponential, [[1.0, 0.3]], [0.1, 2.5]),
    ("Gamma", D.Gamma, [[0.4, 7.0], [1.0, 2.0]], [0.1, 2.5]),
    ("InverseGamma", D.InverseGamma, [[2.4, 7.0], [1.0, 2.0]], [0.1, 2.5]),
    ("Beta", D.Beta, [[0.4, 7.0], [1.0, 2.0]], [0.1, 0.9]),
    ("StudentT", D.StudentT, [[3.0, 30.0], [0.0, -1.5], [1.0, 0.3]], [-1.0, 0.3]),
    ("Weibull", D.Weibull, [[1.0, 0.3], [0.7, 3.0]], [0.1, 0.9]),
    ("Pareto", D.Pareto, [[1.0, 0.3], [2.7, 3.0]], [1.1, 2.9]),
    ("VonMises", D.VonMises, [[0.3, -1.0, 2.0, 0.0], [0.2, 4.0, 24.0, 90.0]], [-0.5, 0.9]),
    ("MultivariateNormal", lambda m, l: D.MultivariateNormal(m, scale_tril=l), [[0.5, -1.0, 2.0], TRIL], [[0.1, 0.2, 0.3], [-1.0, 2.0, 0.0]]),
    (
        "MultivariateStudentT",
        lambda v, m, l: D.MultivariateStudentT(v, m, l),
        [4.0, [0.5, -1.0, 2.0], TRIL],
        [[0.1, 0.2, 0.3], [-1.0, 2.0, 0.0]],
    ),
    ("Dirichlet", D.Dirichlet, [[[1.0, 2.0, 3.0], [0.5, 0.7, 7.0]]], [[0.2, 0.3, 0.5], [0.7, 0.1, 0.2]]),
    ("LkjCholesky", lambda c: D.LKJCholesky(4, c), [0.7], CORR),
    ("Bernoulli", lambda z: D.Bernoulli(logits=z), [[-2.0, 3.0]], [0, 1]),
    ("Categorical", lambda z: D.Categorical(logits=z), [[0.1, 1.0, -1.0]], [0, 1, 2]),
    ("Binomial", lambda n, z: D.Binomial(total_count=n, logits=z), [[5, 40], [-2.0, 1.0]], [0, 3]),
    ("Multinomial", lambda z: D.Multinomial(total_count=6, logits=z), [[[0.0, 1.0, -1.0], [2.0, 0.0, 0.5]]], [[1, 2, 3], [6, 0, 0]]),
    ("Poisson", D.Poisson, [[0.5, 40.0]], [0, 30]),
    ("Geometric", lambda z: D.Geometric(logits=z), [[-2.0, 3.0]], [0, 3]),
    # For arguments of 8 and above JAX's betaln has seven digits only (SciPy agrees with dlang there).
    ("BetaBinomial", lambda n, a, b: D.BetaBinomial(a, b, total_count=n), [[5, 6], [0.7, 1.2], [2.0, 1.5]], [0, 3, 5]),
    ("ZeroInflated", lambda z, r: D.ZeroInflatedPoisson(jax.nn.sigmoid(z), r), [[-2.0, 1.0], [0.5, 4.0]], [0, 1, 3]),
    ("OrderedLogistic", lambda p, c: D.OrderedLogistic(p, c), [[-2.0, 0.3, 1.5], [-1.0, 0.2, 2.5]], [[0, 1, 2], [3, 1, 2]]),
    ("NegativeBinomial", lambda r, z: D.NegativeBinomialLogits(r, z), [[0.5, 30.0], [-2.0, 1.0]], [0, 3]),
]
VECTORS = ("MultivariateNormal", "MultivariateStudentT", "OrderedLogistic", "Dirichlet", "LkjCholesky", "Multinomial", "Categorical")
DISCRETE = ("BetaBinomial", "ZeroInflated", "OrderedLogistic", "Bernoulli", "Categorical", "Binomial", "Multinomial", "Poisson", "Geometric", "NegativeBinomial")


def density(name, make, parameters, points):
    """Points lie on axis 0 before the batch."""
    ps = [jnp.array(p) for p in parameters]
    x = jnp.array(points)
    if name not in VECTORS:
        x = x[:, None]
    moved = [i for i, p in enumerate(ps) if jnp.issubdtype(p.dtype, jnp.floating)]
    total = lambda moving, x: jnp.sum(make(*[moving.get(i, p) for i, p in enumerate(ps)]).log_prob(x))
    slopes = jax.grad(total)({i: ps[i] for i in moved}, x)
    d = make(*ps)
    moments = {}
    if name not in ("Cauchy", "HalfCauchy", "LkjCholesky", "Categorical", "OrderedLogistic"):
        moments = {"mean": plain(d.mean), "variance": plain(d.variance)}
    return {
        "name": name,
        "parameters": [plain(p) for p in ps],
        "x": plain(x),
        "log_prob": plain(d.log_prob(x)),
        "slopes": [plain(slopes[i]) if i in slopes else None for i in range(len(ps))],
        "x_slope": None if name in DISCRETE or name == "LkjCholesky" else plain(jax.grad(total, argnums=1)({}, x)),
        **moments,
    }


DIVERGENCES = [
    ("Normal", D.Normal, [0.5, 1.2], [-1.0, 2.0]),
    ("Gamma", D.Gamma, [1.2, 0.7], [2.0, 3.0]),
    ("Beta", D.Beta, [1.2, 0.7], [2.0, 3.0]),
    ("Dirichlet", D.Dirichlet, [[1.0, 2.0, 3.0]], [[0.5, 0.7, 7.0]]),
    ("MultivariateNormal", lambda m, l: D.MultivariateNormal(m, scale_tril=l), [[0.5, -1.0, 2.0], TRIL], [[0.0, 0.3, 0.0], np.eye(3).tolist()]),
]


def divergence(name, make, p, q):
    ps, qs = ([jnp.array(a) for a in part] for part in (p, q))
    f = lambda ps, qs: D.kl_divergence(make(*ps), make(*qs))
    slopes = jax.grad(f, argnums=(0, 1))(ps, qs)
    return {"name": name, "p": [plain(a) for a in ps], "q": [plain(a) for a in qs], "kl": float(f(ps, qs)), "slopes": [plain(s) for s in sum(slopes, [])]}


def of_angles():
    """NumPyro has no divergence and no entropy of von Mises distributions: by sums over one turn of its densities, which are exact
    to rounding for smooth periodic functions."""
    t = jnp.arange(4000) * (2 * jnp.pi / 4000) - jnp.pi
    mean = lambda p, f: jnp.sum(jnp.exp(D.VonMises(*p).log_prob(t)) * f) * (2 * jnp.pi / 4000)
    kl = lambda p, q: mean(p, D.VonMises(*p).log_prob(t) - D.VonMises(*q).log_prob(t))
    out = []
    for p, q in [([0.3, 2.0], [-1.0, 0.5]), ([2.0, 40.0], [1.5, 30.0]), ([0.0, 0.01], [1.0, 3.0])]:
        slopes = jax.grad(kl, argnums=(0, 1))(jnp.array(p), jnp.array(q))
        entropy = -mean(p, D.VonMises(*p).log_prob(t))
        out.append({"p": p, "q": q, "kl": float(kl(p, q)), "entropy": float(entropy), "slopes": [plain(s) for s in slopes]})
    return out


ROWS = [[0.3, -1.2, 0.8], [2.0, 0.1, -0.4]]
MAPS = [
    ("Exp", T.ExpTransform(), ROWS),
    ("Softplus", T.SoftplusTransform(), ROWS),
    ("Sigmoid", T.SigmoidTransform(), ROWS),
    ("Affine", T.AffineTransform(0.5, -2.0), ROWS),
    ("Interval", T.ComposeTransform([T.SigmoidTransform(), T.AffineTransform(-1.0, 4.0)]), ROWS),
    ("Ordered", T.OrderedTransform(), ROWS),
    ("Simplex", T.StickBreakingTransform(), ROWS),
    ("LowerTriangular", T.LowerCholeskyTransform(), ROWS),
    ("CorrelationCholesky", T.CorrCholeskyTransform(), ROWS),
]


def mapping(name, transform, x):
    x = jnp.array(x)
    log_det = lambda x: transform.log_abs_det_jacobian(x, transform(x))
    slope = jax.grad(lambda x: jnp.sum(log_det(x)) + 0.0 * jnp.sum(x))(x)
    return {"name": name, "x": plain(x), "y": plain(transform(x)), "log_det": plain(log_det(x)), "slope": plain(slope)}


record = {
    "densities": [density(*row) for row in DENSITIES],
    "divergences": [divergence(*row) for row in DIVERGENCES],
    "angles": of_angles(),
    "maps": [mapping(*row) for row in MAPS],
}
path = pathlib.Path(__file__).with_name("prob_numpyro.json")
text = json.dumps(record, separators=(",", ":"))
assert "NaN" not in text and "Infinity" not in text, text
path.write_text(text + "\n")
print(path.stat().st_size, "bytes")
