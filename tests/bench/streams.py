#!/usr/bin/env python3
"""What a streamed token costs this machine's CPU, by thread: the synthetic engine with many streams at a given step time.

Prints for each step time the tokens a second that went out and the CPU time of the engine's thread and of the api threads
for each of them. A step time of 0 is as fast as both get. Needs wrk; everything listens on 127.0.0.1.
"""
import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "functional"))
import configs  # noqa: E402
from processes import KEY, Gateway  # noqa: E402

OUT = 128
QUESTION = {"model": "smollm2", "stream": True, "max_tokens": OUT, "ignore_eos": True, "temperature": 0,
            "messages": [{"role": "user", "content": "How deep is the water behind the dam?"}]}


def start(folder, streams, step):
    engine = configs.synthetic_engine(base=step, per_sequence="0ms", per_prefill_token="0ms", sequences_max=streams,
                                      step_tokens_max=8192, kv_tokens_max=1 << 20)
    settings = configs.gateway({"local": engine}, classes={"interactive": {"spill": "never"}}, log={"level": "info"})
    return Gateway(configs.write(Path(folder) / "spillway.yaml", settings))


def write_lua(folder):
    path = Path(folder) / "stream.lua"
    path.write_text(f'wrk.method = "POST"\nwrk.body = [==[{json.dumps(QUESTION)}]==]\n'
                    f'wrk.headers["Content-Type"] = "application/json"\nwrk.headers["Authorization"] = "Bearer {KEY}"\n')
    return path


def load(gateway, lua, streams, seconds):
    return subprocess.Popen(["wrk", "-t1", f"-c{streams}", f"-d{seconds}s", "-s", str(lua),
                             f"{gateway.root}/v1/chat/completions"], stdout=subprocess.DEVNULL)


def cpu_seconds(pid):
    """By thread, the api threads as one."""
    seconds = {"engine": 0.0, "api": 0.0, "others": 0.0}
    for task in Path(f"/proc/{pid}/task").iterdir():
        name = (task / "comm").read_text().strip()
        kind = "engine" if name == "engine" else "api" if name.startswith("api-") else "others"
        seconds[kind] += int((task / "schedstat").read_text().split()[0]) * 1e-9
    return seconds


def measure(step, lua, options):
    with tempfile.TemporaryDirectory() as folder:
        gateway = start(folder, options.streams, step)
        client = load(gateway, lua, options.streams, options.seconds + 3)
        try:
            time.sleep(2)
            began, tokens, cpu = time.monotonic(), gateway.metric("spillway_engine_tokens_total", kind="decode"), cpu_seconds(gateway.child.pid)
            time.sleep(options.seconds)
            tokens, took = gateway.metric("spillway_engine_tokens_total", kind="decode") - tokens, time.monotonic() - began
            spent = {name: (now - cpu[name]) / tokens * 1e6 for name, now in cpu_seconds(gateway.child.pid).items()}
        finally:
            client.wait()
            gateway.terminate()
    print(f"{options.streams} streams, steps of {step}: {tokens / took:.0f} tokens/s; CPU a token, µs: "
          + ", ".join(f"{name} {us:.2f}" for name, us in spent.items()), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=256)
    parser.add_argument("--steps", default="5ms,0ms", help="comma-separated step times")
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lua = write_lua(folder)
        for step in options.steps.split(","):
            measure(step, lua, options)


if __name__ == "__main__":
    main()
