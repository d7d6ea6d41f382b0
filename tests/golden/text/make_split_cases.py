#!/usr/bin/env python3
"""Writes where each pre-tokenizer rule cuts random strings, by the `tokenizers` library, as JSON lines.

Usage: make_split_cases.py [COUNT] > split_cases.jsonl   (needs the Python package `tokenizers`)
"""
import json
import random
import sys

from random_text import random_text
from tokenizers import Regex, pre_tokenizers

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
RULES = {
    "each_digit": pre_tokenizers.Digits(individual_digits=True),
    "gpt2": pre_tokenizers.Split(Regex(GPT2), behavior="isolated"),
    "llama3": pre_tokenizers.Split(Regex(LLAMA3), behavior="isolated"),
}


def byte_ends(rule, text):
    return [len(text[:end].encode()) for _, (_, end) in rule.pre_tokenize_str(text)]


def main(count):
    rng = random.Random(3)
    for _ in range(count):
        text = random_text(rng)
        ends = {name: byte_ends(rule, text) for name, rule in RULES.items()}
        print(json.dumps({"text": text, **ends}, ensure_ascii=False, separators=(",", ":")))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
