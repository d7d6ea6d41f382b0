"""The local model's logprobs beside transformers', in fp32: of a prompt, and of what is said behind it."""
import json
import os

import pytest

import configs
from processes import as_client, send

pytestmark = pytest.mark.skipif(os.environ.get("SPILLWAY_TEST_ENGINE") == "synthetic", reason="of a real model")
WORDS = 256


def letters():
    """How a byte-level vocabulary writes each byte (GPT-2's)."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + i) for i, byte in enumerate(others)}


IDS = {byte: i for i, (_, byte) in enumerate(sorted((letter, byte) for byte, letter in letters().items()))}


def id_of(token):
    """Of a token that is one byte, by its name."""
    return IDS[int(token.removeprefix(r"bytes:\x"), 16) if token.startswith("bytes:") else ord(token)]


@pytest.fixture(scope="module")
def random_model(tmp_path_factory):
    """A small model of random weights, whose tokens are bytes, and the folder that it lies in."""
    tokenizers = pytest.importorskip("tokenizers")
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("model")
    vocabulary = {letter: IDS[byte] for byte, letter in letters().items()}
    words = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, []))
    words.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = tokenizers.decoders.ByteLevel()
    words.add_special_tokens(["<|end|>"])
    words.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "eos_token": "<|end|>", "chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}"}))
    torch.manual_seed(5)
    config = transformers.LlamaConfig(
        vocab_size=WORDS + 1, hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=1024, initializer_range=0.12, eos_token_id=WORDS)
    model = transformers.LlamaForCausalLM(config).eval()
    model.save_pretrained(folder)
    return model, folder


def engine_of(folder, step):
    return {"kind": "local", "model": str(folder), "serves": ["small"], "precision": "fp32", "step_tokens_max": step,
            "sequences_max": 8}


@pytest.mark.parametrize("step", [16, 256])
def test_logprobs_are_those_of_transformers(random_model, start_gateway, client_of, step):
    import torch
    model, folder = random_model
    client = client_of(start_gateway(configs.gateway({"local": engine_of(folder, step)})))
    prompt = [(7 * i * i + 3 * i) % WORDS for i in range(300)]
    odd = {"logit_bias": {"7": 4, "256": -100}, "frequency_penalty": 1.5, "temperature": 0.7, "seed": 3}  # Not seen in logprobs.
    for more in ({"temperature": 0, "logit_bias": {"256": -100}}, odd):
        whole = client.completions.create(model="small", prompt=prompt, max_tokens=24, echo=True, logprobs=5,
                                          extra_body={"ignore_eos": True}, **more)
        assert whole.usage.completion_tokens == 24
        told = whole.choices[0].logprobs
        assert len(told.tokens) == len(prompt) + 24
        ids = prompt + [id_of(token) for token in told.tokens[len(prompt):]]
        with torch.no_grad():
            exact = torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), dim=-1)
        for at in range(1, len(ids)):
            assert told.token_logprobs[at] == pytest.approx(exact[at - 1, ids[at]].item(), abs=1e-4), at
            likeliest = sorted(told.top_logprobs[at].values(), reverse=True)[:5]
            assert likeliest == pytest.approx(exact[at - 1].topk(5).values.tolist(), abs=1e-4), at



def expect_exact(model, ids, told, likeliest):
    """vLLM's list: of each token, itself and the likeliest in its place, by their ids."""
    import torch
    with torch.no_grad():
        exact = torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), dim=-1)
    assert len(told) == len(ids) and told[0] is None
    for at in range(1, len(ids)):
        row, own = exact[at - 1], told[at][str(ids[at])]
        assert own["logprob"] == pytest.approx(row[ids[at]].item(), abs=1e-4), at
        assert own["rank"] == 1 + (row > row[ids[at]]).sum().item(), at
        best = sorted(told[at].items(), key=lambda one: one[1]["rank"])[:likeliest]
        assert [one["rank"] for _, one in best] == list(range(1, 1 + likeliest)), at
        assert [int(token) for token, _ in best] == row.topk(likeliest).indices.tolist(), at
        assert [one["logprob"] for _, one in best] == pytest.approx(row.topk(likeliest).values.tolist(), abs=1e-4), at
        assert len(told[at]) == likeliest + (own["rank"] > likeliest), at


@pytest.mark.parametrize("step", [16, 256])
def test_a_prompts_logprobs_are_those_of_transformers(random_model, start_gateway, client_of, step):
    model, folder = random_model
    client = client_of(start_gateway(configs.gateway({"local": engine_of(folder, step)})))
    ids = [(7 * i * i + 3 * i) % WORDS for i in range(300)]
    for likeliest in (0, 3, 20):
        told = client.completions.create(model="small", prompt=[ids, ids[:9]], max_tokens=2, n=2, temperature=0,
                                         extra_body={"prompt_logprobs": likeliest})
        for choice, prompt in zip(told.choices, [ids, ids, ids[:9], ids[:9]], strict=True):
            expect_exact(model, prompt, choice.prompt_logprobs, likeliest)
            assert choice.logprobs is None
    text = "The dam does not hold."
    prompt = [IDS[ord(character)] for character in text]
    chat = client.chat.completions.create(model="small", messages=[{"role": "user", "content": text}], max_tokens=2, n=2,
                                          logprobs=True, top_logprobs=1, extra_body={"prompt_logprobs": 3})
    expect_exact(model, prompt, chat.prompt_logprobs, 3)
    assert [told[str(token)]["decoded_token"] for told, token in zip(chat.prompt_logprobs[1:], prompt[1:])] == list(text[1:])
    assert all(len(one.top_logprobs) == 1 for choice in chat.choices for one in choice.logprobs.content)
    both = client.completions.create(model="small", prompt=ids, max_tokens=0, echo=True, logprobs=1,
                                     extra_body={"prompt_logprobs": 3})
    expect_exact(model, ids, both.choices[0].prompt_logprobs, 3)
    assert all(len(top) <= 2 for top in both.choices[0].logprobs.top_logprobs[1:])


def test_logprobs_of_a_prompt_have_their_limits(random_model, start_gateway):
    gateway = start_gateway(configs.gateway({"local": engine_of(random_model[1], 256)}))

    def status(**fields):
        body = {"model": "small", "prompt": [1, 2, 3], "max_tokens": 1, **fields}
        answer = send(gateway.root + "/v1/completions", "POST", body, as_client(), timeout=60)
        return answer[0], None if answer[0] == 200 else json.loads(answer[2])["error"]["param"]

    assert status(prompt_logprobs=20) == (200, None)
    for likeliest in (21, -1, -2):
        assert status(prompt_logprobs=likeliest) == (400, "prompt_logprobs")
    assert status(prompt_logprobs=0, stream=True) == (200, None)
    assert status(prompt_logprobs=1, stream=True) == (400, "prompt_logprobs")
    most = (1 << 20) // 21 // 1000  # Choices that may tell a million of them together.
    assert status(prompt=[1] * 1000, prompt_logprobs=20, n=most) == (200, None)
    assert status(prompt=[1] * 1000, prompt_logprobs=20, n=most + 1) == (400, "prompt_logprobs")
