#!/usr/bin/env python3
"""The gateway with one replica of a model, then with several behind one queue: tokens a second, and whether they say the same.

usage: replicas.py BINARY MODEL [--replicas 2] [--concurrency 128,256] …   (--help lists all)
Closed loops as serve.py's, at the same concurrency with one and with several; the ratio of output tokens a second. Then
--answers prompts, the same to all, all at once and greedy: how far each answer is the same, between one replica asked twice
and between one and several. Which of near ties wins depends on who is in a batch, so the first says how much of the second
is to be expected. Exit 1 if several agree with one less than FAITH times as far, or if a request fails.
"""
import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import agreement
import closed_loop
import serve

FAITH = 0.8


@contextlib.contextmanager
def gateway_of(options, replicas):
    """Its port."""
    with tempfile.TemporaryDirectory() as folder:
        options.replicas, config = replicas, Path(folder) / "spillway.yaml"
        config.write_text(json.dumps(serve.configuration(options, options.step_tokens)), encoding="utf-8")
        began = time.monotonic()
        gateway = serve.Gateway(options.binary, config)
        try:
            port = gateway.wait_for_port(serve.START_MAX)
            print(f"replicas {replicas}: ready after {time.monotonic() - began:.2f} s", flush=True)
            yield port
        except BaseException:
            print("".join(gateway.lines[-40:]), flush=True)
            raise
        finally:
            gateway.end()


def rates(port, prompts, options, replicas):
    """Output tokens a second at each concurrency."""
    prompts.fit(port, options.prompt_tokens)
    closed_loop.run(port, prompts, max(options.concurrency), 1, min(8, options.out), options.seconds)
    return {level: serve.speed(port, prompts, options, level, f"replicas {replicas} {options.precision} step {options.step_tokens}")
            for level in options.concurrency}


def answers(port, options):
    texts = [f"Tell of number {number} and of what was there before it." for number in range(options.answers)]
    with ThreadPoolExecutor(len(texts)) as pool:
        said = list(pool.map(lambda text: agreement.ask(port, text, options.out), texts))
    return [answer["choices"][0]["message"]["content"] for answer in said]


def agree(these, those):
    """The share of an answer that is the same from its beginning on, on average."""
    return statistics.mean(len(os.path.commonprefix([one, other])) / max(1, len(one), len(other))
                           for one, other in zip(these, those))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    serve.add_target_arguments(parser)
    serve.add_load_arguments(parser)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--step-tokens", type=int, default=1280, help="step_tokens_max")
    parser.add_argument("--answers", type=int, default=64)
    options = parser.parse_args()
    options.concurrency = [int(level) for level in options.concurrency.split(",")]
    options.isolation, several = "none", options.replicas
    prompts = closed_loop.Prompts(options.model)
    prompts.count = options.prompt_tokens * 3 // 4
    with gateway_of(options, 1) as port:
        once, again = answers(port, options), answers(port, options)
        of_one = rates(port, prompts, options, 1)
    with gateway_of(options, several) as port:
        elsewhere = answers(port, options)
        of_several = rates(port, prompts, options, several)
    for level in options.concurrency:
        print(f"replicas c{level}: {of_several[level]:.0f} out tok/s with {several}, {of_one[level]:.0f} with one: "
              f"{of_several[level] / of_one[level]:.2f} times")
    for level in options.concurrency:
        if several * level in of_several:
            print(f"replicas, c{level} for each: {of_several[several * level] / of_one[level]:.2f} times")
    itself, other = agree(once, again), agree(once, elsewhere)
    print(f"replicas agreement: of {len(once)} answers of {options.out} tokens {100 * itself:.1f} % is the same when one is asked "
          f"again, {100 * other:.1f} % when {several} are asked", flush=True)
    return 0 if other >= FAITH * itself else 1


if __name__ == "__main__":
    sys.exit(main())
