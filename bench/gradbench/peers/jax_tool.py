"""JAX as a tool of GradBench: each function compiled as a whole, in float64, the result waited for.

The programs are written from the mathematics of the evals (see the dlang programs in the folder above), each in the
form that was the fastest of several on a CPU. Compiling is a run of its own before the timed ones.
"""
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import jax_descents
from protocol import serve

jax.config.update("jax_enable_x64", True)


def compiled(f, arguments, answer, static=()):
    """What prepares runs of `f`: its arguments are made of a request's input, those in `static` are known when it is compiled."""
    jitted = jax.jit(f, static_argnums=static)

    def prepare(input):
        values = [value if i in static else jax.device_put(value) for i, value in enumerate(arguments(input))]
        return lambda: jax.block_until_ready(jitted(*values)), answer
    return prepare


def array(numbers):
    return np.array(numbers, dtype=np.float64)


def flat(result):
    return np.asarray(result).reshape(-1).tolist()


# hello, lse

def log_sum_exp(x):
    a = jnp.max(x)
    return a + jnp.log(jnp.sum(jnp.exp(x - a)))


# llsq: by Horner's rule, all points at once; a matrix of powers takes longer

def llsq(x, n):
    t = -1.0 + 2.0 * jnp.arange(n) / (n - 1)
    polynomial, _ = lax.scan(lambda y, c: (y * t + c, None), jnp.zeros(n), x, reverse=True, unroll=8)
    return 0.5 * jnp.sum((jnp.sign(t) - polynomial) ** 2)


# ode

def chain(x, steps):
    h = 2.0 / steps

    def f(y):
        return x * jnp.concatenate([jnp.ones(1), y[:-1]])

    @jax.checkpoint  # computing a step again is quicker than keeping what is inside of it
    def step(y, _):
        k1 = f(y)
        k2 = f(y + h / 2 * k1)
        k3 = f(y + h / 2 * k2)
        k4 = f(y + h * k3)
        return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), None
    return lax.scan(step, jnp.zeros_like(x), None, length=steps)[0]


# det: all minors of a size at once, up to 8 x 8; larger ones one after the other, as what they take fits no cache, and again for
# their derivatives rather than kept

def det(m):
    k = len(m)
    if k == 1:
        return m[0, 0]
    others = np.array([[c for c in range(k) if c != j] for j in range(k)])
    minors = jnp.moveaxis(m[1:][:, others], 1, 0)
    determinants = jax.vmap(det)(minors) if k <= 8 else lax.map(jax.checkpoint(det), minors)
    return jnp.sum(np.resize([1.0, -1.0], k) * m[0] * determinants)


# kmeans

def kmeans_cost(centroids, points):
    distances = jnp.sum(centroids**2, axis=1) - 2 * points @ centroids.T
    winners = lax.stop_gradient(jnp.argmin(distances, axis=1))
    return jnp.sum((points - centroids[winners]) ** 2)


def newton_direction(centroids, points):
    gradient, diagonal = jax.jvp(jax.grad(lambda c: kmeans_cost(c, points)), (centroids,), (jnp.ones_like(centroids),))
    return gradient / diagonal


# gmm

def gmm(mixture, x, gamma, m):
    alpha, mu, q, l = mixture
    (n, d), k = x.shape, len(alpha)
    columns, rows = np.triu_indices(d, 1)  # l has what is below the diagonals column by column
    factors = jnp.zeros((k, d, d)).at[:, rows, columns].set(l) + jax.vmap(jnp.diag)(jnp.exp(q))
    # Q (x - mu) = Q x - Q mu: one product of matrices for all points and components
    residuals = (x @ factors.reshape(k * d, d).T).reshape(n, k, d) - jnp.einsum("kij,kj->ki", factors, mu)
    beta = alpha + jnp.sum(q, axis=1) - 0.5 * jnp.sum(residuals**2, axis=2)
    freedom = d + m + 1
    log_gamma = d * (d - 1) / 4 * math.log(math.pi) + sum(math.lgamma((freedom - j) / 2) for j in range(d))
    prior = m * jnp.sum(q) - gamma**2 / 2 * (jnp.sum(jnp.exp(2 * q)) + jnp.sum(l**2))
    constant = k * (freedom * d * math.log(gamma / math.sqrt(2)) - log_gamma)
    return jnp.sum(jax.nn.logsumexp(beta, axis=1)) - n * (d / 2 * math.log(2 * math.pi) + jax.nn.logsumexp(alpha)) + prior + constant


