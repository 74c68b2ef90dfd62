#!/usr/bin/env python3
"""Compares dlang with other tools on GradBench's evals, and prints tables in Markdown.

    GRADBENCH=CLONE compare.py DLANG [--preset quick|large|full] [--evals lse,gmm] [--tools manual,jax,dlang] ...

README.md beside this file says how to set up the clone and the tools. This program stands between an eval, which makes
inputs and checks answers, and a tool, which computes: both talk in lines of JSON. All run on one core, one after the other.
"""
import argparse
import json
import os
import queue
import resource
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODES = ["ff", "fr", "rf", "rr"]
# Of each eval the functions that differentiate.
DERIVATIVES = {
    "lse": ["gradient"], "llsq": ["gradient"], "ode": ["gradient"], "det": ["gradient"], "kmeans": ["dir"], "gmm": ["jacobian"],
    "lstm": ["jacobian"], "ba": ["jacobian"], "ht": ["jacobian"], "particle": MODES, "saddle": MODES,
}
DESCENTS = ["particle", "saddle"]  # have one size and four modes
TITLES = {"manual": "by hand", "codipack": "CoDiPack", "adol-c": "ADOL-C", "jax": "JAX", "torch": "PyTorch"}
START_LIMIT = 120  # seconds: to load a library may take longer than to compute with it
EXECUTABLES = ["manual", "codipack", "adol-c", "cppad", "adept", "finite", "ad-hpp", "enzyme"]

# Of each preset the least number of runs and of seconds in them, and the sizes: of each eval the arguments of its program,
# which is started once for each list.
QUICK = {
    "lse": ["-n 160000"], "llsq": ["-n 4096"], "ode": ["-n 1000 10000 -s 10"], "det": ["-l 8"],
    "kmeans": ["-k 10 100 -n 1000 -d 8"], "gmm": ["-d 2 20 -k 25"], "lstm": ["-l 2 -c 1024"], "ba": ["--max 1"],
    "ht": ["--model small --max 1"], "particle": ["--min-runs 40"], "saddle": ["--min-runs 40"],
}
LARGE = {
    "lse": ["-n 1280000"], "llsq": ["-n 16392"], "ode": ["-n 100000 -s 10"], "det": ["-l 10 11"],
    "kmeans": ["-k 1000 -n 10000 -d 8"], "gmm": ["-d 64 -k 100"], "lstm": ["-l 6 -c 8192"], "ba": ["--min 14 --max 14"],
    "ht": ["--model big --min 11 --max 11"],
}
# The evals' own sizes. (What hand 12 of ht needs is missing in some copies of the clone.)
FULL = {name: [""] for name in DERIVATIVES} | {"ht": ["--model small --max 11", "--model big --max 11"]}
PRESETS = {"quick": (3, 0.2, QUICK), "large": (2, 0.3, LARGE), "full": (2, 0.3, FULL)}


class Failure(Exception):
    """Why a tool did not answer, in a word or two, and maybe what it said."""


class Child:
    """A process that takes lines and gives lines."""

    def __init__(self, command, folder=None, environment=None):
        self.process = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        self.lines = queue.Queue()
        threading.Thread(target=self.read_all, daemon=True).start()

    def read_all(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def send(self, line):
        try:
            self.process.stdin.write(line)
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # then reading finds its end

    def receive(self, limit=None):
        """The next line; none at the end."""
        return self.lines.get(timeout=limit)

    def end(self):
        self.process.kill()
        self.process.wait()


class Program:
    """A tool that is a program which speaks the protocol."""

    def __init__(self, command):
        self.command = command
        self.child = None

    def ask(self, line, message, limit):
        """The answer to a message, as a line and in Python."""
        if not self.child:
            self.child = Child(self.command)
        self.child.send(line)
        try:
            answer = self.child.receive(limit)
        except queue.Empty:
            self.end()
            raise Failure(f"more than {limit:g} s") from None
        if answer is None:
            self.end()
            raise Failure("ended")
        return answer, json.loads(answer)

    def end(self):
        if self.child:
            self.child.end()
        self.child = None


class Executables:
    """A tool that is an executable for each eval, which takes a file with the input and the name of a function, and prints
    the result and timings. (The clone has a program that makes of these a tool, but it compiles them for each eval.)"""

    def __init__(self, folder, memory):
        self.folder, self.memory = folder, memory

    def ask(self, line, message, limit):
        answer = {"id": message["id"]}
        if message["kind"] == "define":
            answer["success"] = (self.folder / message["module"]).exists()
        elif message["kind"] == "evaluate":
            # In a folder of its own, as ADOL-C writes long recordings into files.
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder, "input.json")
                file.write_text(json.dumps(message["input"]))
                command = [self.folder / message["module"], file, message["function"]]
                try:
                    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=limit, preexec_fn=self.limit_memory)
                except subprocess.TimeoutExpired:
                    raise Failure(f"more than {limit:g} s") from None
            if done.returncode:
                raise Failure("ended", done.stderr.decode(errors="replace"))
            output, *timings = done.stdout.splitlines()
            answer |= {"success": True, "output": json.loads(output), "timings": [json.loads(t) for t in timings]}
        return (json.dumps(answer) + "\n").encode(), answer

    def limit_memory(self):
        resource.setrlimit(resource.RLIMIT_AS, (self.memory, self.memory))

    def end(self):
        pass


