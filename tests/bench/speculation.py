#!/usr/bin/env python3
"""What guessing buys the local engine: tokens a second with and without `speculation`, beside each other.

speculation.py [--concurrency 1,4] [--drafts 4] [--longest 4] [--repeat 9] [--out 128]

Both run in turns, so that they meet the same machine; the best of each counts, since others may have it meanwhile.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "functional"))
import json  # noqa: E402

import configs  # noqa: E402
from processes import MODEL, Gateway, as_client, send  # noqa: E402

CODE = "\n".join(f"def area_of_{name}(width, height):\n    \"\"\"The area of a {name}.\"\"\"\n    return width * height * {i}\n"
                 for i, name in enumerate(("square", "triangle", "window", "door", "garden", "field"), 1))
PAGE = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
TOPICS = ("the tides", "bridges", "bread", "glaciers", "beavers", "paper", "lighthouses", "salt")
PROMPTS = {
    "copy": lambda i: f"Repeat this file exactly, with `width` renamed to `breadth{i}`:\n\n{CODE}",
    "summary": lambda i: f"Summarise this page in its own words, sentence by sentence:\n\n{PAGE[1000 + 300 * i:3000 + 300 * i]}",
    "ordinary": lambda i: f"Tell me what is interesting about {TOPICS[i % len(TOPICS)]}, and why people should care.",
    "drawn": lambda i: f"Tell me what is interesting about {TOPICS[i % len(TOPICS)]}, and why people should care.",
}
DRAWN = {"temperature": 1.0, "seed": 7}  # Of the prompt of that name; others are answered greedily.


def ask(gateway, kind, number, out):
    body = {"model": "smollm2", "messages": [{"role": "user", "content": PROMPTS[kind](number)}], "ignore_eos": True,
            "max_tokens": out, **(DRAWN if kind == "drawn" else {"temperature": 0})}
    status, _, answer = send(gateway.root + "/v1/chat/completions", "POST", body, as_client(), timeout=600)
    assert status == 200, answer
    return json.loads(answer)["choices"][0]["message"]["content"]


def answers(gateway, kind, options, concurrency):
    """Of two rounds of prompts, those of the second, and the tokens a second in it; the first fills the prefix cache."""
    def together(out):
        said = [None] * concurrency
        threads = [threading.Thread(target=lambda i=i: said.__setitem__(i, ask(gateway, kind, i, out)))
                   for i in range(concurrency)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return said, time.monotonic() - began

    together(1)
    before = [gateway.metric("spillway_engine_drafts_total", outcome=outcome) for outcome in ("right", "wrong")]
    said, took = together(options.out)
    right, wrong = (gateway.metric("spillway_engine_drafts_total", outcome=outcome) - was
                    for outcome, was in zip(("right", "wrong"), before, strict=True))
    return said, concurrency * options.out / took, right, right + wrong


def start(folder, name, drafts, options, concurrency):
    engine = configs.engine(sequences_max=concurrency, threads=options.threads, kv_tokens_max=2048 * concurrency,
                            precision=options.precision, speculation={"drafts": drafts, "longest": options.longest})
    return Gateway(configs.write(Path(folder) / f"{name}.yaml", configs.gateway({"local": engine})))


def compare(concurrency, options):
    with tempfile.TemporaryDirectory() as folder:
        gateways = {drafts: start(folder, f"d{drafts}", drafts, options, concurrency) for drafts in (0, options.drafts)}
        try:
            for gateway in gateways.values():
                ask(gateway, "ordinary", 7, 64)  # The engine has seen a few steps.
            for kind in options.prompts.split(","):
                rates = {drafts: [] for drafts in gateways}
                said, counts = {}, {}
                for turn in range(options.repeat):
                    for drafts in sorted(gateways, reverse=turn % 2 == 1):
                        said[drafts], rate, *counts[drafts] = answers(gateways[drafts], kind, options, concurrency)
                        rates[drafts].append(rate)
                plain, guessing = (max(rates[drafts]) for drafts in gateways)
                right, tried = counts[options.drafts]
                same = sum(a == b for a, b in zip(*said.values(), strict=True))
                print(f"{kind:9} {concurrency:4} {plain:7.1f} {guessing:8.1f} {guessing / plain:6.2f}x {tried / options.out / concurrency:7.2f}"
                      f" {right / max(1, tried):9.0%} {same:3} of {concurrency}", flush=True)
        finally:
            for gateway in gateways.values():
                gateway.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--concurrency", default="1,4", help="comma-separated")
    parser.add_argument("--prompts", default=",".join(PROMPTS), help="of " + ", ".join(PROMPTS))
    parser.add_argument("--drafts", type=int, default=4)
    parser.add_argument("--longest", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--out", type=int, default=128, help="tokens of an answer")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    cpu = subprocess.run("grep -m1 'model name' /proc/cpuinfo", shell=True, capture_output=True, text=True, check=False)
    print(f"{os.cpu_count()} cores{cpu.stdout.partition(':')[2].rstrip()}, {options.threads} threads, {MODEL.name}, "
          f"precision {options.precision}, {options.drafts} drafts of {options.longest} tokens found")
    print("tok/s without and with, the best of each; drafts tried a token, and how many were right; answers that are the same")
    print(f"{'prompt':9} {'conc':>4} {'without':>7} {'with':>8} {'':>7} {'tried':>7} {'right':>9} {'same':>8}")
    for concurrency in map(int, options.concurrency.split(",")):
        compare(concurrency, options)


if __name__ == "__main__":
    main()
