"""Writes GGUF files: metadata, and tensors in fp32."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "gpu"))
import gguf_header
from gguf_header import BOOL, FLOAT, INT, STRING  # noqa: F401


def write(path, entries, tensors=None):
    """`entries`: {key: (kind, value)}; a list is an array of that kind. `tensors`: {name: numpy array}."""
    tensors = tensors or {}
    metadata = {key: (gguf_header.ARRAY, (kind, value)) if isinstance(value, list) else (kind, value)
                for key, (kind, value) in entries.items()}
    head, _ = gguf_header.written(metadata, [(name, array.shape) for name, array in tensors.items()], gguf_header.FP32)
    values = [array.astype("<f4").tobytes() for array in tensors.values()]
    path.write_bytes(head + b"".join(data + bytes(gguf_header.padded(len(data)) - len(data)) for data in values))
