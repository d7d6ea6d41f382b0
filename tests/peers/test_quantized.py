"""Folders whose matrices have four or eight bits already, beside transformers with what those bits say.

Logits of a prompt, of the token that is farthest from what it should be. In fp32: four bits with zero points in the middle
lose nothing, others what an offset in half precision rounds, and what is read as bf16 that. In bf16, and in int8, which keeps
four bits as they are, as near as weights that were never quantized.
"""
import json
import os
import subprocess

import pytest
import quantized_files
import torch
import transformers

BASE = dict(vocab_size=320, hidden_size=256, intermediate_size=384, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=512, initializer_range=0.05)
EXPERTS = dict(BASE, num_experts=4, num_experts_per_tok=4, moe_intermediate_size=128, head_dim=64, decoder_sparse_step=1,
               norm_topk_prob=True)
LATENT = dict(BASE, num_key_value_heads=4, kv_lora_rank=32, q_lora_rank=64, qk_rope_head_dim=16, qk_nope_head_dim=32,
              v_head_dim=64, n_routed_experts=4, n_shared_experts=1, num_experts_per_tok=4, moe_intermediate_size=128,
              first_k_dense_replace=1, n_group=1, topk_group=1)
CASES = {
    "gptq": ("Llama", BASE, dict(kind="gptq")),
    "gptq-zeros": ("Llama", BASE, dict(kind="gptq", symmetric=False)),
    "gptq-groups-of-32": ("Qwen2", BASE, dict(kind="gptq", group=32)),
    "gptq-rows": ("Llama", BASE, dict(kind="gptq", group=-1)),
    "gptq-desc-act": ("Llama", BASE, dict(kind="gptq", scattered=True)),
    "gptq-desc-act-zeros": ("Llama", BASE, dict(kind="gptq", symmetric=False, scattered=True)),
    "gptq-v2": ("Llama", BASE, dict(kind="gptq_v2", symmetric=False)),
    "gptq-experts": ("Qwen3Moe", EXPERTS, dict(kind="gptq", symmetric=False)),
    "awq": ("Llama", BASE, dict(kind="awq", symmetric=False)),
    "awq-groups-of-64": ("Qwen2", BASE, dict(kind="awq", symmetric=False, group=64)),
    "packed": ("Llama", BASE, dict(kind="packed")),
    "packed-zeros": ("Llama", BASE, dict(kind="packed", symmetric=False)),
    "packed-scattered": ("Llama", BASE, dict(kind="packed", scattered=True)),
    "fp8-tensor": ("Llama", BASE, dict(kind="tensor")),
    "fp8-rows": ("Llama", BASE, dict(kind="rows")),
    "fp8-blocks": ("Llama", BASE, dict(kind="blocks")),
    "fp8-latent": ("DeepseekV3", LATENT, dict(kind="blocks")),
}
PROMPT_TOKENS = 40
torch.set_num_threads(1)


def each_expert_apart(state):
    """transformers' own names hold all experts of a layer in one tensor; files have each."""
    out = {}
    for name, values in state.items():
        stem, _, last = name.rpartition(".experts.")
        if last == "gate_up_proj":
            for i, both in enumerate(values):
                out[f"{stem}.experts.{i}.gate_proj.weight"], out[f"{stem}.experts.{i}.up_proj.weight"] = both.chunk(2)
        elif last == "down_proj":
            out |= {f"{stem}.experts.{i}.down_proj.weight": one for i, one in enumerate(values)}
        else:
            out[name] = values
    return out


def together(state, like):
    """Undoes each_expert_apart."""
    out = {}
    for name, values in like.items():
        stem, _, last = name.rpartition(".experts.")
        part = lambda i, kind: state[f"{stem}.experts.{i}.{kind}_proj.weight"]
        if last == "gate_up_proj":
            out[name] = torch.stack([torch.cat([part(i, "gate"), part(i, "up")]) for i in range(len(values))])
        elif last == "down_proj":
            out[name] = torch.stack([part(i, "down") for i in range(len(values))])
        else:
            out[name] = state[name]
    return out


@pytest.fixture(params=CASES)
def case(request, tmp_path):
    kind, options, how = CASES[request.param]
    torch.manual_seed(3)
    config = getattr(transformers, f"{kind}Config")(**options)
    config._attn_implementation = "eager"
    model = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    state = model.state_dict()
    left = quantized_files.write(tmp_path, config, each_expert_apart(state), **how)
    model.load_state_dict(together(left, state))
    prompt = torch.randint(3, options["vocab_size"], (PROMPT_TOKENS,)).tolist()
    with torch.no_grad():
        return request.param, tmp_path, prompt, model(torch.tensor([prompt])).logits[0]


def run(folder, precision, prompt):
    order = dict(folder=str(folder), precision=precision, chunk=len(prompt), prompt=prompt, answer=0)
    done = subprocess.run([os.environ["SPILLWAY_RUN_MODEL"]], input=json.dumps(order) + "\n", capture_output=True, text=True)
    return json.loads(done.stdout)


def test_logits_are_those_of_the_dequantized_model(case):
    name, folder, prompt, want = case
    errors = {}
    for precision in ("fp32", "bf16", "int8"):
        said = run(folder, precision, prompt)
        assert "error" not in said, said["error"]
        got = torch.tensor(said["logits"]).view(len(prompt), -1)
        errors[precision] = float(((got - want).norm(dim=1) / want.norm(dim=1)).max())
    print(name, *(f"{precision} {error:.1e}" for precision, error in errors.items()))
    is_wide = name.startswith("fp8") or "desc-act" in name or "scattered" in name  # Read as bf16.
    has_offsets = "zeros" in name or "awq" in name or name in ("gptq-v2", "gptq-experts")
    assert errors["fp32"] < (1.2e-2 if is_wide else 3e-3 if has_offsets else 1e-5)
    assert errors["bf16"] < 3e-2
    assert errors["int8"] < (4e-2 if is_wide else 2e-2)
