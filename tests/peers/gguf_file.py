"""Writes GGUF files: metadata, and tensors in fp32."""
import struct

STRING, ARRAY, BOOL, INT, FLOAT = 8, 9, 7, 5, 6
FP32, ALIGNMENT = 0, 32


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def one(kind, value):
    if kind == STRING:
        return text(value)
    return struct.pack({BOOL: "<?", INT: "<i", FLOAT: "<f"}[kind], value)


def padded(data):
    return data + bytes(-len(data) % ALIGNMENT)


def write(path, entries, tensors=None):
    """`entries`: {key: (kind, value)}; a list is an array of that kind. `tensors`: {name: numpy array}."""
    tensors = tensors or {}
    data = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(entries))
    for key, (kind, value) in entries.items():
        data += text(key)
        if isinstance(value, list):
            data += struct.pack("<IIQ", ARRAY, kind, len(value)) + b"".join(one(kind, item) for item in value)
        else:
            data += struct.pack("<I", kind) + one(kind, value)
    values = b""
    for name, array in tensors.items():
        sizes = array.shape[::-1]
        data += text(name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, FP32, len(values))
        values = padded(values + array.astype("<f4").tobytes())
    path.write_bytes(padded(data) + values)
