#!/usr/bin/env python3
"""Writes unicode_ranges.cpp: which code points the `tokenizers` library counts as letters, numbers, spaces and so on.

The library matches with its own Unicode tables, newer than those of any C++ library at hand, so they are read out of
it. Usage: unicode_classes.py > unicode_ranges.cpp   (needs the Python package `tokenizers`)
"""
from table_file import EVERY, pairs_of, print_file, steps_of
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

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


def word_members():
    """The code points beside which an added token is no single word."""
    wheel = Tokenizer(models.BPE(vocab={"?": 0}, merges=[], unk_token="?"))
    wheel.add_tokens([AddedToken("+", single_word=True, normalized=False)])
    found = wheel.encode_batch([chr(c) + "+" for c in EVERY])
    return [c for c, encoding in zip(EVERY, found, strict=True) if c != ord("+") and 1 not in encoding.ids]


def main():
    text = "".join(map(chr, EVERY))
    members = {name: members_of(pattern, text) for name, pattern in PATTERNS.items()} | {"word": word_members()}
    print_file("unicode_classes", "unicode_ranges.h",
               {f"{name}_ranges": steps_of(pairs_of(each)) for name, each in members.items()},
               "// Each table: how many code points to skip, how many to take, and so on from U+0000.\n")


if __name__ == "__main__":
    main()
