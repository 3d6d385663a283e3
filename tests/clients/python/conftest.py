"""One HTTP app and one gRPC app, each with its sidecar, for the whole run."""

import uuid

import pytest
import requests
from dapr.clients import DaprClient
from dapr.conf import settings

from apps import GrpcApp, HttpApp
from sidecar import Sidecar


class Side:
    """An app together with its sidecar."""

    def __init__(self, app, sidecar):
        self.app, self.inbox, self.sidecar = app, app.inbox, sidecar

    def client(self):
        settings.DAPR_HTTP_PORT, settings.DAPR_GRPC_PORT = self.sidecar.http_port, self.sidecar.grpc_port
        return DaprClient(address=self.sidecar.grpc_address)

    def http(self, method, path, **rest):
        return requests.request(method, f"{self.sidecar.url}{path}", timeout=20, **rest)


@pytest.fixture(scope="session")
def http_side():
    app = HttpApp()
    sidecar = Sidecar("py-http", app.port, "http", f"http://127.0.0.1:{app.port}/echo")
    yield Side(app, sidecar)
    sidecar.close()
    app.close()


@pytest.fixture(scope="session")
def grpc_side(http_side):
    app = GrpcApp()
    sidecar = Sidecar("py-grpc", app.port, "grpc", f"http://127.0.0.1:{http_side.app.port}/echo")
    yield Side(app, sidecar)
    sidecar.close()
    app.close()


@pytest.fixture(params=["http", "grpc"])
def side(request):
    """Each app's sidecar in turn."""
    return request.getfixturevalue(f"{request.param}_side")


@pytest.fixture
def client(http_side):
    with http_side.client() as client:
        yield client


@pytest.fixture
def name():
    """A fresh key or message text."""
    return f"k{uuid.uuid4().hex}"
