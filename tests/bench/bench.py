#!/usr/bin/env python3
"""Compares sidecar binaries side by side: start, memory, rate, latency, CPU, and change under load.

    bench.py proa=bin/daprd dapr=/path/to/daprd [--quick] [--only REGEX] [--json FILE]

The last binary is the baseline of the ratios. Rounds are interleaved (every binary does a step before anyone does the
next), so that a busy machine disturbs all of them alike; figures are medians of the rounds. Needs wrk and redis-server.
"""

import argparse
import json
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time

import report
import scenarios
from process import RedisServer

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binaries", nargs="+", metavar="NAME=PATH", help="the last one is the baseline")
    parser.add_argument("--quick", action="store_true", help="one short round: under two minutes for two binaries")
    parser.add_argument("--only", default="", metavar="REGEX", help="only scenarios whose name matches")
    parser.add_argument("--json", default="bench.json", metavar="FILE", help="where all samples go (default: bench.json)")
    chosen = parser.parse_args()
    binaries = {}
    for entry in chosen.binaries:
        name, separator, path = entry.partition("=")
        if not separator or not pathlib.Path(path).is_file():
            parser.error(f"not NAME=PATH of a file: {entry}")
        binaries[name] = str(pathlib.Path(path).resolve())
    for tool in ("wrk", "redis-server"):
        if not shutil.which(tool):
            parser.error(f"{tool} is not installed")
    return chosen, binaries


def bench_tools(folder):
    """The applications and the load over gRPC: built by cargo when they are not there yet."""
    tools = ("bench-app", "bench-grpc", "bench-messages")
    chosen = [argument for tool in tools for argument in ("--bin", tool)]
    built = subprocess.run(
        ["cargo", "build", "--release", "--quiet", "-p", "proa-harness", *chosen, "--message-format=json"],
        cwd=ROOT, capture_output=True, text=True)
    copies = {}
    for line in built.stdout.splitlines():
        message = json.loads(line)
        name = message.get("target", {}).get("name")
        if message.get("executable") and name in tools:
            copies[name] = str(folder / name)
            shutil.copy(message["executable"], copies[name])
    if len(copies) < len(tools):
        sys.exit(f"the applications of the benchmarks could not be built:\n{built.stderr}")
    return copies


def progress(text):
    """One line that replaces itself, for a person who waits."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def machine():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    memory = int(re.search(r"MemTotal:\s+(\d+)", open("/proc/meminfo").read()).group(1)) // 1024
    return {"cpu": model, "cores": len([line for line in open("/proc/cpuinfo") if line.startswith("processor")]),
            "memory_mib": memory, "kernel": platform.release()}


def main():
    chosen, binaries = arguments()
    plan = scenarios.QUICK if chosen.quick else scenarios.FULL
    steps = [step for step in scenarios.steps(plan) if re.search(chosen.only, step.name)]
    if not steps:
        sys.exit(f"no scenario matches {chosen.only!r}; there are: {', '.join(step.name for step in scenarios.steps(plan))}")
    samples = {}
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="proa-bench-") as folder:
        folder = pathlib.Path(folder)
        tools = bench_tools(folder) if any(step.needs_app for step in steps) else {}
        redis = RedisServer(folder) if any(step.needs_redis for step in steps) else None
        try:
            place = scenarios.Place(folder, redis, tools.get("bench-app"), tools.get("bench-grpc"), tools.get("bench-messages"), plan)
            for path in binaries.values():
                scenarios.warm(place, path)
            for turn in range(max(step.rounds for step in steps)):
                for step in steps:
                    for name, path in binaries.items():
                        if turn >= step.rounds:
                            continue
                        progress(f"round {turn + 1}: {step.name}: {name}")
                        for row, figures in step.run(place, path):
                            samples.setdefault(row, {}).setdefault(name, []).append(figures)
        finally:
            progress("")
            if redis:
                redis.close()
    seconds = round(time.monotonic() - began)
    rows = [{"section": section, "label": label, "rounds": rounds} for (section, label), rounds in samples.items()]
    result = {"machine": machine(), "binaries": binaries, "quick": chosen.quick, "seconds": seconds, "samples": rows}
    # Written before anything is computed of it: a run takes a quarter of an hour.
    pathlib.Path(chosen.json).write_text(json.dumps(result, indent=1) + "\n")
    result["medians"] = report.medians(samples)
    pathlib.Path(chosen.json).write_text(json.dumps(result, indent=1) + "\n")
    print(report.markdown(result["medians"], list(binaries)))
    print(f"{seconds} s, {'one short round' if chosen.quick else 'full run'}, on {machine()['cores']} cores.")


if __name__ == "__main__":
    main()
