"""Where it ends: bodies, prompts, names and labels of the longest kind that is taken, and of the first that is not."""
import json
import time

import openai
import pytest

import configs
from processes import BINARY, Gateway, as_client, send, wait_until
from upstream import Upstream, chat

HELLO = [{"role": "user", "content": "Hi"}]
MIB = 1 << 20


@pytest.fixture(scope="module")
def gateway_of(tmp_path_factory):
    """Gateways for all tests, by their targets."""
    running = []

    def start(targets):
        config = configs.write(tmp_path_factory.mktemp("house") / "spillway.yaml", configs.gateway(targets))
        running.append(Gateway(config))
        return running[-1]
    yield start
    for gateway in running:
        gateway.end()


@pytest.fixture(scope="module")
def provider():
    made = Upstream(lambda asked: chat())
    yield made
    made.end()


@pytest.fixture
def upstream(provider):
    """It, as if it had not been asked before."""
    provider.asked.clear()
    return provider


@pytest.fixture(scope="module")
def house(provider, gateway_of):
    return gateway_of({"up": configs.provider(provider.base_url, "up", serves={"up": "up", "org/a-model": "org/upstream"})})


@pytest.fixture(scope="module")
def small(gateway_of):
    """A model of 2048 tokens."""
    return gateway_of({"local": configs.engine(context_max=2048)})


def post(gateway, body, path="/v1/chat/completions", **headers):
    status, headers, text = send(gateway.root + path, "POST", body, {**as_client(), **headers}, timeout=30)
    return status, headers, json.loads(text)


def body_of(size):
    """A request of exactly so many bytes, and its text."""
    empty = json.dumps({"model": "up", "messages": [{"role": "user", "content": ""}]})
    text = "x" * (size - len(empty))
    return json.dumps({"model": "up", "messages": [{"role": "user", "content": text}]}).encode(), text


@pytest.mark.parametrize("size", [21 * MIB, 32 * MIB])
def test_a_large_body_arrives_whole(house, upstream, size):
    body, text = body_of(size)
    assert len(body) == size
    status, _, answer = post(house, body)
    assert status == 200 and answer["choices"][0]["message"]["content"] == "Hello"
    assert upstream.asked[0].json["messages"][0]["content"] == text


def test_a_byte_too_many_is_413(house, upstream):
    body, _ = body_of(32 * MIB + 1)
    status, headers, answer = post(house, body)
    assert status == 413 and answer["error"]["code"] == "request_too_large" and headers["x-request-id"]
    assert not upstream.asked
    assert post(house, body_of(100)[0])[0] == 200


def test_a_prompt_that_is_too_long_is_told_both_numbers(small, client_of):
    client = client_of(small)
    ask = dict(model="smollm2", messages=[{"role": "user", "content": "word " * 6000}])
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**ask)
    assert refused.value.code == "context_length_exceeded" and refused.value.param == "messages"
    counted = client.responses.input_tokens.count(model="smollm2", input="word " * 6000).input_tokens
    assert counted > 6000
    assert "2048" in refused.value.message and str(counted) in refused.value.message


@pytest.mark.parametrize("path, more", [("/v1/chat/completions", {}), ("/v1/messages", {"max_tokens": 5})])
def test_a_prompt_of_megabytes_is_refused_at_once(small, path, more):
    body = json.dumps({"model": "smollm2", "messages": [{"role": "user", "content": "word " * 3 * MIB}], **more}).encode()
    assert len(body) > 15 * MIB

    def refusal():
        began = time.monotonic()
        status, _, answer = post(small, body, path)
        assert status == 400 and "2048" in answer["error"]["message"]
        return time.monotonic() - began

    took = min(refusal(), refusal())  # Somebody else may keep the machine busy.
    print(f"{path}: {took:.2f} s")
    assert took < (20 if "san" in str(BINARY) else 6)


def logged(gateway, request_id):
    return wait_until(lambda: [line for line in gateway.log() if line.get("request_id") == request_id], what="the line")[0]


def test_a_clients_own_id_is_logged_up_to_512_characters(house):
    for length, kept in ((512, True), (513, False)):
        _, headers, _ = post(house, {"model": "up", "messages": HELLO}, **{"x-client-request-id": "i" * length})
        assert logged(house, headers["x-request-id"]).get("client_request_id") == ("i" * length if kept else None)
    _, headers, _ = post(house, {"model": "up", "messages": HELLO}, **{"x-client-request-id": "a b"})
    assert "client_request_id" not in logged(house, headers["x-request-id"])


LABELS = [({"k" * 64: "v" * 512}, None), ({"k" * 65: "v"}, "metadata"), ({"k": "v" * 513}, "metadata.k"),
          ({str(i): "v" for i in range(16)}, None), ({str(i): "v" for i in range(17)}, "metadata"),
          ({"k": 1}, "metadata.k")]


@pytest.mark.parametrize("path, more, told", [
    ("/v1/chat/completions", {"messages": HELLO, "store": True}, True), ("/v1/chat/completions", {"messages": HELLO}, False),
    ("/v1/responses", {"input": "Hi"}, False)])
def test_labels_have_their_limits(house, upstream, path, more, told):
    """OpenAI refuses them where it is not to store the answer."""
    for metadata, param in LABELS:
        upstream.asked.clear()
        status, _, answer = post(house, {"model": "up", "metadata": metadata, **more}, path)
        if param is None:
            assert status == 200 and upstream.asked[0].json.get("metadata") == (metadata if told else None)
        else:
            assert status == 400 and answer["error"]["param"] == param and not upstream.asked


def test_a_model_may_have_a_slash_in_its_name(house, upstream, client_of):
    client, name = client_of(house), "org/a-model"
    assert name in [model.id for model in client.models.list()]
    assert client.models.retrieve(name).id == name  # The SDK writes %2F.
    for path in ("org%2Fa-model", "org%2fa-model", "org/a-model"):
        status, _, text = send(f"{house.api}/models/{path}", headers=as_client())
        assert status == 200 and json.loads(text)["id"] == name
    answer = client.chat.completions.create(model=name, messages=HELLO)
    assert answer.model == name and upstream.asked[0].json["model"] == "org/upstream"
    with pytest.raises(openai.NotFoundError) as missing:
        client.models.retrieve("org/other")
    assert "org/other" in missing.value.message
