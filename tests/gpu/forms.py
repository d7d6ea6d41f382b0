#!/usr/bin/env python3
"""Answers of a given form on the GPU, beside others that are free: each fits.

usage: forms.py BINARY MODEL [--rounds 4]
Prints how many of each fit, and how many of the free greedy answers are what they are alone: beside others products are
rounded in another order, so that it is the first line, of mates without a form, that the others are to be held against.
Exit 1 if one does not fit.
"""
import argparse
import json
import re
import sys
import tempfile
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import serve

PERSON = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer"},
                                           "kind": {"enum": ["dam", "weir", "lock"]}},
          "required": ["name", "age", "kind"], "additionalProperties": False}


def is_person(text):
    value = json.loads(text)
    return (list(value) == ["name", "age", "kind"] and isinstance(value["name"], str) and len(value["name"]) <= 12
            and isinstance(value["age"], int) and value["kind"] in PERSON["properties"]["kind"]["enum"])


FORMS = {
    "none": ({}, lambda text: True),
    "schema": ({"response_format": {"type": "json_schema", "json_schema": {"name": "p", "schema": PERSON}}}, is_person),
    "regex": ({"guided_regex": "[A-F]{3}-[0-9]{2}"}, lambda text: re.fullmatch("[A-F]{3}-[0-9]{2}", text)),
    "choice": ({"guided_choice": ["spill", "hold", "open the gates"]}, lambda text: text in ("spill", "hold", "open the gates")),
    "grammar": ({"guided_grammar": 'root ::= "a" [0-9] ("," [0-9]){2}'}, lambda text: re.fullmatch("a[0-9](,[0-9]){2}", text)),
}


def ask(port, words, **more):
    body = {"model": "model", "messages": [{"role": "user", "content": words}], "max_tokens": 160, **more}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", json.dumps(body).encode(),
                                     {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        choice = json.load(answer)["choices"][0]
    return choice["message"]["content"], choice["finish_reason"]


def free(port, number):
    return ask(port, f"Tell me story {number}.", temperature=0, max_tokens=40)[0]


def check(port, rounds):
    alone = [free(port, number) for number in range(8)]
    fits = True
    with ThreadPoolExecutor(48) as pool:
        for name, (fields, is_fit) in FORMS.items():
            held = [pool.submit(ask, port, f"{name} {number}", temperature=1.0, seed=number, **fields) for number in range(8 * rounds)]
            beside = [pool.submit(free, port, number) for number in range(8)]
            whole = [text for text, reason in (one.result() for one in held) if reason == "stop"]
            good = sum(bool(is_fit(text)) for text in whole)
            same = sum(one.result() == alone[number] for number, one in enumerate(beside))
            print(f"{name}: {good} of {len(whole)} finished answers fit ({8 * rounds - len(whole)} cut), {same} of 8 free ones beside "
                  f"them as alone; such as {whole[0] if whole else None!r}")
            fits = fits and (name == "none" or whole) and good == len(whole)
    return fits


def main():
    words = argparse.ArgumentParser()
    words.add_argument("binary", type=Path)
    words.add_argument("model", type=Path)
    words.add_argument("--rounds", type=int, default=4)
    asked = words.parse_args()
    target = {"kind": "local", "executor": "cuda", "serves": ["model"], "model": str(asked.model.resolve()), "sequences_max": 64,
              "kv_tokens_max": 65536}
    config = {"server": {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "drain": "1s"}, "targets": {"local": target},
              "log": {"level": "info"}, "classes": {"all": {"spill": "never"}}}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spillway.yaml"
        path.write_text(json.dumps(config), encoding="utf-8")
        gateway = serve.Gateway(asked.binary, path)
        try:
            return 0 if check(gateway.wait_for_port(serve.START_MAX), asked.rounds) else 1
        finally:
            gateway.end()


if __name__ == "__main__":
    sys.exit(main())
