"""Writes f64.txt: for each function and argument the value to 106 bits, by mpmath. Run: python record.py > f64.txt"""
import random
import struct

from mpmath import mp, mpf, acos, acosh, asin, asinh, atan, atanh, cosh, erf, erfc, cos, exp, expm1, log, log10, log1p, pi, sin
from mpmath import digamma, loggamma, sinh, sqrt, tan, tanh

mp.prec = 1300
random.seed(7)


def bits(x):
    return format(struct.unpack("<Q", struct.pack("<d", x))[0], "016x")


def spread(lo, hi, n):
    """Points between two positive numbers, evenly by magnitude."""
    return [lo * (hi / lo) ** random.random() for _ in range(n)]


def both(xs):
    return xs + [-x for x in xs]


def even(lo, hi, n):
    return [lo + (hi - lo) * random.random() for _ in range(n)]


tiny = spread(5e-324, 1e-290, 6) + spread(1e-290, 1e-8, 12)
near_angles = [float(mp.pi / 2 * k) for k in [1, 2, 3, 4, 5, 6, 7, 11, 22, 355, 710, 51819, 573204, 636000]]
huge = [6381956970095103.0 * 2.0**797, 1e22, 1e308, 1.7e9]
# 1 and a little less, of both signs.
own = random.Random(11)
edge = both([1 - 2e-16 * 5e14 ** own.random() for _ in range(30)])


def erfinv(x):
    """Halley's steps from a rough start, on what is beyond where x is near 1."""
    a = abs(x)
    y = a * sqrt(pi) / 2 if a < 0.7 else sqrt(-log(1 - a)) * mpf("0.9")
    for _ in range(100):
        miss = a - erf(y) if a < 0.5 else erfc(y) - (1 - a)
        step = miss * sqrt(pi) / 2 * exp(y * y)
        step = step / (1 - y * step) if abs(y * step) < 0.5 else step / 2
        y += step
        if abs(step) < abs(y) * mpf(2) ** -200:
            break
    return y if x > 0 else -y


def hazard(x):
    return sqrt(2 / pi) * exp(-x * x / 2) / erfc(-x / sqrt(mpf(2)))


TABLE = {
    "exp": (exp, both(tiny) + even(-745, 709.7, 250) + even(-1, 1, 250) + even(-709, -708, 20) + [709.78, -745.1, -708.4]),
    "expm1": (expm1, both(tiny) + even(-1.5, 1.5, 350) + even(-45, 709.7, 120) + spread(1e-8, 0.4, 60)),
    "log": (log, tiny + spread(1e-300, 1e300, 150) + even(0.5, 2, 300) + even(0.999, 1.001, 60)),
    "log1p": (log1p, both(tiny) + even(-0.999, 2, 350) + spread(1e-8, 0.4, 80) + [-x for x in spread(1e-8, 0.4, 80)] + spread(1, 1e300, 40)),
    "tanh": (tanh, both(tiny) + even(-1.2, 1.2, 350) + even(-22, 22, 150)),
    "sigmoid": (lambda x: 1 / (1 + exp(-x)), both(tiny) + even(-745, 40, 100) + even(-3, 3, 350)),
    "erf": (erf, both(tiny) + even(-1.2, 1.2, 350) + even(-6.5, 6.5, 250)),
    "sin": (sin, both(tiny) + even(-7, 7, 350) + even(-1e6, 1e6, 150) + near_angles + huge),
    "cos": (cos, both(tiny) + even(-7, 7, 350) + even(-1e6, 1e6, 150) + near_angles + huge),
    "density": (lambda x: exp(-x * x / 2) / sqrt(2 * pi), both(tiny) + even(-3, 3, 250) + even(-37.5, 37.5, 250)),
    "normal": (lambda x: erfc(-x / sqrt(mpf(2))) / 2, both(tiny) + even(-3, 3, 350) + even(-37.4, 9, 250)),
    "atan": (atan, both(tiny) + even(-1.2, 1.2, 350) + even(-6, 6, 150) + both(spread(1, 1e300, 20))),
    "cosh": (cosh, both(tiny) + even(-1.2, 1.2, 250) + even(-20, 20, 150) + both(even(1, 710.4, 20)) + [710.47]),
    "sinh": (sinh, both(tiny) + even(-1.2, 1.2, 250) + even(-20, 20, 150) + both(even(1, 710.4, 20)) + [710.47]),
    "tan": (tan, both(tiny) + even(-7, 7, 350) + even(-1e6, 1e6, 150) + near_angles + huge),
    "asin": (asin, both(tiny) + even(-1, 1, 350) + even(0.45, 0.55, 60) + edge),
    "acos": (acos, both(tiny) + even(-1, 1, 350) + even(-0.55, -0.45, 60) + edge),
    "log2": (lambda x: log(x, 2), tiny + spread(1e-300, 1e300, 150) + even(0.5, 2, 300) + even(0.999, 1.001, 60)),
    "log10": (log10, tiny + spread(1e-300, 1e300, 150) + even(0.5, 2, 300) + even(0.999, 1.001, 60) + [1e3, 1e15]),
    "atanh": (atanh, both(tiny) + even(-1, 1, 250) + even(-0.5, 0.5, 250) + edge),
    "acosh": (acosh, [1 + x for x in spread(1e-15, 1, 150)] + even(1, 4, 250) + spread(4, 1e300, 60)),
    "asinh": (asinh, both(tiny) + both(spread(1e-8, 0.5, 100)) + even(-4, 4, 250) + both(spread(4, 1e300, 40))),
    "logit": (lambda x: log(x / (1 - x)), tiny + even(0, 1, 300) + even(0.4, 0.6, 100) + [0.5 + x for x in both(spread(1e-15, 0.1, 40))] + [x for x in edge if x > 0]),
    "erfc": (erfc, both(tiny) + even(-1.2, 1.2, 250) + even(-6, 26.5, 200) + even(0.4, 3, 100)),
    "log_ndtr": (lambda x: log1p(-erfc(x / sqrt(mpf(2))) / 2) if x > 0 else log(erfc(-x / sqrt(mpf(2))) / 2), both(tiny) + even(-3, 3, 350) + even(-45, 37.4, 200) + [-x for x in spread(30, 300, 40)]),
    "erfinv": (erfinv, both(tiny) + even(-1, 1, 350) + edge + even(0.99, 1, 60)),
    "lgamma": (loggamma, spread(1e-300, 0.1, 60) + even(0, 3, 350) + even(0.99, 1.01, 40) + even(1.99, 2.01, 40) + even(3, 20, 150) + spread(20, 1e300, 30)),
    "digamma": (digamma, spread(1e-300, 0.1, 60) + even(0, 1.3, 150) + even(1.6, 20, 250) + spread(20, 1e300, 30)),
    "hazard": (hazard, both(tiny) + even(-3, 3, 300) + even(-45, 30, 200) + [-x for x in spread(30, 1e30, 40)]),
    "excess": (lambda x: hazard(x) + x, even(-3, 3, 300) + even(-45, 30, 200) + [-x for x in spread(30, 1e12, 40)]),
}

for name, (f, xs) in TABLE.items():
    for x in xs:
        y = f(mpf(x))
        high = float(y)
        print(name, bits(x), bits(high), bits(float(y - high)))
