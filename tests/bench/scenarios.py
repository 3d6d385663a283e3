"""What is measured. A step runs for one binary in one round and yields (row, figures); row is (section, label)."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from typing import Callable

import wrk
from process import Child, Sidecar, free_port, request, wait_for_port


@dataclass
class Plan:
    rounds: int
    start_rounds: int
    load_seconds: int
    idle_seconds: float
    still_seconds: int
    swap_seconds: int
    swap_rounds: int


FULL = Plan(rounds=3, start_rounds=5, load_seconds=2, idle_seconds=1.5, still_seconds=4, swap_seconds=12, swap_rounds=1)
QUICK = Plan(rounds=1, start_rounds=1, load_seconds=1, idle_seconds=1.0, still_seconds=2, swap_seconds=4, swap_rounds=1)


@dataclass
class Place:
    folder: pathlib.Path
    redis: object
    app: str
    grpc: str
    messages: str
    plan: Plan

    def fresh(self):
        return pathlib.Path(tempfile.mkdtemp(dir=self.folder))


@dataclass
class Step:
    name: str
    rounds: int
    run: Callable
    needs_redis: bool = False
    needs_app: bool = False


def component(name, kind, **metadata):
    lines = [f"apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: {name}\nspec:\n  type: {kind}\n  version: v1"]
    if metadata:
        lines.append("  metadata:")
    lines += [f"    - name: {field}\n      value: {json.dumps(str(value))}" for field, value in metadata.items()]
    return "\n".join(lines) + "\n"


def resources(home, *documents):
    folder = home / "resources"
    folder.mkdir()
    for number, document in enumerate(documents):
        (folder / f"{number:02}.yaml").write_text(document)
    return folder


# ---- start and memory -------------------------------------------------------------------------------------------------

def mixed(count):
    """`count` components of five kinds that need no server."""
    kinds = [
        lambda n: component(f"state-{n}", "state.in-memory"), lambda n: component(f"broker-{n}", "pubsub.in-memory"),
        lambda n: component(f"files-{n}", "bindings.localstorage", rootPath="files"),
        lambda n: component(f"env-{n}", "secretstores.local.env"),
        lambda n: component(f"web-{n}", "bindings.http", url="http://127.0.0.1:9"),
    ]
    return [kinds[n % len(kinds)](n) for n in range(count)]


def start(count):
    def run(place, binary):
        home = place.fresh()
        sidecar = Sidecar(binary, home, resources(home, *mixed(count)))
        time.sleep(place.plan.idle_seconds)
        yield ("start", f"start to healthy, {count} components (ms)"), {"value": sidecar.ready}
        yield ("start", f"resident, idle, {count} components (MiB)"), {"value": sidecar.resident()}
        sidecar.close()
        shutil.rmtree(home)
    return run


def first_start(place, binary):
    """As on a machine that never saw the binary: whatever it keeps in its cache folder is not there."""
    home = place.fresh()
    cache = home / "cache"
    cache.mkdir()
    sidecar = Sidecar(binary, home, resources(home, *mixed(5)), environment={**os.environ, "XDG_CACHE_HOME": str(cache)})
    yield ("start", "very first start, 5 components (ms)"), {"value": sidecar.ready}
    time.sleep(place.plan.idle_seconds)
    yield ("start", "resident after the very first start (MiB)"), {"value": sidecar.resident()}
    sidecar.close()
    shutil.rmtree(home)


def warm(place, binary):
    """One start that nobody measures: fills the caches of the binary and of the system."""
    home = place.fresh()
    documents = mixed(5) + [store_document("state.sqlite", place)]
    if place.redis:
        documents.append(store_document("state.redis", place).replace("name: store\n", "name: redis\n"))
    Sidecar(binary, home, resources(home, *documents)).close()
    shutil.rmtree(home)


# ---- state --------------------------------------------------------------------------------------------------------------

STORES = {"in-memory": "state.in-memory", "SQLite": "state.sqlite", "Redis": "state.redis"}


def store_document(kind, place, **more):
    own = {"state.sqlite": {"connectionString": "bench.db"}, "state.redis": {"redisHost": f"127.0.0.1:{place.redis.port}"} if place.redis else {}}
    return component("store", kind, **own.get(kind, {}), **more)


def fill(sidecar):
    items = [{"key": f"k{n}", "value": wrk.VALUE} for n in range(1, wrk.KEYS + 1)]
    status, body = request(sidecar.port, "POST", "/v1.0/state/store", json.dumps(items).encode())
    if status != 204:
        raise RuntimeError(f"could not fill the store: {status} {body}")


def loaded(place, sidecar, label, file, seconds=None):
    for connections in (1, 32):
        figures = wrk.load(sidecar, file, connections, seconds or place.plan.load_seconds)
        yield ("work", f"{label}, {connections} connection{'s' if connections > 1 else ''}"), figures


def state(label, kind):
    def run(place, binary):
        home = place.fresh()
        sidecar = Sidecar(binary, home, resources(home, store_document(kind, place)))
        fill(sidecar)
        get = wrk.script(home, "get", "GET", "/v1.0/state/store/kNUMBER")
        save = wrk.script(home, "save", "POST", "/v1.0/state/store", json.dumps([{"key": "kNUMBER", "value": wrk.VALUE}]))
        yield from loaded(place, sidecar, f"state get, {label}", get)
        yield from loaded(place, sidecar, f"state save, {label}", save)
        yield ("start", f"resident after load, state {label} (MiB)"), {"value": sidecar.resident()}
        sidecar.close()
        shutil.rmtree(home)
    return run


# ---- publish ------------------------------------------------------------------------------------------------------------

def publish(place, binary):
    home = place.fresh()
    body = json.dumps({"value": wrk.VALUE})
    file = wrk.script(home, "publish", "POST", "/v1.0/publish/broker/topic", body)
    folder = resources(home, component("broker", "pubsub.in-memory"))

    sidecar = Sidecar(binary, home, folder)
    yield from loaded(place, sidecar, "publish, no subscriber", file)
    sidecar.close()

    port = free_port()
    app = Child([place.app, str(port), "broker", "topic"], home)
    wait_for_port(port)
    sidecar = Sidecar(binary, home, folder, app_port=port)
    wait_for_subscription(sidecar)
    for row, figures in loaded(place, sidecar, "publish, one subscriber", file):
        published = figures["requests"]
        settle(port)
        received = int(request(port, "GET", "/count")[1])
        figures["delivered"] = received / max(published, 1)
        request(port, "GET", "/reset")
        yield row, figures
    yield ("start", "resident after load, publish (MiB)"), {"value": sidecar.resident()}
    sidecar.close()
    app.close()
    shutil.rmtree(home)


def wait_for_subscription(sidecar, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if json.loads(request(sidecar.port, "GET", "/v1.0/metadata")[1]).get("subscriptions"):
            return
        time.sleep(0.01)
    raise RuntimeError("the subscription did not appear")


def settle(port, seconds=5):
    """Waits until the subscriber's count stands still."""
    deadline, last = time.monotonic() + seconds, -1
    while time.monotonic() < deadline:
        now = int(request(port, "GET", "/count")[1])
        if now == last:
            return
        last = now
        time.sleep(0.1)


