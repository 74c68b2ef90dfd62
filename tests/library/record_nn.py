"""Writes nn.json: layers of PyTorch in float64, their results and their gradients, for nn.dl to compare with.

Run it with a Python that has torch (2.4 or newer); weights and inputs are drawn from a fixed seed.
"""

import json
import math
import pathlib

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
cases = {}


def plain(x):
    return x.detach().tolist() if isinstance(x, torch.Tensor) else x


def draw(*shape):
    # Few digits keep the file small.
    return torch.round(torch.randn(*shape), decimals=3)


def record(name, module, inputs, weights=None, call=None, curved=True):
    """`weights` maps the names that dlang gives to (parameter, transposed?); `call(*inputs)` defaults to the module."""
    weights = weights or {}
    with torch.no_grad():
        for p in module.parameters() if module is not None else []:
            p.copy_(torch.round(0.5 * torch.randn(p.shape), decimals=3))
    if module is not None:
        module.zero_grad()
    inputs = [x.clone().requires_grad_() if x.is_floating_point() else x for x in inputs]
    floats = [x for x in inputs if x.is_floating_point()]
    # Other forms of attention have no second derivative.
    with sdpa_kernel(SDPBackend.MATH):
        y = (call or module)(*inputs)
    dy = draw(*y.shape)
    named = {key: value if isinstance(value, tuple) else (value, False) for key, value in weights.items()}
    parameters = list(dict.fromkeys(p if not callable(p) else p.parameter for p, _ in named.values()))
    gradients = torch.autograd.grad((y * dy).sum(), floats + parameters, create_graph=True)
    dx, dw = gradients[: len(floats)], dict(zip(parameters, gradients[len(floats) :]))
    turn = lambda g, flip: g.mT if flip else g
    part = lambda p, values: p(values[p.parameter]) if callable(p) else values[p]
    own = {p: p for p in parameters}
    case = {
        "inputs": [plain(x) for x in inputs],
        "weights": {k: plain(turn(part(p, own), flip)) for k, (p, flip) in named.items()},
        "y": plain(y),
        "dy": plain(dy),
        "dx": [plain(g) for g in dx],
        "dw": {k: plain(turn(part(p, dw), flip)) for k, (p, flip) in named.items()},
    }
    if curved:
        # How the squared gradient in the input changes with the input: second derivatives.
        squared = sum((g**2).sum() for g in dx)
        if squared.requires_grad:
            case["bend"] = plain(torch.autograd.grad(squared, floats[0], allow_unused=True)[0])
        if case.get("bend") is None:
            case.pop("bend", None)
    cases[name] = case
    return case


class Rows:
    """Rows of a parameter that PyTorch keeps together with others."""

    def __init__(self, parameter, rows):
        self.parameter, self.rows = parameter, rows

    def __call__(self, value):
        return value[self.rows]


def dense(prefix, layer):
    return {f"{prefix}w": (layer.weight, True), f"{prefix}b": layer.bias}


def attention(prefix, m, n):
    out = {}
    for i, name in enumerate(["query", "key", "value"]):
        rows = slice(i * n, (i + 1) * n)
        out[f"{prefix}{name}.w"] = (Rows(m.in_proj_weight, rows), True)
        out[f"{prefix}{name}.b"] = (Rows(m.in_proj_bias, rows), False)
    return out | dense(f"{prefix}output.", m.out_proj)


def scaled(prefix, m):
    return {f"{prefix}scale": m.weight, f"{prefix}shift": m.bias}


# Full layers.
m = nn.Linear(3, 2)
record("dense", m, [draw(2, 4, 3)], dense("", m))
m = nn.Linear(3, 2, bias=False)
record("dense without bias", m, [draw(4, 3)], {"w": (m.weight, True)})
m = nn.Bilinear(3, 4, 2)
record("bilinear", m, [draw(5, 3), draw(5, 4)], {"w": m.weight, "b": m.bias})
m = nn.Embedding(5, 3, padding_idx=1)
record("embedding", m, [torch.tensor([[0, 1, 4], [4, 2, 1]])], {"w": m.weight}, curved=False)

