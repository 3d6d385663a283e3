"""Messages from their publication to the application that subscribed, through brokers inside and outside of the sidecar."""

import json
import shutil

from process import Child, Sidecar, free_port, request, wait_for_port
from scenarios import Step, component, resources, wait_for_subscription

# A name, messages of a call, messages that are published and not delivered yet. Without a place in the broker's window for each message of it
# a batch never fills: it waits for its time, and so do they all. In memory there is one place.
WAYS = (("one at a time", 1, 1), ("64 under way", 1, 64), ("bulk 100, 1000 under way", 100, 1000))
IN_MEMORY_WAYS = (*WAYS[:2], ("bulk 100, 100 under way", 100, 100))
WARM_MS = 300


def messages(label, kind):
    def run(place, binary):
        for name, batch, window in IN_MEMORY_WAYS if kind == "pubsub.in-memory" else WAYS:
            home = place.fresh()
            port = free_port()
            app = Child([place.messages, str(port), "broker", "topic", str(batch)], home)
            wait_for_port(port)
            fields = {"redisHost": f"127.0.0.1:{place.redis.port}", "consumerID": f"bench-{port}", "concurrency": max(10, batch)} if kind == "pubsub.redis" else {}
            if fields:
                place.redis.flush()
            sidecar = Sidecar(binary, home, resources(home, component("broker", kind, **fields)), app_port=port)
            wait_for_subscription(sidecar)

            def load(milliseconds):
                status, body = request(port, "GET", f"/load?{sidecar.port},{window},{milliseconds}", timeout=60)
                if status != 200:
                    raise RuntimeError(f"the load failed: {status} {body}")
                return json.loads(body)

            load(WARM_MS)
            before = sidecar.cpu()
            figures = load(place.plan.load_seconds * 1000)
            figures["cpu"] = (sidecar.cpu() - before) / max(figures["requests"], 1)
            figures["memory"] = sidecar.resident()
            yield ("messages", f"{label}, {name}"), figures
            sidecar.close()
            app.close()
            shutil.rmtree(home)
    return run


def steps(plan):
    return [
        Step("messages in-memory", plan.rounds, messages("in-memory", "pubsub.in-memory"), needs_app=True),
        Step("messages Redis", plan.rounds, messages("Redis", "pubsub.redis"), needs_redis=True, needs_app=True),
    ]
