"""What tests/bench/routing.py runs: traces and policies, and how one run is made of the two."""
import json
import os
import random
import re
import string
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("SPILLWAY_BINARY", ROOT / "build/release/spillway"))
BOUND = Path(os.environ.get("SPILLWAY_LOWER_BOUND", BINARY.parent / "tests/bench/lower_bound"))
OURS = ROOT / "config/policies/gpu-node.yaml"
SHIPPED = ROOT / "config/spillway.yaml"
TRACES = ROOT / "tests/data/traces"
CHEAPEST_USD = 1.98  # Per million tokens, in and out.
LOADS = [0.4, 0.8, 1.5]
SECONDS_MAX = 300  # Of one simulation.


@dataclass(frozen=True)
class Trace:
    name: str
    files: tuple
    saturation: str = "1"
    options: tuple = ()          # Of `spillway simulate`,
    bound_options: tuple = ()    # …of lower_bound.
    batch_ttft: str = "1s"       # Where batch work is treated as interactive work is.


def recorded(*names):
    return tuple(str(TRACES / name) for name in names)


AZURE = Trace("azure1h", recorded("azure_llm_2023_conv.csv.gz", "azure_llm_2023_code.csv.gz"), "azure1h")
SERVEGEN = Trace("servegen day", recorded("servegen_mlarge_day1.csv.gz"), "servegen_day")
MOONCAKE = Trace("mooncake, prefix cache", recorded("mooncake_fast25_conversation.jsonl.gz"), "mooncake",
                 ("--prefix-cache", "430000"), ("--seen-prefixes",), "1s + prompt_tokens * 0.125ms")
REASON = Trace("reasoning day", recorded("servegen_r1_day.csv.gz"), "reason_day")
ALL_TRACES = [AZURE, SERVEGEN, MOONCAKE, REASON]


@dataclass(frozen=True)
class Policy:
    name: str
    file: str = ""               # Of policies/; empty: gpu-node.yaml as it is.
    values: tuple = ({},)        # Several: the best in hindsight.
    options: tuple = ()
    node: bool = True            # It has a node to pay for.
    letter: str = ""             # In the picture.
    told: str = ""               # What it shows, for ablations.


