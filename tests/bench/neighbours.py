"""How a component that misbehaves all the time shows in the calls of another one. Only for binaries that run components in sandboxes."""

import json
import os
import pathlib
import shutil
import subprocess
import time

import wrk
from process import Sidecar, request
from scenarios import Step, component, fill, resources

# What the component of tests/guests/hostile-state does with a key of this name.
MISDEEDS = ("spin", "alloc", "trap")
PAUSE = 0.002


def guests():
    """Where tests/guests/build.sh has put its components; none if it was not run."""
    folder = os.environ.get("PROA_TEST_GUESTS")
    return pathlib.Path(folder) if folder else None


def calls(port, seconds):
    """Reads one after the other, with a pause in between: (sorted times in ms, failures)."""
    times, failed, end, number = [], 0, time.monotonic() + seconds, 0
    while time.monotonic() < end:
        number = number % wrk.KEYS + 1
        began = time.perf_counter()
        status, _ = request(port, "GET", f"/v1.0/state/store/k{number}")
        times.append((time.perf_counter() - began) * 1000)
        failed += status != 200
        time.sleep(PAUSE)
    return sorted(times), failed


def p99(times):
    return times[min(int(len(times) * 0.99), len(times) - 1)]


def run(place, binary):
    module = guests() / "hostile-state.wasm" if guests() else None
    if not module or not module.is_file():
        return
    home = place.fresh()
    hostile = component("hostile", "state.hostile").replace(
        "  name: hostile\n", f"  name: hostile\n  annotations:\n    proa.dev/module: {json.dumps(str(module))}\n    proa.dev/call-timeout: 1s\n")
    hostile = hostile.replace("spec:\n", "spec:\n  ignoreErrors: true\n")
    sidecar = Sidecar(binary, home, resources(home, component("store", "state.in-memory"), hostile))
    try:
        known = json.loads(request(sidecar.port, "GET", "/v1.0/metadata")[1])["components"]
        if not any(one["name"] == "hostile" for one in known):
            return
        fill(sidecar)
        alone, _ = calls(sidecar.port, place.plan.still_seconds)
        for misdeed in MISDEEDS:
            file = wrk.script(home, misdeed, "GET", f"/v1.0/state/hostile/{misdeed}")
            attack = subprocess.Popen(wrk.command(sidecar.port, file, 1, place.plan.still_seconds + 2), stdout=subprocess.PIPE, text=True)
            time.sleep(1)
            beside, failed = calls(sidecar.port, place.plan.still_seconds)
            attacks = wrk.parse(attack.communicate()[0])["requests"]
            yield ("neighbours", misdeed), {"calls": len(beside), "failed": failed, "still": p99(alone), "beside": p99(beside), "attacks": attacks}
    finally:
        sidecar.close()
        shutil.rmtree(home)


def steps(plan):
    return [Step("hostile neighbours", plan.rounds, run)]
