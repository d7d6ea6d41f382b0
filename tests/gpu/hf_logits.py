"""Logits of our decoder beside transformers' on the same random weights, for every architecture that the GPU runs.

usage: hf_logits.py PROGRAM, PROGRAM being gpu_dump_logits. Prints one line an architecture: how far ours and transformers'
own bf16 run are from transformers in double precision. Fails if ours is further than bf16 accounts for: of the worst token,
or, where tokens choose experts, which rounding may change, of the median one.
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
DEEPSEEK = dict(hidden_size=512, intermediate_size=1024, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=4,
                vocab_size=1024, max_position_embeddings=1024, kv_lora_rank=512, q_lora_rank=None, qk_rope_head_dim=64,
                qk_nope_head_dim=64, v_head_dim=128, n_routed_experts=16, n_shared_experts=2, moe_intermediate_size=64,
                first_k_dense_replace=1, topk_method="greedy", n_group=1, topk_group=1, norm_topk_prob=False,
                tie_word_embeddings=False)
QWEN3_MOE = COMMON | dict(head_dim=128, num_experts=32, moe_intermediate_size=64, decoder_sparse_step=1, mlp_only_layers=[],
                         norm_topk_prob=True, tie_word_embeddings=False)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=256)


def models():
    yield "llama", transformers.LlamaConfig(**COMMON, head_dim=64, tie_word_embeddings=False)
    yield "llama, llama3 scaling", transformers.LlamaConfig(**COMMON, head_dim=128, rope_parameters=LLAMA3)
    yield "qwen2", transformers.Qwen2Config(**COMMON, tie_word_embeddings=False)
    yield "qwen2, yarn scaling", transformers.Qwen2Config(**COMMON, rope_parameters=YARN)
    yarn = YARN | dict(mscale=0.707, mscale_all_dim=0.707, factor=40.0)
    yield "deepseek2, all experts", transformers.DeepseekV2Config(**DEEPSEEK, num_experts_per_tok=16, rope_parameters=yarn)
    yield "deepseek2", transformers.DeepseekV2Config(**DEEPSEEK, num_experts_per_tok=3)
    yield "qwen3moe, all experts", transformers.Qwen3MoeConfig(**QWEN3_MOE, num_experts_per_tok=32)
    yield "qwen3moe", transformers.Qwen3MoeConfig(**QWEN3_MOE, num_experts_per_tok=4)
    yield "qwen3", transformers.Qwen3Config(**COMMON, head_dim=128, tie_word_embeddings=True)


def latent_attention(layer, config):
    own = "self_attn."
    yield torch.cat([layer[own + "q_proj.weight"], layer[own + "kv_a_proj_with_mqa.weight"]])
    yield layer[own + "kv_a_layernorm.weight"]
    heads = config.num_attention_heads
    both = layer[own + "kv_b_proj.weight"].view(heads, config.qk_nope_head_dim + config.v_head_dim, config.kv_lora_rank)
    yield both[:, :config.qk_nope_head_dim].transpose(1, 2)
    yield both[:, config.qk_nope_head_dim:]


def attention(layer):
    yield torch.cat([layer[f"self_attn.{n}_proj.weight"] for n in "qkv"])
    if "self_attn.q_proj.bias" in layer:
        yield torch.cat([layer[f"self_attn.{n}_proj.bias"] for n in "qkv"])
    if "self_attn.q_norm.weight" in layer:
        yield layer["self_attn.q_norm.weight"]
        yield layer["self_attn.k_norm.weight"]


def feed_forward(layer, config):
    if "mlp.gate.weight" not in layer:
        yield torch.cat([layer[f"mlp.{n}_proj.weight"] for n in ("gate", "up")])
        yield layer["mlp.down_proj.weight"]
        return
    yield layer["mlp.gate.weight"]
    if not shared_of(config):
        yield layer["mlp.experts.gate_up_proj"]
        yield layer["mlp.experts.down_proj"]
        return
    shared = {n: layer[f"mlp.shared_experts.{n}_proj.weight"] for n in ("gate", "up", "down")}
    parts = zip(shared["gate"].split(config.moe_intermediate_size), shared["up"].split(config.moe_intermediate_size))
    yield torch.cat([layer["mlp.experts.gate_up_proj"], torch.stack([torch.cat(part) for part in parts])])
    yield torch.cat([layer["mlp.experts.down_proj"],
                     torch.stack(shared["down"].split(config.moe_intermediate_size, dim=1))])


def tensors(model):
    """Our order: see DecoderWeights."""
    state = model.state_dict()
    yield state["model.embed_tokens.weight"]
    for i in range(model.config.num_hidden_layers):
        layer = {k.removeprefix(f"model.layers.{i}."): v for k, v in state.items() if k.startswith(f"model.layers.{i}.")}
        yield layer["input_layernorm.weight"]
        yield from latent_attention(layer, model.config) if hasattr(model.config, "kv_lora_rank") else attention(layer)
        yield layer["self_attn.o_proj.weight"]
        yield layer["post_attention_layernorm.weight"]
        yield from feed_forward(layer, model.config)
    yield state["model.norm.weight"]
    if not model.config.tie_word_embeddings:
        yield state["lm_head.weight"]


def latent_words(config, scaling):
    """Sizes of latent rows; zeros if there are none."""
    if not hasattr(config, "kv_lora_rank"):
        return [0] * 5
    gain = scaling * (config.qk_nope_head_dim + config.qk_rope_head_dim) ** 0.5
    return [config.kv_lora_rank, config.qk_rope_head_dim, config.qk_nope_head_dim, config.v_head_dim, gain]


def experts_of(config):
    return getattr(config, "n_routed_experts", 0) or getattr(config, "num_experts", 0)


def shared_of(config):
    return getattr(config, "n_shared_experts", 0)


def expert_words(config):
    """Zeros if there are none."""
    if not experts_of(config):
        return [0] * 6
    return [experts_of(config), config.num_experts_per_tok, shared_of(config), config.moe_intermediate_size,
            getattr(config, "first_k_dense_replace", 0), int(config.norm_topk_prob)]


def write(model, tokens, folder):
    config = model.config
    rotary = model.model.rotary_emb
    head = getattr(config, "v_head_dim", None) or getattr(config, "head_dim", None) or \
        config.hidden_size // config.num_attention_heads
    layer = model.model.layers[0].self_attn
    words = [config.num_hidden_layers, config.hidden_size, config.intermediate_size, config.num_attention_heads,
             config.num_key_value_heads, head, config.vocab_size, config.rms_norm_eps, int(layer.q_proj.bias is not None),
             int(hasattr(layer, "q_norm")), int(config.tie_word_embeddings), rotary.attention_scaling,
             *latent_words(config, layer.scaling), *expert_words(config), len(rotary.inv_freq),
             *(f"{v:.17g}" for v in rotary.inv_freq.double().tolist()), len(tokens), *tokens]
    (folder / "model.txt").write_text(" ".join(map(str, words)) + "\n")
    with open(folder / "weights.bin", "wb") as out:
        for tensor in tensors(model):
            out.write(tensor.to(torch.bfloat16).contiguous().view(torch.uint8).cpu().numpy().tobytes())


def distance(logits, exact, config):
    choose = experts_of(config) > getattr(config, "num_experts_per_tok", 0)
    distances = (logits.double() - exact).norm(dim=-1) / exact.norm(dim=-1)
    return (distances.median() if choose else distances.max()).item()


def compare(name, config, program):
    torch.manual_seed(torch.seed() % 2**31)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager", experts_implementation="eager").eval()
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
    ours = distance(ours.view(len(tokens), -1), exact, config)
    print(f"logits {name:24} ours {ours:.4f}, transformers bf16 {distance(rounded, exact, config):.4f} from double")
    return ours < TOLERANCE


if __name__ == "__main__":
    results = [compare(name, config, sys.argv[1]) for name, config in models()]
    sys.exit(0 if all(results) else 1)
