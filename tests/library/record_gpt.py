"""Writes gpt.json: the losses of 20 training steps in PyTorch, in float64, of the character transformer that the benchmark times (pre-layer-norm
decoder, learned positions, GELU in its tanh form, untied output, AdamW), in a small size. Weights and batches are given by formulas,
so that gpt.dl makes the same. Needs torch."""

import json
import pathlib

import torch
import torch.nn.functional as F
from torch import nn

torch.set_default_dtype(torch.float64)
LAYERS, WIDTH, HEADS, CONTEXT, BATCH, COUNT, STEPS = 2, 16, 4, 8, 6, 11, 20


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = self.qkv(self.ln1(x)).view(b, t, 3, HEADS, c // HEADS).permute(2, 0, 3, 1, 4)
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(a.transpose(1, 2).reshape(b, t, c))
        return x + self.down(F.gelu(self.up(self.ln2(x)), approximate="tanh"))


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok, self.pos = nn.Embedding(COUNT, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.ln, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, COUNT)

    def forward(self, x):
        x = self.tok(x) + self.pos.weight
        for block in self.blocks:
            x = block(x)
        return self.head(self.ln(x))


def wave(shape, number):
    """Entry i of matrix `number`, row by row: 0.3 sin(0.7 i + 1.3 number)."""
    i = torch.arange(shape.numel() if isinstance(shape, torch.Size) else shape[0] * shape[1])
    return (0.3 * torch.sin(0.7 * i + 1.3 * number)).reshape(shape)


model = GPT()
linears = [m for b in model.blocks for m in (b.qkv, b.proj, b.up, b.down)] + [model.head]
with torch.no_grad():
    model.tok.weight.copy_(wave((COUNT, WIDTH), 0))
    model.pos.weight.copy_(wave((CONTEXT, WIDTH), 1))
    for i, m in enumerate(linears):
        # Laid out as [inputs, outputs].
        m.weight.copy_(wave((m.in_features, m.out_features), 2 + i).T)
        nn.init.zeros_(m.bias)

k = torch.arange(200)
ids = (k * k // 5 + 3 * k) % COUNT
places = torch.arange(CONTEXT + 1)
opt = torch.optim.AdamW(model.parameters(), lr=1e-2, betas=(0.9, 0.99), weight_decay=0.1)
losses = []
for step in range(STEPS):
    starts = (37 * step + 23 * torch.arange(BATCH)) % (len(ids) - CONTEXT - 1)
    w = ids[starts[:, None] + places]
    loss = F.cross_entropy(model(w[:, :-1]).flatten(0, 1), w[:, 1:].flatten())
    opt.zero_grad()
    loss.backward()
    opt.step()
    losses.append(loss.item())

path = pathlib.Path(__file__).with_name("gpt.json")
path.write_text(json.dumps({"losses": losses, "sum": sum(p.sum().item() for p in model.parameters())}) + "\n")
print(losses[0], losses[-1])
