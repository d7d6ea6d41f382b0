#!/usr/bin/env python3
"""Interactive requests a second within their promise while batch work fills the rest: the gateway, then vLLM, same clients.

usage: goodput.py SHAPE --binary BINARY --model FILE [--sides gateway:25ms,vllm:512,vllm:default] [--until SECONDS] …
64 interactive clients in a closed loop (512 tokens in, 128 out; first token within 1 s, further ones 50 ms each) beside
batch clients (2,000 in, 128 to 384 out, due within 60 s). A side is
  gateway:TIME[/STEPS]  classes by service_tier; step_time_max TIME, step_tokens_max STEPS (2,048)
  vllm:TOKENS           max_num_batched_tokens of TOKENS, 256 sequences, scheduling by priority, which requests give
  vllm:default          as vLLM comes: no priorities, its own sizes
A side that would end later than --until is left out. One line each for interactive, batch and both; clock and power are of
the window. VLLM: see serve_vllm.py.
"""
import argparse
import contextlib
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import closed_loop
import gguf_header
import mixed_loop
import random_model
import serve
import serve_vllm
from clock_log import ClockLog

TTFT_MAX, TPOT_MAX = 1.0, 0.050
START_GUESS = {"gateway": 12, "vllm": 90}  # Seconds.
PRIOR = {"base": "5ms", "per_sequence": "20us", "per_context_token": "20ns", "per_prefill_token": "21us"}


def configuration(options, step_time, step_tokens):
    target = {"kind": "local", "executor": options.executor, "serves": ["model"], "sequences_max": options.sequences,
              "step_tokens_max": step_tokens, "step_time_max": step_time, "kv_tokens_max": options.kv_tokens,
              "waiting_max": 1024, "step_prior": PRIOR}
    if options.executor != "synthetic":
        target["model"] = str(options.model.resolve())
        target["precision"] = "bf16"
    return {"server": {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "drain": "1s"}, "targets": {"local": target},
            "log": {"level": "info"}, "default_class": "interactive",
            "classes": {
                "interactive": {"match": {"service_tier": ["priority"]}, "spill": "never",
                                "sla": {"ttft": f"{round(1e3 * TTFT_MAX)}ms", "per_token": f"{round(1e3 * TPOT_MAX)}ms"}},
                "batch": {"match": {"service_tier": ["flex"]}, "spill": "cheapest_before_deadline",
                          "sla": {"deadline": f"{options.deadline}s"}}}}


def spread(values, unit=1e3, digits=1):
    values = list(values)
    if not values:
        return "–"
    return f"{unit * statistics.median(values):.{digits}f} / {unit * serve.quantile(values, 0.99):.{digits}f}"


def interactive_line(rows, seconds):
    done = [row for row in rows if row.out_tokens > 0]
    late = [row for row in rows if row.out_tokens == 0 and (row.why not in mixed_loop.CUT or row.ttft > TTFT_MAX)]
    good = [row for row in done if row.ttft <= TTFT_MAX and row.tpot <= TPOT_MAX]
    attained = len(good) / max(1, len(done) + len(late))
    text = (f"goodput {len(good) / seconds:.2f} of {len(done) / seconds:.2f} req/s, attained {100 * attained:.1f} % "
            f"(TTFT {100 * sum(row.ttft <= TTFT_MAX for row in done) / max(1, len(done)):.0f} %, "
            f"TPOT {100 * sum(row.tpot <= TPOT_MAX for row in done) / max(1, len(done)):.0f} %), "
            f"TTFT P50 / P99 {spread(row.ttft for row in done)} ms, TPOT {spread((row.tpot for row in done), digits=2)} ms")
    return text + (f", {len(late)} late or failed besides" if late else ""), len(good)


def batch_line(rows, seconds, deadline):
    done = [row for row in rows if row.out_tokens > 0]
    failed = [row for row in rows if row.out_tokens == 0 and row.why not in mixed_loop.CUT]
    took = [row.ttft + row.tpot * (row.out_tokens - 1) for row in done]
    good = sum(time_taken <= deadline for time_taken in took)
    text = (f"{good / seconds:.2f} of {len(done) / seconds:.2f} req/s in time, "
            f"{sum(row.out_tokens for row in done) / seconds:.0f} out tok/s, "
            f"{sum(row.prompt_tokens for row in done) / seconds:.0f} in tok/s, whole answer P50 / P99 {spread(took, 1)} s, "
            f"TPOT {spread(row.tpot for row in done)} ms")
    return text + (f", {len(failed)} failed: …{failed[0].why[-120:]}" if failed else ""), good


def load(port, kinds, options, label):
    children, results, began = mixed_loop.begin(port, kinds, options.warm_up + options.window)
    time.sleep(max(0.0, began + options.warm_up - time.monotonic()))
    with ClockLog() as clock:
        time.sleep(max(0.0, began + options.warm_up + options.window - time.monotonic() - 0.2))
    rows, busy = mixed_loop.end(children, results, options.window)
    rows = [row for row in rows if row.ended >= began + options.warm_up]
    seconds = options.window
    mine = {kind.name: [row for row in rows if row.kind == kind.name] for kind in kinds}
    interactive, good = interactive_line(mine["interactive"], seconds)
    batch, in_time = batch_line(mine["batch"], seconds, options.deadline)
    print(f"{label} interactive c{kinds[0].clients}: {interactive}")
    print(f"{label} batch c{kinds[1].clients}: {batch}")
    print(f"{label} together: {sum(row.out_tokens for row in rows) / seconds:.0f} out tok/s, "
          f"{sum(row.out_tokens + row.prompt_tokens for row in rows) / seconds:.0f} tok/s in and out, "
          f"{(good + in_time) / seconds:.2f} req/s within promise; {seconds:.0f} s after {options.warm_up:.0f} s, "
          f"load generator busy {100 * busy:.0f} %{clock}", flush=True)


