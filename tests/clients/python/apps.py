"""The two apps: FastAPI with dapr-ext-fastapi, and a gRPC app with dapr-ext-grpc. Both note what they receive."""

import json
import threading
import time

import grpc
import uvicorn
from dapr.clients.grpc._response import TopicEventResponse
from dapr.ext.fastapi import DaprApp
from dapr.ext.grpc import App, BindingRequest, InvokeMethodResponse
from fastapi import FastAPI, Request, Response

from sidecar import free_port

BROKERS = ["pubsub-memory", "pubsub-redis"]


class Inbox:
    """What arrived, by place; `wait` looks until an entry satisfies the condition."""

    def __init__(self):
        self.lock = threading.Lock()
        self.entries = {}

    def put(self, place, entry):
        with self.lock:
            self.entries.setdefault(place, []).append(entry)

    def all(self, place):
        with self.lock:
            return list(self.entries.get(place, []))

    def wait(self, place, condition=lambda entry: True, seconds=15):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for entry in self.all(place):
                if condition(entry):
                    return entry
            time.sleep(0.02)
        raise AssertionError(f"nothing fitting arrived at {place}: {self.all(place)}")


class HttpApp:
    def __init__(self):
        self.inbox = Inbox()
        self.port = free_port()
        web = FastAPI()
        dapr = DaprApp(web)
        for broker in BROKERS:
            dapr.subscribe(pubsub=broker, topic="programmed", route=f"/programmed/{broker}")(self.event_at("programmed"))

        web.post("/declared")(self.event_at("declared"))

        @web.post("/cron")
        async def tick(request: Request):
            self.inbox.put("cron", dict(request.headers))
            return {}

        @web.api_route("/echo", methods=["GET", "POST", "PUT"])
        async def echo(request: Request):
            mine = request.headers.get("x-mine")
            return {"method": request.method, "body": (await request.body()).decode(), "query": request.url.query, "mine": mine}

        @web.post("/fail")
        async def fail():
            return Response("refused by the application", 418)

        self.server = uvicorn.Server(uvicorn.Config(web, host="127.0.0.1", port=self.port, log_level="warning"))
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)

    def event_at(self, place):
        async def receive(request: Request):
            self.inbox.put(place, await request.json())
            return {"status": "SUCCESS"}

        return receive

    def close(self):
        self.server.should_exit = True
        self.thread.join(10)


class Echo(grpc.GenericRpcHandler):
    """Gives back what it gets; messages are plain bytes."""

    def service(self, details):
        mine = [value for name, value in details.invocation_metadata if name == "x-mine"]

        def say(text, context):
            context.send_initial_metadata([("x-said", value) for value in mine])
            return text

        kinds = {"/proa.test.Echo/Say": grpc.unary_unary_rpc_method_handler(say),
                 "/proa.test.Echo/Chat": grpc.stream_stream_rpc_method_handler(lambda texts, context: texts)}
        return kinds.get(details.method)


class GrpcApp:
    def __init__(self):
        self.inbox = Inbox()
        self.port = free_port()
        self.app = App()
        for broker in BROKERS:
            self.app.subscribe(pubsub_name=broker, topic="programmed")(self.event)

        @self.app.binding("cron")
        def tick(request: BindingRequest):
            self.inbox.put("cron", dict(request.metadata))

        @self.app.method("echo")
        def echo(request):
            said = {"body": request.text(), "mine": request.metadata.get("x-mine", [None])[0]}
            return InvokeMethodResponse(json.dumps(said), "application/json")

        @self.app.method("fail")
        def fail(request):
            raise ValueError("refused by the application")

        # A service of the application's own, which Dapr knows nothing of.
        self.app.add_external_service(lambda own, server: server.add_generic_rpc_handlers((own,)), Echo())
        self.thread = threading.Thread(target=self.app.run, args=(self.port, "127.0.0.1"), daemon=True)
        self.thread.start()

    def event(self, event):
        self.inbox.put("programmed", {"id": event.EventID(), "data": event.Data(), "type": event.EventType(), "topic": event.Subject()})
        return TopicEventResponse("success")

    def close(self):
        self.app.stop()
        self.thread.join(10)
