#!/usr/bin/env python3
"""Two applications that call each other for a long time while the called one dies again and again and the policies change.

    soak.py bin/daprd [--seconds 600] [--kill 10] [--edit 15] [--deadline 25]

Mixed load: small and large calls, streams, state and messages over HTTP, calls over gRPC. Every `--kill` seconds the called application or its
sidecar is killed and started again; every `--edit` seconds a Resiliency resource is written anew. Passes (status 0) if every request ended within the
deadline, with an answer or a documented error, if nothing was lost that was said to be kept, and if the calling sidecar needs no more memory,
descriptors, threads and tasks at rest in the end than at rest after the first minute.
"""

import argparse
import collections
import http.client
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time

from bench import bench_tools
from process import Child, Sidecar, free_port, request, wait_for_port
from scenarios import component, resources

# What a sidecar may answer when the other side is away, slow or held off by a policy: status and errorCode over HTTP, code over gRPC.
DOCUMENTED = {(500, "ERR_DIRECT_INVOKE")}
CODES = {"Internal", "Unavailable", "Unknown", "DeadlineExceeded"}
LARGE = 100 << 10
STREAM = 4 << 20
RESILIENCY = """apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata:
  name: soak
spec:
  policies:
    timeouts:
      short: {timeout}s
    retries:
      again:
        policy: {policy}
        duration: 200ms
        maxInterval: 1s
        maxRetries: {retries}
    circuitBreakers:
      guard:
        maxRequests: 1
        timeout: 1s
        trip: consecutiveFailures >= {trip}
  targets:
    apps:
      {app}:
        timeout: short
        retry: again
        circuitBreaker: guard
"""


class Outcomes:
    """What became of every request; complaints are what must not happen."""

    def __init__(self, deadline):
        self.lock, self.deadline = threading.Lock(), deadline
        self.counts, self.complaints, self.longest = collections.Counter(), [], 0.0

    def note(self, kind, outcome, seconds):
        with self.lock:
            self.counts[kind, outcome] += 1
            self.longest = max(self.longest, seconds)
        if seconds > self.deadline:
            self.complain(f"{kind}: {outcome} after {seconds:.1f} s")

    def complain(self, text):
        with self.lock:
            self.complaints.append(text)


def told(status, body):
    """An answer, a documented error, or something else: its name and whether it may be."""
    if status == 200 or status == 204:
        return "answer", True
    try:
        code = json.loads(body)["errorCode"]
    except (ValueError, KeyError, TypeError):
        code = ""
    return f"{status} {code}", (status, code) in DOCUMENTED


