"""Publishing and every way of subscribing, with an HTTP app and with a gRPC app."""

import json
import threading
import time

import grpc
import pytest
from dapr.clients.exceptions import DaprGrpcError
from dapr.clients.grpc._response import TopicEventResponse

BROKERS = ["pubsub-memory", "pubsub-redis"]


@pytest.mark.parametrize("broker", BROKERS)
@pytest.mark.parametrize("topic", ["programmed", "declared"])
def test_http_app_receives(http_side, broker, topic, name):
    with http_side.client() as client:
        client.publish_event(broker, topic, json.dumps({"name": name}), data_content_type="application/json")
    event = http_side.inbox.wait(topic, lambda event: event["data"] == {"name": name})
    assert event["pubsubname"] == broker and event["topic"] == topic
    assert event["source"] == http_side.sidecar.app_id and event["specversion"] == "1.0"
    assert event["type"] == "com.dapr.event.sent" and event["datacontenttype"] == "application/json"


@pytest.mark.parametrize("broker", BROKERS)
def test_grpc_app_receives(grpc_side, broker, name):
    with grpc_side.client() as client:
        client.publish_event(broker, "programmed", name, data_content_type="text/plain")
    event = grpc_side.inbox.wait("programmed", lambda event: event["data"] == name.encode())
    assert event["topic"] == "programmed" and event["type"] == "com.dapr.event.sent" and event["id"]


@pytest.mark.parametrize("broker", BROKERS)
def test_published_over_http(side, broker, name):
    assert side.http("POST", f"/publish/{broker}/programmed", data=name, headers={"content-type": "text/plain"}).status_code == 204
    side.inbox.wait("programmed", lambda event: event["data"] in (name, name.encode()))


@pytest.mark.parametrize("broker", BROKERS)
def test_bulk_publish(http_side, broker, name):
    with http_side.client() as client:
        outcome = client.publish_events(broker, "programmed", [f"{name}-{i}" for i in range(5)], data_content_type="text/plain")
    assert outcome.failed_entries == []
    for i in range(5):
        http_side.inbox.wait("programmed", lambda event: event["data"] == f"{name}-{i}")


@pytest.mark.parametrize("broker", BROKERS)
def test_streaming_subscription(http_side, broker, name):
    topic, received, arrived = f"stream-{name}", [], threading.Event()
    with http_side.client() as client:
        def take(message):
            received.append((message.data(), message.topic(), message.pubsub_name()))
            arrived.set()
            return TopicEventResponse("success")

        close = client.subscribe_with_handler(broker, topic, take)
        # The stream is open for the sidecar as soon as the metadata shows it.
        for _ in range(500):
            listed = http_side.http("GET", "/metadata").json().get("subscriptions", [])
            if any(entry["topic"] == topic and entry["type"] == "STREAMING" for entry in listed):
                break
            time.sleep(0.02)
        client.publish_event(broker, topic, json.dumps({"n": 1}), data_content_type="application/json")
        assert arrived.wait(15)
        close()
    assert received[0] == ({"n": 1}, topic, broker)


def test_cloud_event_overrides(http_side, name):
    metadata = {"cloudevent.id": name, "cloudevent.source": "elsewhere", "cloudevent.type": "custom"}
    with http_side.client() as client:
        client.publish_event("pubsub-memory", "programmed", name, publish_metadata=metadata, data_content_type="text/plain")
    event = http_side.inbox.wait("programmed", lambda event: event["id"] == name)
    assert event["source"] == "elsewhere" and event["type"] == "custom" and event["data"] == name


def test_unknown_broker(side):
    with side.client() as client, pytest.raises((DaprGrpcError, grpc.RpcError)) as refused:
        client.publish_event("nobody", "topic", "x")
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    reply = side.http("POST", "/publish/nobody/topic", data="x")
    assert reply.status_code == 404 and reply.json()["errorCode"] == "ERR_PUBSUB_NOT_FOUND"
