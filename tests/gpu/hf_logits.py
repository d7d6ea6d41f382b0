"""Logits of our decoder beside transformers' on the same random weights, for every architecture that the GPU runs.

usage: hf_logits.py PROGRAM, PROGRAM being gpu_dump_logits. Prints one line an architecture: how far ours and transformers'
own bf16 run are from transformers in double precision. Fails if ours is further than bf16 accounts for.
"""
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers

TOLERANCE = 3e-2  # ‖ours - exact‖ / ‖exact‖, worst token.
COMMON = dict(hidden_size=512, intermediate_size=1024, num_hidden_layers=4, num_attention_heads=8, num_key_value_heads=2,
              vocab_size=1024, max_position_embeddings=1024, rms_norm_eps=1e-6, initializer_range=0.04)
LLAMA3 = dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=128)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=256)


def models():
    yield "llama", transformers.LlamaConfig(**COMMON, head_dim=64, tie_word_embeddings=False)
    yield "llama, llama3 scaling", transformers.LlamaConfig(**COMMON, head_dim=128, rope_parameters=LLAMA3)
    yield "qwen2", transformers.Qwen2Config(**COMMON, tie_word_embeddings=False)
    yield "qwen2, yarn scaling", transformers.Qwen2Config(**COMMON, rope_parameters=YARN)
    yield "qwen3", transformers.Qwen3Config(**COMMON, head_dim=128, tie_word_embeddings=True)


def tensors(model):
    """Our order: see DecoderWeights."""
    state = model.state_dict()
    yield state["model.embed_tokens.weight"]
    for i in range(model.config.num_hidden_layers):
        layer = {k.removeprefix(f"model.layers.{i}."): v for k, v in state.items() if k.startswith(f"model.layers.{i}.")}
        yield layer["input_layernorm.weight"]
        yield torch.cat([layer[f"self_attn.{n}_proj.weight"] for n in "qkv"])
        if "self_attn.q_proj.bias" in layer:
            yield torch.cat([layer[f"self_attn.{n}_proj.bias"] for n in "qkv"])
        if "self_attn.q_norm.weight" in layer:
            yield layer["self_attn.q_norm.weight"]
            yield layer["self_attn.k_norm.weight"]
        yield layer["self_attn.o_proj.weight"]
        yield layer["post_attention_layernorm.weight"]
        yield torch.cat([layer[f"mlp.{n}_proj.weight"] for n in ("gate", "up")])
        yield layer["mlp.down_proj.weight"]
    yield state["model.norm.weight"]
    if not model.config.tie_word_embeddings:
        yield state["lm_head.weight"]


def write(model, tokens, folder):
    config = model.config
    rotary = model.model.rotary_emb
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    layer = model.model.layers[0].self_attn
    words = [config.num_hidden_layers, config.hidden_size, config.intermediate_size, config.num_attention_heads,
             config.num_key_value_heads, head, config.vocab_size, config.rms_norm_eps, int(layer.q_proj.bias is not None),
             int(hasattr(layer, "q_norm")), int(config.tie_word_embeddings), rotary.attention_scaling,
             len(rotary.inv_freq), *(f"{v:.17g}" for v in rotary.inv_freq.double().tolist()), len(tokens), *tokens]
    (folder / "model.txt").write_text(" ".join(map(str, words)) + "\n")
    with open(folder / "weights.bin", "wb") as out:
        for tensor in tensors(model):
            out.write(tensor.to(torch.bfloat16).contiguous().view(torch.uint8).cpu().numpy().tobytes())


def distance(logits, exact):
    return ((logits.double() - exact).norm(dim=-1) / exact.norm(dim=-1)).max().item()


def compare(name, config, program):
    torch.manual_seed(torch.seed() % 2**31)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    for key, tensor in model.state_dict().items():
        tensor.normal_(1.0 if "norm" in key else 0.0, 0.2 if "norm" in key or "bias" in key else 0.04)
        tensor.copy_(tensor.to(torch.bfloat16))
    tokens = torch.randint(0, config.vocab_size, (90,)).tolist()
    with tempfile.TemporaryDirectory() as root, torch.no_grad():
        folder = Path(root)
        write(model, tokens, folder)
        subprocess.run([program, root], check=True)
        ours = torch.from_file(str(folder / "logits.bin"), size=len(tokens) * config.vocab_size).clone()
        ids = torch.tensor([tokens])
        exact = model.double()(ids).logits[0]
        rounded = model.to("cuda", torch.bfloat16)(ids.cuda()).logits[0].cpu()
    ours = distance(ours.view(len(tokens), -1), exact)
    print(f"logits {name:24} ours {ours:.4f}, transformers bf16 {distance(rounded, exact):.4f} from double")
    return ours < TOLERANCE


if __name__ == "__main__":
    results = [compare(name, config, sys.argv[1]) for name, config in models()]
    sys.exit(0 if all(results) else 1)