class Load:
    """Loops that ask one after the other, each in its own thread, until `stop`."""

    def __init__(self, world, outcomes):
        self.world, self.outcomes, self.stop = world, outcomes, threading.Event()
        work = [self.small] * 3 + [self.large, self.down, self.up, self.state, self.publish]
        self.threads = [threading.Thread(target=self.loop, args=(one,), daemon=True) for one in work]
        for thread in self.threads:
            thread.start()

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(self.outcomes.deadline + 10)
            if thread.is_alive():
                self.outcomes.complain("a request has no end")

    def loop(self, work):
        connection, number = None, 0
        while not self.stop.is_set():
            number += 1
            began = time.monotonic()
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self.world.caller.port, timeout=self.outcomes.deadline + 5)
                outcome = work(connection, number)
            except (OSError, http.client.HTTPException) as failure:
                # Streams may break off with the application that sends them; everything else has an answer.
                connection.close()
                connection, outcome = None, f"broken: {type(failure).__name__}"
                if work not in (self.down, self.up):
                    self.outcomes.complain(f"{work.__name__}: {failure!r} after {time.monotonic() - began:.1f} s")
            self.outcomes.note(work.__name__, outcome, time.monotonic() - began)
            time.sleep(0.005)

    def ask(self, connection, method, path, body=b"", wanted=None):
        connection.request(method, path, body, {"content-type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        outcome, fine = told(answer.status, text)
        if not fine:
            self.outcomes.complain(f"{method} {path}: {answer.status} {text[:300]!r}")
        elif outcome == "answer" and wanted is not None and not wanted(text):
            self.outcomes.complain(f"{method} {path}: a wrong answer of {len(text)} bytes")
        return outcome

    def method(self, name):
        return f"/v1.0/invoke/{self.world.callee_id}/method/{name}"

    def small(self, connection, number):
        body = json.dumps({"number": number}).encode()
        return self.ask(connection, "POST", self.method("echo"), body, lambda text: text == body)

    def large(self, connection, number):
        body = bytes([number % 256]) * LARGE
        return self.ask(connection, "POST", self.method("echo"), body, lambda text: text == body)

    def down(self, connection, number):
        return self.ask(connection, "GET", self.method(f"source?{STREAM}"), b"", lambda text: len(text) == STREAM)

    def up(self, connection, number):
        return self.ask(connection, "POST", self.method("sink"), bytes(STREAM), lambda text: int(text) == STREAM)

    def state(self, connection, number):
        key = f"k{number % 100}"
        saved = self.ask(connection, "POST", "/v1.0/state/store", json.dumps([{"key": key, "value": number}]).encode())
        found = self.ask(connection, "GET", f"/v1.0/state/store/{key}", b"", lambda text: json.loads(text) == number)
        return saved if saved != "answer" else found

    def publish(self, connection, number):
        return self.ask(connection, "POST", "/v1.0/publish/broker/topic", b"{}")


class World:
    def __init__(self, binary, folder, tools):
        self.binary, self.folder, self.tools = binary, folder, tools
        self.app_port, self.grpc_port, self.run = free_port(), free_port(), f"{os.getpid()}"
        self.callee_id, self.grpc_id = f"callee-{self.run}", f"grpc-{self.run}"
        self.edits = 0
        empty = folder / "empty"
        empty.mkdir()
        self.empty = empty
        self.resources = resources(folder, component("store", "state.in-memory"), component("broker", "pubsub.in-memory"))
        self.edit()
        self.start_app()
        self.grpc_app = Child([tools["bench-grpc"], "app", str(self.grpc_port)], folder)
        wait_for_port(self.grpc_port)
        self.start_callee()
        self.grpc_callee = Sidecar(binary, folder, empty, app_port=self.grpc_port, app_id=self.grpc_id, flags=["--app-protocol", "grpc"])
        configuration = folder / "config.yaml"
        configuration.write_text("apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata:\n  name: soak\nspec:\n  features:\n    - name: HotReload\n      enabled: true\n")
        self.caller = Sidecar(binary, folder, self.resources, app_id=f"caller-{self.run}", flags=["--config", str(configuration)])
        self.meet()

    def start_app(self):
        self.app = Child([self.tools["bench-app"], str(self.app_port), "none", "none"], self.folder)
        wait_for_port(self.app_port)

    def start_callee(self):
        self.callee = Sidecar(self.binary, self.folder, self.empty, app_port=self.app_port, app_id=self.callee_id)

    def meet(self, seconds=30):
        deadline = time.monotonic() + seconds
        while request(self.caller.port, "POST", f"/v1.0/invoke/{self.callee_id}/method/echo", b"{}", timeout=30)[0] != 200:
            if time.monotonic() > deadline:
                raise RuntimeError("the applications do not find each other")
            time.sleep(0.1)

    def kill(self, turn):
        """The application, its sidecar, or both; started again a second later."""
        what = ("application", "sidecar", "both")[turn % 3]
        if what != "sidecar":
            self.app.close()
        if what != "application":
            self.callee.close()
        time.sleep(1)
        if what != "sidecar":
            self.start_app()
        if what != "application":
            self.start_callee()

    def edit(self):
        turn, self.edits = self.edits, self.edits + 1
        text = RESILIENCY.format(timeout=2 + turn % 3, policy=("constant", "exponential")[turn % 2], retries=1 + turn % 4, trip=5 + turn % 10, app=self.callee_id)
        draft = self.folder / "draft"
        draft.write_text(text)
        draft.rename(self.resources / "resiliency.yaml")

    def needs(self):
        """What the calling sidecar needs, at rest."""
        time.sleep(5)
        found = {"MiB": self.caller.resident(), "descriptors": self.caller.descriptors(), "threads": self.caller.threads()}
        _, metrics = request(self.caller.metrics, "GET", "/metrics")
        tasks = re.search(rb"^go_goroutines (\d+)", metrics, re.M)
        if tasks:
            found["tasks"] = int(tasks.group(1))
        return found

    def grpc_load(self, seconds):
        command = [self.tools["bench-grpc"], "load", "invoke", str(self.caller.grpc), self.grpc_id, "1024", "4", str(seconds)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def close(self):
        for child in (self.caller, self.callee, self.grpc_callee, self.app, self.grpc_app):
            child.close()


def disturb(world, seconds, chosen):
    """Kills and edits until the time is over; gives how often."""
    end = time.monotonic() + seconds
    next_kill, next_edit, kills, edits = time.monotonic() + chosen.kill, time.monotonic() + chosen.edit, 0, 0
    while time.monotonic() < end:
        now = time.monotonic()
        if now >= next_kill:
            world.kill(kills)
            kills, next_kill = kills + 1, next_kill + chosen.kill
        if now >= next_edit:
            world.edit()
            edits, next_edit = edits + 1, next_edit + chosen.edit
        time.sleep(0.1)
    return kills, edits


def phase(world, outcomes, seconds, chosen):
    load, grpc = Load(world, outcomes), world.grpc_load(max(int(seconds) - 1, 1))
    kills, edits = disturb(world, seconds, chosen)
    load.end()
    figures = json.loads(grpc.communicate()[0])
    outcomes.note("grpc", "answers", figures["longest"] / 1000)
    outcomes.counts["grpc", "answers"] += figures["requests"] - 1
    for code, count in figures["codes"].items():
        outcomes.counts["grpc", code] += count
        if code not in CODES:
            outcomes.complain(f"grpc: {count} × {code}")
    world.meet()
    return kills, edits


def grown(before, after):
    """What is more than chance and buffers explain."""
    slack = {"MiB": before["MiB"] * 0.15 + 8, "descriptors": 10, "threads": 4, "tasks": 20}
    return [f"{what}: {before[what]:.0f} → {after[what]:.0f}" for what in before if after[what] > before[what] + slack[what]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--kill", type=float, default=10)
    parser.add_argument("--edit", type=float, default=15)
    parser.add_argument("--deadline", type=float, default=25, help="seconds: the longest that policies and retries may take together")
    chosen = parser.parse_args()
    outcomes = Outcomes(chosen.deadline)
    with tempfile.TemporaryDirectory(prefix="proa-soak-") as folder:
        folder = pathlib.Path(folder)
        world = World(str(chosen.binary.resolve()), folder, bench_tools(folder))
        try:
            warm = min(60.0, chosen.seconds / 4)
            kills, edits = phase(world, outcomes, warm, chosen)
            before = world.needs()
            more = phase(world, outcomes, chosen.seconds - warm, chosen)
            kills, edits, after = kills + more[0], edits + more[1], world.needs()
        finally:
            world.close()
    for growth in grown(before, after):
        outcomes.complain(f"grown: {growth}")
    print(f"{chosen.seconds:.0f} s, {kills} kills, {edits} edits; the longest request took {outcomes.longest:.1f} s")
    for kind in sorted({kind for kind, _ in outcomes.counts}):
        told_of = ", ".join(f"{count:,} × {outcome}" for (other, outcome), count in sorted(outcomes.counts.items()) if other == kind)
        print(f"  {kind}: {told_of}")
    print("  at rest: " + ", ".join(f"{what} {before[what]:.0f} → {after[what]:.0f}" for what in before))
    for complaint in outcomes.complaints[:20]:
        print(f"COMPLAINT: {complaint}")
    print(f"{len(outcomes.complaints)} complaints")
    sys.exit(1 if outcomes.complaints else 0)


if __name__ == "__main__":
    main()
