"""The table and the picture of tests/bench/routing.py --full."""
from routing_cases import (ABLATIONS, ALL_CLOUD, ALL_TRACES, AZURE, BASELINES, CHEAPEST_USD, LOADS, OUR_POLICY, OURS,
                           SERVEGEN, Bench, Trace)
from routing_picture import Point, panels

__all__ = ["OURS", "Report"]

HEAD = """# What each kind of policy makes of recorded traces

Written by `tests/bench/routing.py --full`; the picture is [routing.svg](routing.svg). Policies are files run by the
gateway's own decision code (`spillway simulate`), on the reference engine model, with three simulated providers of which
the cheapest fails 18 % and is slow for a fifth of the time. 35 % of the requests are batch work. Loads are shares of the
node's saturation.

Each cell: interactive requests with both promises kept (first token within 1 s, on mooncake 1 s + 1 s for 8,000 prompt
tokens; 50 ms a token), dollars per million tokens with the node's (all-cloud pays for none), and how much of the possible
saving that is: (all-cloud with failover - policy) / (all-cloud with failover - bound). In brackets what failed, and what
batch work was late. *Best of 7*: the setting with the most promises kept on that very trace and load (to a tenth; then the
cheapest), known to nobody beforehand. *Reactive*: the engine refuses while so many prompt tokens are queued, which then go
to providers. *-*: given up after five minutes, with tens of thousands in the engine's queue and every decision looking at
all of them.

Baselines send what leaves to the cheapest provider, with the others behind it where it fails, as gateways do that know no
latencies; where it says *provider chosen as ours*, and with predicted TTFT, to the cheapest that is measured to be in time.
A policy may cost less than the bound by breaking promises: the bound keeps all. One seed; others move promises kept by 0.2
points and costs by 3 % at most.

![Promises kept against cost](routing.svg)
"""

ABLATION_HEAD = """
## What each part buys

Spillway's policy with one thing left out.
"""

NOT_BUILT = """
Spilling others than the newest from a full queue is not built. A prototype was measured: 2 % less cost on azure1h at 80 %,
0.3 % at 150 %, 0.8 % more on the servegen day, for up to 0.1 points of promises kept (docs/routing.md); long prompts, which are
what misses the promise, are also the cheapest to move for each prompt token. Batch work that was to leave and may stay after all is not a part that can be
left out: what is held is decided again every second until it goes.
"""

DAY_HEAD = """
## In the article's words

The article's own day has 100,000 calls of 512 + 128 tokens (its promise: 2.8 to 0.9 s, 62 % less); goal: mean response at
most 1.0 s, at least 82 % less than the cheapest provider alone would cost without any failure ($1.98 per million tokens).
Mean response is that of interactive requests; longer answers make longer means.

| trace, load | policy | mean response | below the cheapest provider alone |
|---|---|---|---|
"""


class Report:
    def __init__(self, bench: Bench, day: Trace, slower: tuple):
        self.bench, self.day, self.slower = bench, day, slower

    def saved(self, trace, load, run):
        most = self.bench.run(ALL_CLOUD, trace, load)["usd"]
        return 100 * (most - run["usd"]) / (most - self.bench.bound(trace, load)["usd"])

    def cell(self, policy, trace, load, more=()):
        run = self.bench.run(policy, trace, load, 1, more)
        if run is None:
            return "-"
        saved = "" if more or policy == ALL_CLOUD or not policy.node else f" / {self.saved(trace, load, run):.0f} %"
        failed = 100 * run["failed"] / run["requests"]
        notes = [f"{failed:.1f} % failed"] if failed else []
        late = 100 - run["in_time"]
        if late >= 0.1 and late > failed + 0.1:
            notes.append(f"batch {late:.1f} % late")
        setting = f" (at {run['N']})" if run["N"] is not None else ""
        return f"{run['attainment']:.1f} / {run['usd']:.3f}{saved}{setting}" + (f" ({', '.join(notes)})" if notes else "")

    def table(self, trace):
        lines = [f"\n## {trace.name}\n", "| policy | " + " | ".join(f"{100 * load:.0f} %" for load in LOADS) + " |",
                 "|---" * (len(LOADS) + 1) + "|"]
        for policy in [*BASELINES, OUR_POLICY]:
            name = f"**{policy.name}**" if policy == OUR_POLICY else policy.name
            cells = [self.cell(policy, trace, load) for load in LOADS]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        bounds = [f"{self.bench.bound(trace, load)['usd']:.3f}" for load in LOADS]
        lines.append("| lower bound, every promise kept | " + " | ".join(bounds) + " |")
        return "\n".join(lines) + "\n"

    def ablations(self):
        columns = [(trace, load, more) for trace, more in ((AZURE, ()), (AZURE, self.slower), (SERVEGEN, ()))
                   for load in LOADS[1:]]
        heads = [f"{trace.name} {100 * load:.0f} %{', engine 20 % slower' if more else ''}"
                 for trace, load, more in columns]
        lines = ["\n| without | instead | " + " | ".join(heads) + " |", "|---" * (len(columns) + 2) + "|"]
        for policy in [OUR_POLICY, *ABLATIONS]:
            cells = []
            for trace, load, more in columns:
                run = self.bench.run(policy, trace, load, 1, more)
                cells.append(f"{run['attainment']:.1f} / {run['usd']:.3f}")
            name = "nothing" if policy == OUR_POLICY else policy.name.removeprefix("without ")
            lines.append(f"| {name} | {policy.told} | " + " | ".join(cells) + " |")
        return "\n".join(lines) + "\n"

    def in_the_articles_words(self):
        rows = [(self.day, 1.0, policy) for policy in [ALL_CLOUD, *BASELINES[3:6], OUR_POLICY]]
        rows += [(trace, load, OUR_POLICY) for trace in ALL_TRACES for load in LOADS]
        lines = []
        for trace, load, policy in rows:
            run = self.bench.run(policy, trace, load)
            name = trace.name + ("" if trace == self.day else f" {100 * load:.0f} %")
            lines.append(f"| {name} | {policy.name} | {run['mean']:.2f} s | {100 * (1 - run['usd'] / CHEAPEST_USD):.1f} % |")
        return "\n".join(lines) + "\n"

    def markdown(self):
        return (HEAD + "".join(self.table(trace) for trace in ALL_TRACES) + ABLATION_HEAD + self.ablations() + NOT_BUILT +
                DAY_HEAD + self.in_the_articles_words())

    def picture(self):
        places = {}
        for trace in ALL_TRACES:
            for load in LOADS:
                points = []
                for policy in [*BASELINES, OUR_POLICY]:
                    run = self.bench.run(policy, trace, load)
                    if run is None:
                        continue
                    points.append(Point(run["usd"], run["attainment"], policy.letter, policy == OUR_POLICY))
                bound = self.bench.bound(trace, load)["usd"]
                places[f"{trace.name}, {100 * load:.0f} %"] = (points, bound)
        return panels(places, [(policy.letter, policy.name) for policy in [OUR_POLICY, *BASELINES]], len(LOADS))
