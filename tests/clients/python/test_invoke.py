"""From one application to the other through two sidecars: with the SDK over HTTP and over gRPC, over plain HTTP, and proxied gRPC."""

import json

import grpc
import pytest
import requests
from dapr.clients.exceptions import DaprHttpError, DaprInternalError
from dapr.conf import settings


@pytest.fixture(params=["to_http_app", "to_grpc_app"])
def pair(request, http_side, grpc_side):
    """Caller and callee."""
    return (grpc_side, http_side) if request.param == "to_http_app" else (http_side, grpc_side)


@pytest.fixture(params=["HTTP", "GRPC"])
def protocol(request):
    """What the SDK speaks to its sidecar for invocation."""
    before, settings.DAPR_API_METHOD_INVOCATION_PROTOCOL = settings.DAPR_API_METHOD_INVOCATION_PROTOCOL, request.param
    yield request.param
    settings.DAPR_API_METHOD_INVOCATION_PROTOCOL = before


def test_invoke(pair, protocol):
    caller, callee = pair
    with caller.client() as client:
        answer = client.invoke_method(callee.sidecar.app_id, "echo", "ping", http_verb="PUT", content_type="text/plain", metadata=(("x-mine", "yes"),))
    said = json.loads(answer.data)
    assert (said["body"], said["mine"]) == ("ping", "yes")
    # The SDK's gRPC app does not hand on verb and query.
    assert said.get("method", "PUT") == "PUT"
    assert answer.content_type.startswith("application/json")


def test_query(http_side, grpc_side, protocol):
    with grpc_side.client() as client:
        answer = client.invoke_method(http_side.sidecar.app_id, "echo", "", http_verb="GET", http_querystring=(("a", "b c"),))
    assert json.loads(answer.data)["query"] in ("a=b+c", "a=b%20c")


def test_large(pair, protocol):
    caller, callee = pair
    body = "x" * (1 << 20)
    with caller.client() as client:
        answer = client.invoke_method(callee.sidecar.app_id, "echo", body, http_verb="POST", content_type="text/plain")
    assert json.loads(answer.data)["body"] == body


def test_over_http(pair):
    caller, callee = pair
    url = f"http://127.0.0.1:{caller.sidecar.http_port}"
    spelled = f"{url}/v1.0/invoke/{callee.sidecar.app_id}/method/echo?a=b"
    named = {"dapr-app-id": callee.sidecar.app_id}
    for answer in (requests.post(spelled, data="ping", timeout=20), requests.post(f"{url}/echo?a=b", data="ping", headers=named, timeout=20)):
        said = answer.json()
        assert (answer.status_code, said["body"], said.get("method", "POST"), said.get("query", "a=b")) == (200, "ping", "POST", "a=b")


def test_the_app_refuses(pair, protocol):
    caller, callee = pair
    with caller.client() as client, pytest.raises((DaprHttpError, DaprInternalError, grpc.RpcError)):
        client.invoke_method(callee.sidecar.app_id, "fail", "", http_verb="POST")
    refused = caller.http("POST", f"/invoke/{callee.sidecar.app_id}/method/fail", data="")
    assert refused.status_code == (418 if callee.sidecar.app_id.startswith("py-http") else 500)


def test_nobody(http_side, protocol):
    with http_side.client() as client, pytest.raises((DaprHttpError, DaprInternalError, grpc.RpcError)):
        client.invoke_method("nobody", "echo", "", http_verb="GET")
    assert http_side.http("GET", "/invoke/nobody/method/echo").json()["errorCode"] == "ERR_DIRECT_INVOKE"


def test_own_app(http_side, protocol):
    with http_side.client() as client:
        answer = client.invoke_method(http_side.sidecar.app_id, "echo", "ping", http_verb="POST")
    assert json.loads(answer.data)["body"] == "ping"


def test_proxied_call(http_side, grpc_side):
    with grpc.insecure_channel(http_side.sidecar.grpc_address) as channel:
        say = channel.unary_unary("/proa.test.Echo/Say")
        answer, call = say.with_call(b"ping", metadata=(("dapr-app-id", grpc_side.sidecar.app_id), ("x-mine", "yes")), timeout=20)
        assert answer == b"ping" and ("x-said", "yes") in call.initial_metadata()
        with pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary("/proa.test.Echo/Nothing")(b"", metadata=(("dapr-app-id", grpc_side.sidecar.app_id),), timeout=20)
        assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_proxied_stream(http_side, grpc_side):
    texts = [b"%d" % n for n in range(20)]
    with grpc.insecure_channel(http_side.sidecar.grpc_address) as channel:
        chat = channel.stream_stream("/proa.test.Echo/Chat")
        assert list(chat(iter(texts), metadata=(("dapr-app-id", grpc_side.sidecar.app_id),), timeout=20)) == texts
