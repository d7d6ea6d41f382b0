"""`kind: encoder`: embeddings on this machine, with the OpenAI SDK, by weights that are made up here."""
import array
import base64
import concurrent.futures
import http.client
import json
import os
import random
import struct
import subprocess
import urllib.parse

import openai
import pytest

import configs
from processes import BINARY, KEY, as_client, wait_until
from test_money import book

pytestmark = pytest.mark.skipif(os.environ.get("SPILLWAY_TEST_ENGINE") == "synthetic", reason="a build without LibTorch")

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "cat", "dog", "bird", "fish"]
WIDTH, INNER, POSITIONS, LAYERS = 8, 16, 12, 1


def shapes(width, inner, layers):
    """BERT's tensors by their names."""
    def affine(name, rows, columns):
        return {name + ".weight": [rows, columns], name + ".bias": [rows]}

    def norm(name):
        return {name + ".weight": [width], name + ".bias": [width]}

    every = {"embeddings.word_embeddings.weight": [len(WORDS), width],
             "embeddings.position_embeddings.weight": [POSITIONS, width],
             "embeddings.token_type_embeddings.weight": [2, width], **norm("embeddings.LayerNorm")}
    for at in range(layers):
        layer = f"encoder.layer.{at}."
        for name in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            every.update(affine(layer + name, width, width))
        every.update(norm(layer + "attention.output.LayerNorm"))
        every.update(affine(layer + "intermediate.dense", inner, width))
        every.update(affine(layer + "output.dense", width, inner))
        every.update(norm(layer + "output.LayerNorm"))
    return every


