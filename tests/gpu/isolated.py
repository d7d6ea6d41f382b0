#!/usr/bin/env python3
"""The engine on the GPU in a process of its own (isolation: process): it answers, is killed, and is back with the same answer.

usage: isolated.py BINARY MODEL
Prints how long it took from the kill to the next answer; exit 1 if the answer is another, or if the gateway ended with it.
"""
import json
import os
import signal
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import serve

BACK_MAX = 60


def ask(port):
    body = {"model": "model", "messages": [{"role": "user", "content": "Tell me a story."}], "max_tokens": 24, "temperature": 0}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", json.dumps(body).encode(),
                                     {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["choices"][0]["message"]["content"]


def children(pid):
    return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]


def answer_once_back(port):
    """The answer, and how often there was none before."""
    end, refused = time.monotonic() + BACK_MAX, 0
    while True:
        try:
            return ask(port), refused
        except (urllib.error.URLError, OSError):
            if time.monotonic() > end:
                raise
            refused += 1
            time.sleep(0.1)


def main():
    binary, model = Path(sys.argv[1]), Path(sys.argv[2])
    target = {"kind": "local", "executor": "cuda", "serves": ["model"], "model": str(model.resolve()), "sequences_max": 8,
              "kv_tokens_max": 8192, "isolation": "process", "restart_after": "100ms"}
    config = {"server": {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "drain": "1s"}, "targets": {"local": target},
              "log": {"level": "info"}, "classes": {"all": {"spill": "never"}}}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spillway.yaml"
        path.write_text(json.dumps(config), encoding="utf-8")
        gateway = serve.Gateway(binary, path)
        try:
            port = gateway.wait_for_port(serve.START_MAX)
            before, _ = answer_once_back(port)
            engines = children(gateway.child.pid)
            began = time.monotonic()
            os.kill(engines[0], signal.SIGKILL)
            after, refused = answer_once_back(port)
            took = time.monotonic() - began
            alive = gateway.child.poll() is None
        finally:
            gateway.end()
    print(f"isolated: engine process {engines} of {gateway.child.pid} killed, {refused} requests refused, answered again after "
          f"{took:.2f} s, {'the same' if after == before else 'ANOTHER'} answer")
    return 0 if alive and after == before else 1


if __name__ == "__main__":
    sys.exit(main())
