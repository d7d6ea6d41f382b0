"""Reads the metadata of a GGUF file: what the scripts of this folder need of a model. The standard library is all it takes."""
import struct
from pathlib import Path

STRING, ARRAY = 8, 9
CODES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
HEADER_BYTES_MAX = 64 << 20


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
    """{key: (GGUF's number of the type, value)}; an array's value is (type of the elements, list)."""
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
