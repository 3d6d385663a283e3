"""State through the SDK (gRPC) and over plain HTTP, on every store."""

import time

import grpc
import pytest
from dapr.clients.exceptions import DaprGrpcError
from dapr.clients.grpc._request import TransactionalStateOperation, TransactionOperationType
from dapr.clients.grpc._state import Concurrency, Consistency, StateItem, StateOptions

pytestmark = pytest.mark.parametrize("store", ["memory", "sqlite", "redis"])
FIRST_WRITE = StateOptions(consistency=Consistency.strong, concurrency=Concurrency.first_write)


def test_save_get_delete(client, store, name):
    assert client.get_state(store, name).data == b""
    client.save_state(store, name, "a value")
    found = client.get_state(store, name)
    assert found.data == b"a value" and found.etag
    client.delete_state(store, name)
    assert client.get_state(store, name).data == b""


def test_bytes_survive(client, store, name):
    value = bytes(range(256))
    client.save_state(store, name, value)
    assert client.get_state(store, name).data == value


def test_bulk(client, store, name):
    client.save_bulk_state(store, [StateItem(key=f"{name}-{i}", value=f"v{i}") for i in range(20)])
    items = client.get_bulk_state(store, [f"{name}-{i}" for i in range(20)] + [f"{name}-none"], parallelism=5).items
    found = {item.key: item.data for item in items}
    assert all(found[f"{name}-{i}"] == f"v{i}".encode() for i in range(20))
    assert found.get(f"{name}-none", b"") == b""


def test_transaction(client, store, name):
    client.save_state(store, f"{name}-gone", "x")
    client.execute_state_transaction(store, [
        TransactionalStateOperation(key=f"{name}-1", data="one"),
        TransactionalStateOperation(key=f"{name}-2", data="two"),
        TransactionalStateOperation(operation_type=TransactionOperationType.delete, key=f"{name}-gone", data=""),
    ])
    assert client.get_state(store, f"{name}-1").data == b"one"
    assert client.get_state(store, f"{name}-2").data == b"two"
    assert client.get_state(store, f"{name}-gone").data == b""


def test_wrong_etag_is_refused(client, store, name):
    client.save_state(store, name, "one")
    etag = client.get_state(store, name).etag
    client.save_state(store, name, "two", etag=etag, options=FIRST_WRITE)
    with pytest.raises((DaprGrpcError, grpc.RpcError)) as refused:
        client.save_state(store, name, "three", etag=etag, options=FIRST_WRITE)
    assert refused.value.code() == grpc.StatusCode.ABORTED
    with pytest.raises((DaprGrpcError, grpc.RpcError)) as refused:
        client.delete_state(store, name, etag=etag, options=FIRST_WRITE)
    assert refused.value.code() == grpc.StatusCode.ABORTED
    assert client.get_state(store, name).data == b"two"


def test_ttl(client, store, name):
    client.save_state(store, name, "short", state_metadata={"ttlInSeconds": "2"})
    assert client.get_state(store, name).data == b"short"
    deadline = time.monotonic() + 8
    while client.get_state(store, name).data and time.monotonic() < deadline:
        time.sleep(0.1)
    assert client.get_state(store, name).data == b""


def test_error_details(client, store):
    with pytest.raises(DaprGrpcError) as refused:
        client.save_state(f"no-{store}", "k", "v")
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == f"state store no-{store} is not found"
    assert refused.value.error_code() == "DAPR_STATE_NOT_FOUND"


def test_http(http_side, store, name):
    saved = http_side.http("POST", f"/state/{store}", json=[{"key": name, "value": {"n": 1}, "metadata": {"ttlInSeconds": "60"}}])
    assert saved.status_code == 204
    found = http_side.http("GET", f"/state/{store}/{name}")
    assert (found.status_code, found.json()) == (200, {"n": 1}) and found.headers["etag"]
    refused = http_side.http("POST", f"/state/{store}", json=[{"key": name, "value": 2, "etag": "1000", "options": {"concurrency": "first-write"}}])
    assert refused.status_code in (400, 409) and refused.json()["errorCode"] == "ERR_STATE_SAVE"
    bulk = http_side.http("POST", f"/state/{store}/bulk", json={"keys": [name]}).json()
    assert [(item["key"], item["data"]) for item in bulk] == [(name, {"n": 1})]
    done = http_side.http("POST", f"/state/{store}/transaction", json={"operations": [
        {"operation": "upsert", "request": {"key": f"{name}-t", "value": "t"}},
        {"operation": "delete", "request": {"key": name}},
    ]})
    assert done.status_code == 204
    assert http_side.http("GET", f"/state/{store}/{name}").status_code == 204
    assert http_side.http("GET", f"/state/{store}/{name}-t").json() == "t"
    assert http_side.http("DELETE", f"/state/{store}/{name}-t").status_code == 204
