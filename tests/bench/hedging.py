#!/usr/bin/env python3
"""What hedging is worth: a provider that is slow for a fifth of the time, with a second one behind it, asked with and
without `hedge`. Prints first-token times, what was spent, and what of that for answers that nobody got.

Everything listens on 127.0.0.1 on ports of its own choosing and ends with the script.
"""
import argparse
import concurrent.futures
import http.client
import json
import sys
import tempfile
import threading
import time
import urllib.parse
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "functional"))
import configs  # noqa: E402
from processes import Gateway, Provider, as_client  # noqa: E402

PROMPT = "Tell me about the history of the town. " * 60
ANSWER_TOKENS = 60
SLOWER = 8.0


def first_token(gateway):
    """Seconds until the first word of a streamed answer."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(gateway.api).netloc, timeout=60)
    body = json.dumps({"model": "auto", "stream": True, "max_tokens": ANSWER_TOKENS,
                       "messages": [{"role": "user", "content": PROMPT}]})
    begun = time.monotonic()
    connection.request("POST", "/v1/chat/completions", body, as_client())
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    seconds = None
    for line in answer:
        if seconds is None and b'"content":"' in line and b'"content":""' not in line:
            seconds = time.monotonic() - begun
    connection.close()
    return seconds


def run(hedge, seconds, rate):
    providers = {name: Provider(name, "--seed", "1") for name in ("ai-hub", "openmodel")}
    targets = {name: configs.provider(one.base_url, name, measured={"ttft_p50": "340ms", "ttft_p99": "1100ms"})
               for name, one in providers.items()}
    classes = {"all": {"spill": "always", "prefer": "ordered", "providers": list(providers), "hedge": hedge}}
    with tempfile.TemporaryDirectory() as folder:
        path = configs.write(Path(folder) / "spillway.yaml", configs.gateway(targets, classes=classes, default_class="all"))
        gateway = Gateway(path, {})
        slow = [threading.Timer(0.4 * seconds, providers["ai-hub"].script, kwargs={"slow": SLOWER}),
                threading.Timer(0.6 * seconds, providers["ai-hub"].script, kwargs={"slow": 1.0})]
        try:
            with concurrent.futures.ThreadPoolExecutor(256) as pool:
                for timer in slow:
                    timer.start()
                asked = []
                begun = time.monotonic()
                for number in range(int(seconds * rate)):
                    time.sleep(max(0.0, begun + number / rate - time.monotonic()))  # Its moment, not a wait for anything.
                    asked.append(pool.submit(first_token, gateway))
                times = sorted(one.result() for one in asked)
            spent = gateway.metric("spillway_cost_usd_total")
            return times, spent, gateway.metric("spillway_hedge_cost_usd_total"), {
                outcome: int(gateway.metric("spillway_hedges_total", outcome=outcome)) for outcome in ("won", "lost", "failed")}
        finally:
            for process in (gateway, *providers.values()):
                process.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=20, help="requests a second")
    options = parser.parse_args()
    print(f"{options.seconds * options.rate:.0f} streams, {options.rate:.0f} a second; the first provider {SLOWER:.0f} times as "
          f"slow from 40 % to 60 % of the time\n{'hedge':28} {'TTFT P50':>9} {'P95':>8} {'P99':>8} {'spent':>9} {'for nothing':>12}  hedges")
    for name, hedge in (("none", {"enabled": False}), ("P95, at most 5 %", {"enabled": True}),
                        ("P95, at most 20 %", {"enabled": True, "spend_share_max": 0.2}),
                        ("after 1 s, at most 20 %", {"enabled": True, "after": "1s", "spend_share_max": 0.2})):
        times, spent, twice, outcomes = run(hedge, options.seconds, options.rate)
        at = [1e3 * times[min(len(times) - 1, int(share * len(times)))] for share in (0.5, 0.95, 0.99)]
        print(f"{name:28} {at[0]:6.0f} ms {at[1]:5.0f} ms {at[2]:5.0f} ms {spent:8.4f}$ {twice / spent:11.1%}   "
              + ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items()))


if __name__ == "__main__":
    main()