def kinds_of(interactive, batch, options):
    return [mixed_loop.Kind("interactive", options.interactive, interactive, 128, 128),
            mixed_loop.Kind("batch", options.batch, batch, 128, 384)]


def prompts_of(port, options, tokens, tier):
    if random_model.SHAPES[options.shape].experts:  # Which experts a step reads depends on its tokens: ours are vLLM's.
        return closed_loop.TokenPrompts(len(gguf_header.tokens(options.model)), tokens, {"service_tier": tier})
    prompts = closed_loop.Prompts(options.model)
    prompts.more, prompts.count = {"service_tier": tier}, tokens * 3 // 4
    if options.executor != "synthetic":
        prompts.fit(port, tokens)
    return prompts


def gateway_side(options, setting):
    step_time, _, step_tokens = setting.partition("/")
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "spillway.yaml"
        config.write_text(json.dumps(configuration(options, step_time, int(step_tokens or 2048))), encoding="utf-8")
        gateway = serve.Gateway(options.binary, config)
        try:
            port = gateway.wait_for_port(serve.START_MAX)
            kinds = kinds_of(prompts_of(port, options, options.in_interactive, "priority"),
                             prompts_of(port, options, options.in_batch, "flex"), options)
            load(port, kinds, options, f"gateway {setting}")
        finally:
            status = gateway.end()
            if status != 0:
                print(f"the gateway ended with {status}; its last lines:\n{''.join(gateway.lines[-20:])}", flush=True)


def vllm_command(folder, port, options, setting):
    command = serve_vllm.command(folder, port, argparse.Namespace(shape=options.shape, sequences=256, quantization="", kv_cache="", gpus=1))
    if setting == "default":
        at = command.index("--max-num-seqs")
        return command[:at] + command[at + 2:]
    return command + ["--max-num-batched-tokens", setting, "--scheduling-policy", "priority"]


def vllm_side(options, setting):
    vocabulary = random_model.SHAPES[options.shape].vocabulary
    first, later = ({}, {}) if setting == "default" else ({"priority": 0}, {"priority": 1})
    kinds = kinds_of(closed_loop.TokenPrompts(vocabulary, options.in_interactive, first),
                     closed_loop.TokenPrompts(vocabulary, options.in_batch, later), options)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as log:
        serve_vllm.write_model(random_model.SHAPES[options.shape], Path(folder))
        port, began = serve_vllm.free_port(), time.monotonic()
        with subprocess.Popen(vllm_command(folder, port, options, setting), stdout=log, stderr=subprocess.STDOUT,
                              env=serve_vllm.environment(bool(random_model.SHAPES[options.shape].latent)),
                              start_new_session=True) as child:
            try:
                serve_vllm.wait_until_ready(child, port, log)
                print(f"vllm {setting} ready after {time.monotonic() - began:.1f} s", flush=True)
                load(port, kinds, options, f"vllm {setting}")
            finally:
                child.terminate()
                try:
                    child.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    pass
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)  # Its engine, too, lest it keep the memory.


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=random_model.SHAPES)
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True, help="of executor: synthetic any, for its tokens")
    parser.add_argument("--sides", default="gateway:25ms,gateway:33ms,gateway:45ms,vllm:512,vllm:1024,vllm:default")
    parser.add_argument("--until", type=float, default=math.inf, help="seconds from now")
    parser.add_argument("--executor", default="cuda")
    parser.add_argument("--sequences", type=int, default=256)
    parser.add_argument("--kv-tokens", type=int, default=524288)
    parser.add_argument("--interactive", type=int, default=64, help="clients")
    parser.add_argument("--batch", type=int, default=256, help="clients")
    parser.add_argument("--in-interactive", type=int, default=512, help="tokens of a prompt")
    parser.add_argument("--in-batch", type=int, default=2000)
    parser.add_argument("--deadline", type=int, default=60, help="of batch work, seconds")
    parser.add_argument("--warm-up", type=float, default=15, help="seconds before the window")
    parser.add_argument("--window", type=float, default=20, help="seconds")
    options = parser.parse_args()
    began, failed = time.monotonic(), False
    for side in options.sides.split(","):
        who, _, setting = side.partition(":")
        if who == "vllm" and serve_vllm.environment() is None:
            print("vllm: not on this machine, nothing is measured (VLLM=FOLDER brings it along)")
            continue
        takes = START_GUESS[who] + options.warm_up + options.window
        if time.monotonic() - began + takes > options.until:
            print(f"{side}: left out, it would take about {takes:.0f} s", flush=True)
            continue
        try:
            (gateway_side if who == "gateway" else vllm_side)(options, setting)
        except Exception as error:  # pylint: disable=broad-except
            print(f"FAILED {side}: {error}", flush=True)
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
