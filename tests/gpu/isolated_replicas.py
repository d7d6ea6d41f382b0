#!/usr/bin/env python3
"""Replicas in a process of their own (isolation: process), killed in the middle of streams: what clients see, and for how long.

usage: isolated_replicas.py BINARY MODEL [--replicas 2] [--streams 32] [--out 256] [--executor cuda|synthetic]
Twice: without anybody else, where each stream is to end with an error that says so; and beside a simulated provider, which
goes on with what was begun, where all are to end whole. Each time the engines' process is killed with -9 once all streams
have said something. Prints how they ended, the longest silence within one, and how long it took until an answer came from
here again and until all replicas served. Exit 1 if a stream ends otherwise, or if the gateway ended too.
"""
import argparse
import collections
import contextlib
import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import serve
from isolated import children

BACK_MAX = 90
QUESTION = "Tell a long story of a river, and of what was there before it. "
SAID = re.compile(r'"content": ?"[^"]')


class Stream(threading.Thread):
    """One streamed answer: when each piece came, and how it ended."""

    def __init__(self, port, number, out):
        super().__init__(daemon=True)
        self.port, self.began, self.times, self.end = port, threading.Event(), [], "cut off"
        self.body = json.dumps({"model": "auto", "stream": True, "max_tokens": out, "temperature": 0, "ignore_eos": True,
                                "messages": [{"role": "user", "content": f"{number}. " + 20 * QUESTION}]})
        self.start()

    def run(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            self.read()
        self.began.set()

    def read(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", "/v1/chat/completions", self.body, {"content-type": "application/json"})
        answer = connection.getresponse()
        for line in answer:
            line = line.decode()
            if '"error"' in line:
                self.end = "error: " + re.search(r'"message": ?"([^"]*)', line).group(1)
            elif SAID.search(line):
                self.times.append(time.monotonic())
                self.began.set()
            elif "[DONE]" in line and self.end == "cut off":
                self.end = "whole"

    def silence(self):
        return max((later - sooner for sooner, later in zip(self.times, self.times[1:])), default=0.0)


@contextlib.contextmanager
def provider(binary):
    """The address of a simulated one."""
    child = subprocess.Popen([binary, "provider", "--profile", "instant", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True)
    try:
        for line in child.stdout:
            if found := re.search(r"listening on (?:http://)?(127\.0\.0\.1:\d+)", line):
                break
        threading.Thread(target=child.stdout.read, daemon=True).start()
        yield f"http://{found.group(1)}/v1"
    finally:
        child.terminate()
        child.wait()


def configuration(options, url):
    local = {"kind": "local", "executor": options.executor, "serves": ["model"], "sequences_max": 64, "kv_tokens_max": 65536,
             "replicas": options.replicas, "isolation": "process", "restart_after": "100ms", "hangs_after": "10s"}
    if options.executor == "cuda":
        local["model"] = str(options.model.resolve())
    else:
        local["step_prior"] = {"base": "20ms", "per_sequence": "0.1ms", "per_context_token": "0ms", "per_prefill_token": "0.01ms"}
    targets = {"local": local}
    if url:
        targets["elsewhere"] = {"kind": "provider", "base_url": url, "serves": ["elsewhere"], "continues": "prefix",
                                "forward_fields": ["ignore_eos"], "price_per_million": {"input": "1usd", "output": "1usd"}}
    rules = [{"name": "here-first", "if": "available(local)", "route": "local"}] if url else []
    sla = {"sla": {"ttft": "20s", "per_token": "1s"}, "spill": "when_sla_at_risk"}
    return {"server": {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "drain": "1s"}, "targets": targets,
            "models": {"auto": "policy"}, "classes": {"all": sla}, "default_class": "all", "rules": rules,
            "log": {"level": "info"}}


def metric(admin, name, labels):
    with urllib.request.urlopen(admin + "/metrics", timeout=10) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(name + "{") and all(f'{key}="{value}"' in line for key, value in labels.items()):
                return float(line.rsplit(" ", 1)[1])
    return 0.0


def wait_for(what, holds, seconds=BACK_MAX):
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > seconds:
            raise RuntimeError(f"{what} after {seconds} s: no")
        time.sleep(0.02)
    return time.monotonic() - began


def answers_here(port):
    """Whether a short answer comes from the replicas."""
    body = json.dumps({"model": "model", "messages": [{"role": "user", "content": "Hello."}], "max_tokens": 4}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", body, {"content-type": "application/json"})
    with contextlib.suppress(OSError):
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status == 200
    return False


def kill_amid(gateway, options, label):
    """How the streams ended."""
    port, admin = gateway.wait_for_port(serve.START_MAX), gateway.admin

    def all_serve():
        return metric(admin, "spillway_engine_replicas", {"state": "serving"}) == options.replicas

    print(f"{label}: all serve {wait_for('all serve', all_serve):.2f} s after the gateway listens", flush=True)
    streams = [Stream(port, number, options.out) for number in range(options.streams)]
    for stream in streams:
        stream.began.wait(60)
    time.sleep(0.3)
    before = [len(stream.times) for stream in streams]
    engine, = children(gateway.child.pid)
    killed = time.monotonic()
    os.kill(engine, signal.SIGKILL)
    wait_for("an answer from here", lambda: answers_here(port))
    answered = time.monotonic() - killed
    wait_for("all serve", all_serve)
    served = time.monotonic() - killed
    for stream in streams:
        stream.join(60)
    ends = collections.Counter(stream.end for stream in streams)
    last = max(stream.times[-1] for stream in streams) - killed
    silences = [stream.silence() for stream in streams]
    print(f"{label}: {options.replicas} replicas, {len(streams)} streams killed after {statistics.median(before):.0f} pieces (median): "
          f"{dict(ends)}; pieces in the end {min(len(s.times) for s in streams)}–{max(len(s.times) for s in streams)}, the last "
          f"{last:.2f} s after the kill; longest silence in a stream, median {1e3 * statistics.median(silences):.0f}, worst "
          f"{1e3 * max(silences):.0f} ms; an answer from here {answered:.2f} s, all replicas {served:.2f} s after the kill; restarts "
          f"{metric(admin, 'spillway_engine_restarts_total', {}):.0f}", flush=True)
    return ends


def run(options, url, label, good):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spillway.yaml"
        path.write_text(json.dumps(configuration(options, url)), encoding="utf-8")
        gateway = serve.Gateway(options.binary, path)
        try:
            ends = kill_amid(gateway, options, label)
            return gateway.child.poll() is None and all(good(end) for end in ends)
        except BaseException:
            print("".join(gateway.lines[-40:]), flush=True)
            raise
        finally:
            gateway.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--out", type=int, default=256)
    parser.add_argument("--executor", default="cuda")
    options = parser.parse_args()
    alone = run(options, None, "alone", lambda end: end.startswith("error"))
    with provider(options.binary) as url:
        beside = run(options, url, "beside a provider", lambda end: end == "whole")
    return 0 if alone and beside else 1


if __name__ == "__main__":
    sys.exit(main())
