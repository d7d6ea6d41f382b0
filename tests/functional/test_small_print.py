"""What the documents of the API say in passing, and clients run into."""
import gzip
import json
import urllib.error
import urllib.request

import openai
import pytest

import configs
from upstream import chat

HELLO = [{"role": "user", "content": "Hello."}]


@pytest.fixture
def house(start_upstream, start_gateway):
    upstream = start_upstream(lambda asked: chat())
    config = configs.gateway({"up": configs.provider(upstream.base_url, "up", serves={"m": "up"})},
                             classes={"all": {"spill": "always"}}, default_class="all",
                             keys={"spaced": {"secret": "env:SPILLWAY_SPACED"}})
    return start_gateway(config, SPILLWAY_SPACED="My API Key")


def test_a_key_may_have_spaces(house, client_of):
    assert client_of(house, api_key="My API Key").chat.completions.create(model="m", messages=HELLO)


@pytest.mark.parametrize("metadata, good", [({"é" * 64: "é" * 512}, True), ({"é" * 65: "x"}, False), ({"k": "é" * 513}, False),
                                            ({str(number): "x" for number in range(17)}, False)], ids=["full", "key", "value", "pairs"])
def test_metadata_is_measured_in_characters(house, client_of, metadata, good):
    client = client_of(house, api_key="My API Key")
    if good:
        assert client.chat.completions.create(model="m", messages=HELLO, metadata=metadata, safety_identifier="ü" * 64)
        return
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(model="m", messages=HELLO, metadata=metadata)
    assert error.value.param.startswith("metadata")


@pytest.mark.parametrize("accept", ["text/html", "application/xml;q=1, */*;q=0", "nonsense", "", "text/event-stream"])
@pytest.mark.parametrize("stream", [False, True])
def test_what_a_client_accepts_is_its_own_matter(house, accept, stream):
    """The body says what it wants; no `accept` earns a 406."""
    body = json.dumps({"model": "m", "messages": HELLO, "stream": stream}).encode()
    request = urllib.request.Request(house.api + "/chat/completions", body, {
        "authorization": "Bearer My API Key", "content-type": "application/json", "accept": accept})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
        assert answer.headers["content-type"] == ("text/event-stream" if stream else "application/json")
    request = urllib.request.Request(house.api + "/models", None, {"authorization": "Bearer My API Key", "accept": accept})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def test_a_compressed_body_is_told_what_to_do(house):
    body = gzip.compress(json.dumps({"model": "m", "messages": HELLO}).encode())
    request = urllib.request.Request(house.api + "/chat/completions", body, {
        "authorization": "Bearer My API Key", "content-type": "application/json", "content-encoding": "gzip"})
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request, timeout=10)
    assert error.value.code == 415 and "not compressed" in json.load(error.value)["error"]["message"]


IMAGE = {"type": "input_image", "image_url": "https://x.test/y.png"}
NOT = {"type": "object", "not": {}}
# What the engine and the files find wrong with the chat completion that is made of a response's request.
WRONG = [
    ({"input": [{"role": "user", "content": [IMAGE]}]}, "input"), ({"max_output_tokens": 100_000}, "input"),
    ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "file-x"}]}]}, "input"),
    ({"text": {"format": {"type": "json_schema", "name": "x", "schema": {"not": {}}}}}, "text.format"),
    ({"tools": [{"type": "function", "name": "x", "strict": True, "parameters": NOT}], "tool_choice": "required"},
     "tools[0].parameters")]


def test_errors_of_responses_name_their_own_fields(start_gateway, client_of):
    responses = client_of(start_gateway(configs.gateway({"local": configs.synthetic_engine()}))).responses
    for change, param in WRONG:
        for stream in (False, True):
            with pytest.raises(openai.BadRequestError) as refused:
                responses.create(**{"model": "smollm2", "input": "Hi", "stream": stream, **change})
            told = refused.value
            assert (told.param, bool(told.code)) == (param, True), told
            assert "response_format" not in told.message and ".function." not in told.message
    for changed, code in (({"prompt": {"id": "pmpt_1"}}, "unknown_parameter"), ({"input": []}, "invalid_value")):
        with pytest.raises(openai.BadRequestError) as refused:
            responses.create(**{"model": "smollm2", "input": "Hi", **changed})
        assert refused.value.code == code and refused.value.param in changed
