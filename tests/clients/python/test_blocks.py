"""Bindings, secrets, metadata, invocation: through the SDK and over plain HTTP."""

import json

import grpc
import pytest
from dapr.clients.exceptions import DaprGrpcError


def test_files_binding(client, name):
    client.invoke_binding("files", "create", "a note", {"fileName": name})
    assert client.invoke_binding("files", "get", "", {"fileName": name}).data == b"a note"
    listed = json.loads(client.invoke_binding("files", "list", "").data)
    assert any(entry.endswith(name) for entry in listed)
    client.invoke_binding("files", "delete", "", {"fileName": name})
    with pytest.raises((DaprGrpcError, grpc.RpcError)):
        client.invoke_binding("files", "get", "", {"fileName": name})


def test_http_binding(client):
    answer = client.invoke_binding("web", "post", "hello")
    said = json.loads(answer.data)
    assert (said["method"], said["body"]) == ("POST", "hello")
    assert answer.binding_metadata["statusCode"] == "200"


def test_redis_binding(client, name):
    client.invoke_binding("redis-keys", "create", "kept", {"key": name})
    assert client.invoke_binding("redis-keys", "get", "", {"key": name}).data == b"kept"
    client.invoke_binding("redis-keys", "delete", "", {"key": name})


def test_binding_over_http(http_side, name):
    made = http_side.http("POST", "/bindings/files", json={"operation": "create", "data": "x", "metadata": {"fileName": name}})
    assert made.status_code == 200 and made.json()["fileName"].endswith(name)
    refused = http_side.http("POST", "/bindings/nothing", json={"operation": "create"})
    assert refused.status_code == 500 and refused.json()["errorCode"] == "ERR_INVOKE_OUTPUT_BINDING"


def test_cron_reaches_the_app(side):
    side.inbox.wait("cron")


def test_secrets(client):
    assert client.get_secret("secrets-file", "colour").secret == {"colour": "blue"}
    assert client.get_secret("secrets-file", "database:password").secret == {"database:password": "open sesame"}
    assert client.get_secret("secrets-env", "PROA_CLIENT_SECRET").secret == {"PROA_CLIENT_SECRET": "from the environment"}
    assert client.get_bulk_secret("secrets-file").secrets["colour"] == {"colour": "blue"}
    with pytest.raises((DaprGrpcError, grpc.RpcError)) as refused:
        client.get_secret("nothing", "colour")
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_secrets_over_http(http_side):
    assert http_side.http("GET", "/secrets/secrets-file/colour").json() == {"colour": "blue"}
    assert http_side.http("GET", "/secrets/secrets-file/bulk").json()["database:password"] == {"database:password": "open sesame"}
    assert http_side.http("GET", "/secrets/nothing/colour").status_code == 401


def test_metadata(side, name):
    with side.client() as client:
        client.set_metadata(name, "set by the SDK")
        found = client.get_metadata()
    assert found.application_id == side.sidecar.app_id
    assert found.extended_metadata[name] == "set by the SDK"
    components = {entry.name: entry for entry in found.registered_components}
    assert components["redis"].type == "state.redis" and "ETAG" in components["redis"].capabilities
    assert {"memory", "sqlite", "pubsub-memory", "pubsub-redis", "cron", "web", "files", "redis-keys", "secrets-file", "secrets-env"} <= set(components)


def test_metadata_over_http(side, name):
    assert side.http("PUT", f"/metadata/{name}", data="set over HTTP").status_code == 204
    found = side.http("GET", "/metadata").json()
    assert found["id"] == side.sidecar.app_id and found["extended"][name] == "set over HTTP"
    topics = {(entry["pubsubname"], entry["topic"]) for entry in found["subscriptions"]}
    assert {("pubsub-memory", "programmed"), ("pubsub-redis", "programmed")} <= topics