# ---- change under load --------------------------------------------------------------------------------------------------

def swap(label, kind):
    def run(place, binary):
        home = place.fresh()
        folder = resources(home, store_document(kind, place))
        sidecar = Sidecar(binary, home, folder)
        fill(sidecar)
        file = wrk.script(home, "get", "GET", "/v1.0/state/store/kNUMBER")
        still = wrk.load(sidecar, file, 16, place.plan.still_seconds)
        edited = edited_load(place, sidecar, file, folder / "00.yaml", kind)
        status, _ = request(sidecar.port, "GET", "/v1.0/state/store/k1")
        yield ("swap", label), {
            "requests": edited["requests"], "failed": edited["failed"], "edits": edited["edits"],
            "still": still["p99"], "edited": edited["p99"], "kept": 1 if status == 200 else 0,
        }
        sidecar.close()
        shutil.rmtree(home)
    return run


def edited_load(place, sidecar, file, target, kind):
    """The load while the component's YAML is replaced every half second, each time with other contents."""
    field = {"state.sqlite": "cleanupInterval", "state.redis": "redisMaxRetries"}.get(kind, "generation")
    command = wrk.command(sidecar.port, file, 16, place.plan.swap_seconds)
    load = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    edits, end = 0, time.monotonic() + place.plan.swap_seconds - 0.5
    while time.monotonic() < end:
        time.sleep(0.5)
        edits += 1
        value = f"{60 + edits}m" if kind == "state.sqlite" else 3 + edits
        draft = target.parent.parent / "draft"
        draft.write_text(store_document(kind, place, **{field: value}))
        draft.rename(target)
    output, _ = load.communicate()
    return {**wrk.parse(output), "edits": edits}


def steps(plan):
    # They build on this module.
    import invocation
    import messaging
    import neighbours

    all_steps = [Step(f"start {count}", plan.start_rounds, start(count)) for count in (0, 5, 20)]
    all_steps.append(Step("first start", plan.rounds, first_start))
    for label, kind in STORES.items():
        all_steps.append(Step(f"state {label}", plan.rounds, state(label, kind), needs_redis=label == "Redis"))
    all_steps.append(Step("publish", plan.rounds, publish, needs_app=True))
    for label, kind in STORES.items():
        all_steps.append(Step(f"swap {label}", plan.swap_rounds, swap(label, kind), needs_redis=label == "Redis"))
    return all_steps + messaging.steps(plan) + invocation.steps(plan) + neighbours.steps(plan)
