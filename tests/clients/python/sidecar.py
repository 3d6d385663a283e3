"""A sidecar process for the Python SDK's tests: started on free ports, killed by `close`."""

import json
import os
import pathlib
import socket
import string
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

RESOURCES = pathlib.Path(__file__).parent.parent / "resources"
SECRETS = {"colour": "blue", "database": {"password": "open sesame"}}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def unique_id(app_id):
    """Sidecars find one another on the whole machine: another run of these tests has other names."""
    return f"{app_id}-{os.environ['PROA_CLIENT_RUN']}"


class Sidecar:
    """`app_port` and `protocol` describe the app; `web_url` is where the HTTP binding points."""

    def __init__(self, app_id, app_port, protocol, web_url):
        self.folder = tempfile.TemporaryDirectory(prefix="proa-client-")
        home = pathlib.Path(self.folder.name)
        (home / "files").mkdir()
        (home / "secrets.json").write_text(json.dumps(SECRETS))
        (home / "resources").mkdir()
        values = {"DIR": str(home), "REDIS_HOST": os.environ["PROA_CLIENT_REDIS"], "WEB_URL": web_url, "HTTP_APP": unique_id("py-http")}
        for source in RESOURCES.glob("*.yaml"):
            (home / "resources" / source.name).write_text(string.Template(source.read_text()).substitute(values))
        self.app_id = app_id = unique_id(app_id)
        self.http_port, self.grpc_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.http_port}/v1.0"
        self.grpc_address = f"127.0.0.1:{self.grpc_port}"
        self.log = open(home / "sidecar.log", "w+")
        command = [
            os.environ["PROA_BIN"], "--app-id", app_id, "--app-port", str(app_port), "--app-protocol", protocol,
            "--dapr-http-port", str(self.http_port), "--dapr-grpc-port", str(self.grpc_port),
            "--dapr-internal-grpc-port", str(free_port()), "--metrics-port", str(free_port()),
            "--dapr-listen-addresses", "127.0.0.1", "--resources-path", str(home / "resources"),
        ]
        environment = {**os.environ, "PROA_CLIENT_SECRET": "from the environment"}
        self.process = subprocess.Popen(command, cwd=home, env=environment, stdout=self.log, stderr=subprocess.STDOUT)
        self.wait_until_healthy(60)

    def wait_until_healthy(self, seconds):
        deadline = time.monotonic() + seconds
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/healthz", timeout=2) as reply:
                    if reply.status == 204:
                        return
            except (urllib.error.URLError, OSError):
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                log = self.text()
                self.close()
                raise RuntimeError(f"{self.app_id} did not become healthy:\n{log}")
            time.sleep(0.02)

    def text(self):
        self.log.flush()
        return pathlib.Path(self.log.name).read_text()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
        self.folder.cleanup()
