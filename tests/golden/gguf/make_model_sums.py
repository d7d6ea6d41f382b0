#!/usr/bin/env python3
"""Writes the CRC-32 of the first and last rows of each tensor of a model, dequantised by gguf-py.

Usage: make_model_sums.py MODEL.gguf > smollm2_sums.txt   (needs the Python packages `gguf` and `numpy`)
"""
import sys
import zlib

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

ROWS = 8


def main(path):
    for tensor in GGUFReader(path).tensors:
        rows = tensor.data.reshape(-1, tensor.data.shape[-1])
        ends = np.concatenate([rows[:ROWS], rows[-ROWS:]]) if len(rows) > ROWS else rows
        values = dequantize(ends, tensor.tensor_type).astype("<f4")
        print(tensor.name, zlib.crc32(values.tobytes()))


if __name__ == "__main__":
    main(sys.argv[1])
