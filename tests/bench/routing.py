#!/usr/bin/env python3
"""What the policy makes of recorded traces: promises kept and dollars per million tokens, beside its goals, simpler
policies and a lower bound.

Replays the traces of tests/data/traces through `spillway simulate` with config/spillway.yaml, as it is shipped for a small
CPU, and config/policies/gpu-node.yaml: with both the node is the reference engine model, the three providers answer by their laws, the cheapest fails 18 % and is slow for a fifth of the
time, 35 % of the requests may wait. Goals are what a reference optimiser with knowledge of all the engine's constants
reached on the same model. Constants of the policy were chosen on azure1h and servegen; mooncake and reason are as they come.

  --quick    the goals' rows, one seed (without: three)
  --feedback what classes with feedback make of drifts and of a limit to what they spend, one seed
  --full     also the baselines of tests/bench/policies, ablations and the bound of lower_bound.cpp, at 40, 80 and 150 %
             of the node's saturation; writes routing.md and routing.svg beside this file
"""
import argparse
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import routing_report
from routing_cases import (ABLATIONS, ALL_CLOUD, ALL_TRACES, AZURE, BASELINES, DRIFTS, FEEDBACK, LOADS, MOONCAKE,
                           OUR_POLICY, OURS, REASON, SERVEGEN, SHIPPED, SLOWER, Bench, article_day, simulate)

# name, trace, load, further options, goal: attainment %, dollars per million tokens; what is reached of it, with a
# little room for another libm: no change of the policy may fall behind
GOALS = [
    ("azure1h 80 %", AZURE, 0.8, (), (99.5, 0.113), (99.5, 0.116)),
    ("azure1h 150 %", AZURE, 1.5, (), (99.0, 0.69), (99.1, 0.70)),
    ("azure1h 80 %, engine 20 % slower", AZURE, 0.8, SLOWER, (99.3, 0.20), (99.3, 0.24)),
    ("servegen day 80 %", SERVEGEN, 0.8, (), (99.9, 0.052), (99.9, 0.053)),
    ("servegen day 150 %", SERVEGEN, 1.5, (), (99.6, 0.64), (99.55, 0.65)),
    ("mooncake 80 %, prefix cache", MOONCAKE, 0.8, (), (99.4, 0.11), (99.1, 0.11)),
    ("reasoning day 80 %", REASON, 0.8, (), (98.5, 0.26), (98.1, 0.13)),
]


def goals(policy, seeds):
    """Prints the goals' rows: the worst attainment and the means of so many seeds. Returns what is wrong with them."""
    print(f"\n{Path(policy).name}\n{'trace, load':34} {'attained':>9} {'goal':>6} {'$ per M':>8} {'goal':>6} {'in time':>8} {'failed':>6} "
          f"{'TTFT P99':>8} {'response':>8} {'pred. error':>11} {'took':>6}")
    wrong = []
    for name, trace, load, options, (attained, usd), reached in GOALS:
        runs = [simulate(policy, trace, load, options, seed + 1) for seed in range(seeds)]
        mean = {key: sum(run[key] for run in runs) / len(runs) for key in runs[0]}
        worst = min(run["attainment"] for run in runs)
        if any(run["failed"] for run in runs) or mean["in_time"] < 99.9:
            wrong.append(f"{Path(policy).name}, {name}: requests failed, or batch work is late")
        if worst < reached[0] or mean["usd"] > reached[1]:
            wrong.append(f"{Path(policy).name}, {name}: {reached[0]} % for ${reached[1]} was reached before")
        print(f"{name:34} {worst:7.2f} % {attained:6} {mean['usd']:8.4f} {usd:6} {mean['in_time']:6.2f} % "
              f"{mean['failed']:6.0f} {mean['p99']:6.2f} s {mean['mean']:6.2f} s {mean['error']:9.1f} % "
              f"{mean['seconds']:4.1f} s", flush=True)
    return wrong


def feedback():
    print("| trace, load | " + " | ".join(policy.name for policy in FEEDBACK) + " |\n|---|" + "---|" * len(FEEDBACK))
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(folder)
        for name, trace, load, options in DRIFTS:
            runs = [bench.run(policy, trace, load, more=options) for policy in FEEDBACK]
            cells = [f"{run['attainment']:.2f} / {run['usd']:.4f}, ${run['cloud']:.2f}" for run in runs]
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def full(known, jobs):
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as workers:
        bench = Bench(folder, known)
        day = article_day(folder)
        places = [(trace, load) for trace in ALL_TRACES for load in LOADS]
        tasks = [(bench.bound, trace, load) for trace, load in places]
        tasks += [(bench.run, policy, trace, load) for trace, load in places
                  for policy in [OUR_POLICY, *BASELINES, *ABLATIONS]]
        tasks += [(bench.run, policy, AZURE, load, 1, SLOWER) for load in LOADS[1:]
                  for policy in [OUR_POLICY, *ABLATIONS]]
        tasks += [(bench.run, policy, day, 1.0) for policy in [OUR_POLICY, ALL_CLOUD, *BASELINES[3:6]]]
        running = [workers.submit(*task) for task in tasks]
        for number, future in enumerate(running):
            future.result()
            print(f"\r{number + 1} of {len(running)}", end="", file=sys.stderr, flush=True)
        report = routing_report.Report(bench, day, SLOWER)
        here = Path(__file__).parent
        (here / "routing.md").write_text(report.markdown(), encoding="utf-8")
        (here / "routing.svg").write_text(report.picture(), encoding="utf-8")
        print("\n" + report.markdown())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", default=None, help="in place of these two, for the goals' rows")
    parser.add_argument("--seeds", type=int, default=3, help="the worst attainment and the mean price of so many")
    parser.add_argument("--quick", action="store_true", help="one seed")
    parser.add_argument("--feedback", action="store_true", help="drifts and spend, with feedback")
    parser.add_argument("--full", action="store_true", help="everything, into routing.md and routing.svg")
    parser.add_argument("--jobs", type=int, default=2, help="simulations at once, for --full")
    parser.add_argument("--known", type=Path, help="a file that keeps runs, to go on with --full after an interruption")
    options = parser.parse_args()
    if options.feedback:
        return feedback()
    if options.full:
        return full(options.known, options.jobs)
    policies = [options.policy] if options.policy else [SHIPPED, OURS]
    wrong = [sentence for policy in policies for sentence in goals(policy, 1 if options.quick else options.seeds)]
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
