#!/usr/bin/env python3
"""vLLM beside the gateway: the closed loops of serve.py, by the same clients, on a model of the same shape with random weights.

usage: serve_vllm.py SHAPE [--quantization fp8] [--concurrency 1,128,256] [--rounds 6] …
Prompts are ids of tokens for /v1/completions, so vLLM has nothing to tokenize; no prefix is kept. VLLM=FOLDER holds vx/ and
site/, what python3 needs on its path to import vllm; without it, and with no vllm installed, it says so and ends with 0.
Of a shape with experts vLLM's weights are drawn as ours are (spread_experts), unless --dummy-experts asks for its own.
"""
import argparse
import importlib.util
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import closed_loop
import random_model
import serve

START_MAX = 300
MODEL_TYPES = {"deepseek2": "deepseek_v2"}
ARCHITECTURES = {"deepseek2": "DeepseekV2ForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM", "llama": "LlamaForCausalLM"}
SPREAD = Path(__file__).resolve().parent / "spread_experts"


def deepseek_config(shape):
    own, experts = shape.latent, shape.experts
    if not own:
        return {}
    return {"num_key_value_heads": shape.query_heads, "head_dim": own.rope, "kv_lora_rank": own.width, "q_lora_rank": None,
            "qk_rope_head_dim": own.rope, "qk_nope_head_dim": own.key, "v_head_dim": own.value,
            "n_routed_experts": experts.count, "num_experts_per_tok": experts.chosen, "n_shared_experts": experts.shared,
            "moe_intermediate_size": experts.inner, "first_k_dense_replace": experts.dense, "moe_layer_freq": 1,
            "routed_scaling_factor": 1.0, "norm_topk_prob": False, "scoring_func": "softmax", "topk_method": "greedy",
            "n_group": 1, "topk_group": 1, "attention_bias": False}


def write_model(shape, folder):
    """A model folder as transformers knows it, without weights; its tokens are letters and words of numbers."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers  # pylint: disable=import-outside-toplevel
    config = {"architectures": [ARCHITECTURES[shape.architecture]], "model_type": MODEL_TYPES.get(shape.architecture, shape.architecture),
              "hidden_size": shape.width, "intermediate_size": shape.inner, "num_hidden_layers": shape.layers,
              "num_attention_heads": shape.query_heads, "num_key_value_heads": shape.kv_heads, "head_dim": shape.head_width,
              "max_position_embeddings": 16384, "rope_theta": shape.rope_base, "rms_norm_eps": shape.epsilon,
              "vocab_size": shape.vocabulary, "tie_word_embeddings": shape.tied, "hidden_act": "silu",
              "torch_dtype": "bfloat16", "bos_token_id": 0, "eos_token_id": 1, "initializer_range": 0.02}
    config.update(deepseek_config(shape))
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {letter: index for index, letter in enumerate(letters)}
    words.update({f"\u0120w{index}": index for index in range(len(words), shape.vocabulary)})
    tokenizer = Tokenizer(models.BPE(vocab=words, merges=[]))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": letters[0], "eos_token": letters[1],
         "model_max_length": 16384}), encoding="utf-8")


def environment(spread=False):
    """vLLM's, or nothing if there is no vLLM."""
    settings = {"VLLM_USE_FLASHINFER_SAMPLER": "0", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1",
                "VLLM_LOGGING_LEVEL": "WARNING"}
    folder, path = os.environ.get("VLLM"), [str(SPREAD)] if spread else []
    if folder and (Path(folder) / "vx" / "vllm").is_dir():
        path += [f"{folder}/vx", f"{folder}/site"]
    elif not importlib.util.find_spec("vllm"):
        return None
    return os.environ | settings | ({"PYTHONPATH": ":".join(path)} if path else {})


def command(folder, port, options):
    arguments = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder), "--served-model-name",
                 "model", "--load-format", "dummy", "--max-model-len", "8192", "--max-num-seqs", str(options.sequences),
                 "--no-enable-prefix-caching", "--port", str(port), "--host", "127.0.0.1", "--no-enable-log-requests",
                 "--tensor-parallel-size", str(options.gpus)]
    latent = random_model.SHAPES[options.shape].latent is not None
    arguments += ["--trust-remote-code"] if latent else ["--attention-backend", "FLASH_ATTN"]
    if options.kv_cache:
        arguments += ["--kv-cache-dtype", options.kv_cache]
    return arguments + (["--quantization", options.quantization] if options.quantization else [])


def wait_until_ready(child, port, log):
    end = time.monotonic() + START_MAX
    while time.monotonic() < end and child.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    log.seek(0)
    raise RuntimeError(f"vLLM does not listen: {log.read()[-4000:]}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def spreads(options):
    return bool(random_model.SHAPES[options.shape].latent) and not options.dummy_experts


def measure(folder, options, log):
    port, began = free_port(), time.monotonic()
    child = subprocess.Popen(command(folder, port, options), stdout=log, stderr=subprocess.STDOUT,
                             env=environment(spreads(options)))
    label = "vllm spread experts" if spreads(options) else "vllm"
    label += f" {options.quantization}" if options.quantization else ""
    label += f" kv {options.kv_cache}" if options.kv_cache else ""
    label += f" on {options.gpus} GPUs" if options.gpus > 1 else ""
    try:
        wait_until_ready(child, port, log)
        print(f"{label} {options.shape} ready after {time.monotonic() - began:.1f} s", flush=True)
        prompts = closed_loop.TokenPrompts(random_model.SHAPES[options.shape].vocabulary, options.prompt_tokens)
        levels = [int(level) for level in options.concurrency.split(",")]
        closed_loop.run(port, prompts, max(levels), 1, min(8, options.out), options.seconds)
        for concurrency in levels:
            serve.speed(port, prompts, options, concurrency, label)
    finally:
        child.terminate()
        try:
            child.wait(timeout=20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=random_model.SHAPES)
    parser.add_argument("--quantization", default="", help="fp8: weights and activations")
    parser.add_argument("--kv-cache", default="", help="fp8: keys and values in 8 bits")
    parser.add_argument("--gpus", type=int, default=1, help="tensor_parallel_size")
    parser.add_argument("--sequences", type=int, default=256, help="max_num_seqs")
    parser.add_argument("--dummy-experts", action="store_true", help="all tokens take the same experts")
    serve.add_load_arguments(parser)
    options = parser.parse_args()
    if environment() is None:
        print("vllm: not on this machine, nothing is measured (VLLM=FOLDER brings it along)")
        return 0
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as log:
        write_model(random_model.SHAPES[options.shape], Path(folder))
        measure(Path(folder), options, log)
    return 0


if __name__ == "__main__":
    sys.exit(main())
