#!/usr/bin/env python3
"""Writes a GGUF file of random weights in the shape of a model that people compare, for measuring how fast it is served.

usage: random_model.py SHAPE OUT [--layers N] [--text tests/golden/text/smollm2.gguf] [--seed 1]
SHAPE: r1-qwen-7b (DeepSeek-R1-Distill-Qwen-7B), qwen3-0.6b, qwen3-30b-a3b, gemma3-4b, ds-v2-lite (DeepSeek-V2-Lite), or
tiny-llama, tiny-qwen2, tiny-qwen3, tiny-qwen3moe, tiny-gemma3, tiny-deepseek2 for trying it out.
Tensors are bf16, norms and biases too. Matrices deviate by 1/sqrt(columns), so that activations keep their size and each
prompt has a greedy text of its own. Tokenizer and chat template are those of --text; the tokens that its vocabulary
lacks are words of four letters, which no prompt has. Takes numpy.
"""
import argparse
import itertools
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import gguf_header
import numpy

BLOCK = 33_554_467  # Random values made once and used again and again; a prime, so that no two rows are the same.
THREADS, PIECE = 4, 8 << 20
TEXT = Path(__file__).resolve().parents[1] / "golden" / "text" / "smollm2.gguf"


class Latent(NamedTuple):
    """DeepSeek's attention; queries come from the residual stream."""
    width: int
    rope: int
    key: int  # Of a head, without the rotated part.
    value: int


class Experts(NamedTuple):
    """Feed forward layers behind the first `dense`; the router's scores come from a softmax."""
    count: int
    chosen: int
    inner: int
    shared: int = 0
    dense: int = 0


class Shape(NamedTuple):
    architecture: str
    layers: int
    width: int
    inner: int
    query_heads: int
    kv_heads: int
    head_width: int
    vocabulary: int
    rope_base: float
    context: int
    epsilon: float = 1e-6
    tied: bool = False
    latent: Latent | None = None
    experts: Experts | None = None
    window: int = 0  # Positions that five of six layers see; 0: all see all.

    @property
    def norms_heads(self):
        return self.architecture.startswith(("qwen3", "gemma3"))

    @property
    def norms_products(self):
        return self.architecture.startswith("gemma")


SHAPES = {
    "r1-qwen-7b": Shape("qwen2", 28, 3584, 18944, 28, 4, 128, 152064, 1e4, 131072),
    "qwen3-0.6b": Shape("qwen3", 28, 1024, 3072, 16, 8, 128, 151936, 1e6, 40960, tied=True),
    "ds-v2-lite": Shape("deepseek2", 27, 2048, 10944, 16, 1, 128, 102400, 1e4, 16384,
                        latent=Latent(512, 64, 128, 128), experts=Experts(64, 6, 1408, shared=2, dense=1)),
    "qwen3-30b-a3b": Shape("qwen3moe", 48, 2048, 6144, 32, 4, 128, 151936, 1e6, 40960, experts=Experts(128, 8, 768)),
    "gemma3-4b": Shape("gemma3", 34, 2560, 10240, 8, 4, 256, 262208, 1e6, 131072, tied=True, window=1024),
    "tiny-llama": Shape("llama", 2, 128, 256, 2, 1, 64, 49408, 1e4, 2048, 1e-5),
    "tiny-qwen2": Shape("qwen2", 2, 128, 256, 4, 1, 64, 49408, 1e4, 2048),
    "tiny-qwen3": Shape("qwen3", 2, 128, 256, 4, 2, 64, 49408, 1e6, 2048, tied=True),
    "tiny-gemma3": Shape("gemma3", 2, 128, 256, 4, 2, 64, 49408, 1e6, 2048, tied=True, window=32),
    "tiny-deepseek2": Shape("deepseek2", 3, 128, 256, 4, 1, 128, 49408, 1e4, 2048,
                            latent=Latent(512, 64, 64, 128), experts=Experts(16, 3, 128, shared=2, dense=1)),
    "tiny-qwen3moe": Shape("qwen3moe", 2, 128, 256, 4, 2, 64, 49408, 1e6, 2048, experts=Experts(16, 3, 128)),
}


