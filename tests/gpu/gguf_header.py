"""What stands in a GGUF file before its tensors' values, read and written. The standard library is all it takes.

Metadata is {key: (GGUF's number of the type, value)}; an array's value is (type of the elements, list).
"""
import math
import struct
from pathlib import Path

STRING, ARRAY, BOOL, INT, FLOAT = 8, 9, 7, 5, 6
CODES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
HEADER_BYTES_MAX = 64 << 20
FP32, BF16 = 0, 30  # Of tensors.
VALUE_BYTES = {FP32: 4, BF16: 2}
ALIGNMENT = 32


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, code):
        value, = struct.unpack_from("<" + code, self.data, self.at)
        self.at += struct.calcsize("<" + code)
        return value

    def text(self):
        length = self.number("Q")
        self.at += length
        return bytes(self.data[self.at - length:self.at]).decode()

    def value(self, kind):
        if kind == STRING:
            return self.text()
        if kind == ARRAY:
            element, count = self.number("I"), self.number("Q")
            return element, [self.value(element) for _ in range(count)]
        return self.number(CODES[kind])


def read(path):
    """The metadata."""
    with Path(path).open("rb") as file:
        reader = Reader(file.read(HEADER_BYTES_MAX))
    if reader.data[:4] != b"GGUF":
        raise RuntimeError(f"{path} is not a GGUF file")
    reader.at = 16
    entries = {}
    for _ in range(reader.number("Q")):
        key = reader.text()
        kind = reader.number("I")
        entries[key] = kind, reader.value(kind)
    return entries


def tokens(path):
    """The vocabulary, in the letters of GPT-2's byte alphabet."""
    return read(path)["tokenizer.ggml.tokens"][1][1]


def packed_text(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def packed(kind, value):
    if kind == STRING:
        return packed_text(value)
    if kind == ARRAY:
        element, values = value
        return struct.pack("<IQ", element, len(values)) + b"".join(packed(element, v) for v in values)
    return struct.pack("<" + CODES[kind], value)


def padded(size):
    return (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


def written(metadata, tensors, kind):
    """The bytes, and how many follow; tensors are (name, dimensions as torch writes them), each padded, all of one kind."""
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(metadata))
    head += b"".join(packed_text(key) + struct.pack("<I", of) + packed(of, value) for key, (of, value) in metadata.items())
    at = 0
    for name, dimensions in tensors:
        head += packed_text(name) + struct.pack(f"<I{len(dimensions)}QIQ", len(dimensions), *reversed(dimensions), kind, at)
        at += padded(VALUE_BYTES[kind] * math.prod(dimensions))
    return head + bytes(padded(len(head)) - len(head)), at
