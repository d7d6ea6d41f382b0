#!/usr/bin/env python3
"""What the policy makes of recorded traces: promises kept and dollars per million tokens, beside its goals.

Replays the traces of tests/data/traces through `spillway simulate` with config/policies/gpu-node.yaml: the node is the
reference engine model, the three providers answer by their laws, the cheapest fails 18 % and is slow for a fifth of the
time, 35 % of the requests may wait. Goals are what a reference optimiser with knowledge of all the engine's constants
reached on the same model. Constants of the policy were chosen on azure1h and servegen; mooncake and reason are as they come.
"""
import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("SPILLWAY_BINARY", ROOT / "build/release/spillway"))
TRACES = ROOT / "tests/data/traces"
AZURE = ["azure_llm_2023_conv.csv.gz", "azure_llm_2023_code.csv.gz"]
SERVEGEN = ["servegen_mlarge_day1.csv.gz"]
MOONCAKE = ["mooncake_fast25_conversation.jsonl.gz"]
REASON = ["servegen_r1_day.csv.gz"]

# name, files, saturation, load, further options, goal: attainment %, dollars per million tokens
CASES = [
    ("azure1h 80 %", AZURE, "azure1h", 0.8, [], (99.5, 0.113)),
    ("azure1h 150 %", AZURE, "azure1h", 1.5, [], (99.0, 0.69)),
    ("azure1h 80 %, engine 25 % slower", AZURE, "azure1h", 0.8, ["--slowdown", "1.25"], (99.3, 0.20)),
    ("servegen day 80 %", SERVEGEN, "servegen_day", 0.8, [], (99.9, 0.052)),
    ("servegen day 150 %", SERVEGEN, "servegen_day", 1.5, [], (99.6, 0.64)),
    ("mooncake 80 %, prefix cache", MOONCAKE, "mooncake", 0.8, ["--prefix-cache", "430000"], (99.4, 0.11)),
    ("reasoning day 80 %", REASON, "reason_day", 0.8, [], (98.5, 0.26)),
]


def simulate(policy, files, saturation, load, options, seed):
    began = time.monotonic()
    run = subprocess.run([BINARY, "simulate", "--policy", policy, "--trace", ",".join(str(TRACES / f) for f in files),
                          "--saturation", saturation, "--load", str(load), "--seed", str(seed), *options],
                         capture_output=True, text=True, check=True)
    seconds = time.monotonic() - began

    def figure(pattern):
        return float(re.search(pattern, run.stdout).group(1))
    return {"attainment": figure(r"attainment\s+([\d.]+) %"), "in_time": figure(r"interactive, ([\d.]+) % batch"),
            "usd": figure(r"\$([\d.]+) per M"), "failed": figure(r"(\d+) failed"), "p99": figure(r"TTFT.*P99 ([\d.]+)"),
            "mean": figure(r"response\s+mean ([\d.]+)"), "error": figure(r"local TTFT ([\d.]+) %"), "seconds": seconds}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", default=str(ROOT / "config/policies/gpu-node.yaml"))
    parser.add_argument("--seeds", type=int, default=3, help="the worst attainment and the mean price of so many")
    options = parser.parse_args()
    print(f"{'trace, load':34} {'attained':>9} {'goal':>6} {'$ per M':>8} {'goal':>6} {'in time':>8} {'failed':>6} "
          f"{'TTFT P99':>8} {'response':>8} {'pred. error':>11} {'took':>6}")
    failed = 0
    for name, files, saturation, load, more, (attained, usd) in CASES:
        runs = [simulate(options.policy, files, saturation, load, more, seed + 1) for seed in range(options.seeds)]
        mean = {key: sum(run[key] for run in runs) / len(runs) for key in runs[0]}
        worst = min(run["attainment"] for run in runs)
        failed += sum(run["failed"] for run in runs)
        print(f"{name:34} {worst:7.2f} % {attained:6} {mean['usd']:8.4f} {usd:6} {mean['in_time']:6.2f} % "
              f"{mean['failed']:6.0f} {mean['p99']:6.2f} s {mean['mean']:6.2f} s {mean['error']:9.1f} % "
              f"{mean['seconds']:4.1f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
