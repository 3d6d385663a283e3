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


def stream(port, method, path, upload=0, timeout=60):
    """One exchange with a body of `upload` bytes, the answer read and thrown away: (status, bytes of the answer's body as they came)."""
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\nContent-Length: {upload}\r\n\r\n"
    piece = memoryview(bytes(1 << 20))
    with socket.create_connection(("127.0.0.1", port), timeout) as connection:
        connection.sendall(head.encode())
        while upload > 0:
            connection.sendall(piece[:upload])
            upload -= len(piece)
        start, received, buffer = b"", 0, bytearray(1 << 20)
        while b"\r\n\r\n" not in start:
            part = connection.recv(65536)
            if not part:
                return 0, 0
            start += part
        received = len(start.partition(b"\r\n\r\n")[2])
        while count := connection.recv_into(buffer):
            received += count
    return int(start.split(b" ", 2)[1]), received


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

    def forget_peak(self):
        """The peak begins anew."""
        for pid in self.family():
            pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")

    def peak(self):
        """The most MiB that were resident since then."""
        found = [re.search(r"^VmHWM:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M) for pid in self.family()]
        return sum(int(one.group(1)) for one in found if one) / 1024

    def descriptors(self):
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.family())

    def threads(self):
        return sum(len(os.listdir(f"/proc/{pid}/task")) for pid in self.family())

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

    def flush(self):
        """Forgets everything that is stored."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
            connection.sendall(b"FLUSHALL\r\n")
            if connection.recv(16) != b"+OK\r\n":
                raise RuntimeError("Redis does not forget")


class Sidecar(Child):
    """`ready` is the time in ms from the start of the process to the first 204 of its health."""

    def __init__(self, binary, folder, resources, app_port=None, environment=None, app_id="bench", flags=()):
        self.port, self.grpc, self.metrics = free_port(), free_port(), free_port()
        command = [
            binary, "--app-id", app_id, "--dapr-http-port", str(self.port), "--dapr-grpc-port", str(self.grpc),
            "--dapr-internal-grpc-port", str(free_port()), "--metrics-port", str(self.metrics), "--metrics-listen-address", "127.0.0.1",
            "--dapr-listen-addresses", "127.0.0.1", "--log-level", "error", "--resources-path", str(resources),
        ]
        if app_port:
            command += ["--app-port", str(app_port)]
        command += flags
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