# Convolutions and pooling.
kernel = lambda m: {"w": m.weight} | ({"b": m.bias} if m.bias is not None else {})
m = nn.Conv1d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2)
record("conv1d", m, [draw(2, 4, 9)], kernel(m))
m = nn.Conv1d(2, 3, 5, padding="same", bias=False)
record("conv1d same", m, [draw(2, 2, 7)], kernel(m))
m = nn.Conv2d(2, 3, 3)
record("conv2d", m, [draw(2, 2, 5, 4)], kernel(m))
m = nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2)
record("conv2d with all settings", m, [draw(1, 2, 6, 5)], kernel(m))
m = nn.Conv2d(2, 2, (3, 5), padding="same", dilation=(2, 1))
record("conv2d same", m, [draw(1, 2, 6, 5)], kernel(m))
m = nn.ConvTranspose2d(3, 2, 3)
record("conv_transpose2d", m, [draw(1, 3, 3, 4)], kernel(m))
m = nn.ConvTranspose2d(4, 4, (3, 2), stride=(2, 3), padding=(1, 0), groups=2, output_padding=(1, 2))
record("conv_transpose2d with all settings", m, [draw(1, 4, 3, 3)], kernel(m))
m = nn.ConvTranspose1d(2, 4, 3, stride=3, padding=1, dilation=2, groups=2, output_padding=1)
record("conv_transpose1d", m, [draw(2, 2, 4)], kernel(m))
record("adaptive_average_pool", nn.AdaptiveAvgPool2d((3, 2)), [draw(1, 2, 5, 4)])
record("adaptive_average_pool to more pixels", nn.AdaptiveAvgPool2d((5, 3)), [draw(1, 1, 3, 7)])
record("resize to more", None, [draw(1, 2, 3, 2)], call=lambda x: F.interpolate(x, size=(5, 4), mode="bilinear"))
record("resize to fewer", None, [draw(1, 1, 5, 7)], call=lambda x: F.interpolate(x, size=(4, 3), mode="bilinear"))
record("max_pool2d", nn.MaxPool2d(2), [draw(1, 2, 4, 5)])
record("max_pool2d with stride", nn.MaxPool2d((3, 2), stride=(2, 1), padding=1), [draw(1, 2, 5, 4)])
record("avg_pool2d", nn.AvgPool2d((3, 2), stride=2, padding=1), [draw(1, 2, 5, 4)])
record("max_pool1d", nn.MaxPool1d(3, stride=2, padding=1), [draw(2, 2, 7)])
record("avg_pool1d", nn.AvgPool1d(3, padding=1), [draw(2, 2, 7)])
record("global_average_pool", nn.AdaptiveAvgPool2d(1), [draw(2, 3, 4, 2)], call=lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1))
record("global_max_pool", None, [draw(2, 3, 4, 2)], call=lambda x: F.adaptive_max_pool2d(x, 1).flatten(1))
record("upsample", nn.Upsample(scale_factor=3), [draw(1, 2, 2, 2)])
record("pixel_shuffle", nn.PixelShuffle(2), [draw(1, 8, 2, 3)])

# Normalization.
m = nn.LayerNorm(4)
record("layer_norm", m, [draw(2, 3, 4)], scaled("", m))
m = nn.RMSNorm(4, eps=1e-6)
record("rms_norm", m, [draw(2, 3, 4)], {"scale": m.weight})
m = nn.GroupNorm(2, 4)
record("group_norm", m, [draw(2, 4, 2, 3)], scaled("", m))
m = nn.InstanceNorm1d(3, affine=True)
record("instance_norm", m, [draw(2, 3, 5)], scaled("", m))
for name, m, shape in [
    ("batch_norm of features", nn.BatchNorm1d(3), (4, 3)),
    ("batch_norm of sequences", nn.BatchNorm1d(3), (2, 3, 4)),
    ("batch_norm of images", nn.BatchNorm2d(3, momentum=0.3), (2, 3, 2, 2)),
    ("batch_norm of all batches", nn.BatchNorm2d(2, momentum=None), (2, 2, 2, 2)),
]:
    case = record(name, m, [draw(*shape)], scaled("", m))
    m.reset_running_stats()
    seen = [draw(*shape) + 0.5, 2.0 * draw(*shape)]
    for x in seen:
        m(x)
    case["seen"] = [plain(x) for x in seen]
    case["mean"], case["variance"] = plain(m.running_mean), plain(m.running_var)
    m.eval()
    used = record(name + ", in use", m, [draw(*shape)])
    used["weights"] = {"scale": plain(m.weight), "shift": plain(m.bias)}
    # `record` drew new weights: those of this case.

# Recurrent layers: the input weights are [gates, n] in PyTorch, and of its two biases only one is kept.
for name, m in [
    ("rnn", nn.RNN(3, 4, batch_first=True)),
    ("rnn with relu", nn.RNN(3, 4, nonlinearity="relu", batch_first=True)),
    ("lstm", nn.LSTM(3, 4, batch_first=True)),
    ("gru", nn.GRU(3, 4, batch_first=True)),
    ("gru in both directions", nn.GRU(3, 4, batch_first=True, bidirectional=True)),
]:
    both = m.bidirectional
    weights, fixed = {}, []
    for prefix, suffix in [("forward.", ""), ("backward.", "_reverse")] if both else [("", "")]:
        get = lambda kind: getattr(m, f"{kind}_l0{suffix}")
        weights |= {f"{prefix}w": (get("weight_ih"), True), f"{prefix}u": (get("weight_hh"), True), f"{prefix}b": get("bias_ih")}
        fixed.append(get("bias_hh"))
        if "gru" in name:
            weights[f"{prefix}b_state"] = Rows(get("bias_hh"), slice(8, 12))

    def run(x, m=m, fixed=fixed, name=name):
        with torch.no_grad():
            for b in fixed:
                b[: 8 if "gru" in name else None] = 0.0
        return m(x)[0]

    case = record(name, m, [draw(2, 5, 3)], weights, call=run)
    if not both:
        start = draw(1, 2, 4)
        cell = draw(1, 2, 4)
        outputs, last = m(torch.tensor(case["inputs"][0]), (start, cell) if name == "lstm" else start)
        case["start"] = [plain(s[0]) for s in ([start, cell] if name == "lstm" else [start])]
        case["last"] = [plain(s[0]) for s in (last if name == "lstm" else [last])]
        case["outputs"] = plain(outputs)