def latent_attention(shape, prefix):
    own, heads = shape.latent, shape.query_heads
    yield prefix + "attn_q.weight", (heads * (own.key + own.rope), shape.width)
    yield prefix + "attn_kv_a_mqa.weight", (own.width + own.rope, shape.width)
    yield prefix + "attn_kv_a_norm.weight", (own.width,)
    yield prefix + "attn_k_b.weight", (heads, own.width, own.key)
    yield prefix + "attn_v_b.weight", (heads, own.value, own.width)


def expert_feed_forward(shape, prefix):
    own, width = shape.experts, shape.width
    yield prefix + "ffn_gate_inp.weight", (own.count, width)
    for name in "ffn_gate", "ffn_up":
        yield f"{prefix}{name}_exps.weight", (own.count, own.inner, width)
        if own.shared:
            yield f"{prefix}{name}_shexp.weight", (own.shared * own.inner, width)
    yield prefix + "ffn_down_exps.weight", (own.count, width, own.inner)
    if own.shared:
        yield prefix + "ffn_down_shexp.weight", (width, own.shared * own.inner)


def heads_attention(shape, prefix):
    queries, keys = shape.query_heads * shape.head_width, shape.kv_heads * shape.head_width
    for name, rows in ("attn_q", queries), ("attn_k", keys), ("attn_v", keys):
        yield f"{prefix}{name}.weight", (rows, shape.width)
        if shape.architecture == "qwen2":
            yield f"{prefix}{name}.bias", (rows,)
    if shape.norms_heads:
        yield prefix + "attn_q_norm.weight", (shape.head_width,)
        yield prefix + "attn_k_norm.weight", (shape.head_width,)


def tensors_of(shape):
    """(name, dimensions as torch writes them) of each tensor."""
    yield "token_embd.weight", (shape.vocabulary, shape.width)
    for layer in range(shape.layers):
        prefix = f"blk.{layer}."
        yield prefix + "attn_norm.weight", (shape.width,)
        yield from (latent_attention if shape.latent else heads_attention)(shape, prefix)
        yield prefix + "attn_output.weight", (shape.width, shape.query_heads * shape.head_width)
        yield prefix + "ffn_norm.weight", (shape.width,)
        if shape.norms_products:
            yield prefix + "post_attention_norm.weight", (shape.width,)
            yield prefix + "post_ffw_norm.weight", (shape.width,)
        if shape.experts and layer >= shape.experts.dense:
            yield from expert_feed_forward(shape, prefix)
            continue
        yield prefix + "ffn_gate.weight", (shape.inner, shape.width)
        yield prefix + "ffn_up.weight", (shape.inner, shape.width)
        yield prefix + "ffn_down.weight", (shape.width, shape.inner)
    yield "output_norm.weight", (shape.width,)
    if not shape.tied:
        yield "output.weight", (shape.vocabulary, shape.width)


# ---- metadata

def padded_vocabulary(entries, size):
    """The tokens and their types, filled up with words that say something, so that each token is seen in an answer."""
    element, tokens = entries["tokenizer.ggml.tokens"][1]
    type_element, types = entries["tokenizer.ggml.token_type"][1]
    if len(tokens) > size:
        raise SystemExit(f"the vocabulary of --text has {len(tokens)} tokens, more than the model's {size}")
    known, normal = set(tokens), 1
    words = ("\u0120" + "".join(letters) for letters in itertools.product("abcdefghijklmnopqrstuvwxyz", repeat=4))
    more = list(itertools.islice((word for word in words if word not in known), size - len(tokens)))
    return (element, tokens + more), (type_element, types + [normal] * len(more))


def latent_numbers(own):
    if not own:
        return {}
    return {"attention.kv_lora_rank": own.width, "attention.key_length": own.width + own.rope,
            "attention.value_length": own.width, "attention.key_length_mla": own.key + own.rope,
            "attention.value_length_mla": own.value, "rope.dimension_count": own.rope}


