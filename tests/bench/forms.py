#!/usr/bin/env python3
"""How well answers are held to forms: how many fit, what preparing a form takes, and what a token costs.

Usage: forms.py [--answers N] [--tokens N] [--vocabulary GGUF] [--suite | --slow] [--check] [--served SPILLWAY]

Answers are drawn from noise (draw_forms), so that the form alone makes them right, within the vocabulary of SmolLM2 or of
another GGUF. Each that is finished is held against its form by others: the wheel jsonschema, Python's re. Schemas are
those of tests/data/forms: what clients send, and with --suite those of the JSON-Schema-Test-Suite, of which the engine
must refuse what it cannot hold an answer to. With --slow they are grammars that can be read in many ways, behind a
beginning that hides it from the trial: what a token of theirs takes is printed for each. With --served forms are compiled as in service, in processes that the
program starts of itself; else in the one that draws. With --check the exit is 1 if an answer does not fit.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

import jsonschema

ROOT = Path(__file__).resolve().parents[2]
FORMS = ROOT / "tests/data/forms"
CHOICES = ["yes", "no", "it depends", 'a "quote"', "naïve", "two\nlines", "日本語", "\\"]
OTHERS = [
    {"name": "choice", "kind": "choice", "choices": CHOICES},
    {"name": "json mode", "kind": "json"},
    {"name": "dates", "kind": "regex", "text": r"20[0-9]{2}-(0[1-9]|1[0-2])-([0-2][0-9]|3[01])"},
    {"name": "phone", "kind": "regex", "text": r"(\+[0-9]{1,3} )?[0-9]{3}-[0-9]{4}"},
    {"name": "words", "kind": "regex", "text": r"[a-z]+( [a-z]+){0,5}\."},
    {"name": "any line", "kind": "regex", "text": r"[^\n]{1,40}"},
    {"name": "sums", "kind": "grammar", "text": 'root ::= term ("+" term)*\nterm ::= [0-9]+ | "(" root ")"'},
]


# Behind so many characters, which no answer drawn on trial comes to; and without an end for long.
HIDDEN = [
    ("many ways", "w ::= w w w | w w | [a-z]"),
    ("nested repeats", "w ::= a*\na ::= b*\nb ::= c+\nc ::= [a-z ]+"),
    ("chains", "w ::= " + " | ".join(f"w{i}" for i in range(4)) + "\n" +
     "\n".join(f"w{i} ::= [a-z] w{(7 * i + 1) % 4} | [a-z] w | [a-z]" for i in range(4))),
    ("many ends", "w ::= " + " | ".join(f"w{i}" for i in range(4)) + "\n" +
     "\n".join(f"w{i} ::= [a-z] w [a-z]? | [a-z]" for i in range(4))),
    ("optional ends", "w ::= [a-z] w [a-z]? | [a-z] w [b-y]? | [a-z]"),
]
SLOW = [{"name": name, "kind": "grammar", "text": 'root ::= "' + "begin " * 60 + '" w "~~~~"\n' + text}
        for name, text in HIDDEN]


def fits(form, answer):
    kind = form.get("kind", "schema")
    if kind == "choice":
        return answer in form["choices"]
    if kind == "regex":
        return re.fullmatch(form["text"], answer) is not None
    if kind == "grammar":
        return re.fullmatch(r"[0-9+()]+", answer) is not None and eval(answer) >= 0  # Digits and sums alone.
    try:
        value = json.loads(answer)
    except ValueError:
        return False
    return isinstance(value, dict) if kind == "json" else jsonschema.Draft202012Validator(form["schema"]).is_valid(value)


def forms_of(suite, slow):
    if slow:
        yield from SLOW
        return
    names = ["asked.jsonl", "suite.jsonl"] if suite else ["asked.jsonl"]
    for name in names:
        for line in (FORMS / name).read_text(encoding="utf-8").splitlines():
            form = json.loads(line)
            yield {**form, "kind": "schema", "text": json.dumps(form["schema"])}
    yield from OTHERS


def drawn(forms, arguments):
    lines = "\n".join(json.dumps({key: form[key] for key in ("kind", "text", "choices") if key in form}) for form in forms)
    program = os.environ.get("DRAW_FORMS", ROOT / "build/release/tests/bench/draw_forms")
    served = [arguments.served] if arguments.served else []
    run = subprocess.run([program, arguments.vocabulary, str(arguments.answers), str(arguments.tokens), *served], check=True,
                         input=lines + "\n", capture_output=True, text=True)
    return [json.loads(line) for line in run.stdout.split("\n") if line]


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def print_slow(forms, told):
    for form, one in zip(forms, told, strict=True):
        if "error" in one:
            print(f"{form['name']}: refused: {one['error']}")
        else:
            print(f"{form['name']}: {one['mask_ns'] / 1000:.0f} µs a token, the slowest {one['slowest_ns'] / 1000:.0f} µs, "
                  f"{one['given_up']} answers given up, {one['cut']} cut, {len(one['answers'])} finished")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=400)
    parser.add_argument("--vocabulary", default=str(ROOT / "tests/golden/text/smollm2.gguf"))
    parser.add_argument("--suite", action="store_true")
    parser.add_argument("--slow", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--served", metavar="SPILLWAY")
    parser.add_argument("--refused", action="store_true", help="name what is refused, and why")
    arguments = parser.parse_args()
    forms = list(forms_of(arguments.suite, arguments.slow))
    told = drawn(forms, arguments)
    if arguments.slow:
        return print_slow(forms, told)
    wrong = finished = cut = 0
    for form, one in zip(forms, told, strict=True):
        for answer in one.get("answers", []):
            finished += 1
            if not fits(form, answer):
                wrong += 1
                print(f"does not fit {form['name']}: {answer!r}")
        cut += one.get("cut", 0)
        if arguments.refused and "error" in one:
            print(f"refused {form['name']}: {one['error']}")
    kept = [one for one in told if "error" not in one]
    compile_ms = [one["compile_ms"] for one in kept]
    mask = sum(one["mask_ns"] * one["tokens"] for one in kept) / sum(one["tokens"] for one in kept)
    print(f"forms: {len(kept)} kept, {len(told) - len(kept)} refused")
    print(f"answers: {finished} finished, {cut} cut at {arguments.tokens} tokens, {finished - wrong} fit "
          f"({100 * (finished - wrong) / finished:.2f} %)")
    print(f"to prepare a form: median {statistics.median(compile_ms):.1f} ms, P99 {percentile(compile_ms, 0.99):.0f} ms, "
          f"most {max(compile_ms):.0f} ms")
    print(f"mask: {mask / 1000:.1f} µs a token, the slowest {max(one['slowest_ns'] for one in kept) / 1000:.0f} µs; "
          f"of the form with most {max(one['states'] for one in kept):.0f} states a token")
    return 1 if arguments.check and wrong else 0


if __name__ == "__main__":
    sys.exit(main())
