"""Writes augment.json: images warped by PyTorch's affine_grid and grid_sample in float64, with their gradients, for augment.dl to
compare with. Needs torch."""

import json
import pathlib

import torch
import torch.nn.functional as F

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
plain = lambda x: x.detach().tolist()  # noqa: E731
draw = lambda *shape: torch.round(torch.randn(*shape), decimals=3)  # noqa: E731

cases = {}
identity = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
for name, shape, size, spread in [("the same size", (3, 2, 5, 4), (5, 4), 0.4), ("larger", (2, 1, 3, 3), (4, 6), 0.3), ("far out", (2, 1, 4, 4), (4, 4), 1.5)]:
    x = draw(*shape).requires_grad_()
    m = (identity + spread * draw(shape[0], 2, 3)).requires_grad_()
    y = F.grid_sample(x, F.affine_grid(m, (*shape[:2], *size), align_corners=False), align_corners=False)
    dy = draw(*y.shape)
    dx, dm = torch.autograd.grad((y * dy).sum(), [x, m])
    cases[name] = {"x": plain(x), "m": plain(m), "y": plain(y), "dy": plain(dy), "dx": plain(dx), "dm": plain(dm)}

path = pathlib.Path(__file__).with_name("augment.json")
path.write_text(json.dumps(cases) + "\n")
print(path.stat().st_size, "bytes")