def expert_numbers(own):
    if not own:
        return {}
    numbers = {"expert_count": own.count, "expert_used_count": own.chosen, "expert_feed_forward_length": own.inner}
    if own.shared:
        numbers["expert_shared_count"] = own.shared
    if own.dense:
        numbers["leading_dense_block_count"] = own.dense
    return numbers


def metadata_of(name, shape, text):
    entries = {key: entry for key, entry in gguf_header.read(text).items() if key.startswith("tokenizer.")}
    tokens, types = padded_vocabulary(entries, shape.vocabulary)
    entries["tokenizer.ggml.tokens"] = gguf_header.ARRAY, tokens
    entries["tokenizer.ggml.token_type"] = gguf_header.ARRAY, types
    ours = {"general.architecture": (8, shape.architecture), "general.name": (8, f"{name}, random weights")}
    numbers = {"block_count": shape.layers, "context_length": shape.context, "embedding_length": shape.width,
               "feed_forward_length": shape.inner, "attention.head_count": shape.query_heads,
               "attention.head_count_kv": shape.kv_heads, "attention.key_length": shape.head_width,
               "attention.value_length": shape.head_width, "rope.dimension_count": shape.head_width,
               "vocab_size": shape.vocabulary} | latent_numbers(shape.latent) | expert_numbers(shape.experts)
    if shape.window:
        numbers["attention.sliding_window"] = shape.window
    ours.update({f"{shape.architecture}.{key}": (4, value) for key, value in numbers.items()})
    ours[f"{shape.architecture}.rope.freq_base"] = 6, shape.rope_base
    ours[f"{shape.architecture}.attention.layer_norm_rms_epsilon"] = 6, shape.epsilon
    return {**ours, **entries}


# ---- values

def bf16(values):
    return (values.view(numpy.uint32) >> 16).astype(numpy.uint16)


def kind_of(name, dimensions):
    """(mean, deviation) of a tensor's values."""
    if name.endswith("norm.weight"):
        return 1.0, 0.1
    return 0.0, 0.1 if name.endswith(".bias") else 1 / math.sqrt(dimensions[-1])


def blocks_for(tensors, seed):
    """{kind: random values, as bf16}."""
    largest = max(math.prod(dimensions) for _, dimensions in tensors)
    normal = numpy.random.default_rng(seed).standard_normal(min(BLOCK, largest + 1), dtype=numpy.float32)
    kinds = {kind_of(*tensor) for tensor in tensors}
    return {kind: bf16(normal * numpy.float32(kind[1]) + numpy.float32(kind[0])) for kind in kinds}


def pieces_of(tensors, blocks, begin):
    """(place in the file, values of it) of everything that is to be written; each tensor begins elsewhere in its block."""
    at, drawn = begin, 0
    for name, dimensions in tensors:
        block, left, place = blocks[kind_of(name, dimensions)], math.prod(dimensions), at
        while left > 0:
            first = drawn % len(block)
            count = min(left, PIECE, len(block) - first)
            yield place, block[first:first + count]
            drawn, left, place = drawn + count, left - count, place + 2 * count
        at += gguf_header.padded(2 * math.prod(dimensions))


def write(path, name, shape, text, seed):
    tensors = list(tensors_of(shape))
    head, size = gguf_header.written(metadata_of(name, shape, text), tensors, gguf_header.BF16)
    blocks = blocks_for(tensors, seed)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + size)
        file.flush()

        def put(piece):
            place, values = piece
            if os.pwrite(file.fileno(), values, place) != values.nbytes:
                raise SystemExit(f"{path} was not written whole: is there room?")

        with ThreadPoolExecutor(THREADS) as threads:
            for _ in threads.map(put, pieces_of(tensors, blocks, len(head))):
                pass
    return len(head) + size


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("out", type=Path)
    parser.add_argument("--layers", type=int, help="other than the model's own")
    parser.add_argument("--text", type=Path, default=TEXT, help="a GGUF file with tokenizer and chat template")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    shape = SHAPES[options.shape]
    if options.layers:
        shape = shape._replace(layers=options.layers)
    began = time.monotonic()
    size = write(options.out, options.shape, shape, options.text, options.seed)
    print(f"{options.shape}: {size / 1e9:.2f} GB in {os.fspath(options.out)} after {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
