#!/usr/bin/env python3
"""Writes bert_tables.cpp: which code points BERT's normalizer and pre-tokenizer of the `tokenizers` library drop, split
at, or write in lower case, read out of it.

Usage: bert_tables.py > bert_tables.cpp   (needs the Python package `tokenizers`)
"""
from table_file import EVERY, print_file, ranges_of
from tokenizers import normalizers, pre_tokenizers


def normalizer(**on):
    parts = dict.fromkeys(("clean_text", "handle_chinese_chars", "strip_accents", "lowercase"), False)
    return normalizers.BertNormalizer(**{**parts, **on}).normalize_str


CLEAN, CHINESE, STRIP = (normalizer(**{part: True}) for part in ("clean_text", "handle_chinese_chars", "strip_accents"))
DECOMPOSED = normalizers.NFD().normalize_str
PIECES = pre_tokenizers.BertPreTokenizer().pre_tokenize_str

CLASSES = {
    "dropped": lambda c: CLEAN(c) == "",
    "blank": lambda c: len(PIECES(f"a{c}b")) == 2,
    "chinese": lambda c: CHINESE(c) != c,
    "nonspacing": lambda c: DECOMPOSED(c) == c and STRIP("a" + c) == "a",
    "bert_punctuation": lambda c: len(PIECES(f"a{c}b")) == 3,
    "decomposed": lambda c: DECOMPOSED(c) != c or moves(c),
}


def moves(c):
    """Whether it is a mark that changes places with others."""
    return any(DECOMPOSED(a + b) != a + b for a, b in ((c, "\u0334"), ("\u0345", c)) if a != b)


def lowercase_steps():
    """For each code point that has a lower case of one: how far it is from the one before, and that."""
    lower, steps, at = normalizers.Lowercase().normalize_str, [], 0
    for c in EVERY:
        to = lower(chr(c))
        if to == chr(c) or len(to) > 1:
            continue
        steps += [c - at, ord(to)]
        at = c
    return steps


def main():
    print_file("bert_tables", "bert_tables.h", {f"{name}_ranges": ranges_of(is_one) for name, is_one in CLASSES.items()} |
               {"lowercase_steps": lowercase_steps()})


if __name__ == "__main__":
    main()
