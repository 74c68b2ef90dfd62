"""Records training runs, schedules and minima of PyTorch, optax and SciPy for tests/library/optim.dl, in float64.

    python tests/library/record_optim.py          # needs torch, optax, scipy, safetensors
    DLANG=target/release/dlang python tests/library/record_optim.py

With DLANG set it also reads a file that dlang's io.save wrote and writes it back for dlang to load.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path

import jax
import numpy as np
import optax
import safetensors
import scipy.optimize
import torch
from safetensors.numpy import save_file

jax.config.update("jax_enable_x64", True)
torch.set_default_dtype(torch.float64)
HERE = Path(__file__).parent
STEPS = 50
rng = np.random.default_rng(7)

x = rng.normal(size=(12, 2))
y = np.sin(2.0 * x[:, :1]) + x[:, 1:] ** 2
start = {
    "w1": rng.normal(size=(2, 4)),
    "b1": rng.normal(size=4) * 0.1,
    "w2": rng.normal(size=(4, 1)),
    "b2": np.zeros(1),
}


def net_loss(p, x, y, tanh, mean):
    return mean((tanh(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"] - y) ** 2)


def summary(p):
    """One number that every parameter has a share in."""
    flat = np.concatenate([np.asarray(p[k]).ravel() for k in start])
    return float(flat @ np.cos(np.arange(len(flat))))


def torch_run(make, each=1):
    p = {k: torch.tensor(v, requires_grad=True) for k, v in start.items()}
    optimizer = make(list(p.values()))
    losses, sums = [], []
    for step in range(STEPS):
        if step % each == 0:
            optimizer.zero_grad()
        # With accumulation each gradient is that of a part of the rows.
        rows = slice(None) if each == 1 else slice(step % each, None, each)
        loss = net_loss(p, torch.tensor(x[rows]), torch.tensor(y[rows]), torch.tanh, torch.mean)
        (loss / each).backward()
        if step % each == each - 1:
            optimizer.step()
        losses.append(loss.item())
        sums.append(summary({k: v.detach().numpy() for k, v in p.items()}))
    return {"losses": losses, "sums": sums, "final": {k: v.detach().numpy().tolist() for k, v in p.items()}}


def optax_run(rule):
    p = {k: jax.numpy.array(v) for k, v in start.items()}
    state = rule.init(p)
    losses, sums = [], []
    slope = jax.jit(jax.value_and_grad(lambda p: net_loss(p, x, y, jax.numpy.tanh, jax.numpy.mean)))
    for _ in range(STEPS):
        loss, g = slope(p)
        updates, state = rule.update(g, state, p)
        p = optax.apply_updates(p, updates)
        losses.append(float(loss))
        sums.append(summary(p))
    return {"losses": losses, "sums": sums, "final": {k: np.asarray(v).tolist() for k, v in p.items()}}


def lookahead_run():
    rule = optax.lookahead(optax.adam(0.05), sync_period=5, slow_step_size=0.5)
    params = optax.LookaheadParams.init_synced({k: jax.numpy.array(v) for k, v in start.items()})
    state = rule.init(params)
    losses, sums = [], []
    for _ in range(STEPS):
        loss, g = jax.value_and_grad(lambda p: net_loss(p, x, y, jax.numpy.tanh, jax.numpy.mean))(params.fast)
        updates, state = rule.update(g, state, params)
        params = optax.apply_updates(params, updates)
        losses.append(float(loss))
        sums.append(summary(params.fast))
    return {"losses": losses, "sums": sums, "final": {k: np.asarray(v).tolist() for k, v in params.fast.items()}}


def sharpness_run():
    """From the definition: the gradient at the end of a step of length 0.1 uphill."""
    p = {k: jax.numpy.array(v) for k, v in start.items()}
    slope = jax.value_and_grad(lambda p: net_loss(p, x, y, jax.numpy.tanh, jax.numpy.mean))
    losses, sums = [], []
    for _ in range(STEPS):
        loss, g = slope(p)
        size = optax.global_norm(g)
        _, g = slope({k: p[k] + 0.1 * g[k] / size for k in p})
        p = {k: p[k] - 0.1 * g[k] for k in p}
        losses.append(float(loss))
        sums.append(summary(p))
    return {"losses": losses, "sums": sums, "final": {k: np.asarray(v).tolist() for k, v in p.items()}}


o = torch.optim


def muon_run():
    """Muon on w1 and w2 as [outputs, inputs], Adam on the biases; in float64 where PyTorch's code says bfloat16."""
    p = {k: torch.tensor(v.T if v.ndim == 2 else v, requires_grad=True) for k, v in start.items()}
    matrices = o.Muon([p["w1"], p["w2"]], lr=0.05, weight_decay=0.1)
    others = o.Adam([p["b1"], p["b2"]], lr=0.05)
    losses, sums = [], []
    kept, torch.bfloat16 = torch.bfloat16, torch.float64
    back = lambda: {k: v.T if v.ndim == 2 else v for k, v in p.items()}  # noqa: E731
    for _ in range(STEPS):
        matrices.zero_grad()
        others.zero_grad()
        loss = net_loss(back(), torch.tensor(x), torch.tensor(y), torch.tanh, torch.mean)
        loss.backward()
        matrices.step()
        others.step()
        losses.append(loss.item())
        sums.append(summary({k: v.detach().numpy() for k, v in back().items()}))
    torch.bfloat16 = kept
    return {"losses": losses, "sums": sums, "final": {k: v.detach().numpy().tolist() for k, v in back().items()}}


