#!/usr/bin/env python3
"""Writes compatibility_tables.cpp: what the `tokenizers` library makes of characters in NFKD and not in NFD, read out of it.

Usage: compatibility_tables.py > compatibility_tables.cpp   (needs the Python package `tokenizers`)
"""
from table_file import EVERY, print_file
from tokenizers import normalizers

nfd, nfkd = normalizers.NFD().normalize_str, normalizers.NFKD().normalize_str


def compatibility():
    """Neighbours that are each made of one, which are neighbours too, are one run."""
    runs = []
    for c in EVERY:
        parts = tuple(map(ord, nfkd(chr(c))))
        if parts == tuple(map(ord, nfd(chr(c)))):
            continue
        is_next = runs and len(parts) == 1 and runs[-1][0] + runs[-1][1] == c and runs[-1][2] == (parts[0] - runs[-1][1],)
        if is_next:
            runs[-1][1] += 1
        else:
            runs.append([c, 1, parts])
    steps, at = [], 0
    for first, count, parts in runs:
        steps += [first - at, count, len(parts), *parts]
        at = first + count
    return steps


def main():
    print_file("compatibility_tables", "compatibility_tables.h", {"compatibility_steps": compatibility()})


if __name__ == "__main__":
    main()
