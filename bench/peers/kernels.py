"""What the kernels of `benches/kernels.dl` cost in PyTorch: microseconds a call, by the same names."""

import time

import torch
import torch.nn.functional as F

torch.manual_seed(0)
torch.set_num_threads(1)


def shortest(f, blocks=15):
    """The least of several blocks of calls."""
    f()
    calls, spent = 1, 0.0
    while spent < 0.003:
        start = time.perf_counter()
        for _ in range(calls):
            f()
        spent = time.perf_counter() - start
        if spent < 0.003:
            calls *= 2
    least = float("inf")
    for _ in range(blocks):
        start = time.perf_counter()
        for _ in range(calls):
            f()
        least = min(least, (time.perf_counter() - start) / calls)
    return 1e6 * least


def show(name, f):
    print(f"kernels: {name:34s} {shortest(f):10.1f} us", flush=True)


def grad(f, x):
    """The gradient of a function of one tensor."""
    x = x.detach().requires_grad_()
    return torch.autograd.grad(f(x), x)[0]


x3, y4 = torch.randn(32, 128, 256), torch.randn(16, 16, 64, 64)
for axis in (2, 0, 1, (0, 2)):
    show(f"sum 32x128x256 f32 over {axis}", lambda: torch.sum(x3, axis))
show("mean 32x128x256 f32 over (0, 2)", lambda: torch.mean(x3, (0, 2)))
show("sum 16x16x64x64 f32 over (0, 2, 3)", lambda: torch.sum(y4, (0, 2, 3)))
show("max 32x128x256 f32 over 2", lambda: torch.amax(x3, 2))
show("var 32x128x256 f32 over (0, 2)", lambda: torch.var(x3, (0, 2), correction=0))
show("argmax 32x128x256 f32 over 1", lambda: torch.argmax(x3, 1))
show("prod 32x128x256 f32 over 2", lambda: torch.prod(x3, 2))
show("logsumexp 32x128x256 f32 over 2", lambda: torch.logsumexp(x3, 2))
r, s = torch.randn(64, 1, 128), torch.randn(1, 128, 128)
col, row = torch.randn(1024, 1), torch.randn(1024)
u, v = torch.randn(512, 256, 1), torch.randn(512, 1, 8)
show("[64,1,128] + [1,128,128] f32", lambda: r + s)
show("[1024,1] + [1024] f32", lambda: col + row)
show("[512,256,1] + [512,1,8] f32", lambda: u + v)
show("copy of a transpose f32", lambda: x3.transpose(1, 2).contiguous())

n = 1 << 20
a, b = torch.randint(0, 1000, (n,)), torch.randint(1, 1000, (n,))
x, y = torch.randn(n), torch.randn(n)
a2, x2 = a.reshape(1024, 1024), x.reshape(1024, 1024)
mask, mask2 = x > 0.0, y > 0.0
show("int a + b", lambda: a + b)
show("int a * b", lambda: a * b)
show("int a % 7", lambda: a % 7)
show("int a < b", lambda: a < b)
show("int sum", lambda: a.sum())
show("int(x)", lambda: x.long())
show("float(a)", lambda: a.float())
show("bool and", lambda: mask & mask2)
show("count_nonzero", lambda: torch.count_nonzero(mask))
show("x[mask]", lambda: x[mask])


def set_by_mask():
    z = x.clone()
    z[mask] = 0.0
    return z


show("set by mask", set_by_mask)
show("x[a] of 1M", lambda: x[a])
show("take columns", lambda: x2[:, a[:1024]])
show("gather axis 1", lambda: torch.gather(x2, 1, a2))
show("embedding gradient", lambda: grad(lambda w: w[a[:1024]].sum(), x2))
show("cumsum axis 1", lambda: torch.cumsum(x2, 1))
show("cumsum axis 0", lambda: torch.cumsum(x2, 0))
show("cummax axis 1", lambda: torch.cummax(x2, 1))
show("sort axis 1", lambda: torch.sort(x2, 1))
show("sort all", lambda: torch.sort(x))
show("int sort", lambda: torch.sort(a))
show("topk 10 of 1024", lambda: torch.topk(x2, 10))
show("median axis 1", lambda: torch.median(x2, 1))
knots = torch.linspace(-3.0, 3.0, 1000)
show("searchsorted", lambda: torch.searchsorted(knots, x))
show("concat axis 1", lambda: torch.cat((x2, x2), 1))
parts = torch.split(x2, 8, 1)
show("concat of 1024x8, axis 1", lambda: torch.cat(parts, 1))
show("stack axis -1", lambda: torch.stack((x2, x2), -1))
show("flip axis 1", lambda: torch.flip(x2, (1,)))
show("roll axis 1", lambda: torch.roll(x2, 3, 1))
show("repeat 2 axis 1", lambda: torch.repeat_interleave(x2, 2, 1))
show("tril", lambda: torch.tril(x2))
show("pad", lambda: F.pad(x2, (1, 1, 1, 1)))

labels, few = a[:1024], a[:131072] % 8
show("softmax", lambda: torch.softmax(x2, -1))
show("log_softmax", lambda: torch.log_softmax(x2, -1))
show("grad of cross_entropy", lambda: grad(lambda x: F.cross_entropy(x, labels), x2))
show("grad of cross_entropy 131072x8", lambda: grad(lambda x: F.cross_entropy(x, few), x.reshape(131072, 8)))
show("dropout", lambda: F.dropout(x2, 0.1))
show("gelu", lambda: F.gelu(x2))
show("grad of gelu", lambda: grad(lambda x: F.gelu(x).sum(), x2))
ones, zeros = torch.ones(1024), torch.zeros(1024)
show("layer norm", lambda: F.layer_norm(x2, (1024,), ones, zeros))
images = torch.randn(64, 16, 28, 28)
show("max_pool2d", lambda: F.max_pool2d(images, 2))
show("grad of max_pool2d", lambda: grad(lambda x: F.max_pool2d(x, 2).sum(), images))
show("avg_pool2d", lambda: F.avg_pool2d(images, 2))

for n in (50, 200, 500):
    m = torch.randn(n, n, dtype=torch.float64)
    s = m @ m.T + n * torch.eye(n, dtype=torch.float64)
    show(f"cholesky {n}", lambda: torch.linalg.cholesky(s))
    show(f"eigh {n}", lambda: torch.linalg.eigh(s))
    show(f"svd {n}", lambda: torch.linalg.svd(m))
    show(f"qr {n}", lambda: torch.linalg.qr(m))
    show(f"solve {n}", lambda: torch.linalg.solve(m, s))
    show(f"inv {n}", lambda: torch.linalg.inv(m))
    show(f"det {n}", lambda: torch.linalg.det(m))
