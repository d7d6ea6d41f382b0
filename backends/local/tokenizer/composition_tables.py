#!/usr/bin/env python3
"""Writes composition_tables.cpp: how the `tokenizers` library composes characters, and which its StripAccents drops, read
out of it.

Usage: composition_tables.py > composition_tables.cpp   (needs the Python package `tokenizers`)
"""
import unicodedata

from table_file import EVERY, print_file, ranges_of
from tokenizers import normalizers

HANGUL = range(0xAC00, 0xD7A4)
NOT_MADE_AGAIN = 8
nfd, nfc = normalizers.NFD().normalize_str, normalizers.NFC().normalize_str
stripped = normalizers.StripAccents().normalize_str


def decompositions():
    steps, at = [], 0
    for c in EVERY:
        parts = nfd(chr(c))
        if c in HANGUL or parts == chr(c):
            continue
        again = 0 if nfc(parts) == chr(c) else NOT_MADE_AGAIN
        steps += [c - at, len(parts) + again, *map(ord, parts)]
        at = c
    return steps


def moves_before(a, b):
    return a != b and nfd(chr(a) + chr(b)) == chr(b) + chr(a)


def moves(c):
    return any(moves_before(c, other) or moves_before(other, c) for other in (0x334, 0x345))


def class_representatives():
    """A mark of each combining class that the library moves."""
    found = {}
    for c in filter(moves, EVERY):
        found.setdefault(unicodedata.combining(chr(c)), c)
    return found


def combining_class(c, representatives):
    """By which marks the library moves it past; 0 if it moves past none."""
    if not moves(c):
        return 0
    return next(k for k, r in representatives.items() if not moves_before(c, r) and not moves_before(r, c))


def combining():
    representatives = class_representatives()
    steps, at, run = [], 0, None
    for c in EVERY:
        if nfd(chr(c)) != chr(c):
            continue
        k = combining_class(c, representatives)
        if not k:
            continue
        if run and run[1] == c and run[2] == k:
            run[1] = c + 1
            continue
        if run:
            steps += [run[0] - at, run[1] - run[0], run[2]]
            at = run[1]
        run = [c, c + 1, k]
    return steps + [run[0] - at, run[1] - run[0], run[2]]


def main():
    print_file("composition_tables", "composition_tables.h", {
        "decomposition_steps": decompositions(), "combining_steps": combining(),
        "accent_ranges": ranges_of(lambda c: stripped("a" + c) == "a")})


if __name__ == "__main__":
    main()
