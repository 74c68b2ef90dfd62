"""GradBench's protocol for the tools in this folder: a line of JSON in, a line of JSON out."""
import json
import sys
import time
import traceback


def serve(name, modules, first_run):
    """Answer requests until there are no more.

    `modules` holds by module and function what prepares a run: from a request's input it makes a function without
    arguments, which is what the clock measures, and one that makes of its result what JSON can say. A first run before
    the timed ones is noted as `first_run`, if that is a name: a library may compile in it.
    """
    for line in sys.stdin:
        request = json.loads(line)
        response = {"id": request["id"]}
        if request["kind"] == "start":
            response["tool"] = name
        elif request["kind"] == "define":
            response["success"] = request["module"] in modules
        elif request["kind"] == "evaluate":
            prepare = modules[request["module"]].get(request["function"])
            try:
                if not prepare:
                    raise NotImplementedError(f"{name} has no {request['function']} of {request['module']}")
                response |= evaluate(prepare, request["input"], first_run)
            except Exception:
                response |= {"success": False, "error": traceback.format_exc()}
        print(json.dumps(response), flush=True)


def evaluate(prepare, input, first_run):
    """Run as often and as long as the request wants."""
    run, answer = prepare(input)
    wishes = input if isinstance(input, dict) else {}
    timings = []
    if first_run:
        timings.append({"name": first_run, "nanoseconds": timed(run)[1]})
    runs, total = 0, 0
    while runs < max(wishes.get("min_runs", 1), 1) or total < 1e9 * wishes.get("min_seconds", 0):
        result, nanoseconds = timed(run)
        timings.append({"name": "evaluate", "nanoseconds": nanoseconds})
        runs, total = runs + 1, total + nanoseconds
    return {"success": True, "output": answer(result), "timings": timings}


def timed(run):
    start = time.perf_counter_ns()
    result = run()
    return result, time.perf_counter_ns() - start
