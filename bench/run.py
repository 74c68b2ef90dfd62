"""Run workloads in dlang and in its peers, in turn, compare the results and print the ratios of the times.

    python3 bench/run.py --dlang target/release/dlang --peers PEERS_FOLDER --python venv/bin/python
    python3 bench/run.py digits_mlp hmc --python jax/bin/python --python torch/bin/python --repeat 5 --pin 1 ...

Each round runs dlang and then every peer of the workload, each in its own process, so that a ratio compares
neighbours in time; the table has the medians. What a --python lacks (torch, jax) is left out.
"""
import argparse
import ast
import gzip
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent

# The file a workload reads, the metric that is compared (`wall_s` is the whole process, lower is better unless
# it is a rate), and the results that must agree: how far apart, relative to 1 or to the value if that is larger.
# The starting weights are random, so losses and accuracies agree as those of two seeds do.
WORKLOADS = {
    "startup": (None, ["wall_s"], {"grad": 1e-6}),
    "digits_mlp": ("digits.csv", ["step_us", "train_s", "wall_s"], {"test_acc": 0.03}),
    "mnist_mlp": ("mnist.safetensors", ["step_us"], {"test_acc": 0.02}),
    "mnist_cnn": ("mnist.safetensors", ["step_us"], {"test_acc": 0.05}),
    "char_gpt": ("tinyshakespeare.txt", ["step_us"], {"loss_200": 0.04}),
    "char_lstm": ("tinyshakespeare.txt", ["step_us"], {"loss_200": 0.04}),
    # Each program compares its gradients with known ones to nine digits itself, and fails if they differ.
    "scalar_loop": (None, ["euler_us", "rk4_us", "bounce_us", "while_us"], {}),
    "neural_ode": (None, ["step_us"], {"loss_100": 0.1}),
    "hmc": ("breast_cancer.csv", ["per_gradient_us"], {"train_acc": 0.01, "accepted": 0.1}),
    "op_overhead": (None, ["add_us", "forward_op_us", "chain_op_us"], {}),
    "roofline": (None, ["gemm_1024_f32_gflops", "gemm_256_f32_gflops", "gemm_digits_32x64x128_f32_gflops",
                        "gemm_lstm_16x128x512_f32_gflops", "gemm_gpt_1024x128x512_f32_gflops",
                        "gemm_1024_f64_gflops", "gelu_1m_us", "softmax_1m_us", "sum_rows_1m_us", "sum_cols_1m_us",
                        "sum_all_1m_us", "add_1m_us"], {}),
    "elementwise": (None, ["rational_value_us", "rational_gradient_us", "tanh_value_us", "tanh_gradient_us",
                           "gelu_value_us", "gelu_gradient_us"],
                    {f"{name}_{what}": 1e-5 for name in ("rational", "tanh", "gelu") for what in ("at_points", "slopes")}),
    "transforms": (None, ["vmap_us", "vmap_grad_us", "jvp_us", "vjp_us", "hvp_us"],
                   {f"{name}_at_points": 1e-5 for name in ("vmap", "vmap_grad", "jvp", "vjp", "hvp")}),
}
# Other ways to the same thing that no gradient comes out of: a floor, not a competitor.
NO_GRADIENT = {"python", "numpy"}


def script_of(folder, workload):
    """The peers' program of a workload: one of this project's own, or that of the folder."""
    own = HERE / "peers" / f"{workload}.py"
    return own if own.exists() else folder / f"{workload}.py"


