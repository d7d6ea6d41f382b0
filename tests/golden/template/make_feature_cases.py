#!/usr/bin/env python3
"""Writes small templates, one for each feature of the language, as Jinja2 renders them, as JSON lines.

Usage: make_feature_cases.py > feature_cases.jsonl   (needs the package `jinja2`)
A line of feature_cases.txt is a template ("\\n" stands for a newline); errors that Jinja2 raises are cases too.
"""
import json
from pathlib import Path

from reference import case

VARIABLES = {
    "n": 7, "f": 2.5, "big": 1e16, "tiny": 1.5e-7, "whole": 3.0, "yes": True, "no": False, "nil": None,
    "s": "Hello World", "u": "Grüße 你好 😀", "w": "  pad \n", "q": "it's \"so\"", "lines": "a\nb\n\nc\n",
    "empty": "", "list": [3, 1, 2], "words": ["b", "A", "c"], "mixed": [1, "x", None, 2.5, True, [1], {"k": "v"}],
    "d": {"b": 1, "a": [1, 2], "c": {"x": None}, "items": "trap"}, "none_list": [],
    "people": [{"name": "Zoe", "age": 30, "on": True}, {"name": "al", "age": 25}, {"name": "Bo", "age": 30, "on": False}],
    "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}],
}


def main():
    for line in Path(__file__).with_name("feature_cases.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("## "):
            source = line.replace("\\n", "\n")
            print(json.dumps(case(line, source, VARIABLES), ensure_ascii=False))


if __name__ == "__main__":
    main()
