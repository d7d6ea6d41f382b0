#!/usr/bin/env python3
"""The local engine on the CPU beside llama.cpp's server: the same GGUF file, prompts and lengths, over HTTP on both sides.

Each request is new text (cold prefix caches), about 512 prompt tokens, exactly 128 tokens out (ignore_eos), greedy, in
a closed loop at the given concurrency. The two run in turn, never together. Prints medians of the repetitions.
"""
import argparse
import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "functional"))
import configs  # noqa: E402
from overhead import children_of, free_port  # noqa: E402
from processes import KEY, MODEL, Gateway, Process  # noqa: E402

WORDS = ("river mountain window garden letter winter number silver answer people music table yellow paper stone bread "
         "morning island teacher ocean simple engine color forest metal doctor camera bridge village summer").split()
OUT_TOKENS = 128


def prompt(seed, words):
    rng = random.Random(seed)
    return f"Story {seed}: " + " ".join(rng.choice(WORDS) for _ in range(words))


def chat(port, seed, words):
    """One streamed request: (TTFT, seconds per further token, prompt tokens, completion tokens)."""
    body = {"model": "smollm2", "messages": [{"role": "user", "content": prompt(seed, words)}], "stream": True,
            "stream_options": {"include_usage": True}, "max_tokens": OUT_TOKENS, "temperature": 0, "ignore_eos": True,
            "cache_prompt": False}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    began = time.monotonic()
    connection.request("POST", "/v1/chat/completions", json.dumps(body),
                       {"content-type": "application/json", "authorization": f"Bearer {KEY}"})
    answer, first, last, usage = connection.getresponse(), None, None, None
    assert answer.status == 200, answer.read()
    for line in answer:
        if not line.startswith(b"data: {"):
            continue
        chunk = json.loads(line[6:])
        usage = chunk.get("usage") or usage
        if chunk["choices"] and chunk["choices"][0]["delta"].get("content"):
            last = time.monotonic()
            first = first or last
    connection.close()
    assert usage["completion_tokens"] == OUT_TOKENS, f"{usage['completion_tokens']} tokens instead of {OUT_TOKENS}"
    return first - began, (last - first) / (OUT_TOKENS - 1), usage["prompt_tokens"]


def closed_loop(port, concurrency, requests, words, seed):
    rows, lock, numbers = [], threading.Lock(), iter(range(seed, seed + requests))

    def work():
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            row = chat(port, number, words)
            with lock:
                rows.append(row)

    began = time.monotonic()
    threads = [threading.Thread(target=work) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    assert len(rows) == requests, "a request failed"
    ttft = sorted(row[0] for row in rows)
    return {"tok_s": requests * OUT_TOKENS / took, "ttft_p50": statistics.median(ttft), "ttft_p99": ttft[-1],
            "tpot_ms": 1e3 * statistics.median(row[1] for row in rows),
            "prompt": statistics.mean(row[2] for row in rows)}


def resident_mb(pid):
    pages = sum(int(Path(f"/proc/{p}/statm").read_text().split()[1]) for p in children_of(pid))
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def start_spillway(folder, slots, threads):
    engine = configs.engine(sequences_max=slots, threads=threads, kv_tokens_max=1024 * slots)
    gateway = Gateway(configs.write(Path(folder) / "spillway.yaml", configs.gateway({"local": engine})))
    return gateway, int(gateway.root.rsplit(":", 1)[1])


def start_llama(_folder, slots, threads):
    port = free_port()
    process = Process([sys.executable, Path(__file__).with_name("llama_server.py"), MODEL, port, threads, slots],
                      {"OMP_NUM_THREADS": str(threads)})
    process.wait_for("listening on")
    return process, port


def measure(name, concurrency, options, repetition):
    start = {"spillway": start_spillway, "llama.cpp": start_llama}[name]
    with tempfile.TemporaryDirectory() as folder:
        process, port = start(folder, max(concurrency, 1), options.threads)
        try:
            chat(port, 10**6 + repetition, 20)
            requests = max(options.requests, concurrency)
            row = closed_loop(port, concurrency, requests, options.words, 1000 * repetition)
            row["rss_mb"] = resident_mb(process.child.pid)
            return row
        finally:
            process.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--concurrency", default="1,8", help="comma-separated")
    parser.add_argument("--requests", type=int, default=4, help="a run (at least the concurrency)")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--words", type=int, default=478, help="of a prompt")
    parser.add_argument("--engines", default="llama.cpp,spillway")
    options = parser.parse_args()
    cpu = subprocess.run("grep -m1 'model name' /proc/cpuinfo", shell=True, capture_output=True, text=True, check=False)
    print(f"{os.cpu_count()} cores{cpu.stdout.partition(':')[2].rstrip()}, {options.threads} threads, {MODEL.name}")
    print(f"{'':12} {'conc':>4} {'prompt':>6} {'tok/s':>7} {'TTFT P50':>9} {'P99':>8} {'TPOT P50':>9} {'RSS MB':>7}")
    names = options.engines.split(",")
    for concurrency in map(int, options.concurrency.split(",")):
        runs = {name: [] for name in names}
        for repetition in range(options.repeat):
            for name in names:
                runs[name].append(measure(name, concurrency, options, repetition))
        medians = {name: {k: statistics.median(r[k] for r in rows) for k in rows[0]} for name, rows in runs.items()}
        for name, row in medians.items():
            print(f"{name:12} {concurrency:4} {row['prompt']:6.0f} {row['tok_s']:7.1f} {row['ttft_p50']:8.2f}s "
                  f"{row['ttft_p99']:7.2f}s {row['tpot_ms']:6.1f} ms {row['rss_mb']:7.0f}", flush=True)
        if len(names) == 2:
            print(f"{'ratio':12} {concurrency:4} {'':6} {medians['spillway']['tok_s'] / medians['llama.cpp']['tok_s']:6.2f}x")


if __name__ == "__main__":
    main()
