"""Writes nn_more.json: convolutions of volumes and normalized weights of PyTorch in float64, for nn_more.dl to compare with.

Run it with a Python that has torch; weights and inputs are drawn from a fixed seed.
"""

import json
import pathlib

import torch
from torch import nn
from torch.nn.utils import parametrizations

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
cases = {}


def plain(x):
    return x.detach().tolist()


def draw(*shape):
    # Few digits keep the file small.
    return torch.round(torch.randn(*shape), decimals=3)


def record(name, module, x, parameters):
    """`parameters` by the names that dlang gives, each with the function that lays it out as dlang does."""
    x = x.clone().requires_grad_()
    y = module(x)
    dy = draw(*y.shape)
    slopes = torch.autograd.grad((y * dy).sum(), [x] + [p for p, _ in parameters.values()], create_graph=True)
    squared = (slopes[0] ** 2).sum()
    cases[name] = {
        "x": plain(x),
        "y": plain(y),
        "dy": plain(dy),
        "dx": plain(slopes[0]),
        "weights": {k: plain(turn(p)) for k, (p, turn) in parameters.items()},
        "dw": {k: plain(turn(g)) for (k, (_, turn)), g in zip(parameters.items(), slopes[1:])},
    }
    if parameters:
        # Second derivatives: how the squared gradient in the input changes with the weights.
        first, turn = next(iter(parameters.values()))
        cases[name]["bend"] = plain(turn(torch.autograd.grad(squared, first)[0]))


same = lambda p: p  # noqa: E731
turned = lambda p: p.mT  # noqa: E731

m = nn.Conv3d(2, 3, 2)
record("conv3d", m, draw(2, 2, 3, 3, 4), {"w": (m.weight, same), "b": (m.bias, same)})
m = nn.Conv3d(4, 2, (2, 3, 2), stride=(2, 1, 3), padding=(1, 2, 0), dilation=(2, 1, 2), groups=2)
record("conv3d with all settings", m, draw(1, 4, 5, 3, 6), {"w": (m.weight, same), "b": (m.bias, same)})
m = nn.Conv3d(1, 2, (3, 1, 5), padding="same", bias=False)
record("conv3d same", m, draw(1, 1, 4, 2, 6), {"w": (m.weight, same)})

record("max_pool3d", nn.MaxPool3d((2, 3, 2), stride=(1, 2, 2), padding=(1, 1, 0)), draw(2, 2, 3, 4, 5), {})
record("avg_pool3d", nn.AvgPool3d(2, padding=1), draw(1, 2, 4, 3, 5), {})

m = parametrizations.weight_norm(nn.Linear(3, 4))
w = m.parametrizations.weight
record("weight norm", m, draw(5, 3), {"layer.w": (w.original1, turned), "length": (w.original0, torch.flatten), "layer.b": (m.bias, same)})
m = parametrizations.weight_norm(nn.Conv2d(2, 3, 2))
w = m.parametrizations.weight
record("weight norm of a convolution", m, draw(1, 2, 3, 3), {"layer.w": (w.original1, same), "length": (w.original0, torch.flatten), "layer.b": (m.bias, same)})

for name, layer, x in [("spectral norm", nn.Linear(4, 3), draw(5, 4)), ("spectral norm of a convolution", nn.Conv2d(2, 3, 2), draw(2, 2, 3, 4))]:
    m = parametrizations.spectral_norm(layer, n_power_iterations=1)
    w = m.parametrizations.weight
    # Far from the singular vectors, so that a step shows.
    w[0]._u.copy_(nn.functional.normalize(w[0]._u + draw(*w[0]._u.shape), dim=0))
    w[0]._v.copy_(nn.functional.normalize(w[0]._v + draw(*w[0]._v.shape), dim=0))
    u, v = plain(w[0]._u), plain(w[0]._v)
    turn = turned if isinstance(layer, nn.Linear) else same
    # In training, a call takes a step of the power method.
    record(name, m, x, {"layer.w": (w.original, turn), "layer.b": (m.bias, same)})
    cases[name] |= {"u": u, "v": v, "u_after": plain(w[0]._u), "v_after": plain(w[0]._v)}

path = pathlib.Path(__file__).with_name("nn_more.json")
path.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in cases.items()) + "\n}\n")
print(f"{len(cases)} cases, {path.stat().st_size} bytes")
