"""PyTorch as a tool of GradBench: eager, in float64, on one thread.

The programs are written from the mathematics of the evals (see the dlang programs in the folder above).
"""
import functools
import math

import torch
from torch.func import jacfwd
from torch.utils.checkpoint import checkpoint

from protocol import serve

torch.set_num_threads(1)
array = functools.partial(torch.tensor, dtype=torch.float64)


def plain(f, arguments, answer):
    """What prepares runs of `f` on arguments that are made of a request's input."""
    def prepare(input):
        values = arguments(input)
        return lambda: f(*values), answer
    return prepare


def gradient(f):
    """The derivatives of `f` by its first argument, a tensor or some in a tuple."""
    def run(x, *rest):
        leaves = [v.detach().requires_grad_() for v in (x if isinstance(x, tuple) else (x,))]
        value = f(tuple(leaves) if isinstance(x, tuple) else leaves[0], *rest)
        slopes = torch.autograd.grad(value, leaves)
        return slopes if isinstance(x, tuple) else slopes[0]
    return run


def flat(result):
    return result.reshape(-1).tolist()


# lse

def log_sum_exp(x):
    a = torch.max(x).detach()
    return a + torch.log(torch.sum(torch.exp(x - a)))


# llsq

def llsq(x, n):
    t = -1.0 + 2.0 * torch.arange(n, dtype=torch.float64) / (n - 1)
    # column j has the j-th powers
    powers = torch.cumprod(torch.cat([torch.ones(n, 1, dtype=torch.float64), t[:, None].expand(n, len(x) - 1)], 1), 1)
    return 0.5 * torch.sum((torch.sign(t) - powers @ x) ** 2)


# ode

def chain(x, steps):
    h = 2.0 / steps
    one = torch.ones(1, dtype=torch.float64)

    def f(y):
        return x * torch.cat([one, y[:-1]])
    y = torch.zeros_like(x)
    for _ in range(steps):
        k1 = f(y)
        k2 = f(torch.add(y, k1, alpha=h / 2))
        k3 = f(torch.add(y, k2, alpha=h / 2))
        k4 = f(torch.add(y, k3, alpha=h))
        y = torch.add(y, k1 + torch.add(k4, k2 + k3, alpha=2), alpha=h / 6)
    return y


# det: all minors of a size at once, up to 9 x 9; larger ones one after the other, as their graphs would not fit into memory

def dets(m):
    """The determinants of a batch of matrices."""
    k = m.shape[1]
    if k == 1:
        return m[:, 0, 0]
    below = m[:, 1:]
    minors = torch.stack([torch.cat([below[:, :, :j], below[:, :, j + 1:]], 2) for j in range(k)], 1)
    signs = array([(-1.0) ** j for j in range(k)])
    return torch.sum(signs * m[:, 0] * dets(minors.flatten(0, 1)).reshape(-1, k), 1)


def det(m):
    k = len(m)
    if k <= 9:
        return dets(m[None])[0]
    minors = [torch.cat([m[1:, :j], m[1:, j + 1:]], 1) for j in range(k)]
    return sum((-1.0) ** j * m[0, j] * checkpoint(det, minor, use_reentrant=False) for j, minor in enumerate(minors))


# kmeans

def kmeans_cost(centroids, points):
    distances = torch.sum(centroids**2, 1) - 2 * points @ centroids.T
    return torch.sum((points - centroids[torch.argmin(distances.detach(), 1)]) ** 2)


def newton_direction(centroids, points):
    centroids = centroids.detach().requires_grad_()
    slope, = torch.autograd.grad(kmeans_cost(centroids, points), centroids, create_graph=True)
    # no entry has a mixed second derivative with another
    diagonal, = torch.autograd.grad(slope.sum(), centroids)
    return slope.detach() / diagonal


# gmm

def gmm(mixture, x, gamma, m):
    alpha, mu, q, l = mixture
    (n, d), k = x.shape, len(alpha)
    columns, rows = torch.triu_indices(d, d, 1)  # l has what is below the diagonals column by column
    factors = torch.diag_embed(torch.exp(q)).index_put((torch.arange(k)[:, None], rows, columns), l)
    # Q (x - mu) = Q x - Q mu: one product of matrices for all points and components
    residuals = (x @ factors.reshape(k * d, d).T).reshape(n, k, d) - (factors @ mu[:, :, None])[:, :, 0]
    beta = alpha + torch.sum(q, 1) - 0.5 * torch.sum(residuals**2, 2)
    freedom = d + m + 1
    log_gamma = d * (d - 1) / 4 * math.log(math.pi) + sum(math.lgamma((freedom - j) / 2) for j in range(d))
    prior = m * torch.sum(q) - gamma**2 / 2 * (torch.sum(torch.exp(2 * q)) + torch.sum(l**2))
    constant = k * (freedom * d * math.log(gamma / math.sqrt(2)) - log_gamma)
    return torch.logsumexp(beta, 1).sum() - n * (d / 2 * math.log(2 * math.pi) + torch.logsumexp(alpha, 0)) + prior + constant


