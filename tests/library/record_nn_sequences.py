"""Writes nn_sequences.json: attention with masks of both kinds, shared keys and contexts of another width, recurrent layers on top of
each other for sequences of different lengths, and convolutions with margins that are no zeros, of PyTorch in float64, for nn_sequences.dl
to compare with.

Run it with a Python that has torch (2.5 or newer); weights and inputs are drawn from a fixed seed.
"""

import json
import pathlib

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
cases = {}


def plain(x):
    return x.detach().tolist()


def draw(*shape):
    # Few digits keep the file small.
    return torch.round(torch.randn(*shape), decimals=3)


def dense(linear, part):
    return {f"{part}w": (linear.weight, lambda p: p.mT), f"{part}b": (linear.bias, lambda p: p)}


def record(name, module, inputs, weights, call=None):
    """`weights` maps the names that dlang gives to (parameter, layout): which part of it, laid out as in dlang."""
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.round(0.5 * torch.randn(p.shape), decimals=3))
    inputs = [x.clone().requires_grad_() for x in inputs]
    with sdpa_kernel(SDPBackend.MATH):
        y = (call or module)(*inputs)
    ys = y if isinstance(y, tuple) else (y,)
    dys = [draw(*y.shape) for y in ys]
    parameters = list(dict.fromkeys(p for p, _ in weights.values()))
    total = sum((y * dy).sum() for y, dy in zip(ys, dys))
    slopes = torch.autograd.grad(total, inputs + parameters, create_graph=True)
    by_parameter = dict(zip(parameters, slopes[len(inputs) :]))
    # How the squared gradient in the first input changes with it: second derivatives.
    (bend,) = torch.autograd.grad((slopes[0] ** 2).sum(), inputs[:1], allow_unused=True, materialize_grads=True)
    cases[name] = {
        "inputs": [plain(x) for x in inputs],
        "weights": {k: plain(lay(p)) for k, (p, lay) in weights.items()},
        "y": [plain(y) for y in ys],
        "dy": [plain(dy) for dy in dys],
        "dx": [plain(g) for g in slopes[: len(inputs)]],
        "dw": {k: plain(lay(by_parameter[p])) for k, (p, lay) in weights.items()},
        "bend": plain(bend),
    }
    return cases[name]


def attention(m, n):
    parts = {}
    for i, name in enumerate(["query", "key", "value"]):
        rows = slice(i * n, (i + 1) * n)
        own = getattr(m, f"{name[0]}_proj_weight")
        parts[f"{name}.w"] = (m.in_proj_weight, lambda p, r=rows: p[r].mT) if own is None else (own, lambda p: p.mT)
        parts[f"{name}.b"] = (m.in_proj_bias, lambda p, r=rows: p[r])
    return parts | dense(m.out_proj, "output.")


m = nn.MultiheadAttention(6, 2, batch_first=True)
added = draw(2, 4, 4)
case = record("floats added", m, [draw(3, 4, 6)], attention(m, 6), lambda x: m(x, x, x, attn_mask=added.repeat(3, 1, 1))[0])
case["mask"] = plain(added)

lengths = torch.tensor([4, 2, 1])
padding = torch.arange(4) >= lengths[:, None]
case = record("padding", m, [draw(3, 4, 6)], attention(m, 6), lambda x: m(x, x, x, key_padding_mask=padding)[0])
case["lengths"] = plain(lengths)

m = nn.MultiheadAttention(6, 3, batch_first=True, kdim=5, vdim=5)
record("a context of another width", m, [draw(2, 3, 6), draw(2, 4, 5)], attention(m, 6), lambda x, c: m(x, c, c)[0])

# Four heads, two keys.
m = nn.ModuleDict({"query": nn.Linear(8, 8), "key": nn.Linear(8, 4), "value": nn.Linear(8, 4), "output": nn.Linear(8, 8)})


def shared(x):
    heads = lambda y: y.unflatten(-1, (-1, 2)).transpose(1, 2)
    parts = [heads(m[name](x)) for name in ("query", "key", "value")]
    y = F.scaled_dot_product_attention(*parts, is_causal=True, enable_gqa=True)
    return m["output"](y.transpose(1, 2).flatten(2))


names = {}
for part in ("query", "key", "value", "output"):
    names |= dense(m[part], f"{part}.")
record("shared keys", m, [draw(2, 3, 8)], names, shared)


def gates(m, part, order, layer, reverse):
    """Weights of one direction of one layer; `order` says where dlang has each gate."""
    end = f"_l{layer}" + ("_reverse" if reverse else "")
    names = [getattr(m, f"{kind}_{of}{end}") for kind in ("weight", "bias") for of in ("ih", "hh")]
    mix = lambda p: torch.cat([p.chunk(len(order))[i] for i in order])
    wide, high = (lambda p: mix(p).mT), mix
    w, u, b, b_state = names
    return {f"{part}w": (w, wide), f"{part}u": (u, wide), f"{part}b": (b, high)}, b_state


class Stack(nn.Module):
    def __init__(self, kind, **settings):
        super().__init__()
        self.net = kind(batch_first=True, **settings)

    def forward(self, x):
        packed = pack_padded_sequence(x, lengths, batch_first=True)
        y, state = self.net(packed)
        y, _ = pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
        return (y, *state) if isinstance(state, tuple) else (y, state)


lengths = torch.tensor([5, 3, 1])
for name, kind, order in [("lstm", nn.LSTM, [0, 1, 2, 3]), ("gru", nn.GRU, [0, 1, 2])]:
    stack = Stack(kind, input_size=3, hidden_size=2, num_layers=2, bidirectional=True)
    weights = {}
    frozen = []
    for layer in range(2):
        for reverse, way in [(False, "forward"), (True, "backward")]:
            part, b_state = gates(stack.net, f"layers.{layer}.{way}.", order, layer, reverse)
            weights |= part
            frozen.append((f"layers.{layer}.{way}.b_state", b_state))
    if name == "gru":
        # The second bias counts for the change alone; its other parts are zero.
        for key, p in frozen:
            weights[key] = (p, lambda p: p[4:])

    def call(x, stack=stack, frozen=frozen, name=name):
        with torch.no_grad():
            for _, p in frozen:
                p[: 4 if name == "gru" else None].zero_()
        return stack(x)

    case = record(name, stack, [draw(3, 5, 3)], weights, call)
    case["lengths"] = plain(lengths)

for mode in ("reflect", "replicate", "circular"):
    conv = nn.Conv2d(2, 3, 3, padding=(1, 2), padding_mode=mode)
    record(f"conv2d {mode}", conv, [draw(2, 2, 4, 5)], {"w": (conv.weight, lambda p: p), "b": (conv.bias, lambda p: p)})
conv = nn.Conv1d(2, 3, 4, padding="same", dilation=3)
record("conv1d same", conv, [draw(2, 2, 11)], {"w": (conv.weight, lambda p: p), "b": (conv.bias, lambda p: p)})
conv = nn.Conv3d(1, 2, 3, padding=1, padding_mode="circular")
record("conv3d circular", conv, [draw(1, 1, 3, 4, 3)], {"w": (conv.weight, lambda p: p), "b": (conv.bias, lambda p: p)})

target = pathlib.Path(__file__).with_suffix("").name.replace("record_", "") + ".json"
path = pathlib.Path(__file__).parent / target
path.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in cases.items()) + "\n}\n")
print(path.stat().st_size, "bytes")
