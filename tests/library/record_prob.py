"""Reference values for tests/library/prob.dl: densities, moments, divergences, maps and diagnostics in float64 from PyTorch,
SciPy, mpmath and ArviZ. Writes prob.json beside this file. Needs torch, scipy, mpmath, arviz-stats."""

import json
import pathlib

import mpmath
import numpy as np
import scipy.stats as st
import torch
import torch.distributions as D
from arviz_stats.base import array_stats

torch.set_default_dtype(torch.float64)


def plain(x):
    if isinstance(x, torch.Tensor):
        x = x.detach().numpy()
    x = np.asarray(x, dtype=float)
    return x.tolist()


def quiet(f):
    try:
        return f()
    except (NotImplementedError, AttributeError):
        return None


# Name: how to make it of its parameters, parameter batches, points, the frozen SciPy distribution (for cdf and entropy).
SCALAR = {
    "Normal": (D.Normal, [[0.0, -1.5, 3.0], [1.0, 0.3, 4.0]], [-2.0, 0.1, 3.5], lambda m, s: st.norm(m, s)),
    "LogNormal": (D.LogNormal, [[0.0, -1.5, 0.7], [1.0, 0.3, 0.6]], [0.2, 1.0, 3.5], lambda m, s: st.lognorm(s, scale=np.exp(m))),
    "HalfNormal": (D.HalfNormal, [[1.0, 0.3, 4.0]], [0.2, 1.0, 3.5], lambda s: st.halfnorm(scale=s)),
    "Cauchy": (D.Cauchy, [[0.0, -1.5, 3.0], [1.0, 0.3, 4.0]], [-2.0, 0.1, 3.5], lambda m, s: st.cauchy(m, s)),
    "HalfCauchy": (D.HalfCauchy, [[1.0, 0.3, 4.0]], [0.2, 1.0, 3.5], lambda s: st.halfcauchy(scale=s)),
    "Laplace": (D.Laplace, [[0.0, -1.5, 3.0], [1.0, 0.3, 4.0]], [-2.0, 0.1, 3.5], lambda m, s: st.laplace(m, s)),
    "Gumbel": (D.Gumbel, [[0.0, -1.5, 3.0], [1.0, 0.8, 4.0]], [-2.0, 0.1, 3.5], lambda m, s: st.gumbel_r(m, s)),
    "Uniform": (D.Uniform, [[0.0, -1.5, -3.0], [4.0, 6.0, 4.0]], [0.2, 1.0, 3.5], lambda a, b: st.uniform(a, b - a)),
    "Exponential": (D.Exponential, [[1.0, 0.3, 4.0]], [0.2, 1.0, 3.5], lambda r: st.expon(scale=1 / r)),
    "Gamma": (D.Gamma, [[1.0, 0.3, 40.0], [1.0, 2.0, 20.0]], [0.02, 1.0, 3.5], lambda a, b: st.gamma(a, scale=1 / b)),
    "InverseGamma": (D.InverseGamma, [[2.5, 2.3, 40.0], [1.0, 2.0, 20.0]], [0.2, 1.0, 3.5], lambda a, b: st.invgamma(a, scale=b)),
    "Beta": (D.Beta, [[1.0, 0.3, 40.0], [1.0, 2.0, 20.0]], [0.02, 0.4, 0.97], lambda a, b: st.beta(a, b)),
    "StudentT": (D.StudentT, [[3.0, 2.5, 40.0], [0.0, -1.5, 3.0], [1.0, 0.3, 4.0]], [-2.0, 0.1, 3.5], lambda v, m, s: st.t(v, m, s)),
    "Weibull": (D.Weibull, [[1.0, 0.3, 4.0], [1.0, 0.8, 3.0]], [0.2, 1.0, 3.5], lambda s, k: st.weibull_min(k, scale=s)),
    "Pareto": (D.Pareto, [[1.0, 0.3, 0.1], [2.5, 3.0, 40.0]], [1.2, 2.0, 3.5], lambda s, a: st.pareto(a, scale=s)),
    "Bernoulli": (lambda z: D.Bernoulli(logits=z), [[-2.0, 0.0, 3.0]], [0.0, 1.0], None),
    "Binomial": (
        lambda n, z: D.Binomial(n, logits=z),
        [[5.0, 9.0, 40.0], [-2.0, 0.0, 1.0]],
        [0.0, 2.0, 5.0],
        lambda n, z: st.binom(n, 1 / (1 + np.exp(-z))),
    ),
    "Poisson": (D.Poisson, [[0.5, 3.0, 40.0]], [0.0, 2.0, 30.0], lambda r: st.poisson(r)),
    "Geometric": (lambda z: D.Geometric(logits=z), [[-2.0, 0.0, 3.0]], [0.0, 2.0, 7.0], lambda z: st.geom(1 / (1 + np.exp(-z)), loc=-1)),
    "NegativeBinomial": (
        lambda r, z: D.NegativeBinomial(r, logits=z),
        [[0.5, 3.0, 40.0], [-2.0, 0.0, 1.0]],
        [0.0, 2.0, 7.0],
        lambda r, z: st.nbinom(r, 1 / (1 + np.exp(z))),
    ),
}