def outcome(answer):
    """What the tables need of an answer: seconds of the least run, of the first, and of what was done before that."""
    runs = [t["nanoseconds"] / 1e9 for t in answer["timings"] if t["name"] == "evaluate"]
    before = [t["nanoseconds"] / 1e9 for t in answer["timings"] if t["name"] != "evaluate"]
    return {"least": min(runs), "first": runs[0], "before": sum(before), "runs": len(runs)}


def run(name, arguments, tool, options):
    """One eval against one tool: outcomes by size and function, or nothing if the tool has no such eval."""
    clone = options.gradbench
    environment = dict(os.environ, PYTHONPATH=f"{clone}/python/gradbench")
    program = Child([options.python, f"{clone}/python/gradbench/gradbench/evals/{name}/run.py", *arguments], clone, environment)
    outcomes, by_id, failed = {}, {}, set()
    while line := program.receive():
        message = json.loads(line)
        answer = (json.dumps({"id": message["id"], "success": False, "error": "not asked for"}) + "\n").encode()
        if message["kind"] == "evaluate":
            function = message["function"]
            # The larger sizes, which come later, would take even longer than one that took too long.
            if function in DERIVATIVES[name] and function not in failed:
                key = (" ".join(arguments[1:2] * (name == "ht")) + " " + message["description"]).strip(), function
                try:
                    answer, content = tool.ask(line, message, options.limit)
                    if content["success"]:
                        result = outcome(content)
                        # The evals take NaN for right. (Programs in C++ write it as null.)
                        result["fault"] = "NaN" if b"NaN" in answer or b"null" in answer else ""
                    else:
                        result = {"fault": "refused", "error": content.get("error", "")}
                except Failure as failure:
                    result = dict(zip(("fault", "error"), failure.args))
                    failed.add(function)
                outcomes[key] = by_id[message["id"]] = result
        elif message["kind"] == "analysis":
            if not message["valid"]:
                by_id[message["of"]] |= {"fault": "wrong", "error": message.get("error", "")}
        else:
            try:
                answer, _ = tool.ask(line, message, START_LIMIT)
            except Failure as failure:
                print(f"{name}: a tool fails at {message['kind']}: {failure}", file=sys.stderr)
        program.send(answer)
    program.end()
    return outcomes


def written_time(seconds):
    """Three digits and a unit."""
    unit, factor = next((u for u in (("s", 1), ("ms", 1e3), ("us", 1e6)) if seconds * u[1] >= 1), ("ns", 1e9))
    value = seconds * factor
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}"


def cell(result, seconds):
    if not result or result["fault"] == "refused":
        return ""  # the report says why
    return result["fault"] or written_time(seconds(result))


