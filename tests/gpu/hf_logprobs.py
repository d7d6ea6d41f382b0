#!/usr/bin/env python3
"""Logprobs over HTTP from the GPU beside transformers': of a prompt that is repeated, and of what is said behind it.

usage: hf_logprobs.py BINARY
Small models of random weights whose tokens are bytes and some pairs, dense, of experts, and with windows: what their device scores itself,
and, with a bias, what the host scores from logits. Prints how far ours and transformers' own bf16 run are from double
precision; fails if ours is much further, or if a greedy answer's token is not the likeliest.
"""
import json
import statistics
import sys
import tempfile
import urllib.request
from pathlib import Path

import serve
import tokenizers
import torch
import transformers

import agreement

WORDS, PROMPT, OUT, LIKELIEST = 272, 300, 40, 5
COMMON = dict(vocab_size=WORDS, hidden_size=256, intermediate_size=512, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
              max_position_embeddings=1024, initializer_range=0.06, eos_token_id=WORDS - 1, tie_word_embeddings=False)
GEMMA = COMMON | dict(head_dim=256, sliding_window=64, tie_word_embeddings=True)
MODELS = {
    "llama": transformers.LlamaConfig(**COMMON, head_dim=64),
    "qwen3moe": transformers.Qwen3MoeConfig(**COMMON, head_dim=64, num_experts=16, num_experts_per_tok=16, moe_intermediate_size=64,
                                            decoder_sparse_step=1, mlp_only_layers=[], norm_topk_prob=True),
    "mistral": transformers.MistralConfig(**COMMON, head_dim=128, sliding_window=64),
    "gemma2": transformers.Gemma2Config(**GEMMA, query_pre_attn_scalar=144, attn_logit_softcapping=20.0, final_logit_softcapping=10.0),
    "gemma3": transformers.Gemma3TextConfig(**GEMMA, query_pre_attn_scalar=256, layer_types=["sliding_attention"] * 2 + ["full_attention"]),
}


def write_words(folder):
    """The vocabulary, as the text that each of its ids is told with."""
    letters = sorted(agreement.ALPHABET)
    pairs = ["a" + letter for letter in "bcdefghijklmnop"]
    vocabulary = {token: i for i, token in enumerate([*letters, *pairs])}
    words = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, [tuple(pair) for pair in pairs]))
    words.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = tokenizers.decoders.ByteLevel()
    words.add_special_tokens(["<|end|>"])
    words.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "eos_token": "<|end|>", "chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}"}))
    return {agreement.as_bytes(token): i for token, i in vocabulary.items()} | {b"<|end|>": WORDS - 1}


def bytes_of(told):
    """Of a token as /v1/completions tells it."""
    return bytes([int(told.removeprefix(r"bytes:\x"), 16)]) if told.startswith("bytes:") else told.encode()


def ask(port, prompt, more):
    body = {"model": "model", "prompt": prompt, "max_tokens": OUT, "echo": True, "logprobs": LIKELIEST, "ignore_eos": True,
            "temperature": 0} | more
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/completions", json.dumps(body).encode(),
                                     {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["choices"][0]["logprobs"]


def configuration(folder):
    target = {"kind": "local", "executor": "cuda", "serves": ["model"], "model": str(folder), "sequences_max": 8,
              "kv_tokens_max": 8192, "step_tokens_max": 512}
    return {"server": {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "drain": "1s"}, "targets": {"local": target},
            "classes": {"all": {"spill": "never"}}}


def values_of(logits, ids):
    """Of each token behind the first: its logprob, and the largest ones in its place."""
    logprobs = torch.log_softmax(logits.double().cpu(), dim=-1)
    own = [logprobs[at - 1, ids[at]].item() for at in range(1, len(ids))]
    return own, [logprobs[at - 1].topk(LIKELIEST).values.tolist() for at in range(1, len(ids))]


def distance(values, exact):
    """Mean of all differences."""
    flat = lambda rows: [*rows[0], *(value for row in rows[1] for value in row)]
    return statistics.mean(abs(a - b) for a, b in zip(flat(values), flat(exact), strict=True))


def compare(name, model, words, told, greedy):
    ids = [words[bytes_of(token)] for token in told["tokens"]]
    likeliest = [sorted(row.values(), reverse=True)[:LIKELIEST] for row in told["top_logprobs"][1:]]
    ours = told["token_logprobs"][1:], likeliest
    with torch.no_grad():
        rounded = values_of(model.to("cuda", torch.bfloat16)(torch.tensor([ids]).cuda()).logits[0], ids)
        exact = values_of(model.to("cpu", torch.float64)(torch.tensor([ids])).logits[0], ids)
    own, theirs = distance(ours, exact), distance(rounded, exact)
    best = all(own == row[0] for own, row in zip(ours[0][PROMPT - 1:], likeliest[PROMPT - 1:]))
    print(f"logprobs {name:24} ours {own:.5f}, transformers bf16 {theirs:.5f} from double, of {len(ids)} tokens and {LIKELIEST} each"
          f"{'' if best or not greedy else '; NOT the likeliest was said'}", flush=True)
    return own < 2 * theirs + 1e-4 and (best or not greedy)


def check(binary, name, config):
    torch.manual_seed(torch.seed() % 2**31)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager", experts_implementation="eager").eval()
    for key, tensor in model.state_dict().items():
        if "norm" in key:
            tensor.add_(0.2 * torch.randn_like(tensor))
    model = model.to(torch.bfloat16)
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        words = write_words(folder)
        model.save_pretrained(folder)
        path = folder / "spillway.yaml"
        path.write_text(json.dumps(configuration(folder)), encoding="utf-8")
        gateway = serve.Gateway(binary, path)
        try:
            port = gateway.wait_for_port(serve.START_MAX)
            prompt = torch.randint(0, WORDS - 1, (PROMPT,)).tolist()
            plain, biased = ask(port, prompt, {}), ask(port, prompt, {"logit_bias": {"7": 4}})
        except Exception:
            print("".join(gateway.lines[-20:]))
            raise
        finally:
            gateway.end()
    return all([compare(f"{name}, by the device", model, words, plain, greedy=True),
                compare(f"{name}, by the host", model, words, biased, greedy=False)])


if __name__ == "__main__":
    results = [check(sys.argv[1], name, config) for name, config in MODELS.items()]
    sys.exit(0 if all(results) else 1)