runs = {
    "sgd": torch_run(lambda p: o.SGD(p, lr=0.05)),
    "momentum": torch_run(lambda p: o.SGD(p, lr=0.05, momentum=0.9)),
    "nesterov": torch_run(lambda p: o.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01)),
    "adam": torch_run(lambda p: o.Adam(p, lr=0.05)),
    "adamw": torch_run(lambda p: o.AdamW(p, lr=0.05, weight_decay=0.1)),
    "rmsprop": torch_run(lambda p: o.RMSprop(p, lr=0.01, alpha=0.9)),
    "rmsprop_momentum": torch_run(lambda p: o.RMSprop(p, lr=0.01, momentum=0.9)),
    "adagrad": torch_run(lambda p: o.Adagrad(p, lr=0.1)),
    "adagrad_decay": torch_run(lambda p: o.Adagrad(p, lr=0.1, lr_decay=0.01, weight_decay=0.01, initial_accumulator_value=0.1)),
    "adadelta": torch_run(lambda p: o.Adadelta(p, lr=1.0)),
    "adamax": torch_run(lambda p: o.Adamax(p, lr=0.05)),
    "nadam": torch_run(lambda p: o.NAdam(p, lr=0.02)),
    "radam": torch_run(lambda p: o.RAdam(p, lr=0.05)),
    "adam_amsgrad": torch_run(lambda p: o.Adam(p, lr=0.1, betas=(0.5, 0.9), amsgrad=True)),
    "adamw_amsgrad": torch_run(lambda p: o.AdamW(p, lr=0.05, weight_decay=0.1, amsgrad=True)),
    "adafactor": torch_run(lambda p: o.Adafactor(p, lr=0.05, eps=(1e-15, 1e-3))),
    "adafactor_decay": torch_run(lambda p: o.Adafactor(p, lr=0.3, beta2_decay=-0.5, eps=(1e-15, 0.1), d=1.2, weight_decay=0.01)),
    "accumulate": torch_run(lambda p: o.Adam(p, lr=0.05), each=2),
    "lion": optax_run(optax.lion(0.02, b1=0.9, b2=0.99, weight_decay=0.1)),
    "lamb": optax_run(optax.lamb(0.05, weight_decay=0.1)),
    "muon": muon_run(),
    "clipped": optax_run(optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(0.1))),
    "adabelief": optax_run(optax.adabelief(0.05)),
    "matrices_decay": optax_run(optax.adamw(0.05, weight_decay=0.1, mask=lambda p: {k: v.ndim == 2 for k, v in p.items()})),
    "matrices_decay_lion": optax_run(optax.lion(0.02, weight_decay=0.1, mask=lambda p: {k: v.ndim == 2 for k, v in p.items()})),
    "adaptive": optax_run(optax.chain(optax.adaptive_grad_clip(0.05), optax.sgd(0.1))),
    "centralized": optax_run(optax.chain(optax.centralize(), optax.clip(0.3), optax.sgd(0.1))),
    "lookahead": lookahead_run(),
    "sharpness": sharpness_run(),
}


def ema_run(rule=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9), first=True):
    p = {k: torch.tensor(v, requires_grad=True) for k, v in start.items()}
    model = torch.nn.ParameterDict(p)
    optimizer = o.SGD(model.parameters(), lr=0.05)
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=rule)
    if first:
        average.update_parameters(model)
    for _ in range(20):
        optimizer.zero_grad()
        net_loss(model, torch.tensor(x), torch.tensor(y), torch.tanh, torch.mean).backward()
        optimizer.step()
        average.update_parameters(model)
    return {k: average.module[k].detach().numpy().tolist() for k in start}


def schedule(make, steps=24):
    optimizer = o.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    s = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        s.step()
    return rates


l = o.lr_scheduler
watched = [300.0, 250.0, 250.0, 260.0, 249.99, 249.98, 240.0, 239.99, 239.985, 239.98, 0.3, 0.30001, 0.29998, 0.29, 0.29, 0.29, 0.29, 0.29, 0.29, 0.29, 0.1]


def plateau_run():
    optimizer = o.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    s = l.ReduceLROnPlateau(optimizer, factor=0.7, patience=1, cooldown=1, min_lr=0.1)
    rates = []
    for value in watched:
        s.step(value)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