def gmm_arguments(i):
    mixture = array(i["alpha"]), array(i["mu"]), array(i["q"]), array(i["l"]).reshape(i["k"], -1)
    return mixture, array(i["x"]), i["gamma"], i["m"]


def gmm_answer(gradient):
    return {name: value.tolist() for name, value in zip(("alpha", "mu", "q", "l"), gradient)}


# lstm

def lstm(parameters, state, text):
    main, extra = parameters
    b = text.shape[1]
    layers = main.reshape(-1, 2, 4 * b)

    @jax.checkpoint  # as in ode
    def step(states, u):
        after = []
        for (weights, biases), (hidden, cell) in zip(layers, states):
            z = jnp.concatenate([u, hidden, u, hidden]) * weights + biases
            forget, keep, out = jax.nn.sigmoid(z[:3 * b]).reshape(3, b)
            cell = cell * forget + keep * jnp.tanh(z[3 * b:])
            u = out * jnp.tanh(cell)
            after.append((u, cell))
        return after, u
    _, hidden = lax.scan(step, [(s[0], s[1]) for s in state.reshape(-1, 2, b)], text[:-1] * extra[0])
    y = hidden * extra[1] + extra[2]
    return -jnp.mean(text[1:] * (y - jnp.log(2 + jnp.sum(jnp.exp(y), axis=1, keepdims=True))))


def lstm_arguments(i):
    return (array(i["main_params"]), array(i["extra_params"])), array(i["state"]), array(i["sequence"])


# ba: numbers of all observations are vectors, so that XLA makes one loop of all; rows of observations take two to three times as long

def reprojection(v, feature):
    r, center, (focal, *principal), radial, x, w = v[0:3], v[3:6], v[6:9], v[9:11], v[11:14], v[14]
    d = [a - c for a, c in zip(x, center)]
    angle = jnp.sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2])
    e = [a / angle for a in r]
    sine, cosine = jnp.sin(angle), jnp.cos(angle)
    cross = [e[1] * d[2] - e[2] * d[1], e[2] * d[0] - e[0] * d[2], e[0] * d[1] - e[1] * d[0]]
    along = (e[0] * d[0] + e[1] * d[1] + e[2] * d[2]) * (1 - cosine)
    q = [d[i] * cosine + cross[i] * sine + e[i] * along for i in range(3)]
    image = [q[0] / q[2], q[1] / q[2]]
    square = image[0] ** 2 + image[1] ** 2
    scale = (1 + radial[0] * square + radial[1] * square * square) * focal
    return [w * (image[i] * scale + principal[i] - feature[i]) for i in range(2)]


def observations(cameras, points, weights):
    o = jnp.arange(len(weights))
    return o % len(cameras), o % len(points)


def ba(cameras, points, weights, features):
    camera, point = observations(cameras, points, weights)
    return jnp.stack(reprojection((*cameras[camera].T, *points[point].T, weights), features.T)), 1 - weights**2


