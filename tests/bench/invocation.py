"""Calls from one application to another through two sidecars of the same binary, beside the same calls made directly."""

import json
import os
import shutil
import subprocess
import time

import wrk
from process import Child, Sidecar, free_port, request, stream, wait_for_port
from scenarios import Step, resources

SIZES = {"1 KiB": 1 << 10, "100 KiB": 100 << 10}
STREAM = 256 << 20
LIMIT = ("--max-body-size", "512Mi")


class Pair:
    """Two sidecars, and the application behind the second."""

    def __init__(self, place, binary, app, protocol):
        self.home = place.fresh()
        self.app_port = free_port()
        self.app = Child([*app, str(self.app_port)] + (["none", "none"] if protocol == "http" else []), self.home)
        wait_for_port(self.app_port)
        # Sidecars find one another on the whole machine.
        self.callee_id = f"callee-{os.getpid()}-{self.app_port}"
        empty = resources(self.home)
        self.callee = Sidecar(binary, self.home, empty, app_port=self.app_port, app_id=self.callee_id, flags=["--app-protocol", protocol, *LIMIT])
        self.caller = Sidecar(binary, self.home, empty, app_id=f"caller-{os.getpid()}-{self.app_port}", flags=LIMIT)

    def meet(self, path):
        """Waits until the first finds the second."""
        deadline = time.monotonic() + 30
        while (answer := request(self.caller.port, "POST", path))[0] != 200:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no answer through two sidecars: {answer}")
            time.sleep(0.1)

    def cpu(self):
        return self.caller.cpu() + self.callee.cpu()

    def resident(self):
        return self.caller.resident() + self.callee.resident()

    def close(self):
        for child in (self.caller, self.callee, self.app):
            child.close()
        shutil.rmtree(self.home)


def connections(count):
    return f"{count} connection{'s' if count > 1 else ''}"


def measured(pair, load, direct):
    """The load through the pair and, for what it adds, without it."""
    alone = direct()
    before = pair.cpu()
    figures = load()
    figures["cpu"] = (pair.cpu() - before) / max(figures["requests"], 1)
    # Closed loops that share a machine may be no slower through sidecars by chance: then nothing was added.
    figures["added"] = max(figures["p50"] - alone["p50"], 0.0)
    figures["memory"] = pair.resident()
    return figures


def http(place, binary):
    pair = Pair(place, binary, [place.app], "http")
    path = f"/v1.0/invoke/{pair.callee_id}/method/echo"
    pair.meet(path)

    def wrk_load(port, file, count):
        output = subprocess.run(wrk.command(port, file, count, place.plan.load_seconds), capture_output=True, text=True, check=True).stdout
        return wrk.parse(output)

    for label, size in SIZES.items():
        through = wrk.script(pair.home, f"through-{size}", "POST", path, "x" * size)
        direct = wrk.script(pair.home, f"direct-{size}", "POST", "/echo", "x" * size)
        for count in (1, 32):
            figures = measured(pair, lambda: wrk_load(pair.caller.port, through, count), lambda: wrk_load(pair.app_port, direct, count))
            yield ("invocation", f"HTTP, {label}, {connections(count)}"), figures
    pair.close()


def grpc(how, label):
    def run(place, binary):
        pair = Pair(place, binary, [place.grpc, "app"], "grpc")

        def load(way, port, size, count):
            command = [place.grpc, "load", way, str(port), pair.callee_id, str(size), str(count), str(place.plan.load_seconds)]
            figures = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            # Which statuses there were has no median.
            figures.pop("codes", None)
            return figures

        try:
            # A binary that cannot do it yet has no line.
            if load(how, pair.caller.grpc, 1, 1)["requests"] == 0:
                return
            for size_label, size in SIZES.items():
                for count in (1, 32):
                    figures = measured(pair, lambda: load(how, pair.caller.grpc, size, count), lambda: load("direct", pair.app_port, size, count))
                    yield ("invocation", f"{label}, {size_label}, {connections(count)}"), figures
        finally:
            pair.close()
    return run


def streams(place, binary):
    pair = Pair(place, binary, [place.app], "http")
    path = f"/v1.0/invoke/{pair.callee_id}/method"
    pair.meet(f"{path}/echo")
    both = (pair.caller, pair.callee)
    for label, method, target, upload, wanted in (
        ("256 MiB up", "POST", "sink", STREAM, len(str(STREAM))),
        ("256 MiB down", "GET", f"source?{STREAM}", 0, STREAM),
    ):
        resting = pair.resident()
        for sidecar in both:
            sidecar.forget_peak()
        cpu, began = pair.cpu(), time.monotonic()
        status, received = stream(pair.caller.port, method, f"{path}/{target}", upload)
        seconds, mib = time.monotonic() - began, STREAM / (1 << 20)
        yield ("stream", label), {
            "rate": mib / seconds, "cpu": (pair.cpu() - cpu) / 1000 / mib, "peak": max(sum(s.peak() for s in both) - resting, 0.0),
            "whole": 1 if status == 200 and received >= wanted else 0,
        }
    pair.close()


def steps(plan):
    return [
        Step("invocation HTTP", plan.rounds, http, needs_app=True),
        Step("invocation gRPC", plan.rounds, grpc("invoke", "InvokeService"), needs_app=True),
        Step("invocation proxied", plan.rounds, grpc("proxied", "gRPC proxied"), needs_app=True),
        Step("invocation streams", plan.rounds, streams, needs_app=True),
    ]
