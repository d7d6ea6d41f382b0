"""Every architecture beside transformers: small models with random weights, saved as Hugging Face folders.

Logits of a prompt in fp32 within 1e-4 of the largest; 64 greedy tokens are the same, whatever the size of the steps in
which the prompt is read, and whoever is read with it. DeepSeek's attention takes its expanded form for 40 tokens in one
step, and the absorbed one for 7 at a time after the first 7, and for every token of an answer. In bf16, logits of the
median token are within 2e-2, or as near as transformers' own in bf16, and in int8 within 5e-2: a token whose last expert
is a near tie may take another.
"""
import copy
import json
import os
import subprocess

import pytest
import torch
import transformers

import gguf_file

BASE = dict(vocab_size=320, hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=2,
            num_key_value_heads=1, max_position_embeddings=512, initializer_range=0.12)
WIDE = dict(BASE, num_attention_heads=4, num_key_value_heads=2, head_dim=32)
LATENT = dict(BASE, num_attention_heads=4, num_key_value_heads=4, kv_lora_rank=32, qk_rope_head_dim=16, qk_nope_head_dim=32, v_head_dim=24,
              n_routed_experts=8, n_shared_experts=2, num_experts_per_tok=3, moe_intermediate_size=32,
              first_k_dense_replace=1, initializer_range=0.1)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=8.0, original_max_position_embeddings=64)


def rope(kind, **more):
    return dict(rope_type=kind, rope_theta=10000.0, **more)


MODELS = {
    "llama": ("Llama", BASE),
    "llama-tied": ("Llama", dict(BASE, tie_word_embeddings=True)),
    "llama-biases": ("Llama", dict(BASE, attention_bias=True)),
    "llama-linear": ("Llama", dict(BASE, rope_parameters=rope("linear", factor=4.0))),
    "llama-llama3": ("Llama", dict(BASE, rope_parameters=rope("llama3", factor=8.0, low_freq_factor=1.0,
                                                             high_freq_factor=4.0,
                                                             original_max_position_embeddings=64))),
    "llama-yarn": ("Llama", dict(BASE, rope_parameters=YARN)),
    "mistral": ("Mistral", dict(WIDE, sliding_window=12)),
    "qwen2": ("Qwen2", BASE),
    "qwen2-windows": ("Qwen2", dict(BASE, use_sliding_window=True, sliding_window=9, max_window_layers=1)),
    "qwen3": ("Qwen3", WIDE),
    "qwen3-moe": ("Qwen3Moe", dict(WIDE, num_experts=8, num_experts_per_tok=3, moe_intermediate_size=32,
                                   decoder_sparse_step=1, norm_topk_prob=True)),
    "qwen3-moe-sums": ("Qwen3Moe", dict(WIDE, num_experts=8, num_experts_per_tok=3, moe_intermediate_size=32,
                                        decoder_sparse_step=1, norm_topk_prob=False)),
    "gemma2": ("Gemma2", dict(WIDE, sliding_window=12, query_pre_attn_scalar=48)),
    "gemma3": ("Gemma3", dict(WIDE, sliding_window=12, query_pre_attn_scalar=48, layer_types=[
        "sliding_attention", "full_attention", "sliding_attention"])),
    "deepseek-v2": ("DeepseekV2", dict(LATENT, q_lora_rank=None, topk_method="greedy", n_group=1, topk_group=1)),
    "deepseek-v2-groups": ("DeepseekV2", dict(LATENT, q_lora_rank=64, topk_method="group_limited_greedy", n_group=4,
                                              topk_group=2, routed_scaling_factor=1.5)),
    "deepseek-v2-yarn": ("DeepseekV2", dict(LATENT, q_lora_rank=None, topk_method="greedy", n_group=1, topk_group=1,
                                            rope_parameters=dict(YARN, mscale=0.707, mscale_all_dim=0.707))),
    "deepseek-v3": ("DeepseekV3", dict(LATENT, q_lora_rank=64, n_group=4, topk_group=2)),
    "deepseek-v3-yarn": ("DeepseekV3", dict(LATENT, q_lora_rank=64, n_group=4, topk_group=2,
                                            rope_parameters=dict(YARN, mscale=1.0, mscale_all_dim=1.0))),
}
CONFIGS = {"Gemma3": "Gemma3TextConfig"}
PROMPT_TOKENS, ANSWER_TOKENS = 40, 64
torch.set_num_threads(1)


def random_model(kind, options, folder, shard_size):
    torch.manual_seed(sum(map(ord, kind)))
    config = getattr(transformers, CONFIGS.get(kind, f"{kind}Config"))(**options)
    config._attn_implementation = "eager"
    model = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    with torch.no_grad():
        for name, values in list(model.named_parameters()) + list(model.named_buffers()):
            # Norms and biases that say nothing would hide that they are not read.
            if name.endswith(("norm.weight", ".bias", "score_correction_bias")) or "layernorm" in name:
                values.add_(torch.randn_like(values) * 0.2)
    model.save_pretrained(folder, max_shard_size=shard_size)
    return model


