#!/usr/bin/env python3
"""A folder of matrices in four bits on the GPU: as they are, beside what they say as bf16.

usage: four_bits.py BINARY [--kinds gptq:128:sym,awq:128,gptq:128,gptq:32] [--layers 16]
Makes a Llama with random weights, packs it (tests/peers/quantized_files.py) and serves both folders. A kind says how, in groups of
how many columns, and whether all zero points are in the middle. Prints the share of prompts with the same first token, the time of a
token of one answer at a time and of 128, and the memory of the GPU that the gateway takes, KV cache and all. Takes numpy, torch,
safetensors, transformers.
"""
import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import NamedTuple

import closed_loop
import numpy as np
import serve
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "peers"))
import quantized_files  # pylint: disable=wrong-import-position

VOCABULARY, PROMPTS, PROMPT_TOKENS, OUT, MANY, ROUNDS = 4096, 64, 64, 128, 128, 4
SHAPE = dict(vocab_size=VOCABULARY, hidden_size=2048, intermediate_size=5632, num_attention_heads=16, num_key_value_heads=8,
             max_position_embeddings=4096, tie_word_embeddings=False, torch_dtype="bfloat16", bos_token_id=0, eos_token_id=1)


def write_tokenizer(folder):
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {letter: index for index, letter in enumerate(letters)}
    words.update({f"\u0120w{index}": index for index in range(len(words), VOCABULARY)})
    tokenizer = Tokenizer(models.BPE(vocab=words, merges=[]))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": letters[0], "eos_token": letters[1],
         "chat_template": "{% for message in messages %}{{ message.content }}{% endfor %}"}), encoding="utf-8")


def random_state(layers):
    torch.manual_seed(1)
    wide, inner, kept = SHAPE["hidden_size"], SHAPE["intermediate_size"], SHAPE["hidden_size"] // 2
    state = {"model.embed_tokens.weight": torch.randn(VOCABULARY, wide), "model.norm.weight": torch.ones(wide),
             "lm_head.weight": torch.randn(VOCABULARY, wide) / wide ** 0.5}
    rows = dict(q_proj=(wide, wide), k_proj=(kept, wide), v_proj=(kept, wide), o_proj=(wide, wide),
                gate_proj=(inner, wide), up_proj=(inner, wide), down_proj=(wide, inner))
    for layer in range(layers):
        for name, (out, into) in rows.items():
            room = "self_attn" if name[0] in "qkvo" else "mlp"
            state[f"model.layers.{layer}.{room}.{name}.weight"] = torch.randn(out, into) / into ** 0.5
        for norm in ("input_layernorm", "post_attention_layernorm"):
            state[f"model.layers.{layer}.{norm}.weight"] = torch.ones(wide)
    return {name: values.bfloat16() for name, values in state.items()}


def write(folder, kind, layers):
    """(as packed, as bf16)"""
    how, group, *symmetric = kind.split(":")
    packed, plain = folder / f"{kind}-packed", folder / f"{kind}-plain"
    config = LlamaConfig(**SHAPE, num_hidden_layers=layers)
    config.architectures = ["LlamaForCausalLM"]
    for one in (packed, plain):
        one.mkdir()
        write_tokenizer(one)
    left = quantized_files.write(packed, config, random_state(layers), how, int(group), symmetric=bool(symmetric))
    (plain / "config.json").write_text(json.dumps(config.to_dict()), encoding="utf-8")
    save_file({name: values.bfloat16().contiguous() for name, values in left.items()}, str(plain / "model.safetensors"))
    return packed, plain


def ask(port, prompt, tokens):
    body = {"model": "model", "prompt": prompt, "max_tokens": tokens, "temperature": 0, "ignore_eos": True}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/completions", json.dumps(body).encode(),
                                     {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["choices"][0]["text"]


def memory_used():
    """MiB of the first GPU."""
    said = subprocess.run(["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"], capture_output=True, text=True, check=True)
    return int(said.stdout.split()[0])


class Measured(NamedTuple):
    first: list   # Tokens, of the prompts.
    one: float    # Seconds of a further token, of one answer at a time…
    many: float   # …and of MANY.
    speed: float  # Tokens a second then.
    memory: int   # MiB


def measure(binary, model):
    target = {"kind": "local", "executor": "cuda", "serves": ["model"], "model": str(model), "sequences_max": MANY, "kv_tokens_max": 65536,
              "waiting_max": 2 * MANY}
    config = {"server": {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "drain": "1s"}, "targets": {"local": target},
              "log": {"level": "info"}, "classes": {"all": {"spill": "never"}}}
    random = np.random.default_rng(7)
    prompts = random.integers(300, VOCABULARY, (PROMPTS, PROMPT_TOKENS)).tolist()
    path = model / "spillway.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")
    before = memory_used()
    gateway = serve.Gateway(binary, path)
    try:
        port = gateway.wait_for_port(serve.START_MAX)
        first = [ask(port, prompt, 1) for prompt in prompts]
        times = []
        for prompt in prompts[:5]:
            began = time.monotonic()
            ask(port, prompt, 1)
            between = time.monotonic()
            ask(port, prompt, OUT + 1)
            times.append((time.monotonic() - between - (between - began)) / OUT)
        loop = closed_loop.run(port, closed_loop.TokenPrompts(VOCABULARY, PROMPT_TOKENS), MANY, ROUNDS, OUT, 60)
        return Measured(first, statistics.median(times), statistics.median(row.tpot for row in loop.rows),
                        sum(row.out_tokens for row in loop.rows) / loop.seconds, memory_used() - before)
    finally:
        gateway.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path)
    parser.add_argument("--kinds", default="gptq:128:sym,awq:128,gptq:128,gptq:32")
    parser.add_argument("--layers", type=int, default=16)
    options = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory() as scratch:
        for kind in options.kinds.split(","):
            packed, plain = (measure(options.binary, model) for model in write(Path(scratch), kind, options.layers))
            same = sum(a == b for a, b in zip(packed.first, plain.first)) / PROMPTS
            good = good and same > 0.85
            print(f"{kind}: {100 * same:.0f} % of {PROMPTS} first tokens as of the same weights in bf16 ({len(set(plain.first))} different ones)")
            for name, side in ((kind, packed), ("bf16", plain)):
                print(f"  {name}: TPOT c1 {1e3 * side.one:.3f} ms, c{MANY} {1e3 * side.many:.3f} ms ({side.speed:.0f} out tok/s), "
                      f"{side.memory} MiB of the GPU", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