def ba_jacobian(cameras, points, weights, features):
    (n, m, p), (camera, point) = map(len, (cameras, points, weights)), observations(cameras, points, weights)
    v = (*cameras[camera].T, *points[point].T, weights)
    # a residual depends on its own observation only, so the gradient of the sum has the derivatives of each
    slopes = [jax.grad(lambda v: jnp.sum(reprojection(v, features.T)[i]))(v) for i in range(2)]
    blocks = jnp.stack([jnp.stack(s, axis=1) for s in slopes], axis=1)
    weight_slopes = jax.grad(lambda w: jnp.sum(1 - w**2))(weights)
    o = jnp.arange(p)
    places = (11 * camera[:, None] + jnp.arange(11), 11 * n + 3 * point[:, None] + jnp.arange(3), 11 * n + 3 * m + o[:, None])
    columns = jnp.repeat(jnp.concatenate(places, axis=1), 2, axis=0)
    return (jnp.concatenate([15 * jnp.arange(2 * p), 30 * p + jnp.arange(p + 1)]),
            jnp.concatenate([columns.reshape(-1), 11 * n + 3 * m + o]),
            jnp.concatenate([blocks.reshape(-1), weight_slopes]))


def ba_arguments(i):
    n, m, p = i["n"], i["m"], i["p"]
    return np.tile(array(i["cam"]), (n, 1)), np.tile(array(i["x"]), (m, 1)), np.full(p, i["w"]), np.tile(array(i["feat"]), (p, 1))


def ba_answer(result):
    errors, weight_errors = result
    return {"reproj_error": {"elements": errors[:, 0].tolist(), "repeated": errors.shape[1]},
            "w_err": {"element": float(weight_errors[0]), "repeated": len(weight_errors)}}


def ends(result):
    return {name: [*v[:30].tolist(), v[-1].item()] for name, v in zip(("rows", "cols", "vals"), map(np.asarray, result))}


# ht

def rotations(angles):
    (sx, sz, sy), (cx, cz, cy) = jnp.sin(angles).T, jnp.cos(angles).T
    return jnp.moveaxis(jnp.array([[cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz],
                                   [cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz],
                                   [-sy, sx * cy, cx * cy]]), 2, 0)


def turn(r):
    angle = jnp.sqrt(r @ r)
    e = r / angle
    cross = jnp.array([[0.0, -e[2], e[1]], [e[2], 0.0, -e[0]], [-e[1], e[0], 0.0]])
    along = jnp.outer(e, e)
    return along + jnp.cos(angle) * (jnp.eye(3) - along) + jnp.sin(angle) * cross


def generations(parents):
    """The bones without parent, their children, the children of these, ..."""
    now = [bone for bone, parent in enumerate(parents) if parent < 0]
    while now:
        yield now
        now = [bone for bone, parent in enumerate(parents) if parent in now]


def ht(theta, us, hand, places, points, parents, mirrored):
    relatives, inverses, positions, weights, triangles = hand
    # each finger has four angles and four bones, behind two rows of the pose that are the wrist's
    fingers = theta[6:].reshape(5, 4)
    none = jnp.zeros((5, 1))
    angles = jnp.concatenate([fingers[:, 0:2], none, fingers[:, 2:3], none, none, fingers[:, 3:4], none, none, none, none, none], axis=1)
    angles = jnp.concatenate([jnp.zeros((2, 3)), angles.reshape(20, 3)])[:len(parents)]
    relative = relatives[:, :3, :3] @ rotations(angles)
    absolute = {-1: (jnp.eye(3), jnp.zeros(3))}
    for bones in generations(parents):  # all bones of a generation at once
        turns, shifts = (jnp.stack(a) for a in zip(*(absolute[parents[bone]] for bone in bones)))
        bones = np.array(bones)
        shifts += jnp.einsum("bij,bj->bi", turns, relatives[bones, :3, 3])
        turns = jnp.einsum("bij,bjk->bik", turns, relative[bones])
        absolute |= {bone: (turns[i], shifts[i]) for i, bone in enumerate(bones)}
    turns, shifts = (jnp.stack(a) for a in zip(*(absolute[bone] for bone in range(len(parents)))))
    transforms = turns @ inverses[:, :3, :] + shifts[:, :, None] * inverses[:, 3:, :]
    side = jnp.array([-1.0 if mirrored else 1.0, 1.0, 1.0])
    transforms = (turn(theta[:3]) * side) @ transforms
    shares = (weights[:, :, None] * positions[:, None]).reshape(len(positions), -1)
    vertices = shares @ jnp.moveaxis(transforms, 1, 2).reshape(-1, 3) + theta[3:6]
    if us is None:
        return (points - vertices[places]).reshape(-1)
    corners = vertices[triangles[places]]
    u = us[:, :, None]
    return (points - (u[:, 0] * corners[:, 0] + u[:, 1] * corners[:, 1] + (1 - u[:, 0] - u[:, 1]) * corners[:, 2])).reshape(-1)


