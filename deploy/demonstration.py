#!/usr/bin/env python3
"""Shows a running gateway at work with the official OpenAI client: one streamed answer, then a burst no CPU can hold."""
import argparse
import asyncio
import collections
import json
import os
import statistics
import sys
import time
import urllib.request

from openai import APIError, AsyncOpenAI

TOPICS = ["a spillway", "the tide", "a violin", "bread", "the moon", "a lighthouse", "paper", "honey", "a compass",
          "glass", "the wind", "a bridge", "salt", "a clock", "ink", "a library"]


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def show_one_answer(client):
    print("One answer, streamed (model 'auto': the policy decides):\n  ", end="")
    raw = await client.chat.completions.with_raw_response.create(
        model="auto", stream=True, max_tokens=48, temperature=0,
        messages=[{"role": "user", "content": "In one sentence: what is a spillway for?"}])
    async for chunk in raw.parse():
        if chunk.choices and chunk.choices[0].delta.content:
            print(chunk.choices[0].delta.content, end="", flush=True)
    print(f"\n  answered by {raw.headers['x-spillway-target']}, because {raw.headers['x-spillway-reason']}")


async def one_request(client, number, rows):
    batch = number % 5 == 4
    prompt = (f"Explain to a curious child, step by step and with an example, how {TOPICS[number % len(TOPICS)]} works, "
              f"who invented it and what people did before. Number {number}.")
    began = time.monotonic()
    row = {"class": "batch" if batch else "interactive", "target": "-", "reason": "-", "ttft": None, "error": None}
    rows.append(row)
    try:
        raw = await client.chat.completions.with_raw_response.create(
            model="auto", stream=True, max_tokens=48, temperature=0.7, seed=number,
            service_tier="flex" if batch else "auto", messages=[{"role": "user", "content": prompt}])
        row["target"], row["reason"] = raw.headers["x-spillway-target"], raw.headers["x-spillway-reason"]
        row["class"] = raw.headers["x-spillway-class"]
        async for chunk in raw.parse():
            if row["ttft"] is None and chunk.choices and chunk.choices[0].delta.content:
                row["ttft"] = time.monotonic() - began
    except APIError as error:
        row["error"] = type(error).__name__


async def burst(client, size):
    rows, waves = [], 3
    began = time.monotonic()
    tasks = []
    for number in range(size):
        tasks.append(asyncio.create_task(one_request(client, number, rows)))
        if (number + 1) % (size // waves) == 0:
            await asyncio.sleep(0.4)
    while not all(task.done() for task in tasks):
        done = sum(task.done() for task in tasks)
        print(f"\r  {done}/{size} answered", end="", flush=True)
        await asyncio.sleep(0.2)
    await asyncio.gather(*tasks)
    print(f"\r  {size}/{size} answered in {time.monotonic() - began:.1f} s")
    return rows


def print_by_target(rows):
    print(f"\n  {'class':12} {'target':12} {'why':22} {'requests':>8} {'TTFT P50':>9} {'P99':>8}")
    groups = collections.defaultdict(list)
    for row in rows:
        groups[row["class"], row["target"], row["reason"]].append(row)
    for (name, target, reason), group in sorted(groups.items()):
        ttft = [row["ttft"] for row in group if row["ttft"] is not None]
        quantiles = f"{percentile(ttft, .5):8.2f}s {percentile(ttft, .99):7.2f}s" if ttft else f"{'-':>9} {'-':>8}"
        print(f"  {name:12} {target:12} {reason:22} {len(group):8} {quantiles}")


def print_by_class(rows):
    print(f"\n  {'class':12} {'requests':>8} {'failed':>7} {'TTFT P50':>9} {'P99':>8}")
    for name in sorted({row["class"] for row in rows}):
        group = [row for row in rows if row["class"] == name]
        ttft = [row["ttft"] for row in group if row["ttft"] is not None] or [float("nan")]
        failed = sum(row["error"] is not None for row in group)
        print(f"  {name:12} {len(group):8} {failed:7} {percentile(ttft, .5):8.2f}s {percentile(ttft, .99):7.2f}s")


def decisions(admin, count):
    with urllib.request.urlopen(f"{admin}/decisions?n={count}", timeout=10) as answer:
        return json.load(answer)["decisions"]


def print_money_and_prediction(recent):
    cost = sum(row.get("cost_nano_usd", 0) for row in recent) / 1e9
    avoided = sum(row.get("avoided_nano_usd", 0) for row in recent) / 1e9
    print(f"\n  cost: ${cost:.6f} paid to providers, ${avoided:.6f} not spent because the local engine answered")
    errors = [abs(row["predicted_ttft_ms"] - row["ttft_ms"]) / row["ttft_ms"] for row in recent
              if row.get("predicted_ttft_ms") and row.get("ttft_ms") and row["target"] == "local"]
    if errors:
        print(f"  predicted against actual TTFT of the {len(errors)} local answers: median error "
              f"{100 * statistics.median(errors):.1f} %")
    return errors


async def demonstrate(options):
    client = AsyncOpenAI(base_url=options.api, api_key=options.key, max_retries=0, timeout=120)
    await show_one_answer(client)
    await asyncio.sleep(0.3)
    print(f"\nA burst of {options.size} requests within a second, one in five of them batch work:")
    rows = await burst(client, options.size)
    print_by_class(rows)
    print_by_target(rows)
    errors = print_money_and_prediction(decisions(options.admin, options.size))
    failed = sum(row["error"] is not None for row in rows)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"rows": rows, "prediction_errors": errors}, file)
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--api", default="http://127.0.0.1:8080/v1")
    parser.add_argument("--admin", default="http://127.0.0.1:9090")
    parser.add_argument("--key", default=os.environ.get("SPILLWAY_DEMO_KEY", "sk-spillway-demo"))
    parser.add_argument("--size", type=int, default=60, help="requests in the burst")
    parser.add_argument("--json", help="also write the rows to this file")
    sys.exit(asyncio.run(demonstrate(parser.parse_args())))


if __name__ == "__main__":
    main()