def write_weights(path, width, inner, layers):
    rng, header, data = random.Random(5), {}, b""
    drawn = array.array("f", (rng.uniform(-1, 1) for _ in range(1021)))
    for name, shape in shapes(width, inner, layers).items():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        start = rng.randrange(len(drawn))
        values = (drawn[start:] + drawn * (count // len(drawn) + 1))[:count].tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def write_encoder(made, width=WIDTH, inner=INNER, layers=LAYERS):
    """An encoder of eight words, whose vectors may be shortened."""
    made.mkdir()
    (made / "config.json").write_text(json.dumps({
        "model_type": "bert", "vocab_size": len(WORDS), "hidden_size": width, "intermediate_size": inner,
        "num_hidden_layers": layers, "num_attention_heads": 2, "max_position_embeddings": POSITIONS,
        "type_vocab_size": 2, "is_matryoshka": True}))
    (made / "modules.json").write_text(json.dumps([
        {"type": "sentence_transformers.models.Transformer", "path": ""},
        {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"},
        {"type": "sentence_transformers.models.Normalize", "path": "2_Normalize"}]))
    (made / "1_Pooling").mkdir()
    (made / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    (made / "tokenizer.json").write_text(json.dumps({
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": {word: at for at, word in enumerate(WORDS)}},
        "added_tokens": [], "normalizer": {"type": "BertNormalizer", "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "cls": ["[CLS]", 2], "sep": ["[SEP]", 3]}}))
    write_weights(made / "model.safetensors", width, inner, layers)
    return made


@pytest.fixture
def folder(tmp_path):
    return write_encoder(tmp_path / "encoder")


def encoder(folder, **settings):
    return {"kind": "encoder", "model": str(folder), "serves": ["minibert"], **settings}


@pytest.fixture
def house(folder, start_gateway, client_of):
    def start(classes=None, targets=None, **settings):
        gateway = start_gateway(configs.gateway({"mini": encoder(folder, **settings), **(targets or {})}, classes))
        return gateway, client_of(gateway)
    return start


def vectors(answer):
    return [one.embedding for one in answer.data]


def near(one, other):
    return all(abs(a - b) < 1e-5 for a, b in zip(one, other, strict=True))


def test_one_text_gives_the_same_vector_however_it_is_asked_for(house):
    _, client = house()
    plain = client.embeddings.create(model="minibert", input="cat dog", encoding_format="float")
    packed = client.embeddings.create(model="minibert", input="cat dog", encoding_format="base64")
    vector = plain.data[0].embedding
    assert len(vector) == WIDTH and abs(sum(number * number for number in vector) - 1) < 1e-5
    assert plain.model == "minibert" and plain.usage.prompt_tokens == plain.usage.total_tokens == 4
    assert struct.pack(f"<{WIDTH}f", *vector) == base64.b64decode(packed.data[0].embedding)
    assert near(vectors(client.embeddings.create(model="minibert", input="cat dog"))[0], vector)  # As the SDK asks.
    of_list = client.embeddings.create(model="minibert", input=["bird", "cat dog"], encoding_format="float")
    assert [one.index for one in of_list.data] == [0, 1] and of_list.usage.prompt_tokens == 7
    assert near(of_list.data[1].embedding, vector) and not near(of_list.data[0].embedding, vector)
    of_ids = client.embeddings.create(model="minibert", input=[2, 4, 5, 3], encoding_format="float")
    assert near(of_ids.data[0].embedding, vector)


def test_dimensions_shorten(house):
    _, client = house()
    whole = vectors(client.embeddings.create(model="minibert", input="cat", encoding_format="float"))[0]
    short = vectors(client.embeddings.create(model="minibert", input="cat", dimensions=3, encoding_format="float"))[0]
    length = sum(number * number for number in whole[:3]) ** 0.5
    assert near(short, [number / length for number in whole[:3]])
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model="minibert", input="cat", dimensions=WIDTH + 1)
    assert refused.value.param == "dimensions"


def test_what_it_cannot_answer_is_refused(house):
    _, client = house()
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model="minibert", input="cat " * POSITIONS)
    assert f"at most {POSITIONS}" in refused.value.message
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model="minibert", input=["cat", "dog", "cat " * POSITIONS])
    assert refused.value.param == "input[2]"
    for id in (len(WORDS), 2**32 + 2, 2**64 - 1, -1):
        with pytest.raises(openai.BadRequestError):
            client.embeddings.create(model="minibert", input=[id])
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="minibert", messages=[{"role": "user", "content": "cat"}])
    assert "Nobody serves this model for chat" in refused.value.message
    assert client.embeddings.create(model="minibert", input="cat").data  # Refusals are no failures of its own.


def test_what_must_stay_here_may_be_asked_of_it(house):
    never = {"interactive": {"spill": "never"}}
    gateway, client = house(classes=never, targets={"local": configs.synthetic_engine()})
    local_only = {"x-spillway-local-only": "true"}
    for headers, reason in (({}, "class_never_spills"), (local_only, "local_only")):
        answer = client.embeddings.with_raw_response.create(model="minibert", input="cat", extra_headers=headers)
        assert answer.headers["x-spillway-target"] == "mini" and answer.headers["x-spillway-reason"] == reason


def test_a_rule_that_keeps_requests_here_leaves_it_of_all_who_serve_a_model(
        folder, start_upstream, start_gateway, client_of):
    away = configs.provider(start_upstream([]).base_url, "minibert", endpoints=["embeddings"])
    rules = [{"name": "inside", "if": "prompt_tokens < 100", "route": "local_only"}]
    client = client_of(start_gateway(configs.gateway({"away": away, "mini": encoder(folder)}, rules=rules)))
    answer = client.embeddings.with_raw_response.create(model="minibert", input="cat")
    assert answer.headers["x-spillway-target"] == "mini" and answer.headers["x-spillway-reason"] == "rule"


def test_it_costs_what_its_target_says(folder, start_gateway, client_of, tmp_path):
    config = configs.gateway({"mini": encoder(folder, price_per_million={"input": "2usd"})})
    config["server"]["state"] = str(tmp_path / "state")
    client_of(start_gateway(config)).embeddings.create(model="minibert", input="cat dog")
    rows = wait_until(lambda: book(tmp_path, "SELECT target, prompt, amount, estimated FROM entries"), what="the entry")
    assert rows == [("mini", 4, 4 * 2_000, 0)]


def test_an_answer_that_nobody_waited_for_costs_nothing(start_gateway, client_of, tmp_path):
    slow = write_encoder(tmp_path / "slow", width=256, inner=1024, layers=16)  # Seconds for 2,048 texts, on any machine.
    config = configs.gateway({"mini": encoder(slow, price_per_million={"input": "2usd"})})
    config["server"]["state"] = str(tmp_path / "state")
    gateway = start_gateway(config)
    body = {"model": "minibert", "input": ["cat dog bird fish cat dog"] * 2048}
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(gateway.api).netloc)
    connection.request("POST", "/v1/embeddings", json.dumps(body), as_client())
    wait_until(lambda: gateway.metric("spillway_inflight_requests") >= 1, what="its work")
    connection.close()
    wait_until(lambda: gateway.metric("spillway_inflight_requests") == 0, what="its end")
    client_of(gateway).embeddings.create(model="minibert", input="cat dog")
    rows = wait_until(lambda: book(tmp_path, "SELECT prompt, amount FROM entries WHERE amount > 0"), what="the entry")
    assert rows == [(4, 4 * 2_000)]


def test_it_is_passed_over_while_what_it_has_before_it_takes_too_long(start_upstream, start_gateway, client_of, tmp_path):
    slow = write_encoder(tmp_path / "slow", width=256, inner=1024, layers=16)
    answer = {"object": "list", "model": "minibert", "data": [{"object": "embedding", "index": 0, "embedding": [1.0] * 256}],
              "usage": {"prompt_tokens": 1, "total_tokens": 1}}
    away = configs.provider(start_upstream(lambda asked: answer).base_url, "minibert", endpoints=["embeddings"])
    gateway = start_gateway(configs.gateway({"mini": encoder(slow), "away": away}))
    client = client_of(gateway, timeout=120)

    def target_of(texts, **headers):
        raw = client.embeddings.with_raw_response.create(model="minibert", input=texts, extra_headers=headers)
        return raw.headers["x-spillway-target"]
    assert target_of(["cat dog bird fish"] * 64) == "mini"  # It knows now how fast it is.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        long = pool.submit(target_of, ["cat dog bird fish cat dog"] * 2048, **{"x-spillway-local-only": "true"})
        wait_until(lambda: gateway.metric("spillway_inflight_requests") >= 1, what="its work")
        assert target_of("cat") == "away" and not long.done()
        assert long.result() == "mini"
    assert target_of("cat") == "mini"


def test_an_encoder_that_a_reload_brings_is_refused(folder, start_gateway, client_of):
    config = configs.gateway({"mini": encoder(folder)})
    gateway = start_gateway(config)
    config["targets"] = {"other": encoder(folder)}
    configs.write(gateway.config_path, config)
    wait_until(lambda: gateway.metric("spillway_config_reloads_total", result="guarded") >= 1, what="the refusal")
    wait_until(lambda: any("'other' can be loaded at a start only" in line for line in gateway.output), what="the reason")
    assert client_of(gateway).embeddings.create(model="minibert", input="cat").data


def test_it_is_booked_as_served_here_beside_what_the_cheapest_service_would_have_cost(
        folder, start_upstream, start_gateway, client_of, tmp_path):
    away = configs.provider(start_upstream([]).base_url, "embedder", endpoints=["embeddings"],
                            price_per_million={"input": "5usd", "output": "0usd"})
    config = configs.gateway({"mini": encoder(folder), "away": away})
    config["server"]["state"] = str(tmp_path / "state")
    client_of(start_gateway(config)).embeddings.create(model="minibert", input="cat dog")
    rows = wait_until(lambda: book(tmp_path, "SELECT local, amount, avoided FROM entries"), what="the entry")
    assert rows == [(1, 0, 4 * 5_000)]


@pytest.mark.parametrize("change, said", [
    (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
    (lambda folder: (folder / "config.json").write_text('{"model_type": "t5"}'), "of encoders bert, roberta")])
def test_a_folder_that_is_no_encoder_is_said_by_check_and_at_the_start(folder, tmp_path, change, said):
    change(folder)
    path = configs.write(tmp_path / "config.yaml", configs.gateway({"mini": encoder(folder)}))
    for command in (["check", str(path)], ["serve", "--config", str(path)]):
        run = subprocess.run([BINARY, *command], capture_output=True, text=True, timeout=60,
                             env={**os.environ, "SPILLWAY_TEST_KEY": KEY})
        assert run.returncode != 0 and "mini" in run.stderr + run.stdout and said in run.stderr + run.stdout
