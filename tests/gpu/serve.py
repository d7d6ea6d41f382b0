#!/usr/bin/env python3
"""The gateway serving a model file on the GPU: its answers beside the oracle's, how soon it starts, how fast it is over HTTP.

usage: serve.py BINARY MODEL [--step-tokens 1024,2048] [--concurrency 1,32,128] …   (--help lists all)
For each budget of a step starts `BINARY serve` on ports of its own. First, for SmolLM2-135M, the prompts of
tests/golden/smollm2_greedy.txt, one by one and then all at once (agreement.py). Then closed loops of streamed requests of
exactly --prompt-tokens, --out tokens out (ignore_eos, greedy), each with text of its own (closed_loop.py). TTFT is given of
all requests, and again without each client's first, with which all clients come at once. One line a result, printed as it
comes; exit 1 if answers agree too little, or if a request fails. The standard library is all it takes.
"""
import argparse
import json
import math
import queue
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import agreement
import closed_loop
import gguf_header
from clock_log import ClockLog

START_MAX = 120


class Gateway:
    """The process, and the last lines it printed."""

    def __init__(self, binary, config):
        self.lines, self.said, self.admin = [], queue.Queue(), None
        self.child = subprocess.Popen([binary, "serve", "--config", config], stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.child.stdout:
            self.lines = self.lines[-200:] + [line]
            self.said.put(line)
        self.said.put(None)

    def wait_for_port(self, seconds):
        end = time.monotonic() + seconds
        while True:
            try:
                line = self.said.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise RuntimeError(f"the gateway does not listen after {seconds} s") from None
            if line is None:
                raise RuntimeError("the gateway ended before it listened")
            found = re.search(r'"api":"127\.0\.0\.1:(\d+)".*"admin":"(127\.0\.0\.1:\d+)"', line)
            if found:
                self.admin = f"http://{found.group(2)}"
                return int(found.group(1))

    def end(self):
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        return self.child.returncode


def configuration(options, step_tokens):
    target = {"kind": "local", "executor": options.executor, "precision": options.precision, "kv_cache": options.kv_cache,
              "serves": ["model"], "model": str(options.model.resolve()), "sequences_max": options.sequences,
              "step_tokens_max": step_tokens, "kv_tokens_max": options.kv_tokens, "waiting_max": 512,
              "tensor_parallel": options.gpus, "replicas": options.replicas, "isolation": options.isolation}
    return {"server": {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "drain": "1s"}, "targets": {"local": target},
            "log": {"level": "info"}, "classes": {"all": {"spill": "never"}}}


def quantile(values, share):
    ordered = sorted(values)
    return ordered[math.ceil(share * len(ordered)) - 1]


def in_ms(values):
    values = [1e3 * value for value in values]
    return f"P50 {statistics.median(values):.1f} P99 {quantile(values, 0.99):.1f} ms"


def speed(port, prompts, options, concurrency, label):
    """Output tokens a second."""
    with ClockLog() as clock:
        loop = closed_loop.run(port, prompts, concurrency, options.rounds, options.out, options.seconds)
    rows, later = loop.rows, [row.ttft for row in loop.rows if row.client_round > 0]
    tokens = sum(row.out_tokens for row in rows)
    if {row.out_tokens for row in rows} != {options.out}:
        raise RuntimeError(f"answers are of {sorted({row.out_tokens for row in rows})} tokens, not {options.out}")
    print(f"{label} c{concurrency}: {tokens / loop.seconds:.0f} out tok/s, "
          f"{len(rows) / loop.seconds:.2f} req/s, TTFT {in_ms(row.ttft for row in rows)}"
          f"{', after the first ' + in_ms(later) if later else ''}, "
          f"TPOT P50 {1e3 * statistics.median(row.tpot for row in rows):.3f} "
          f"P99 {1e3 * quantile([row.tpot for row in rows], 0.99):.3f} ms; {len(rows)} requests of "
          f"{statistics.mean(row.prompt_tokens for row in rows):.1f} in {options.out} out, {loop.seconds:.1f} s, "
          f"{len({row.text for row in rows})} different answers of {statistics.mean(row.pieces for row in rows):.0f} pieces, "
          f"load generator busy {100 * loop.busy:.0f} %{clock}", flush=True)
    return tokens / loop.seconds


def known_prefixes(port, prompts, pairs):
    """First tokens of prompts that are new, and of prompts that begin as one before did."""
    new, known = [], []
    for seed in range(2_000_000, 2_000_000 + pairs):
        new.append(closed_loop.once(port, prompts.request(seed, 1, " Why?")).ttft)
        known.append(closed_loop.once(port, prompts.request(seed, 1, " How?")).ttft)
    print(f"serve prompts of {prompts.count} words, one at a time: TTFT of new ones {in_ms(new)}; of others that begin so "
          f"{in_ms(known)}", flush=True)


def first_answer(port, request):
    """An engine in a process of its own comes after the gateway listens."""
    end = time.monotonic() + START_MAX
    while True:
        try:
            return closed_loop.once(port, request)
        except RuntimeError as error:
            if "no_route" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.1)