@pytest.fixture(scope="module")
def run():
    with subprocess.Popen([os.environ["SPILLWAY_RUN_MODEL"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as runner:
        def order(folder, precision, chunk, prompt, answer_tokens=ANSWER_TOKENS, crowded=False):
            runner.stdin.write(json.dumps(dict(folder=str(folder), precision=precision, chunk=chunk, prompt=prompt,
                                               answer=answer_tokens, crowded=crowded)) + "\n")
            runner.stdin.flush()
            said = json.loads(runner.stdout.readline())
            assert "error" not in said, said["error"]
            return said["answer"], torch.tensor(said["logits"]).view(len(prompt), -1)
        yield order
        runner.stdin.close()


def is_greedy(model, prompt, answer):
    """Whether each token is the likeliest after those before it."""
    with torch.no_grad():
        logits = model(torch.tensor([prompt + answer])).logits[0]
    return logits[len(prompt) - 1:-1].argmax(-1).tolist() == answer


@pytest.fixture(params=MODELS, scope="module")
def case(request, tmp_path_factory):
    kind, options = MODELS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    shards = "100KB" if request.param in ("llama", "qwen3-moe") else "1GB"
    model = random_model(kind, options, folder, shards)
    prompt = torch.randint(3, options["vocab_size"], (PROMPT_TOKENS,)).tolist()
    return request.param, folder, model, prompt


def test_fp32_is_what_transformers_computes(case, run):
    name, folder, model, prompt = case
    with torch.no_grad():
        want = model(torch.tensor([prompt])).logits[0]
    answers = []
    for chunk, crowded in ((PROMPT_TOKENS, False), (7, False), (7, True)):
        answer, got = run(folder, "fp32", chunk, prompt, crowded=crowded)
        answers.append(answer)
        error = float((got - want).abs().max() / want.abs().max())
        print(f"{name}: fp32 {error:.1e} of the largest logit, {chunk} tokens a step{' beside others' * crowded}")
        assert error < 1e-4
    assert is_greedy(model, prompt, answers[0])
    assert answers == [answers[0]] * 3


GEMMAS = {
    "gemma2": ("Gemma2", dict(WIDE, sliding_window=12, query_pre_attn_scalar=32)),
    "gemma3": ("Gemma3", dict(WIDE, num_hidden_layers=7, sliding_window=12, query_pre_attn_scalar=32, rope_parameters=dict(
        full_attention=rope("linear", factor=8.0) | dict(rope_theta=1000000.0), sliding_attention=rope("default")))),
}
INSIDE = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
          "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
          "post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
          "post_feedforward_layernorm": "post_ffw_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
OUTSIDE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm"}


def write_gemma(path, name, model):
    """As llama.cpp's converter writes it: what norms multiply by is whole, and layers' windows are left to who reads it."""
    config, tensors = model.config, {}
    for full, values in model.named_parameters():
        stem = full.removesuffix(".weight")
        _, _, layer, inside = stem.split(".", 3) if stem.startswith("model.layers.") else ("", "", "", "")
        known = f"blk.{layer}.{INSIDE[inside]}" if inside else OUTSIDE[stem]
        tensors[f"{known}.weight"] = (values + 1 if "norm" in stem else values).detach().numpy()
    sizes = {"block_count": config.num_hidden_layers, "embedding_length": config.hidden_size,
             "feed_forward_length": config.intermediate_size, "attention.head_count": config.num_attention_heads,
             "attention.head_count_kv": config.num_key_value_heads, "attention.key_length": config.head_dim,
             "context_length": config.max_position_embeddings, "attention.sliding_window": config.sliding_window}
    numbers = {"attention.layer_norm_rms_epsilon": config.rms_norm_eps}
    words = {}
    if name == "gemma3":
        numbers |= {"rope.freq_base": 1000000.0, "rope.scaling.factor": 8.0}
        words = {"rope.scaling.type": "linear"}
    entries = {"general.architecture": (gguf_file.STRING, name)}
    for kind, values in ((gguf_file.INT, sizes), (gguf_file.FLOAT, numbers), (gguf_file.STRING, words)):
        entries |= {f"{name}.{key}": (kind, value) for key, value in values.items()}
    gguf_file.write(path, entries, tensors)


@pytest.mark.parametrize("name", GEMMAS)
def test_gemma_in_gguf_is_what_transformers_computes(name, run, tmp_path):
    kind, options = GEMMAS[name]
    model = random_model(kind, options, tmp_path / "folder", "1GB")
    write_gemma(tmp_path / "model.gguf", name, model)
    prompt = torch.randint(3, options["vocab_size"], (PROMPT_TOKENS,)).tolist()
    with torch.no_grad():
        want = model(torch.tensor([prompt])).logits[0]
    answer, got = run(tmp_path / "model.gguf", "fp32", PROMPT_TOKENS, prompt)
    error = float((got - want).abs().max() / want.abs().max())
    print(f"{name}: fp32 {error:.1e} of the largest logit")
    assert error < 1e-4
    assert is_greedy(model, prompt, answer)


def error_of_median(got, want):
    return float(((got - want).norm(dim=1) / want.norm(dim=1)).median())


@pytest.mark.parametrize("precision, bound", [("bf16", 2e-2), ("int8", 5e-2)])
def test_fewer_bits_are_near(case, run, precision, bound):
    name, folder, model, prompt = case
    ids = torch.tensor([prompt])
    with torch.no_grad():
        want = model(ids).logits[0]
        theirs = error_of_median(copy.deepcopy(model).bfloat16()(ids).logits[0].float(), want)
    ours = error_of_median(run(folder, precision, PROMPT_TOKENS, prompt, 0)[1], want)
    print(f"{name}: {precision} {ours:.1e} (transformers in bf16: {theirs:.1e})")
    assert ours < max(bound, 1.1 * theirs)