# Attention.
q, k, v = draw(2, 3, 4), draw(2, 5, 4), draw(2, 5, 3)
record("attention", None, [q, k, v], call=lambda q, k, v: F.scaled_dot_product_attention(q, k, v))
mask = torch.tensor([[True, False, True, True, False], [True] * 5, [False, False, False, True, False]])
case = record("attention with a mask", None, [q, k, v], call=lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=mask))
case["mask"] = mask.int().tolist()
record("causal attention", None, [k, k[:, [1, 0, 2, 4, 3]], v], call=lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True))

causal = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1)
m = nn.MultiheadAttention(6, 2, batch_first=True)
record("multi-head attention", m, [draw(2, 5, 6)], attention("", m, 6), call=lambda x: m(x, x, x)[0])
record("causal multi-head attention", m, [draw(2, 5, 6)], attention("", m, 6), call=lambda x: m(x, x, x, attn_mask=causal)[0])
hidden = ~mask
case = record(
    "multi-head attention to a context", m, [draw(2, 3, 6), draw(2, 5, 6)], attention("", m, 6), call=lambda x, c: m(x, c, c, attn_mask=hidden)[0]
)
case["mask"] = mask.int().tolist()

m = nn.TransformerEncoderLayer(6, 3, 8, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
names = scaled("norm1.", m.norm1) | attention("attention.", m.self_attn, 6) | scaled("norm2.", m.norm2)
names |= dense("feed_forward.up.", m.linear1) | dense("feed_forward.down.", m.linear2)
record("transformer block", m, [draw(2, 5, 6)], names, call=lambda x: m(x, src_mask=causal))

m = nn.ModuleDict({"gate": nn.Linear(4, 6), "up": nn.Linear(4, 6), "down": nn.Linear(6, 4)})
names = dense("gate.", m["gate"]) | dense("up.", m["up"]) | dense("down.", m["down"])
record("gated feed forward", m, [draw(3, 4)], names, call=lambda x: m["down"](F.silu(m["gate"](x)) * m["up"](x)))

m = nn.TransformerDecoderLayer(6, 3, 8, dropout=0.0, activation="relu", batch_first=True, norm_first=True)
names = scaled("norm1.", m.norm1) | attention("attention.", m.self_attn, 6) | scaled("norm2.", m.norm2)
names |= attention("cross.", m.multihead_attn, 6) | scaled("norm3.", m.norm3)
names |= dense("feed_forward.up.", m.linear1) | dense("feed_forward.down.", m.linear2)
record("decoder block", m, [draw(2, 5, 6), draw(2, 3, 6)], names, call=lambda x, c: m(x, c, tgt_mask=causal))

# Positions, from their definitions in complex numbers.
places = torch.arange(3, 8)[:, None] * 10000.0 ** (-torch.arange(4) * 2 / 8)
turns = torch.polar(torch.ones_like(places), places)
record("rotary", None, [draw(2, 5, 8)], call=lambda x: torch.cat([(z := torch.complex(x[..., :4], x[..., 4:]) * turns).real, z.imag], -1))
cases["sinusoidal"] = {
    "y": [[(math.sin if i % 2 == 0 else math.cos)(t / 10000 ** ((i - i % 2) / 6)) for i in range(6)] for t in range(7)]
}

# Activations and distances.
m = nn.PReLU(3)
record("prelu", m, [draw(4, 3)], {"slope": m.weight})
record("glu", nn.GLU(), [draw(2, 6)])
record("soft_shrink", nn.Softshrink(0.4), [draw(8)])
record("hard_shrink", nn.Hardshrink(0.4), [draw(8)])
record("tanh_shrink", nn.Tanhshrink(), [draw(8)])
record("normalize", None, [draw(3, 4)], call=lambda x: F.normalize(x, dim=-1))
record("cosine_similarity", None, [draw(3, 4), draw(3, 4)], call=lambda x, y: F.cosine_similarity(x, y))
record("pairwise_distance", None, [draw(3, 4), draw(2, 4)], call=lambda x, y: torch.sqrt(((x[:, None] - y) ** 2).sum(-1)))

path = pathlib.Path(__file__).with_name("nn.json")
path.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in cases.items()) + "\n}\n")
print(f"{len(cases)} cases, {path.stat().st_size} bytes")
