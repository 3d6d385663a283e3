#!/usr/bin/env python3
"""Counts in a state store, publishes every count, receives it back, and is ticked by a cron binding.

Everything goes through the sidecar; the app knows names (`store`, `messages`, `ticker`, `vault`), not what stands behind them.
Python's standard library only. Environment: APP_PORT, DAPR_HTTP_PORT, COUNTER_PAUSE (seconds between counts).
"""

import http.client
import http.server
import json
import os
import signal
import sys
import threading
import time

APP_PORT = int(os.environ.get("APP_PORT", "6001"))
DAPR_PORT = int(os.environ.get("DAPR_HTTP_PORT", "3500"))
PAUSE = float(os.environ.get("COUNTER_PAUSE", "1"))

lock = threading.Lock()
going = threading.Event()
stats = {"count": 0, "published": 0, "received": 0, "ticks": 0, "failed": 0, "greeting": "", "components": {}, "refused": {}}


def say(what, text):
    print(f"{time.strftime('%H:%M:%S')}  {what:<9}{text}", flush=True)


class Dapr:
    """One kept connection to the sidecar; each thread has its own."""

    def __init__(self):
        self.connection = http.client.HTTPConnection("127.0.0.1", DAPR_PORT, timeout=10)

    def call(self, method, path, body=None):
        """Status, ETag and body. Whatever is no success counts as a failed call."""
        data = None if body is None else json.dumps(body).encode()
        headers = {} if data is None else {"content-type": "application/json"}
        self.connection.request(method, path, data, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text.decode(errors='replace')}")
        return answer.status, answer.getheader("etag"), text


def attempt(dapr, work):
    """Runs one step of work. A failure is counted and shown, and the connection is opened anew."""
    try:
        work()
    except (OSError, http.client.HTTPException, RuntimeError, ValueError) as error:
        if not going.is_set():
            return
        with lock:
            stats["failed"] += 1
        say("FAILED", error)
        dapr.connection.close()


def count():
    """Adds one to the number in the store and publishes it, again and again."""
    dapr = Dapr()

    def step():
        status, etag, text = dapr.call("GET", "/v1.0/state/store/count")
        number = 1 + (json.loads(text) if status == 200 else 0)
        entry = {"key": "count", "value": number, "options": {"concurrency": "first-write"}}
        dapr.call("POST", "/v1.0/state/store", [entry | ({"etag": etag} if etag else {})])
        say("count", f"{number:>5}")
        with lock:
            stats["count"] = number
        dapr.call("POST", "/v1.0/publish/messages/counted", {"number": number})
        with lock:
            stats["published"] += 1

    while going.wait():
        attempt(dapr, step)
        time.sleep(PAUSE)


def watch():
    """Tells when a component was replaced, or why a change was refused."""
    dapr = Dapr()

    def step():
        extended = json.loads(dapr.call("GET", "/v1.0/metadata")[2]).get("extended", {})
        generations, refused = {}, {}
        for name, value in extended.items():
            what, _, detail = name.removeprefix("proa.component.").rpartition(".")
            if name.startswith("proa.component."):
                (generations if detail == "generation" else refused)[what] = value
        before, was_refused = stats["components"], stats["refused"]
        for what, generation in generations.items():
            if before.get(what, generation) != generation:
                say("SWAP", f"{what} is generation {generation} now")
        for what, why in refused.items():
            if was_refused.get(what) != why:
                say("REFUSED", f"{what} stays generation {generations.get(what)}: {why}")
        with lock:
            stats["components"], stats["refused"] = generations, refused

    while going.wait():
        attempt(dapr, step)
        time.sleep(0.2)


class App(http.server.BaseHTTPRequestHandler):
    """What the sidecar calls: /counted for messages, /tick for the binding. /stats and /pause are for run.sh --check."""

    protocol_version = "HTTP/1.1"
    # An answer leaves in one piece, at once.
    wbufsize = -1
    disable_nagle_algorithm = True

    def answer(self, status=200, body=b""):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        with lock:
            body = json.dumps(stats).encode()
        self.answer(200, body) if self.path == "/stats" else self.answer(404)

    def do_POST(self):
        data = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path == "/counted":
            self.counted(json.loads(data)["data"]["number"])
        elif self.path == "/tick":
            attempt(ticker, self.ticked)
        elif self.path == "/pause":
            going.clear()
        else:
            return self.answer(404)
        self.answer()

    def counted(self, number):
        with lock:
            stats["received"] += 1
        say("message", f"{number:>5}  came back through the broker")

    def ticked(self):
        greeting = json.loads(Dapr().call("GET", "/v1.0/secrets/vault/greeting")[2])["greeting"]
        with lock:
            stats["ticks"] += 1
            stats["greeting"] = greeting
        say("tick", f"{stats['ticks']:>5}  the secret says {greeting!r}")

    def log_message(self, *_):
        pass


def await_sidecar():
    """The sidecar waits for this app to listen, so the app listens first and asks then."""
    for _ in range(600):
        try:
            Dapr().call("GET", "/v1.0/healthz")
            return going.set()
        except (OSError, http.client.HTTPException, RuntimeError):
            time.sleep(0.05)
    sys.exit(f"no sidecar on port {DAPR_PORT}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    ticker = Dapr()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", APP_PORT), App)
    for loop in (server.serve_forever, count, watch):
        threading.Thread(target=loop, daemon=True).start()
    await_sidecar()
    signal.pause()