def gmm_arguments(i):
    mixture = array(i["alpha"]), array(i["mu"]), array(i["q"]), array(i["l"]).reshape(i["k"], -1)
    return mixture, array(i["x"]), i["gamma"], i["m"]


def gmm_answer(slopes):
    return {name: value.tolist() for name, value in zip(("alpha", "mu", "q", "l"), slopes)}


# lstm: layer by layer, so that the gates that see only the input are of all characters at once

def lstm(parameters, state, text):
    main, extra = parameters
    b = text.shape[1]
    u = text[:-1] * extra[0]
    for (weights, biases), (hidden, cell) in zip(main.reshape(-1, 2, 4, b), state.reshape(-1, 2, b)):
        forgets = torch.sigmoid(torch.addcmul(biases[0], u, weights[0])).unbind()
        outs = torch.sigmoid(torch.addcmul(biases[2], u, weights[2])).unbind()
        (_, keep_weight, _, change_weight), (_, keep_bias, _, change_bias) = weights, biases
        after = []
        for forget, out in zip(forgets, outs):
            keep = torch.sigmoid(torch.addcmul(keep_bias, hidden, keep_weight))
            change = torch.tanh(torch.addcmul(change_bias, hidden, change_weight))
            cell = torch.addcmul(cell * forget, keep, change)
            hidden = out * torch.tanh(cell)
            after.append(hidden)
        u = torch.stack(after)
    y = u * extra[1] + extra[2]
    return -torch.mean(text[1:] * (y - torch.log(2 + torch.sum(torch.exp(y), 1, keepdim=True))))


def lstm_arguments(i):
    return (array(i["main_params"]), array(i["extra_params"])), array(i["state"]), array(i["sequence"])


# ba: vectors in rows of a matrix, a column for each observation

def reprojection(v, feature):
    r, center, focal, principal, radial, x, w = v[0:3], v[3:6], v[6], v[7:9], v[9:11], v[11:14], v[14]
    d = x - center
    angle = torch.linalg.vector_norm(r, dim=0)
    e = r / angle
    cosine = torch.cos(angle)
    along = torch.sum(e * d, 0) * (1 - cosine)
    q = d * cosine + torch.linalg.cross(e, d, dim=0) * torch.sin(angle) + e * along
    image = q[:2] / q[2]
    square = torch.sum(image**2, 0)
    return w * (image * ((1 + radial[0] * square + radial[1] * square**2) * focal) + principal - feature)


def observations(cameras, points, weights):
    o = torch.arange(len(weights))
    camera, point = o % len(cameras), o % len(points)
    return camera, point, torch.cat([cameras[camera].T, points[point].T, weights[None]])


def ba(cameras, points, weights, features):
    return reprojection(observations(cameras, points, weights)[2], features.T), 1 - weights**2


def ba_jacobian(cameras, points, weights, features):
    n, m, p = map(len, (cameras, points, weights))
    camera, point, v = observations(cameras, points, weights)
    v.requires_grad_()
    errors = reprojection(v, features.T)
    # a residual depends on its own observation only, so the gradient of the sum has the derivatives of each
    slopes = [torch.autograd.grad(errors[i].sum(), v, retain_graph=i == 0)[0] for i in range(2)]
    blocks = torch.stack([s.T for s in slopes], 1)
    weight_slopes = gradient(lambda w: torch.sum(1 - w**2))(weights)
    o = torch.arange(p)
    places = 11 * camera[:, None] + torch.arange(11), 11 * n + 3 * point[:, None] + torch.arange(3), 11 * n + 3 * m + o[:, None]
    columns = torch.cat(places, 1).repeat_interleave(2, 0)
    return (torch.cat([15 * torch.arange(2 * p), 30 * p + torch.arange(p + 1)]),
            torch.cat([columns.reshape(-1), 11 * n + 3 * m + o]),
            torch.cat([blocks.reshape(-1), weight_slopes]))


def ba_arguments(i):
    n, m, p = i["n"], i["m"], i["p"]
    return array(i["cam"]).repeat(n, 1), array(i["x"]).repeat(m, 1), array(i["w"]).repeat(p), array(i["feat"]).repeat(p, 1)


def ba_answer(result):
    errors, weight_errors = result
    return {"reproj_error": {"elements": errors[:, 0].tolist(), "repeated": errors.shape[1]},
            "w_err": {"element": weight_errors[0].item(), "repeated": len(weight_errors)}}


def ends(result):
    return {name: [*v[:30].tolist(), v[-1].item()] for name, v in zip(("rows", "cols", "vals"), result)}


# ht

def rotations(angles):
    (sx, sz, sy), (cx, cz, cy) = torch.sin(angles).T, torch.cos(angles).T
    entries = [cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz,
               cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz,
               -sy, sx * cy, cx * cy]
    return torch.stack(entries, 1).reshape(-1, 3, 3)


