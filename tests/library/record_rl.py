"""Reference values for stdlib/rl.dl, in float64. Needs numpy, jax and gymnasium:

    python tests/library/record_rl.py > tests/library/rl.json
"""

import json

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)
rng = np.random.default_rng(0)
out = {}


def lists(x):
    return np.asarray(x, dtype=float).tolist()


def walk(name, start, actions):
    """States, rewards and ends of gymnasium's own environment from `start`, step by step."""
    env = gymnasium.make(name).unwrapped
    env.reset(seed=0)
    env.state = np.array(start)
    states, rewards, ends = [], [], []
    for action in actions:
        _, reward, done, _, _ = env.step(action)
        states.append(lists(env.state))
        rewards.append(float(reward))
        ends.append(bool(done))
        if done:
            break
    return {"start": lists(start), "actions": lists(actions[: len(states)]), "states": states, "rewards": rewards, "ends": [float(e) for e in ends]}


out["cart_pole"] = [walk("CartPole-v1", rng.uniform(-0.05, 0.05, 4), rng.integers(0, 2, 60).tolist()) for _ in range(3)]
out["cart_pole"].append(walk("CartPole-v1", [0.0, 0.0, 0.0, 0.0], [1] * 60))
out["cart_pole"].append(walk("CartPole-v1", [2.3, 1.0, 0.01, -0.3], [1, 0] * 10))
out["pendulum"] = [walk("Pendulum-v1", s, [np.array([u]) for u in rng.uniform(-3, 3, 40)]) for s in ([3.0, 0.5], [-0.2, 7.5])]
for w in out["pendulum"]:
    w["actions"] = [a[0] for a in w["actions"]]

out["mountain_car"] = [walk("MountainCar-v0", s, rng.integers(0, 3, 40).tolist()) for s in ([-0.5, 0.0], [-1.15, -0.06], [0.45, 0.05])]

# Returns and advantages of three environments, by the plain loops.
t, n = 12, 3
rewards, values, last = rng.normal(size=(t, n)), rng.normal(size=(t, n)), rng.normal(size=n)
done = rng.random((t, n)) < 0.2
discount, lam = 0.9, 0.8
gae, returns = np.zeros((t, n)), np.zeros((t, n))
for k in range(n):
    for i in range(t):
        # The definition: sums forward in time, cut at the end of the episode.
        weight_a, weight_r = 1.0, 1.0
        for j in range(i, t):
            next_value = 0.0 if done[j, k] else (values[j + 1, k] if j + 1 < t else last[k])
            gae[i, k] += weight_a * (rewards[j, k] + discount * next_value - values[j, k])
            returns[i, k] += weight_r * rewards[j, k]
            if done[j, k]:
                break
            weight_a *= discount * lam
            weight_r *= discount
        else:
            returns[i, k] += weight_r * last[k]
out["gae"] = {
    "rewards": lists(rewards), "values": lists(values), "last": lists(last), "done": lists(done), "discount": discount, "lambda": lam,
    "gae": lists(gae), "returns": lists(returns),
}

logits, actions = rng.normal(size=(8, 4)), rng.integers(0, 4, 8)
old, advantages = np.log(rng.random(8)), rng.normal(size=8)


def ppo(logits):
    logp = jax.nn.log_softmax(logits)[jnp.arange(8), actions]
    ratio = jnp.exp(logp - old)
    return -jnp.mean(jnp.minimum(ratio * advantages, jnp.clip(ratio, 0.8, 1.2) * advantages))


def entropy(logits):
    p = jax.nn.softmax(logits)
    return -jnp.sum(p * jnp.log(p), axis=-1)


out["ppo"] = {
    "logits": lists(logits), "actions": actions.tolist(), "old": lists(old), "advantages": lists(advantages),
    "log_probs": lists(jax.nn.log_softmax(logits)[np.arange(8), actions]), "loss": float(ppo(logits)), "bar": lists(jax.grad(ppo)(logits)),
    "entropy": lists(entropy(logits)), "entropy_bar": lists(jax.grad(lambda x: jnp.sum(entropy(x)))(logits)),
}

means, log_std, taken = rng.normal(size=(5, 2)), rng.normal(size=2), rng.normal(size=(5, 2))
normal = lambda means, log_std: jnp.sum(jax.scipy.stats.norm.logpdf(taken, means, jnp.exp(log_std)), axis=-1)
g = jax.grad(lambda *args: jnp.sum(normal(*args) ** 2), argnums=(0, 1))(means, log_std)
out["gaussian"] = {
    "means": lists(means), "log_std": lists(log_std), "actions": lists(taken), "log_probs": lists(normal(means, log_std)),
    "means_bar": lists(g[0]), "log_std_bar": lists(g[1]), "entropy": float(np.sum(log_std + 0.5 * np.log(2 * np.pi * np.e))),
}

# The slope of a pendulum's whole reward in the gains of a linear policy.
start = np.array([2.0, 0.3])


def swing(gains):
    angle, speed, total = start[0], start[1], 0.0
    for _ in range(30):
        u = jnp.clip(gains @ jnp.array([jnp.cos(angle), jnp.sin(angle), speed]), -2.0, 2.0)
        lean = (angle + jnp.pi) % (2 * jnp.pi) - jnp.pi
        total -= lean**2 + 0.1 * speed**2 + 0.001 * u**2
        speed = jnp.clip(speed + 0.05 * (15.0 * jnp.sin(angle) + 3.0 * u), -8.0, 8.0)
        angle = angle + 0.05 * speed
    return total


gains = np.array([0.1, -0.5, 0.2])
out["swing"] = {"start": lists(start), "gains": lists(gains), "value": float(swing(gains)), "bar": lists(jax.grad(swing)(gains))}

print(json.dumps(out))