def measure(port, options, step_tokens, began):
    prompts = closed_loop.Prompts(options.model)
    prompts.count = options.prompt_tokens * 3 // 4
    first = first_answer(port, prompts.request(1, 1))
    print(f"serve first token after {time.monotonic() - began:.2f} s from the start of the process, TTFT "
          f"{1e3 * first.ttft:.1f} ms of {first.prompt_tokens} prompt tokens", flush=True)
    good = options.skip_agreement or agreement.agrees(port, options.model)
    prompts.fit(port, options.prompt_tokens)
    if options.prefixes:
        known_prefixes(port, prompts, options.prefixes)
    if options.token_ids:
        prompts = closed_loop.TokenPrompts(len(gguf_header.tokens(options.model)), options.prompt_tokens)
    levels = [int(level) for level in options.concurrency.split(",")]
    # Meets sizes of steps for the first time.
    closed_loop.run(port, prompts, max(levels), 1, min(8, options.out), options.seconds)
    for concurrency in levels:
        gpus = f" on {options.gpus} GPUs" if options.gpus > 1 else ""
        kept = "" if options.kv_cache == "bf16" else f" kv {options.kv_cache}"
        apart = " in a process of its own" if options.isolation == "process" else ""
        speed(port, prompts, options, concurrency, f"serve {options.precision}{kept}{gpus}{apart} step {step_tokens}")
    return good


def serve(options, step_tokens):
    good = False
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "spillway.yaml"
        config.write_text(json.dumps(configuration(options, step_tokens)), encoding="utf-8")
        began = time.monotonic()
        gateway = Gateway(options.binary, config)
        try:
            port = gateway.wait_for_port(START_MAX)
            print(f"serve ready after {time.monotonic() - began:.2f} s", flush=True)
            good = measure(port, options, step_tokens, began)
        finally:
            status = gateway.end()
            if not good:
                print(f"the gateway ended with {status}; its last lines:\n{''.join(gateway.lines[-40:])}", flush=True)
    return good


def add_target_arguments(parser):
    parser.add_argument("binary", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--executor", default="cuda")
    parser.add_argument("--precision", default="bf16", help="bf16 or fp8")
    parser.add_argument("--kv-cache", default="bf16", help="bf16 or fp8")
    parser.add_argument("--gpus", type=int, default=1, help="tensor_parallel")
    parser.add_argument("--sequences", type=int, default=128, help="sequences_max")
    parser.add_argument("--kv-tokens", type=int, default=65536, help="kv_tokens_max")


def add_load_arguments(parser):
    parser.add_argument("--prompt-tokens", type=int, default=204)
    parser.add_argument("--out", type=int, default=128, help="tokens of each answer")
    parser.add_argument("--concurrency", default="1,32,128", help="comma-separated")
    parser.add_argument("--rounds", type=int, default=10, help="requests of each client")
    parser.add_argument("--seconds", type=float, default=60, help="no request of a loop is begun later")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_target_arguments(parser)
    parser.add_argument("--isolation", default="none", help="none or process")
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--step-tokens", default="1024", help="step_tokens_max; comma-separated, one gateway each")
    add_load_arguments(parser)
    parser.add_argument("--prefixes", type=int, default=0, help="pairs of prompts that begin alike, asked before the load")
    parser.add_argument("--token-ids", action="store_true", help="the load's prompts are random ids of tokens, as vLLM's are")
    parser.add_argument("--skip-agreement", action="store_true", help="for models other than SmolLM2-135M-Instruct")
    options = parser.parse_args()
    good = [serve(options, step_tokens) for step_tokens in map(int, options.step_tokens.split(","))]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
