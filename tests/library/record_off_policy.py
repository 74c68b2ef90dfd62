"""Writes off_policy.json: the losses of soft actor-critic and their gradients, and five updates of TD3, by PyTorch in float64, for
off_policy.dl to compare with. Needs torch. Written from the papers' equations with torch.distributions for the density of actions."""

import json
import pathlib

import torch
import torch.distributions as D

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
LIMIT, DISCOUNT, ENTROPY = 1.5, 0.9, -2.0
plain = lambda x: x.detach().tolist()  # noqa: E731


def layers(*sizes):
    return [(0.5 * torch.randn(n, m), 0.1 * torch.randn(m)) for n, m in zip(sizes, sizes[1:])]


def run(net, x):
    for i, (w, b) in enumerate(net):
        x = x @ w + b
        x = torch.tanh(x) if i + 1 < len(net) else x
    return x


parts = {
    "actor": layers(3, 4, 4),
    "critic_a": layers(5, 4, 1),
    "critic_b": layers(5, 4, 1),
    "target_a": layers(5, 4, 1),
    "target_b": layers(5, 4, 1),
}
log_temperature = torch.tensor(-0.7)
n = 6
sample = {
    "observations": torch.randn(n, 3),
    "actions": LIMIT * torch.tanh(torch.randn(n, 2)),
    "rewards": torch.randn(n),
    "next": torch.randn(n, 3),
    "done": torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0, 1.0]),
}
z, z_next = torch.randn(n, 2), torch.randn(n, 2)
learned = [p for k in ("actor", "critic_a", "critic_b") for pair in parts[k] for p in pair] + [log_temperature]
for p in learned:
    p.requires_grad_()


def policy(o, z):
    mean, log_std = run(parts["actor"], o).chunk(2, -1)
    std = log_std.clamp(-10.0, 2.0).exp()
    squashed = D.TransformedDistribution(D.Normal(mean, std), [D.transforms.TanhTransform(cache_size=1), D.transforms.AffineTransform(0.0, LIMIT)])
    action = LIMIT * torch.tanh(mean + std * z)
    return action, squashed.log_prob(action).sum(-1)


def least(names, o, a):
    return torch.min(*(run(parts[k], torch.cat([o, a], -1))[:, 0] for k in names))


temperature = log_temperature.exp().detach()
with torch.no_grad():
    a_next, log_p_next = policy(sample["next"], z_next)
    future = least(("target_a", "target_b"), sample["next"], a_next) - temperature * log_p_next
    target = sample["rewards"] + DISCOUNT * (1.0 - sample["done"]) * future
both = torch.cat([sample["observations"], sample["actions"]], -1)
critic_loss = sum(((run(parts[k], both)[:, 0] - target) ** 2).mean() for k in ("critic_a", "critic_b"))
a, log_p = policy(sample["observations"], z)
actor_loss = (temperature * log_p - least(("critic_a", "critic_b"), sample["observations"], a)).mean()
temperature_loss = -(log_temperature * (log_p.detach() + ENTROPY)).mean()

critics = [p for k in ("critic_a", "critic_b") for pair in parts[k] for p in pair]
actors = [p for pair in parts["actor"] for p in pair]
record = {
    "limit": LIMIT,
    "discount": DISCOUNT,
    "parts": {k: [{"w": plain(w), "b": plain(b)} for w, b in net] for k, net in parts.items()},
    "log_temperature": float(log_temperature),
    "sample": {k: plain(v) for k, v in sample.items()},
    "z": plain(z),
    "z_next": plain(z_next),
    "drawn": plain(a),
    "log_probs": plain(log_p),
    "loss": float(critic_loss + actor_loss + temperature_loss),
    "critics_bar": [plain(g) for g in torch.autograd.grad(critic_loss, critics)],
    "actor_bar": [plain(g) for g in torch.autograd.grad(actor_loss, actors)],
    "log_temperature_bar": float(torch.autograd.grad(temperature_loss, log_temperature)[0]),
}

# TD3: the actor and the older copies move in every second update.
UPDATES, FOLLOW, SMOOTHING, CLIP = 5, 0.1, 0.2, 0.5
nets = {"actor": layers(3, 4, 2), "critic_a": layers(5, 4, 1), "critic_b": layers(5, 4, 1)}
record["td3"] = {"start": {k: [{"w": plain(w), "b": plain(b)} for w, b in net] for k, net in nets.items()}}
older = {k: [(w.clone(), b.clone()) for w, b in net] for k, net in nets.items()}
flat = lambda *names: [p for k in names for pair in nets[k] for p in pair]  # noqa: E731
for p in flat(*nets):
    p.requires_grad_()
actor_opt = torch.optim.Adam(flat("actor"), lr=1e-2)
critic_opt = torch.optim.Adam(flat("critic_a", "critic_b"), lr=2e-2)
act = lambda net, o: LIMIT * torch.tanh(run(net, o))  # noqa: E731
value = lambda net, o, a: run(net, torch.cat([o, a], -1))[:, 0]  # noqa: E731
noises, losses = torch.randn(UPDATES, n, 2), []
for step in range(UPDATES):
    with torch.no_grad():
        shake = (SMOOTHING * LIMIT * noises[step]).clamp(-CLIP * LIMIT, CLIP * LIMIT)
        a_next = (act(older["actor"], sample["next"]) + shake).clamp(-LIMIT, LIMIT)
        future = torch.min(*(value(older[k], sample["next"], a_next) for k in ("critic_a", "critic_b")))
        target = sample["rewards"] + DISCOUNT * (1.0 - sample["done"]) * future
    loss = sum(((value(nets[k], sample["observations"], sample["actions"]) - target) ** 2).mean() for k in ("critic_a", "critic_b"))
    critic_opt.zero_grad()
    loss.backward()
    critic_opt.step()
    losses.append(float(loss))
    if step % 2 == 1:
        actor_opt.zero_grad()
        (-value(nets["critic_a"], sample["observations"], act(nets["actor"], sample["observations"])).mean()).backward()
        actor_opt.step()
        with torch.no_grad():
            for k in nets:
                for pair, new in zip(older[k], nets[k]):
                    for old_p, new_p in zip(pair, new):
                        old_p += FOLLOW * (new_p - old_p)
record["td3"] |= {
    "follow": FOLLOW,
    "noises": plain(noises),
    "losses": losses,
    "end": {k: [plain(p) for p in flat(k)] for k in nets},
    "end_older": {k: [plain(p) for pair in older[k] for p in pair] for k in nets},
}
path = pathlib.Path(__file__).with_name("off_policy.json")
path.write_text(json.dumps(record) + "\n")
print(path.stat().st_size, "bytes")