def table(results, tools, names, seconds):
    """Markdown with a row for each size of each eval, and a column for each tool."""
    here = [name for name in names if any(results.get(name, {}).values())]
    if not here:
        return ""
    lines = ["| eval | " + " | ".join(TITLES.get(tool, tool) for tool in tools) + " |", "| --- " * (len(tools) + 1) + "|"]
    for name in here:
        for size, function in sorted_rows(name, results[name]):
            label = function if name in DESCENTS else size
            cells = [cell(results[name].get(tool, {}).get((size, function)), seconds) for tool in tools]
            lines.append(f"| {name}, {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def sorted_rows(name, by_tool):
    """Sizes in the order in which the eval asked, modes in ours."""
    rows = list(dict.fromkeys(row for outcomes in by_tool.values() for row in outcomes))
    return sorted(rows, key=lambda row: MODES.index(row[1])) if name in DESCENTS else rows


def last_words(error):
    """The last line of an error, which says the most in a trace of Python."""
    return error.strip().rpartition("\n")[2][:200]


def report(results, tools):
    """All tables, and what went wrong."""
    parts = []
    others = [name for name in DERIVATIVES if name not in DESCENTS]
    for title, seconds in (("The least of the runs", lambda r: r["least"]),
                           ("The first run, with what was done before it (recording, compiling)", lambda r: r["before"] + r["first"])):
        for names, what in ((others, ""), (DESCENTS, ", by the modes of the outer and the inner derivative")):
            if text := table(results, tools, names, seconds):
                parts.append(f"{title}{what}:\n\n{text}")
    faults = [f"- {TITLES.get(tool, tool)}, {name} {size} {function}: {result['fault']} {last_words(result.get('error', ''))}".rstrip()
              for name, by_tool in results.items() for tool, outcomes in by_tool.items()
              for (size, function), result in outcomes.items() if result["fault"]]
    parts.append("\n".join(["Not answered, or not rightly:", "", *faults]) if faults else "All answers were right.")
    return "\n".join(parts) + "\n"


def write_lstm_text(clone):
    """A text for lstm, if the clone came without its largest files: of the text only the largest character matters, which
    makes a character 14 bits wide."""
    path = Path(clone, "evals/lstm/data/lstm_full.txt")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("It\u2019s any text, again and again. " * 600, encoding="utf8")


def all_tools(options):
    """What can be compared, by name."""
    memory = int(options.memory * 2**30)
    tools = {name: Executables(Path(options.gradbench, "tools", name, "bin"), memory) for name in EXECUTABLES}
    tools["jax"] = Program([os.environ.get("JAX_PYTHON", options.python), HERE / "peers/jax_tool.py"])
    tools["torch"] = Program([os.environ.get("TORCH_PYTHON", options.python), HERE / "peers/torch_tool.py"])
    tools["dlang"] = Program([os.path.abspath(options.dlang), HERE / "gradbench.dl"])
    for definition in options.tool:
        name, command = definition.split("=", 1)
        tools[name] = Program(shlex.split(command))
    return tools


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dlang", help="the program dlang, built with --release")
    parser.add_argument("--gradbench", default=os.environ.get("GRADBENCH"), help="a clone of GradBench (default: $GRADBENCH)")
    parser.add_argument("--python", default=os.environ.get("GRADBENCH_PYTHON", sys.executable), help="runs the evals (default: $GRADBENCH_PYTHON)")
    parser.add_argument("--preset", choices=PRESETS, default="quick")
    parser.add_argument("--evals", default=",".join(DERIVATIVES))
    parser.add_argument("--tools", default="manual,codipack,adol-c,jax,torch,dlang")
    parser.add_argument("--tool", action="append", default=[], metavar="NAME=COMMAND", help="one more tool, which speaks the protocol")
    parser.add_argument("--skip", default="", help="pairs of tool and eval that would take too long, such as torch:ba,torch:ht")
    parser.add_argument("--limit", type=float, default=60, help="seconds for an answer")
    parser.add_argument("--memory", type=float, default=8, help="GiB for a tool of executables")
    parser.add_argument("--core", type=int, default=0, help="the core to run on")
    parser.add_argument("--json", help="a file for all results")
    parser.add_argument("--errors", default=os.devnull, help="a file for what tools say on stderr")
    options = parser.parse_args()
    if not options.gradbench:
        parser.error("which clone of GradBench? Set GRADBENCH")
    return options


def main():
    global errors
    options = parse_options()
    errors = open(options.errors, "ab")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {options.core})
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    write_lstm_text(options.gradbench)
    runs, seconds, sizes = PRESETS[options.preset]
    names = options.tools.split(",") + [definition.split("=")[0] for definition in options.tool]
    tools = all_tools(options)
    skipped = options.skip.split(",")
    for tool in names:
        try:
            tools[tool].ask(b'{"id": 0, "kind": "start"}\n', {"id": 0, "kind": "start"}, START_LIMIT)
            tools[tool].end()
        except Failure as failure:
            sys.exit(f"{tool} does not start ({failure}): --errors FILE has what it says")
    results = {}
    for name in options.evals.split(","):
        for tool in names:
            if f"{tool}:{name}" in skipped:
                continue
            start = time.monotonic()
            for arguments in sizes.get(name, []):
                wishes = ["--min-seconds", str(seconds)] + ([] if "--min-runs" in arguments else ["--min-runs", str(runs)])
                outcomes = run(name, arguments.split() + wishes, tools[tool], options)
                results.setdefault(name, {}).setdefault(tool, {}).update(outcomes)
            tools[tool].end()
            print(f"{name:9} {tool:9} {time.monotonic() - start:6.1f} s", file=sys.stderr, flush=True)
    if options.json:
        rows = [{"eval": name, "size": size, "function": function, "tool": tool, **result} for name, by_tool in results.items()
                for tool, outcomes in by_tool.items() for (size, function), result in outcomes.items()]
        Path(options.json).write_text(json.dumps(rows, indent=1))
    print(report(results, names))


if __name__ == "__main__":
    main()