COV = [[2.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 0.7]]
TRIL = torch.linalg.cholesky(torch.tensor(COV))
TRILS = torch.stack([TRIL, 0.5 * torch.eye(3) + torch.tril(torch.full((3, 3), 0.25), -1)])
VECTOR = {
    "MultivariateNormal": (
        lambda m, l: D.MultivariateNormal(m, scale_tril=l),
        [[[0.5, -1.0, 2.0], [0.0, 0.0, 0.0]], TRILS.tolist()],
        [[0.1, 0.2, 0.3], [-1.0, 2.0, 0.0]],
    ),
    "Dirichlet": (D.Dirichlet, [[[1.0, 2.0, 3.0], [0.5, 0.5, 7.0]]], [[0.2, 0.3, 0.5], [0.7, 0.1, 0.2]]),
    "Multinomial": (lambda z: D.Multinomial(6, logits=z), [[[0.0, 1.0, -1.0], [2.0, 0.0, 0.5]]], [[1.0, 2.0, 3.0], [6.0, 0.0, 0.0]]),
}


def case(name, make, parameters, points, frozen=None):
    """Points lie on axis 0 before the batch."""
    ps = [torch.tensor(p, requires_grad=True) for p in parameters]
    x = torch.tensor(points)
    if name not in VECTOR:
        x = x[:, None]
    x.requires_grad_(name not in ("Bernoulli",))
    d = make(*ps)
    d._validate_args = False
    log_prob = d.log_prob(x)
    slopes = torch.autograd.grad(log_prob.sum(), [*ps, x] if x.requires_grad else ps, allow_unused=True)
    out = {"name": name, "parameters": [plain(p) for p in ps], "x": plain(x), "log_prob": plain(log_prob)}
    out["slopes"] = [None if s is None else plain(s) for s in slopes[: len(ps)]]
    out["x_slope"] = plain(slopes[-1]) if x.requires_grad and slopes[-1] is not None and name in CONTINUOUS else None
    out["mean"] = plain(d.mean)
    out["variance"] = plain(d.variance)
    entropy = quiet(d.entropy)
    if name in ("HalfNormal", "InverseGamma", "Weibull", "Gumbel", "Pareto") and frozen:
        np.testing.assert_allclose(plain(entropy), plain(frozen(*map(np.array, parameters)).entropy()), rtol=1e-6)
    out["entropy"] = None if entropy is None or name in ("Binomial", "Multinomial") else plain(entropy)
    out["cdf"] = plain(frozen(*map(np.array, parameters)).cdf(np.array(points)[:, None])) if frozen else None
    if name in ("Cauchy", "HalfCauchy"):
        out["mean"] = out["variance"] = None
    text = json.dumps(out)
    assert "NaN" not in text and "Infinity" not in text, text
    return out


CONTINUOUS = [k for k in SCALAR if k not in ("Bernoulli", "Binomial", "Poisson", "Geometric", "NegativeBinomial")] + ["MultivariateNormal", "Dirichlet"]

