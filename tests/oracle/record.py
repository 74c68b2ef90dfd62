"""Records value, tangent, gradient and Hessian-vector product of every case from JAX in float64.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install -r tests/oracle/requirements.txt
    /tmp/oracle/bin/python tests/oracle/record.py            # rewrites tests/oracle/recording.json
    /tmp/oracle/bin/python tests/oracle/record.py WORD       # only the cases whose name has the word
    /tmp/oracle/bin/python tests/oracle/record.py --new      # only the cases that are not recorded yet

A case is either a line of `primitives.txt` (name | inputs | dlang | JAX), or a program `cases/NAME.dl` whose first
lines say what it is and `# inputs: ...`, with a function `NAME` in a file of `twins/`. Both sides must stand for the
same function; what is differentiated is the sum of its results times the recorded weights.
"""

import importlib
import json
import os
import pathlib
import sys
import zlib

# Every program runs once: compiling it well would not pay.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import numpy as np

from inputs import Draw, Record

HERE = pathlib.Path(__file__).parent


def primitives():
    """(name, inputs, JAX function) of the table."""
    spaces = {"jnp": jnp, "jax": jax, "lax": jax.lax, "nn": jax.nn, "sp": jax.scipy.special, "la": jnp.linalg}
    spaces["helpers"] = importlib.import_module("twins.helpers")
    for line in (HERE / "primitives.txt").read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, inputs, _, code = (part.strip() for part in line.split(" | "))
        parameters = ", ".join(Draw(0).arguments(inputs)[0])
        yield name, inputs, eval(f"lambda {parameters}: {code}", spaces)


def programs():
    """(name, inputs, JAX function) of the programs."""
    twins = {}
    for path in sorted((HERE / "twins").glob("*.py")):
        module = importlib.import_module(f"twins.{path.stem}")
        twins.update((k, v) for k, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__)
    for path in sorted((HERE / "cases").glob("*.dl")):
        head = [l for l in path.read_text().splitlines() if l.startswith("# inputs: ")]
        yield path.stem, head[0].removeprefix("# inputs: "), twins[path.stem]


def leaf(x):
    return np.asarray(x, np.float64).tolist()


def leaves(tree):
    return [leaf(x) for x in jax.tree_util.tree_leaves(tree)]


def written(tree):
    """A tree of inputs as JSON: numbers and nested arrays are leaves, objects name what else there is."""
    if isinstance(tree, Record):
        return {"kind": tree.kind, "names": list(tree.parts), "parts": [written(p) for p in tree.parts.values()]}
    if isinstance(tree, (tuple, list)):
        return {"kind": type(tree).__name__, "parts": [written(p) for p in tree]}
    return leaf(tree)


def differentiated(f, args, direction, draw, compiled, shaped):
    """The weights of the results; value, tangent, gradient and Hessian-vector product."""
    shapes = [jnp.shape(o) for o in jax.tree_util.tree_leaves(shaped(f, *args))]
    # A single number is differentiated as it is.
    weights = [1.0] if shapes == [()] else [draw.sixtyfourths(0.2, 1.0, s) for s in shapes]

    def weighted(args):
        outs = f(*args)
        return sum(jnp.sum(w * o) for w, o in zip(weights, jax.tree_util.tree_leaves(outs))), outs

    def everything(args):
        slope = jax.value_and_grad(weighted, has_aux=True)
        ((_, value), gradient), ((_, tangent), hvp) = jax.jvp(slope, (args,), (direction,))
        return value, tangent, gradient, hvp

    return weights, compiled(everything)(args)


def record(name, inputs, f):
    draw = Draw(zlib.crc32(name.encode()))
    names, args, direction = draw.arguments(inputs)
    try:
        weights, results = differentiated(f, args, direction, draw, jax.jit, jax.eval_shape)
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError):
        # A branch, loop or mask that depends on the values: step by step then.
        weights, results = differentiated(f, args, direction, draw, lambda g: g, lambda g, *args: g(*args))
    value, tangent, gradient, hvp = results
    found = {
        "inputs": {n: written(a) for n, a in zip(names, args)},
        "direction": [written(d) for d in direction],
        "weights": [leaf(w) for w in weights],
        "value": leaves(value),
        "tangent": leaves(tangent),
        "gradient": leaves(gradient),
        "hvp": leaves(hvp),
    }
    bad = [k for k in found if not all(np.all(np.isfinite(x)) for x in jax.tree_util.tree_leaves(found[k]) if not isinstance(x, str))]
    assert not bad, f"{name}: {bad} not finite"
    return found


def write(path, recording):
    lines = [f"{json.dumps(name)}: {json.dumps(case, separators=(',', ':'))}" for name, case in recording.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def main():
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    path = HERE / "recording.json"
    old = json.loads(path.read_text()) if path.exists() else {}
    all_cases = list(primitives()) + list(programs())
    assert len({name for name, _, _ in all_cases}) == len(all_cases), "two cases of one name"
    old = {name: old[name] for name, _, _ in all_cases if name in old}
    recording, failed = dict(old), []
    for i, (name, inputs, f) in enumerate(all_cases):
        if name in old and (word == "--new" or word not in name):
            continue
        if i % 20 == 0:
            # Compiled programs pile up, and an interruption should not lose much.
            jax.clear_caches()
            write(path, recording)
        try:
            recording[name] = record(name, inputs, f)
        except Exception as e:
            failed.append(f"{name}: {type(e).__name__}: {e}".splitlines()[0])
            recording.pop(name, None)
    write(path, {name: recording[name] for name, _, _ in all_cases if name in recording})
    print(f"{len(recording)} cases, {path.stat().st_size / 1e6:.2f} MB")
    if failed:
        sys.exit("\n".join(failed))


if __name__ == "__main__":
    main()