schedules = {
    "step": schedule(lambda q: l.StepLR(q, 5, 0.3)),
    "exponential": schedule(lambda q: l.ExponentialLR(q, 0.9)),
    "cosine": schedule(lambda q: l.CosineAnnealingLR(q, 24, eta_min=0.1)),
    "linear": schedule(lambda q: l.LinearLR(q, start_factor=1.0, end_factor=0.2, total_iters=10)),
    "polynomial": schedule(lambda q: l.PolynomialLR(q, total_iters=10, power=3.0)),
    "cosine_restarts": schedule(lambda q: l.CosineAnnealingWarmRestarts(q, T_0=3, T_mult=2, eta_min=0.05)),
    "in_turn": schedule(
        lambda q: l.SequentialLR(q, [l.ConstantLR(q, factor=0.4, total_iters=100), l.ExponentialLR(q, 0.8), l.StepLR(q, 3, 0.5)], [4, 9])
    ),
    "one_cycle": schedule(lambda q: l.OneCycleLR(q, max_lr=0.5, total_steps=25)),
    # PyTorch's cosine rises again after its end, ours stays.
    "warmup_cosine": schedule(
        lambda q: l.SequentialLR(
            q, [l.LinearLR(q, start_factor=0.2, end_factor=1.0, total_iters=4), l.CosineAnnealingLR(q, 16, eta_min=0.05)], [5]
        )
    )[:21] + [0.05] * 3,
    "warmup": [float(optax.join_schedules([optax.linear_schedule(0.1, 0.5, 4), optax.exponential_decay(0.5, 1, 0.9)], [4])(t)) for t in range(24)],
    "plateau": plateau_run(),
    "watched": watched,
}

# The decay of a concentration, measured with noise.
t = np.linspace(0.0, 5.0, 15)
measured = 2.0 * np.exp(-1.3 * t) + 0.4 + 0.02 * rng.normal(size=15)
fit = scipy.optimize.least_squares(lambda p: p[0] * np.exp(-p[1] * t) + p[2] - measured, [1.0, 0.5, 0.0], method="lm", xtol=1e-15, ftol=1e-15, gtol=1e-15)
robust = scipy.optimize.minimize(
    lambda p: np.sum(np.log(np.cosh(p[0] * np.exp(-p[1] * t) + p[2] - measured))), fit.x, method="BFGS", options={"gtol": 1e-12}
)
robust = scipy.optimize.root(
    lambda p: np.array([np.exp(-p[1] * t), -p[0] * t * np.exp(-p[1] * t), np.ones_like(t)])
    @ np.tanh(p[0] * np.exp(-p[1] * t) + p[2] - measured),
    robust.x,
    tol=1e-14,
)
minima = {"t": t.tolist(), "measured": measured.tolist(), "fit": fit.x.tolist(), "half_squares": float(fit.cost), "robust": robust.x.tolist()}

recording = {
    "x": x.tolist(),
    "y": y.tolist(),
    "start": {k: v.tolist() for k, v in start.items()},
    "runs": runs,
    "ema": ema_run(),
    "average": ema_run(torch.optim.swa_utils.get_swa_multi_avg_fn(), first=False),
    "schedules": schedules,
    "minima": minima,
}

# A model that dlang saved, read and doubled here; without DLANG what is there stays.
if os.environ.get("DLANG"):
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/saved.safetensors"
        program = f"""
import io
struct Layer {{ w: f64[n, m], b: f64[m] }}
set_dtype(f64)
let model = dict(layers: list(Layer(w: [[0.1, 0.2, 0.3], [1e-300, 5.0, 1.0 / 3.0]], b: [1.0, 2.0, 3.0])), scale: 0.1, name: "tiny", steps: 3)
io.save("{path}", model)
"""
        subprocess.run([os.environ["DLANG"], "-"], input=program, text=True, check=True)
        with safetensors.safe_open(path, framework="numpy") as file:
            tensors = {k: file.get_tensor(k) for k in file.keys()}
            metadata = file.metadata()
        assert np.array_equal(tensors["layers.0.w"], [[0.1, 0.2, 0.3], [1e-300, 5.0, 1.0 / 3.0]]), tensors
        assert np.array_equal(tensors["layers.0.b"], [1.0, 2.0, 3.0]) and tensors["scale"] == 0.1 and tensors["steps"] == 3
        doubled = {k: v if v.dtype.kind == "i" else np.asarray(2.0 * v) for k, v in tensors.items()}
        save_file(doubled, HERE / "optim_model.safetensors", metadata=metadata)
    save_file({"weight": np.arange(6.0).reshape(2, 3) / 7.0, "bias": np.array([1.5, -2.5], dtype=np.float32)}, HERE / "optim_foreign.safetensors")


def rounded(v):
    if isinstance(v, dict):
        return {k: rounded(w) for k, w in v.items()}
    if isinstance(v, list):
        return [rounded(w) for w in v]
    return float(f"{v:.15g}")


(HERE / "optim.json").write_text(json.dumps(rounded(recording)) + "\n")