def each(numbers, **more):
    return tuple({"N": n, "HALF": n // 2, **more} for n in numbers)


DEPTHS = (1, 2, 4, 8, 16, 32, 64)
OUR_POLICY = Policy("Spillway", letter="★")
ALL_CLOUD = Policy("all-cloud, failover", "all-cloud", node=False, letter="B")
STATIC = Policy("static split by class", "static-split", letter="E")
QUEUE = Policy("queue threshold, best of 7", "queue-threshold", each(DEPTHS, CLOUD="ai-hub"), letter="G")
BASELINES = [
    Policy("all-cloud, no failover", "all-cloud-alone", node=False, letter="A"),
    ALL_CLOUD,
    Policy("all-cloud, provider chosen as ours", "all-cloud-in-time", node=False, letter="C"),
    Policy("all-local", "all-local", letter="D"),
    STATIC,
    Policy("the article's rule, overflow at 8", "article", letter="F"),
    QUEUE,
    Policy("queue threshold, provider chosen as ours", "queue-threshold",
           each(DEPTHS, CLOUD="cheapest_meeting_sla"), letter="H"),
    Policy("max in flight, best of 7", "in-flight", each((8, 16, 32, 64, 96, 128, 192), CLOUD="ai-hub"), letter="I"),
    Policy("reactive: queued tokens, best of 7", "queued-tokens",
           each((2000, 5000, 10000, 15000, 20000, 25000, 30000), CLOUD="ai-hub"), letter="J"),
    Policy("predicted TTFT, batch not held", "predicted", letter="K"),
]
ABLATIONS = [
    Policy("without prediction", "unpredicted", each(DEPTHS), told="the best queue threshold of seven instead"),
    Policy("without holding batch back", "predicted", told="batch work is local while its first token is in time"),
    Policy("batch always to providers", "batch-away", told="neither held nor local"),
    Policy("without measured providers", "by-price", told="what leaves goes to the cheapest, in time or not"),
    Policy("without drift tracking", options=("--without", "drift"), told="profile's pace, no correction"),
    Policy("without a GPU second's worth", options=("--without", "worth"),
           told="no interactive request makes room for dearer batch work"),
]

SLOWER = ("--slowdown", "1.25")  # An engine a fifth slower than its profile.
FEEDBACK = [
    OUR_POLICY,
    Policy("feedback", "feedback", ({"SPEND": ""},)),
    Policy("at most $8 an hour", "feedback", ({"SPEND": ", spend_per_hour_max: 8usd"},)),
    Policy("at most $4 an hour", "feedback", ({"SPEND": ", spend_per_hour_max: 4usd"},)),
]
DRIFTS = [
    ("azure1h 80 %", AZURE, 0.8, ()),
    ("azure1h 80 %, engine 20 % slower", AZURE, 0.8, SLOWER),
    ("the same, and its step times not followed", AZURE, 0.8, (*SLOWER, "--without", "drift")),
    ("azure1h 80 %, providers half as slow again", AZURE, 0.8, ("--cloud-slowdown", "1.5")),
    ("azure1h 150 %", AZURE, 1.5, ()),
    ("the same, engine slower and not followed", AZURE, 1.5, (*SLOWER, "--without", "drift")),
    ("servegen day 80 %", SERVEGEN, 0.8, ()),
    ("the same, engine slower and not followed", SERVEGEN, 0.8, (*SLOWER, "--without", "drift")),
    ("servegen day 150 %", SERVEGEN, 1.5, ()),
]


def article_day(folder):
    """The article's own day: 100,000 calls of 512 and 128 tokens, four times as many an hour from 9 to 18 h."""
    draw = random.Random(1)
    hours = draw.choices(range(24), [4 if 9 <= hour < 18 else 1 for hour in range(24)], k=100_000)
    times = sorted(int(3_600_000 * (hour + draw.random())) for hour in hours)
    path = Path(folder) / "article_day.csv"
    rows = [f"{number},{at},512,128,," for number, at in enumerate(times)]
    path.write_text("\n".join(["id,t_ms,in_tokens,out_tokens,class,deadline_ms", *rows]) + "\n", encoding="utf-8")
    rate = str(100_000 / (times[-1] / 1000 + 1))
    return Trace("the article's day", (str(path),), rate, ("--speed", "1"), ("--speed", "1"))


def write_policy(policy, values, batch_ttft, folder):
    """The file's classes and rules under gpu-node.yaml's targets."""
    if not policy.file:
        return OURS
    head = OURS.read_text(encoding="utf-8").split("\nclasses:\n")[0]
    own = string.Template((ROOT / f"tests/bench/policies/{policy.file}.yaml").read_text(encoding="utf-8"))
    handle, path = tempfile.mkstemp(suffix=f"-{policy.file}.yaml", dir=folder)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(head + "\n" + own.substitute(values, BATCH_TTFT=batch_ttft))
    return path


def figures(text):
    def figure(pattern):
        return float(re.search(pattern, text).group(1))
    counts = re.search(r"requests\s+(\d+) interactive, (\d+) batch", text).groups()
    return {"attainment": figure(r"attainment\s+([\d.]+) %"), "in_time": figure(r"interactive, ([\d.]+) % batch"),
            "cloud": figure(r"spend\s+\$([\d.]+)"), "node": figure(r"providers, \$([\d.]+)"),
            "usd": figure(r"\$([\d.]+) per M"), "failed": figure(r"(\d+) failed"), "p99": figure(r"TTFT.*P99 ([\d.]+)"),
            "mean": figure(r"response\s+mean ([\d.]+)"), "error": figure(r"local TTFT ([\d.]+) %"),
            "requests": float(counts[0]) + float(counts[1])}


def simulate(policy_file, trace, load, options=(), seed=1):
    """None: given up. A queue that grows without end is looked at by every decision."""
    began = time.monotonic()
    try:
        run = subprocess.run([BINARY, "simulate", "--policy", policy_file, "--trace", ",".join(trace.files),
                              "--saturation", trace.saturation, "--load", str(load), "--seed", str(seed),
                              *trace.options, *options], capture_output=True, text=True, check=True,
                             timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        return None
    return {**figures(run.stdout), "seconds": time.monotonic() - began}


def lower_bound(trace, load):
    run = subprocess.run([BOUND, "--saturation", trace.saturation, "--load", str(load), *trace.bound_options,
                          *trace.files], capture_output=True, text=True, check=True)
    return {"usd": float(re.search(r"\$([\d.]+) per M", run.stdout).group(1))}


@dataclass
class Bench:
    """Runs, each once: those known from `known`, a file that may be deleted at any time, are not made again."""
    folder: str
    known: Path = None
    done: dict = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self):
        if self.known and self.known.exists():
            self.done = json.loads(self.known.read_text(encoding="utf-8"))

    def once(self, key, make):
        if key not in self.done:
            made = make()
            with self.lock:
                self.done[key] = made
                if self.known:
                    part = self.known.with_suffix(".part")
                    part.write_text(json.dumps(self.done, indent=0), encoding="utf-8")
                    part.replace(self.known)
        return self.done[key]

    def bound(self, trace, load):
        return self.once(f"bound {trace.name} {load}", lambda: lower_bound(trace, load))

    def run(self, policy, trace, load, seed=1, more=()):
        """The policy's best: the most promises kept and, where that is the same to a tenth, the cheapest. None: given up."""
        runs = []
        for values in policy.values:
            text = " ".join(f"{name}={value}" for name, value in values.items())
            key = f"{trace.name} {load} {policy.file or 'ours'} {text} {policy.options} {more} {seed}"

            def make(values=values):
                path = write_policy(policy, values, trace.batch_ttft, self.folder)
                return simulate(path, trace, load, (*policy.options, *more), seed)
            made = self.once(key, make)
            if made is not None:
                runs.append({**made, "N": values.get("N")})
        if not runs:
            return None
        best = dict(min(runs, key=lambda run: (-round(run["attainment"], 1), run["usd"])))
        if not policy.node:
            best["usd"] *= best["cloud"] / (best["cloud"] + best["node"])
        return best
