"""Writes f64.txt: for each function and argument the value to 106 bits, by mpmath. Run: python record.py > f64.txt"""
import random
import struct

from mpmath import mp, mpf, atan, cosh, erf, erfc, cos, exp, expm1, log, log1p, pi, sin, sinh, sqrt, tan, tanh

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
}

for name, (f, xs) in TABLE.items():
    for x in xs:
        y = f(mpf(x))
        high = float(y)
        print(name, bits(x), bits(high), bits(float(y - high)))