def turn(r):
    angle = torch.linalg.vector_norm(r)
    e = r / angle
    zero = torch.zeros_like(angle)
    cross = torch.stack([zero, -e[2], e[1], e[2], zero, -e[0], -e[1], e[0], zero]).reshape(3, 3)
    along = torch.outer(e, e)
    return along + torch.cos(angle) * (torch.eye(3, dtype=torch.float64) - along) + torch.sin(angle) * cross


def ht(theta, us, hand, places, points, parents, mirrored):
    relatives, inverses, positions, weights, triangles = hand
    # each finger has four angles and four bones, behind two rows of the pose that are the wrist's
    fingers = theta[6:].reshape(5, 4)
    none = torch.zeros(5, 1, dtype=torch.float64)
    angles = torch.cat([fingers[:, 0:2], none, fingers[:, 2:3], none, none, fingers[:, 3:4], none, none, none, none, none], 1)
    angles = torch.cat([torch.zeros(2, 3, dtype=torch.float64), angles.reshape(20, 3)])[:len(parents)]
    turns = torch.nn.functional.pad(rotations(angles), (0, 1, 0, 1))
    corner = torch.zeros(4, 4, dtype=torch.float64)
    corner[3, 3] = 1.0
    relative = relatives @ (turns + corner)
    absolute = []
    for bone, parent in enumerate(parents):
        absolute.append(relative[bone] if parent < 0 else absolute[parent] @ relative[bone])
    transforms = (torch.stack(absolute) @ inverses)[:, :3]
    side = array([-1.0 if mirrored else 1.0, 1.0, 1.0])
    transforms = (turn(theta[:3]) * side) @ transforms
    shares = (weights[:, :, None] * positions[:, None]).flatten(1)
    vertices = shares @ transforms.transpose(1, 2).reshape(-1, 3) + theta[3:6]
    if us is None:
        return (points - vertices[places]).reshape(-1)
    corners = vertices[triangles[places]]
    all_us = torch.cat([us, 1 - us.sum(1, keepdim=True)], 1)
    return (points - torch.sum(all_us[:, :, None] * corners, 1)).reshape(-1)


def ht_jacobian(theta, us, *rest):
    by_theta = jacfwd(lambda theta: ht(theta, us, *rest))(theta)
    if us is None:
        return by_theta
    # an error depends on its own pair of us only, so all pairs move at once
    by_us = jacfwd(lambda shift: ht(theta, us + shift, *rest))(torch.zeros(2, dtype=torch.float64))
    return torch.cat([by_us, by_theta], 1)


def ht_arguments(i):
    data, model = i["data"], i["data"]["model"]
    hand = [array(model[name]) for name in ("base_relatives", "inverse_base_absolutes", "base_positions", "weights")]
    us = array(i["us"]) if i["us"] else None
    return (array(i["theta"]), us, (*hand, torch.tensor(model["triangles"])), torch.tensor(data["correspondences"]), array(data["points"]),
            model["parents"], model["is_mirrored"])


def matrix(i):
    return [array(i["A"]).reshape(i["ell"], -1)]


MODULES = {
    "hello": {"square": plain(lambda x: x * x, lambda i: [array(float(i))], float),
              "double": plain(gradient(lambda x: x * x), lambda i: [array(float(i))], float)},
    "lse": {"primal": plain(log_sum_exp, lambda i: [array(i["x"])], float),
            "gradient": plain(gradient(log_sum_exp), lambda i: [array(i["x"])], flat)},
    "llsq": {"primal": plain(llsq, lambda i: (array(i["x"]), i["n"]), float),
             "gradient": plain(gradient(llsq), lambda i: (array(i["x"]), i["n"]), flat)},
    "ode": {"primal": plain(chain, lambda i: (array(i["x"]), i["s"]), flat),
            "gradient": plain(gradient(lambda x, s: chain(x, s)[-1]), lambda i: (array(i["x"]), i["s"]), flat)},
    "det": {"primal": plain(det, matrix, float), "gradient": plain(gradient(det), matrix, flat)},
    "kmeans": {"cost": plain(kmeans_cost, lambda i: (array(i["centroids"]), array(i["points"])), float),
               "dir": plain(newton_direction, lambda i: (array(i["centroids"]), array(i["points"])), lambda o: o.tolist())},
    "gmm": {"objective": plain(gmm, gmm_arguments, float), "jacobian": plain(gradient(gmm), gmm_arguments, gmm_answer)},
    "lstm": {"objective": plain(lstm, lstm_arguments, float),
             "jacobian": plain(gradient(lstm), lstm_arguments, lambda o: flat(o[0]) + flat(o[1]))},
    "ba": {"objective": plain(ba, ba_arguments, ba_answer), "jacobian": plain(ba_jacobian, ba_arguments, ends)},
    "ht": {"objective": plain(ht, ht_arguments, flat), "jacobian": plain(ht_jacobian, ht_arguments, lambda o: o.tolist())},
}

if __name__ == "__main__":
    serve("torch", MODULES, first_run=None)