def peers_of(script):
    """The PEERS list of a script, read without running it."""
    for node in ast.parse(script.read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "PEERS":
            return ast.literal_eval(node.value)
    return []


def interpreter_for(peer, pythons, cache={}):
    """The first Python that has what the peer is made of, or None."""
    package = {"python": "sys"}.get(peer, peer.split("_")[0])
    if package not in cache:
        find = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
        cache[package] = next((p for p in pythons if subprocess.run([p, "-c", find]).returncode == 0), None)
    return cache[package]


def write_mnist(data, path):
    """MNIST for dlang, as safetensors: images float32 from 0 to 1, and labels. Image by image: what this process
    holds counts as held by those that it starts, too."""
    with gzip.open(data / "t10k-labels-idx1-ubyte.gz") as f:
        labels = f.read()[8:]
    as_float = [struct.pack("<f", i / 255) for i in range(256)]
    with gzip.open(data / "t10k-images-idx3-ubyte.gz") as f, open(path, "wb") as out:
        _, n, height, width = struct.unpack(">4i", f.read(16))
        size, end = height * width, 4 * n * height * width
        header = json.dumps({
            "images": {"dtype": "F32", "shape": [n, size], "data_offsets": [0, end]},
            "labels": {"dtype": "U8", "shape": [n], "data_offsets": [end, end + n]}}).encode()
        header += b" " * (-len(header) % 8)
        out.write(struct.pack("<Q", len(header)) + header)
        for _ in range(n):
            out.write(b"".join(as_float[pixel] for pixel in f.read(size)))
        out.write(labels)


def dlang_command(workload, args, scratch):
    command = [args.dlang, "--threads", str(args.threads), "--seed", str(args.seed), str(HERE / f"{workload}.dl")]
    name = WORKLOADS[workload][0]
    if name == "mnist.safetensors":
        if not (scratch / name).exists():
            write_mnist(args.data, scratch / name)
        command += ["--data", str(scratch / name)]
    elif name:
        command += ["--data", str(args.data / name)]
    if args.seconds and workload not in ("startup", "digits_mlp"):
        command += ["--seconds", str(args.seconds)]
    return command


def run_once(command, args, cache):
    """The metrics of one process, or the reason why there are none."""
    pin = (lambda: os.sched_setaffinity(0, {args.pin})) if args.pin is not None else None
    env = {**os.environ, "PEER_DATA": str(args.data), "TORCHINDUCTOR_CACHE_DIR": cache}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        began = time.perf_counter()
        child = subprocess.Popen(command, stdout=out, stderr=err, env=env, preexec_fn=pin)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - began
        out.seek(0)
        err.seek(0)
        lines, complaint = out.read().splitlines(), err.read().strip()
    child.returncode = os.waitstatus_to_exitcode(status)
    if status or not lines:
        # dlang says what is wrong in a line of its own, Python in the last one.
        said = complaint.splitlines() or [f"exit status {child.returncode}"]
        return {"failed": next((line for line in said if line.startswith("error")), said[-1])}
    metrics = json.loads(lines[-1])["metrics"]
    return {**metrics, "wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime, "rss_mb": usage.ru_maxrss / 1024}


def median(runs, name):
    values = [r[name] for r in runs if isinstance(r.get(name), (int, float))]
    return statistics.median(values) if values else None


def disagreements(workload, runs):
    """One line for each result of a peer that dlang's is too far from."""
    lines = []
    for name, tolerance in WORKLOADS[workload][2].items():
        ours = median(runs["dlang"], name)
        for peer in runs:
            theirs = median(runs[peer], name)
            if peer == "dlang" or theirs is None or peer in NO_GRADIENT and workload != "startup":
                continue
            if ours is None or not abs(ours - theirs) <= tolerance * max(1.0, abs(theirs)):
                lines.append(f"{workload}: {name} is {show(ours)} in dlang but {show(theirs)} in {peer}")
    return lines


def ratio(runs, peer, metric):
    """How many times as long as the peer dlang takes: the median over the rounds."""
    pairs = [(a[metric], b[metric]) for a, b in zip(runs["dlang"], runs[peer]) if metric in a and metric in b]
    ratios = [b / a if metric.endswith("gflops") else a / b for a, b in pairs]
    return statistics.median(ratios) if ratios else None


def show(value):
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def table(results):
    """Markdown: a row for each compared metric, a column for each peer, and the ratio to the best of those that differentiate."""
    peers = [p for p in dict.fromkeys(p for runs in results.values() for p in runs) if p != "dlang"]
    lines = ["| workload | metric | dlang | " + " | ".join(peers) + " | dlang / best peer | MB dlang | MB best peer |",
             "|---" * (len(peers) + 6) + "|"]
    for workload, runs in results.items():
        for metric in WORKLOADS[workload][1]:
            ratios = {p: ratio(runs, p, metric) for p in runs if p != "dlang" and p not in NO_GRADIENT}
            ratios = {p: r for p, r in ratios.items() if r is not None}
            best = max(ratios, key=ratios.get, default=None)
            cells = [workload, metric, show(median(runs["dlang"], metric))]
            cells += [show(median(runs.get(p, []), metric)) for p in peers]
            cells += [f"{ratios[best]:.2f} ({best})", show(median(runs["dlang"], "rss_mb")),
                      show(median(runs[best], "rss_mb"))] if best else ["-", show(median(runs["dlang"], "rss_mb")), "-"]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("workloads", nargs="*", metavar="WORKLOAD", help="which (default: all): " + ", ".join(WORKLOADS))
    p.add_argument("--dlang", required=True, help="the dlang binary")
    p.add_argument("--peers", required=True, type=Path, help="folder with the peers' programs, one Python file a workload")
    p.add_argument("--python", action="append", required=True, help="a Python with torch or jax; may be given more than once")
    p.add_argument("--data", type=Path, help="folder with the data files (default: data beside the peers' grandparent)")
    p.add_argument("--only", nargs="+", metavar="PEER", help="run only these peers, such as torch jax")
    p.add_argument("--repeat", type=int, default=1, metavar="N", help="rounds")
    p.add_argument("--seconds", type=float, help="how long dlang's programs measure (default: as long as the peers)")
    p.add_argument("--seed", type=int, default=0, help="of dlang's random numbers in the first round, one more in each round")
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of each program (default: 1)")
    p.add_argument("--pin", type=int, metavar="CORE", help="run everything on this core")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the metrics of all runs there")
    args = p.parse_args()
    args.workloads = args.workloads or list(WORKLOADS)
    unknown = set(args.workloads) - set(WORKLOADS)
    if unknown:
        p.error(f"no such workload: {', '.join(sorted(unknown))}")
    args.peers = args.peers.resolve()
    args.data = (args.data or args.peers.parents[1] / "data").resolve()

    results, problems = {}, []
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        for workload in args.workloads:
            commands = {"dlang": None}
            script = script_of(args.peers, workload)
            for peer in peers_of(script):
                python = interpreter_for(peer, args.python)
                if python and (not args.only or peer in args.only):
                    commands[peer] = [python, str(script), "--peer", peer, "--threads", str(args.threads)]
            runs = results[workload] = {name: [] for name in commands}
            for round in range(args.repeat):
                commands["dlang"] = dlang_command(workload, args, scratch)
                for name, command in commands.items():
                    run = run_once(command, args, str(scratch / f"cache-{workload}-{name}"))
                    runs[name].append(run)
                    print(f"{workload} {name} {round + 1}/{args.repeat}: {run.get('failed') or show(run['wall_s']) + ' s'}",
                          file=sys.stderr, flush=True)
                    if "failed" in run:
                        problems.append(f"{workload}: {name} failed: {run['failed']}")
                args.seed += 1
            problems += disagreements(workload, runs)
            if args.json:
                args.json.write_text(json.dumps(results, indent=1) + "\n")
    print(table(results))
    if problems:
        print("\n" + "\n".join(f"- {line}" for line in dict.fromkeys(problems)))
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
