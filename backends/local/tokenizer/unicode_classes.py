#!/usr/bin/env python3
"""Writes unicode_ranges.cpp: which code points the `tokenizers` library counts as letters, numbers, spaces and so on.

The library matches with its own Unicode tables, newer than those of any C++ library at hand, so they are read out of
it. Usage: unicode_classes.py > unicode_ranges.cpp   (needs the Python package `tokenizers`)
"""
from table_file import EVERY, pairs_of, print_file, steps_of
from tokenizers import Regex, pre_tokenizers

# Name in C++ → how the library is asked. `digit` is what its Digits pre-tokenizer splits off.
PATTERNS = {
    "capital": r"[\p{Lu}\p{Lt}]+",
    "small": r"\p{Ll}+",
    "caseless": r"[\p{Lm}\p{Lo}]+",
    "number": r"\p{N}+",
    "space": r"\s+",
    "mark": r"\p{M}+",
    "punctuation": r"\p{P}+",
    "symbol": r"\p{S}+",
    "digit": None,
}


def members_of(pattern, text):
    """The code points that the class holds."""
    if pattern is None:
        digits = pre_tokenizers.Digits(individual_digits=True)
        return [c for c in EVERY if len(digits.pre_tokenize_str(f"a{chr(c)}b")) == 3]
    splitter = pre_tokenizers.Split(Regex(pattern), behavior="removed")
    outside = set()
    for _, (a, b) in splitter.pre_tokenize_str(text):
        outside.update(range(a, b))
    return [c for i, c in enumerate(EVERY) if i not in outside]


def main():
    text = "".join(map(chr, EVERY))
    print_file("unicode_classes", "unicode_ranges.h",
               {f"{name}_ranges": steps_of(pairs_of(members_of(pattern, text))) for name, pattern in PATTERNS.items()},
               "// Each table: how many code points to skip, how many to take, and so on from U+0000.\n")


if __name__ == "__main__":
    main()