KL = [
    ("Normal", [[0.5, 1.2], [-1.0, 2.0]]),
    ("LogNormal", [[0.5, 1.2], [-1.0, 2.0]]),
    ("HalfNormal", [[1.2], [2.0]]),
    ("Cauchy", [[0.5, 1.2], [-1.0, 2.0]]),
    ("Laplace", [[0.5, 1.2], [-1.0, 2.0]]),
    ("Uniform", [[0.5, 1.2], [-1.0, 2.0]]),
    ("Exponential", [[1.2], [2.0]]),
    ("Gamma", [[1.2, 0.7], [2.0, 3.0]]),
    ("Beta", [[1.2, 0.7], [2.0, 3.0]]),
    ("Bernoulli", [[0.4], [-1.0]]),
    ("Binomial", [[7.0, 0.4], [7.0, -1.0]]),
    ("Poisson", [[1.2], [3.0]]),
    ("Geometric", [[0.4], [-1.0]]),
    ("MultivariateNormal", [[[0.5, -1.0, 2.0], TRILS[0].tolist()], [[0.0, 0.3, 0.0], TRILS[1].tolist()]]),
    ("Dirichlet", [[[1.0, 2.0, 3.0]], [[0.5, 0.7, 7.0]]]),
    ("Categorical", [[[0.1, 1.0, -1.0]], [[0.0, 0.0, 2.0]]]),
]


def divergence(name, pair):
    make = (SCALAR | VECTOR | {"Categorical": (lambda z: D.Categorical(logits=z),)})[name][0]
    ps = [torch.tensor(a, requires_grad=True) for a in pair[0]]
    qs = [torch.tensor(a, requires_grad=True) for a in pair[1]]
    value = D.kl_divergence(make(*ps), make(*qs))
    slopes = torch.autograd.grad(value, ps + qs, allow_unused=True)
    zero = [torch.zeros_like(p) if s is None else s for p, s in zip(ps + qs, slopes)]
    return {"name": name, "p": [plain(p) for p in ps], "q": [plain(q) for q in qs], "kl": plain(value), "slopes": [plain(s) for s in zero]}


def mapping(name, transform, x):
    x = torch.tensor(x, requires_grad=True)
    y = transform(x)
    log_det = transform.log_abs_det_jacobian(x, y)
    slope = torch.autograd.grad(log_det.sum() + 0.0 * x.sum(), x)[0]
    return {"name": name, "x": plain(x), "y": plain(y), "log_det": plain(log_det), "slope": plain(slope)}


ROWS = [[0.3, -1.2, 0.8], [2.0, 0.1, -0.4]]
T = D.transforms
MAPS = [
    mapping("Exp", T.ExpTransform(), ROWS),
    mapping("Softplus", T.SoftplusTransform(), ROWS),
    mapping("Sigmoid", T.SigmoidTransform(), ROWS),
    mapping("Tanh", T.TanhTransform(), ROWS),
    mapping("Affine", T.AffineTransform(0.5, -2.0), ROWS),
    mapping("Interval", T.ComposeTransform([T.SigmoidTransform(), T.AffineTransform(-1.0, 4.0)]), ROWS),
    mapping("Simplex", T.StickBreakingTransform(), ROWS),
    mapping("CorrelationCholesky", T.CorrCholeskyTransform(), ROWS),
]


def more():
    """What PyTorch does not have, from SciPy, and correlations from PyTorch."""
    out = []
    x = np.array([-2.0, 0.1, 1.9, 3.5])
    for name, parameters, d in [
        ("Logistic", [0.7, 1.3], st.logistic(0.7, 1.3)),
        ("TruncatedNormal", [0.5, 2.0, -1.0, 3.0], st.truncnorm(-0.75, 1.25, 0.5, 2.0)),
        ("TruncatedNormal", [0.5, 2.0, 1.0, 1e9], st.truncnorm(0.25, np.inf, 0.5, 2.0)),
        ("TruncatedNormal", [0.0, 0.1, 1.0, 4.0], st.truncnorm(10.0, 40.0, 0.0, 0.1)),
        ("TruncatedNormal", [0.0, 0.1, -4.0, -1.0], st.truncnorm(-40.0, -10.0, 0.0, 0.1)),
    ]:
        inside = x[np.isfinite(d.logpdf(x))] if name == "Logistic" or parameters[1] > 1 else np.array([1.02, 1.3]) * np.sign(parameters[3])
        out.append(
            {
                "name": name, "parameters": parameters, "x": plain(inside), "log_prob": plain(d.logpdf(inside)),
                "cdf": plain(d.cdf(inside)), "mean": float(d.mean()), "variance": float(d.var()), "quantile": plain(d.ppf([0.05, 0.6])),
            }
        )
    factor = T.CorrCholeskyTransform()(torch.tensor([0.3, -1.2, 0.8, 0.1, 0.4, -0.6]))
    lkj = [{"concentration": c, "l": plain(factor), "log_prob": float(D.LKJCholesky(4, c).log_prob(factor))} for c in (0.7, 1.0, 3.0)]
    p = [1e-300, 1e-20, 1e-5, 0.009, 0.3, 0.995, 1 - 1e-12]
    return {"scipy": out, "lkj": lkj, "ndtri": {"p": p, "x": plain(st.norm.ppf(p))}}


