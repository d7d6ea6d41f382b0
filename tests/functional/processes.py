"""Real processes for the functional tests: the gateway and simulated providers on ports of their own choosing."""
import json
import os
import queue
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("SPILLWAY_BINARY", ROOT / "build/release/spillway"))
MODEL = Path(os.environ.get("SPILLWAY_TEST_MODEL", ROOT / "models/SmolLM2-135M-Instruct.Q4_1.gguf"))
KEY = "sk-spillway-test"


def wait_until(condition, seconds=60.0, what="the condition"):
    """Polls until `condition()` is true and returns its value; fails with `what` after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come about within {seconds} s")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def send(url, method="GET", body=None, headers=None, timeout=10.0):
    """Status, headers and bytes of an answer, whatever they are; a `body` that is no bytes is sent as JSON."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def get(url, timeout=10.0):
    """Status and text of a GET; an error status is an answer, too."""
    status, _, body = send(url, timeout=timeout)
    return status, body.decode()


def post_json(url, value, timeout=10.0):
    request = urllib.request.Request(url, data=json.dumps(value).encode(), method="POST",
                                     headers={"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return answer.read().decode()


class Process:
    """A child whose output is read as it comes, so that tests can wait for a line."""

    def __init__(self, arguments, env=None):
        self.lines, self.output = queue.Queue(), []
        self.child = subprocess.Popen([str(a) for a in arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      text=True, env={**os.environ, **(env or {})}, cwd=ROOT)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.child.stdout:
            self.output.append(line)
            self.lines.put(line)
        self.lines.put(None)

    def wait_for(self, pattern, seconds=60.0):
        end = time.monotonic() + seconds
        while True:
            try:
                line = self.lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no line like {pattern!r} in {seconds} s:\n{''.join(self.output)}") from None
            if line is None:
                raise AssertionError(f"ended without a line like {pattern!r}:\n{''.join(self.output)}")
            found = re.search(pattern, line)
            if found:
                return found

    def log(self):
        """The JSON lines printed so far."""
        return [json.loads(line) for line in self.output if line.startswith("{")]

    def terminate(self, seconds=20.0):
        """SIGTERM; the exit status."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        return self.child.wait(timeout=seconds)

    def end(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait(timeout=10)


class Provider(Process):
    def __init__(self, profile, *flags):
        super().__init__([BINARY, "provider", "--profile", profile, "--listen", "127.0.0.1:0", *flags])
        self.url = "http://" + self.wait_for(r"listening on (?:http://)?(127\.0\.0\.1:\d+)").group(1)
        self.base_url = self.url + "/v1"

    def stats(self):
        return json.loads(get(self.url + "/stats")[1])

    def script(self, **script):
        post_json(self.url + "/script", script)


def as_client(content_type="application/json", key=None):
    """The headers of a client with that key, the tests' own if none is given."""
    return {"authorization": f"Bearer {key or KEY}", "content-type": content_type}


class Gateway(Process):
    def __init__(self, config_path, env=None):
        super().__init__([BINARY, "serve", "--config", config_path], {"SPILLWAY_TEST_KEY": KEY, **(env or {})})
        found = self.wait_for(r'"api":"(127\.0\.0\.1:\d+)".*"admin":"(127\.0\.0\.1:\d+)"')
        self.root = f"http://{found.group(1)}"
        self.api = f"{self.root}/v1"
        self.admin = f"http://{found.group(2)}"
        self.key = KEY
        self.config_path = config_path

    def metrics(self):
        """Every sample of /metrics as {'name{labels}': value}."""
        samples = {}
        for line in get(self.admin + "/metrics")[1].splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                samples[name] = float(value)
        return samples

    def metric(self, name, **labels):
        """Sum of the series called `name` that carry all of `labels`."""
        def fits(series):
            base, _, rest = series.partition("{")
            return base == name and all(f'{key}="{value}"' in rest for key, value in labels.items())
        return sum(value for series, value in self.metrics().items() if fits(series))

    def decisions(self, count=100):
        return json.loads(get(f"{self.admin}/decisions?n={count}")[1])["decisions"]