def ht_jacobian(theta, us, *rest):
    by_theta = jax.jacfwd(ht)(theta, us, *rest)
    if us is None:
        return by_theta
    # an error depends on its own pair of us only, so all pairs move at once
    by_us = [jax.jvp(lambda us: ht(theta, us, *rest), (us,), (jnp.zeros_like(us).at[:, i].set(1.0),))[1] for i in range(2)]
    return jnp.concatenate([jnp.stack(by_us, axis=1), by_theta], axis=1)


def ht_arguments(i):
    data, model = i["data"], i["data"]["model"]
    hand = [array(model[name]) for name in ("base_relatives", "inverse_base_absolutes", "base_positions", "weights")]
    us = array(i["us"]) if i["us"] else None
    return (array(i["theta"]), us, (*hand, np.array(model["triangles"])), np.array(data["correspondences"]), array(data["points"]),
            tuple(model["parents"]), model["is_mirrored"])



MODULES = {
    "hello": {"square": compiled(lambda x: x * x, lambda i: [float(i)], float),
              "double": compiled(jax.grad(lambda x: x * x), lambda i: [float(i)], float)},
    "lse": {"primal": compiled(log_sum_exp, lambda i: [array(i["x"])], float),
            "gradient": compiled(jax.grad(log_sum_exp), lambda i: [array(i["x"])], flat)},
    "llsq": {"primal": compiled(llsq, lambda i: (array(i["x"]), i["n"]), float, [1]),
             "gradient": compiled(jax.grad(llsq), lambda i: (array(i["x"]), i["n"]), flat, [1])},
    "ode": {"primal": compiled(chain, lambda i: (array(i["x"]), i["s"]), flat, [1]),
            "gradient": compiled(jax.grad(lambda x, s: chain(x, s)[-1]), lambda i: (array(i["x"]), i["s"]), flat, [1])},
    "det": {"primal": compiled(det, lambda i: [array(i["A"]).reshape(i["ell"], -1)], float),
            "gradient": compiled(jax.grad(det), lambda i: [array(i["A"]).reshape(i["ell"], -1)], flat)},
    "kmeans": {"cost": compiled(kmeans_cost, lambda i: (array(i["centroids"]), array(i["points"])), float),
               "dir": compiled(newton_direction, lambda i: (array(i["centroids"]), array(i["points"])), lambda o: o.tolist())},
    "gmm": {"objective": compiled(gmm, gmm_arguments, float, [2, 3]),
            "jacobian": compiled(jax.grad(gmm), gmm_arguments, gmm_answer, [2, 3])},
    "lstm": {"objective": compiled(lstm, lstm_arguments, float),
             "jacobian": compiled(jax.grad(lstm), lstm_arguments, lambda o: flat(o[0]) + flat(o[1]))},
    "ba": {"objective": compiled(ba, ba_arguments, ba_answer), "jacobian": compiled(ba_jacobian, ba_arguments, ends)},
    "ht": {"objective": compiled(ht, ht_arguments, flat, [5, 6]),
           "jacobian": compiled(ht_jacobian, ht_arguments, lambda o: o.tolist(), [5, 6])},
    "particle": {modes: compiled(functools.partial(jax_descents.particle, modes), lambda i: [float(i["w"])], float)
                 for modes in jax_descents.MODES},
    "saddle": {modes: compiled(functools.partial(jax_descents.saddle, modes), lambda i: [array(i["start"])], flat)
               for modes in jax_descents.MODES},
}

if __name__ == "__main__":
    serve("jax", MODULES, first_run="compile")
