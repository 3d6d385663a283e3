"""Child processes and what they cost, read from /proc: CPU time and resident memory, children included."""

import os
import pathlib
import random
import re
import socket
import subprocess
import time

TICK = 1_000_000 // os.sysconf("SC_CLK_TCK")
_given = set()


def free_port():
    """Below the ephemeral range, so that no client connection takes it before the child does."""
    while True:
        port = random.randrange(12_000, 32_000)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port


def wait_for_port(port, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.005)
    raise RuntimeError(f"nobody listens on port {port}")


def request(port, method, path, body=b"", timeout=10):
    """One HTTP exchange on its own connection: (status, body). Plain sockets, so that polling costs next to nothing."""
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout) as connection:
        connection.sendall(head.encode() + body)
        answer = b""
        while True:
            part = connection.recv(65536)
            if not part:
                break
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]) if head else 0, body


class Child:
    def __init__(self, command, folder, environment=None):
        self.log = pathlib.Path(folder) / f"{pathlib.Path(command[0]).name}-{time.monotonic_ns()}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.log.unlink(missing_ok=True)

    def family(self):
        """The process and its living descendants."""
        parents = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                fields = _stat(int(entry))
                if fields:
                    parents[int(entry)] = int(fields[1])
        found = [self.process.pid]
        for pid in found:
            found.extend(child for child, parent in parents.items() if parent == pid)
        return found

    def cpu(self):
        """Microseconds of CPU so far; those of ended children are in their parent's account."""
        total = 0
        for pid in self.family():
            fields = _stat(pid)
            if fields:
                total += sum(int(field) for field in fields[11:15])
        return total * TICK

    def resident(self):
        """MiB resident now."""
        total = 0
        for pid in self.family():
            for file in (f"/proc/{pid}/smaps_rollup", f"/proc/{pid}/status"):
                try:
                    found = re.search(r"^(?:Rss|VmRSS):\s+(\d+) kB", pathlib.Path(file).read_text(), re.M)
                except OSError:
                    continue
                if found:
                    total += int(found.group(1))
                    break
        return total / 1024


def _stat(pid):
    """The fields of /proc/<pid>/stat behind the name, which may hold blanks: state, parent, …"""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


class RedisServer(Child):
    def __init__(self, folder):
        self.port = free_port()
        super().__init__(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"], folder)
        wait_for_port(self.port)


class Sidecar(Child):
    """`ready` is the time in ms from the start of the process to the first 204 of its health."""

    def __init__(self, binary, folder, resources, app_port=None, environment=None):
        self.port, self.metrics = free_port(), free_port()
        command = [
            binary, "--app-id", "bench", "--dapr-http-port", str(self.port), "--dapr-grpc-port", str(free_port()),
            "--dapr-internal-grpc-port", str(free_port()), "--metrics-port", str(self.metrics), "--metrics-listen-address", "127.0.0.1",
            "--dapr-listen-addresses", "127.0.0.1", "--log-level", "error", "--resources-path", str(resources),
        ]
        if app_port:
            command += ["--app-port", str(app_port)]
        began = time.perf_counter()
        super().__init__(command, folder, environment)
        while True:
            try:
                if request(self.port, "GET", "/v1.0/healthz", timeout=1)[0] == 204:
                    break
            except OSError:
                pass
            if self.process.poll() is not None or time.perf_counter() - began > 120:
                log = self.log.read_text(errors="replace")[-4000:]
                self.close()
                raise RuntimeError(f"{binary} did not become healthy:\n{log}")
            time.sleep(0.0005)
        self.ready = (time.perf_counter() - began) * 1000
