"""Load by wrk, one thread: requests prepared in Lua beforehand, so that making them costs nothing while measuring."""

import re
import subprocess

KEYS = 100
VALUE = "v" * 1024

LUA = """
local made, turn = {}, 0
init = function()
  local headers = {["Content-Type"] = "application/json"}
  for i = 1, %(keys)d do
    made[i] = wrk.format("%(method)s", string.gsub("%(path)s", "NUMBER", i), headers, %(body)s)
  end
end
request = function()
  turn = turn %% %(keys)d + 1
  return made[turn]
end
"""

UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


def script(folder, name, method, path, body=None):
    """Writes a script that walks over the keys; NUMBER in path and body becomes the key's number."""
    quoted = "nil" if body is None else f"string.gsub([==[{body}]==], \"NUMBER\", i)"
    # gsub gives two values; parentheses keep the first.
    quoted = quoted if body is None else f"({quoted})"
    text = LUA % {"keys": KEYS, "method": method, "path": path, "body": quoted}
    text = text.replace('string.gsub("', '(string.gsub("').replace('"NUMBER", i), headers', '"NUMBER", i)), headers')
    file = folder / f"{name}.lua"
    file.write_text(text)
    return file


def command(port, file, connections, seconds):
    return ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "--latency", "-s", str(file), f"http://127.0.0.1:{port}"]


def parse(output):
    """The figures of wrk's report: requests, failed, rate (1/s), p50 and p99 (ms)."""
    def number(pattern, default=None):
        found = re.search(pattern, output)
        if not found and default is None:
            raise RuntimeError(f"no {pattern!r} in:\n{output}")
        return found.group(1) if found else default

    def percentile(which):
        found = re.search(rf"^\s+{which}%\s+([\d.]+)(us|ms|s|m)\s*$", output, re.M)
        return float(found.group(1)) * UNITS[found.group(2)] if found else 0.0

    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    failed = int(number(r"Non-2xx or 3xx responses: (\d+)", "0")) + (sum(map(int, errors.groups())) if errors else 0)
    return {"requests": int(number(r"(\d+) requests in")), "failed": failed, "rate": float(number(r"Requests/sec:\s+([\d.]+)")),
            "p50": percentile(50), "p99": percentile(99)}


def load(sidecar, file, connections, seconds):
    """Runs the load and gives its figures with the CPU microseconds per request of `sidecar`."""
    before = sidecar.cpu()
    output = subprocess.run(command(sidecar.port, file, connections, seconds), capture_output=True, text=True, check=True).stdout
    figures = parse(output)
    figures["cpu"] = (sidecar.cpu() - before) / max(figures["requests"], 1)
    return figures
