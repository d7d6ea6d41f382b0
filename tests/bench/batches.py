#!/usr/bin/env python3
"""Ten thousand lines in one batch against a provider that answers at once: lines a second, the gateway's memory, and with
--kills how often each line is in the results after so many kill -9.

Usage: tests/bench/batches.py [--lines N] [--kills N] [--concurrency N] [--line-bytes N] [--check]
With --check it fails if memory grows with the number of lines, or a line is not there exactly once.
"""
import argparse
import json
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import openai

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "functional"))
import configs  # noqa: E402
from processes import Gateway, Provider, wait_until  # noqa: E402

GROWTH_MAX_MIB = 24  # From the first thousand lines on.


def memory_mib(gateway):
    with open(f"/proc/{gateway.child.pid}/status", encoding="utf-8") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


def start(folder, provider, concurrency):
    targets = {"instant": configs.provider(provider.base_url, "instant", concurrency_max=4096)}
    config = configs.gateway(targets, classes={"batch": {"match": "by_name", "spill": "always"},
                                               "interactive": {"match": {"service_tier": "default"}}},
                             batch={"class": "batch", "concurrency": concurrency})
    config["server"]["state"] = str(folder / "state")
    return Gateway(configs.write(folder / "spillway.yaml", config))


def client_of(gateway):
    return openai.OpenAI(base_url=gateway.api, api_key=gateway.key)


def input_of(options):
    padding = "x" * options.line_bytes
    for n in range(options.lines):
        body = {"model": "instant", "max_tokens": 8, "messages": [{"role": "user", "content": f"{n} {padding}"}]}
        yield json.dumps({"custom_id": str(n), "method": "POST", "url": "/v1/chat/completions", "body": body})


def watch(gateway, batch, until):
    """Polls until `until(batch)`; the batch and the samples (lines done, MiB) on the way."""
    client, samples = client_of(gateway), []

    def look():
        now = client.batches.retrieve(batch.id)
        samples.append((now.request_counts.completed, memory_mib(gateway)))
        return now if until(now) else None
    return wait_until(look, 600, "progress"), samples


def run(options, folder, provider):
    gateway = start(folder, provider, options.concurrency)
    client = client_of(gateway)
    print(f"memory of the idle gateway: {memory_mib(gateway):.0f} MiB")
    content = "\n".join(input_of(options)).encode()
    file = client.files.create(file=("input.jsonl", content), purpose="batch")
    began = time.monotonic()
    batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    samples, kills = [], sorted(random.sample(range(1, options.lines), options.kills))
    for at in kills:
        _, seen = watch(gateway, batch, lambda now, at=at: now.request_counts.completed >= at)
        samples += seen
        gateway.child.send_signal(signal.SIGKILL)
        gateway.child.wait()
        gateway = start(folder, provider, options.concurrency)
    done, seen = watch(gateway, batch, lambda now: now.status in ("completed", "failed", "expired"))
    seconds = time.monotonic() - began
    out = client_of(gateway).files.content(done.output_file_id).text.splitlines()
    gateway.end()
    return done, [json.loads(line)["custom_id"] for line in out], samples + seen, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--line-bytes", type=int, default=1_000)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    provider = Provider("instant")
    try:
        with tempfile.TemporaryDirectory() as folder:
            done, ids, samples, seconds = run(options, Path(folder), provider)
        asked = provider.stats()["requests"]
    finally:
        provider.end()
    print(f"{done.status}: {options.lines} lines in {seconds:.1f} s, {options.lines / seconds:.0f} a second")
    print(f"memory: {max(mib for _, mib in samples):.0f} MiB at most")
    early = max(mib for lines, mib in samples if lines <= options.lines // 10)
    growth = max(mib for _, mib in samples) - early
    print(f"memory that came after the first tenth of the lines: {growth:.1f} MiB")
    once = len(ids) == len(set(ids)) == options.lines
    print(f"after {options.kills} kills: {len(ids)} results of {len(set(ids))} lines, {asked} asked at the provider")
    return 1 if options.check and not (once and growth <= GROWTH_MAX_MIB and done.status == "completed") else 0


if __name__ == "__main__":
    sys.exit(main())
