#!/usr/bin/env python3
"""Copies a GGUF file's metadata without its tensors: all that tokenizer and template tests need of a model.

Usage: make_vocabulary.py MODEL.gguf OUT.gguf   (needs the Python package `gguf`)
smollm2.gguf beside this script was made so from SmolLM2-135M-Instruct (Hugging Face, Apache-2.0).
"""
import sys

from gguf import GGUFReader, GGUFValueType, GGUFWriter


def main(source, target):
    reader = GGUFReader(source)
    writer = GGUFWriter(target, reader.fields["general.architecture"].contents())
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        kind = field.types[0]
        element = field.types[1] if kind == GGUFValueType.ARRAY else None
        writer.add_key_value(key, field.contents(), kind, sub_type=element)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
