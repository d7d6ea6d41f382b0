"""Writes GGUF files that are metadata alone."""
import struct

STRING, ARRAY, BOOL, INT, FLOAT = 8, 9, 7, 5, 6


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def one(kind, value):
    if kind == STRING:
        return text(value)
    return struct.pack({BOOL: "<?", INT: "<i", FLOAT: "<f"}[kind], value)


def write(path, entries):
    """`entries`: {key: (kind, value)}; a list is an array of that kind."""
    data = b"GGUF" + struct.pack("<IQQ", 3, 0, len(entries))
    for key, (kind, value) in entries.items():
        data += text(key)
        if isinstance(value, list):
            data += struct.pack("<IIQ", ARRAY, kind, len(value)) + b"".join(one(kind, item) for item in value)
        else:
            data += struct.pack("<I", kind) + one(kind, value)
    path.write_bytes(data)
