#!/usr/bin/env python3
"""Writes grapheme_tables.cpp: which code points stay together as one grapheme, as the `tokenizers` library sees it, read
out of what its Precompiled normalizer does with graphemes of less than six bytes.

Usage: grapheme_tables.py > grapheme_tables.cpp   (needs the Python package `tokenizers`)
"""
import struct

from table_file import print_file, ranges_of
from tokenizers import normalizers

ACUTE, ZWJ, KA, VIRAMA, FACE = "\u0301", "\u200d", "\u0915", "\u094d", "\U0001F600"


def writing_x_for(first_bytes):
    """A normalizer that writes X for every grapheme, or character of a long one, that begins with one of these bytes."""
    root, leaf, none = 256, 512, 1 << 31
    units = [none] * 768
    units[0], units[leaf] = root << 10, none
    for byte in first_bytes:
        units[root ^ byte] = byte | 1 << 8 | (root ^ byte ^ leaf) << 10
    array = struct.pack(f"<{len(units)}I", *units)
    return normalizers.Precompiled(struct.pack("<I", len(array)) + array + b"X\0").normalize_str


OF_ASCII = writing_x_for(b"a")
OF_ANY = writing_x_for(range(1, 0x100))
OF_OTHERS = writing_x_for(range(0x80, 0x100))


def extends(c):
    """Of "a" and a mark only "a" is written anew, and the mark is gone: they are one."""
    return OF_ASCII("a" + c) == "X"


def is_prepended(c):
    return c >= "\x80" and OF_OTHERS(c + "a") == "X"


def is_control(c):
    """No mark goes with it: the two behind it are one grapheme of their own."""
    return c == "\0" or OF_ANY(c + ACUTE * 2) == "XX"


def belongs(text):
    """All four are one grapheme, which is long: they are written one by one, and the last two not as one."""
    return len(OF_OTHERS(text)) == 4


def is_letter(c):
    return c >= "\x80" and not extends(c) and not is_control(c) and not is_prepended(c)


CLASSES = {
    "extending": extends,
    "prepended": is_prepended,
    "control": is_control,
    "conjoining": lambda c: extends(c) and belongs(KA + c + KA + ACUTE),
    "conjoined": lambda c: len(c.encode()) < 4 and is_letter(c) and belongs(KA + VIRAMA + c + ACUTE),
    "pictographic": lambda c: is_letter(c) and belongs(FACE + ZWJ + c + ACUTE if len(c.encode()) < 4 else c + ZWJ + "\u00a9" + ACUTE),
}


def main():
    print_file("grapheme_tables", "grapheme_tables.h", {f"{name}_ranges": ranges_of(is_one) for name, is_one in CLASSES.items()})


if __name__ == "__main__":
    main()