def implicit():
    """Derivatives of samples in the parameters, by their distribution functions: mpmath to all digits, and PyTorch's own, which
    are approximations (its sources name relative errors around 1e-3)."""
    mpmath.mp.dps = 40
    gamma, beta = [], []
    for a, z in [(0.05, 1e-9), (0.3, 0.02), (0.9, 1.4), (2.0, 0.7), (7.5, 9.0), (60.0, 52.0), (900.0, 905.0)]:
        below = lambda a: mpmath.gammainc(a, 0, z, regularized=True)
        density = mpmath.mpf(z) ** (a - 1) * mpmath.exp(-z) / mpmath.gamma(a)
        exact = -mpmath.diff(below, a) / density
        torch_own = torch._standard_gamma_grad(torch.tensor(a), torch.tensor(z))
        gamma.append({"a": a, "z": z, "exact": float(exact), "torch": float(torch_own)})
    for a, b, x in [(0.4, 0.7, 0.1), (2.0, 3.0, 0.4), (2.0, 3.0, 0.9), (30.0, 12.0, 0.66), (0.5, 20.0, 0.001), (150.0, 300.0, 0.36)]:
        a, b, x = map(mpmath.mpf, (a, b, x))
        density = x ** (a - 1) * (1 - x) ** (b - 1) / mpmath.beta(a, b)
        da = -mpmath.diff(lambda s: mpmath.betainc(s, b, 0, x, regularized=True), a) / density
        db = -mpmath.diff(lambda s: mpmath.betainc(a, s, 0, x, regularized=True), b) / density
        own = torch._dirichlet_grad(torch.tensor(float(x)), torch.tensor(float(a)), torch.tensor(float(a + b)))
        # PyTorch keeps (dx/da) / (1 - x).
        torch_own = float(own) * (1 - float(x))
        beta.append({"a": float(a), "b": float(b), "x": float(x), "da": float(da), "db": float(db), "torch": torch_own})
    return {"gamma": gamma, "beta": beta}


def diagnostics():
    """R-hat and effective sample sizes of chains, [chains, draws]."""
    rng = np.random.default_rng(0)
    walks = np.zeros((4, 120))
    for t in range(1, 120):
        walks[:, t] = 0.7 * walks[:, t - 1] + rng.standard_normal(4)
    alternating = np.zeros((2, 101))
    for t in range(1, 101):
        alternating[:, t] = -0.5 * alternating[:, t - 1] + rng.standard_normal(2)
    apart = rng.standard_normal((3, 80)) + np.array([[0.0], [1.0], [0.3]])
    heavy = rng.standard_cauchy((4, 100))
    out = []
    for x in (walks, alternating, apart, heavy):
        x = np.round(x, 4)
        out.append(
            {
                "x": x.tolist(),
                "rhat": float(array_stats.rhat(x, chain_axis=0, draw_axis=1, method="rank")),
                "split": float(array_stats.rhat(x, chain_axis=0, draw_axis=1, method="split")),
                "bulk": float(array_stats.ess(x, chain_axis=0, draw_axis=1, method="bulk")),
                "tail": float(array_stats.ess(x, chain_axis=0, draw_axis=1, method="tail", prob=(0.05, 0.95))),
                "mean": float(array_stats.ess(x, chain_axis=0, draw_axis=1, method="mean")),
            }
        )
    return out


record = {
    "densities": [case(n, *v[:3], *v[3:]) for n, v in (SCALAR | VECTOR).items()],
    "divergences": [divergence(n, pair) for n, pair in KL],
    "maps": MAPS,
    "more": more(),
    "implicit": implicit(),
    "diagnostics": diagnostics(),
}
path = pathlib.Path(__file__).with_name("prob.json")
path.write_text(json.dumps(record, separators=(",", ":")) + "\n")
print(path.stat().st_size, "bytes")
