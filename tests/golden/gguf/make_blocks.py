#!/usr/bin/env python3
"""Writes blocks.gguf: random blocks of each quantised type, beside what gguf-py makes of them in float32.

Usage: make_blocks.py OUT.gguf   (needs the Python packages `gguf` and `numpy`)
Tensor "Q4_1" holds random bytes, "Q4_1.f32" the same rows dequantised; the metadata has one key of each value type.
"""
import sys

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFValueType, GGUFWriter
from gguf.quants import dequantize

ROWS = 3
TYPES = ["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"]
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2],
          "Q6_K": [208]}  # Where a block's scales lie: kept finite, since NaN compares with nothing.


def random_rows(rng, name):
    elements, size = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    columns = max(512, elements) if elements != 32 else 96
    blocks = rng.integers(0, 256, (ROWS, columns // elements, size), dtype=np.uint8)
    for offset in HALVES.get(name, []):
        scales = rng.normal(0, 0.1, blocks.shape[:2]).astype(np.float16)
        scales[0, 0] = np.float16(6e-8)  # A subnormal.
        blocks[..., offset:offset + 2] = scales[..., None].view(np.uint8)
    return blocks.reshape(ROWS, -1)


def main(target):
    rng = np.random.default_rng(7)
    writer = GGUFWriter(target, "test")
    values = {"uint8": 200, "int8": -100, "uint16": 60_000, "int16": -30_000, "uint32": 4_000_000_000,
              "int32": -2_000_000_000, "float32": 0.5, "bool": True, "string": "grüß", "uint64": 2**63 - 1,
              "int64": -(2**62), "float64": 0.1}
    for name, value in values.items():
        writer.add_key_value(f"test.{name}", value, GGUFValueType[name.upper()])
    writer.add_key_value("test.huge", 2**64 - 1, GGUFValueType.UINT64)
    writer.add_array("test.strings", ["a", "", "zwei drei"])
    writer.add_array("test.integers", [1, -2, 3])
    writer.add_array("test.floats", [0.25, -1.5])
    for name in TYPES:
        kind = GGMLQuantizationType[name]
        rows = random_rows(rng, name)
        with np.errstate(over="ignore", invalid="ignore"):
            expected = dequantize(rows.copy(), kind).astype(np.float32).reshape(ROWS, -1)
        writer.add_tensor(name, rows, raw_dtype=kind)
        writer.add_tensor(f"{name}.f32", expected)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(sys.argv[1])
