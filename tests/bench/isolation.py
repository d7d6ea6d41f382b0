#!/usr/bin/env python3
"""What an engine in a process of its own costs: time to first token, time a token and CPU a token, by those of the same
engine in the gateway, in turns on the same machine.

Prediction: a token takes one more hop, engine's process to gateway's, of 10 to 30 µs, once a step whatever the batch; so at
most 2 % of a step of 5 ms, two such hops for the first token, and less than 10 µs of CPU a token in a batch.

The engine is the synthetic one, whose steps take exactly --step. On a machine that is busy otherwise, the hop waits its
turn, and the figures say little.
"""
import argparse
import http.client
import json
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "functional"))
import configs  # noqa: E402
from processes import KEY, Gateway, wait_until  # noqa: E402


def start(folder, isolation, step):
    engine = configs.synthetic_engine(base=step, per_sequence="0ms", sequences_max=256, isolation=isolation)
    config = configs.gateway({"local": engine}, classes={"all": {"spill": "never"}}, default_class="all")
    gateway = Gateway(configs.write(Path(folder) / f"{isolation}.yaml", config))
    wait_until(lambda: gateway.metric("spillway_backend_up", be="local") == 1, what="the engine")
    return gateway


def cpu_seconds(gateway):
    """Of the gateway and its engine, all threads."""
    pids, total = [gateway.child.pid], 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text(encoding="utf-8").split()[0])
            pids += [int(child) for child in (task / "children").read_text(encoding="utf-8").split()]
    return total / 1e9


def stream(address, tokens, results):
    """Appends (seconds to first token, seconds a token after it, tokens)."""
    body = json.dumps({"model": "smollm2", "max_tokens": tokens, "stream": True, "ignore_eos": True, "temperature": 0,
                       "messages": [{"role": "user", "content": "Tell me of the river."}]})
    connection = http.client.HTTPConnection(address, timeout=60)
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    sent = time.perf_counter()
    connection.request("POST", "/v1/chat/completions", body, headers)
    first, last, pieces = None, sent, 0
    for line in connection.getresponse():
        if line.startswith(b'data: {') and b'"content":"' in line and b'"content":""' not in line:
            last = time.perf_counter()
            first, pieces = first or last, pieces + 1
    connection.close()
    results.append((first - sent, (last - first) / (pieces - 1), pieces))


def measure(gateway, concurrency, tokens):
    """Medians over the streams of a round: first token, a token after it; and CPU a token."""
    results, address, before = [], gateway.root.removeprefix("http://"), cpu_seconds(gateway)
    threads = [threading.Thread(target=stream, args=(address, tokens, results)) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    used = cpu_seconds(gateway) - before
    firsts, each, pieces = zip(*results)
    return statistics.median(firsts), statistics.median(each), used / sum(pieces)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--step", default="5ms")
    parser.add_argument("--tokens", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 16])
    options = parser.parse_args()
    print(__doc__.split("\n\n")[1] + "\n")
    print(f"{'streams':>7} {'engine':>10} {'first token':>12} {'a token':>10} {'CPU a token':>12}")
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        gateways = {where: start(folder, where, options.step) for where in ("none", "process")}
        for concurrency in options.concurrency:
            rounds = {where: [] for where in gateways}
            for _ in range(options.rounds):
                for where, gateway in gateways.items():
                    rounds[where].append(measure(gateway, concurrency, options.tokens))
            medians = {where: [statistics.median(one) for one in zip(*each)] for where, each in rounds.items()}
            for where, (first, each, cpu) in medians.items():
                print(f"{concurrency:>7} {where:>10} {first * 1e3:>9.2f} ms {each * 1e3:>7.3f} ms {cpu * 1e6:>9.1f} µs")
            worst = max(worst, medians["process"][1] / medians["none"][1])
        for gateway in gateways.values():
            gateway.terminate()
    print(f"\nA token takes {(worst - 1) * 100:+.2f} % at worst.")


if __name__ == "__main__":
    main()
