"""Answers of the local engine that are held to a form: JSON, a schema, a regular expression, a choice, a grammar."""
import concurrent.futures
import json
import re
import time

import jsonschema
import openai
import pydantic
import pytest

import configs
from processes import wait_until

HELLO = [{"role": "user", "content": "Who are you?"}]
PERSON = {"type": "object", "required": ["name", "age", "tags"], "additionalProperties": False, "properties": {
    "name": {"type": "string"}, "age": {"type": "integer", "minimum": 18},
    "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 1, "maxItems": 3}}}
# Each of its strings becomes hundreds of states, which take their time.
LARGE = {"type": "object", "properties": {f"p{i}": {"type": "string", "minLength": 3 * i, "maxLength": 900 + i}
                                          for i in range(10)}}


@pytest.fixture(params=[{}, {"isolation": "process"}], ids=["inside", "isolated"])
def client(request, start_gateway, client_of):
    gateway = start_gateway(configs.gateway({"local": configs.synthetic_engine(base="1ms", **request.param)}))
    wait_until(lambda: gateway.metric("spillway_backend_up", be="local") == 1, what="the engine")
    return client_of(gateway)


def say(client, **asked):
    answer = client.chat.completions.create(model="smollm2", messages=HELLO, max_tokens=200, **asked)
    assert answer.choices[0].finish_reason == "stop"
    return answer.choices[0].message.content


def schema_format(schema):
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def test_each_form_is_kept(client):
    person = json.loads(say(client, response_format=schema_format(PERSON)))
    jsonschema.validate(person, PERSON)
    assert list(person) == ["name", "age", "tags"]
    assert isinstance(json.loads(say(client, response_format={"type": "json_object"})), dict)
    assert say(client, extra_body={"guided_choice": ["yes", "no"]}) in ("yes", "no")
    assert re.fullmatch("[0-9]{3}-x", say(client, extra_body={"guided_regex": "[0-9]{3}-x"}))
    assert re.fullmatch("(ab)+", say(client, extra_body={"structured_outputs": {"grammar": 'root ::= "ab" root | "ab"'}}))
    jsonschema.validate(json.loads(say(client, extra_body={"guided_json": PERSON})), PERSON)
    streamed = client.chat.completions.create(model="smollm2", messages=HELLO, stream=True,
                                              response_format=schema_format(PERSON))
    jsonschema.validate(json.loads("".join(chunk.choices[0].delta.content or "" for chunk in streamed)), PERSON)
    done = client.completions.create(model="smollm2", prompt="x", max_tokens=50, extra_body={"regex": "ab?c"})
    assert done.choices[0].text in ("abc", "ac")


def test_the_clients_parse_helper_gets_its_model(client):
    class Place(pydantic.BaseModel):
        city: str
        population: int
        note: str | None

    answer = client.chat.completions.parse(model="smollm2", messages=HELLO, response_format=Place)
    assert isinstance(answer.choices[0].message.parsed, Place)


@pytest.mark.parametrize("asked, param, words", [
    ({"response_format": schema_format({"not": {}})}, "response_format", "'not', which is not supported, at #"),
    ({"response_format": schema_format({"type": "object", "properties": {"x" * 70_000: {}}})}, "response_format",
     "at most 65536"),
    ({"extra_body": {"guided_regex": "a("}}, "guided_regex", "not understood"),
    ({"extra_body": {"guided_grammar": "root ::= x"}}, "guided_grammar", "x"),
    ({"extra_body": {"guided_choice": []}}, "guided_choice", "not empty"),
    ({"extra_body": {"guided_regex": "a", "guided_choice": ["a"]}}, "guided_choice", "give one"),
])
def test_what_cannot_be_kept_is_refused_before_a_token(client, asked, param, words):
    with pytest.raises(openai.BadRequestError, match=re.escape(words)) as refused:
        client.chat.completions.create(model="smollm2", messages=HELLO, **asked)
    assert refused.value.param == param


def test_a_form_that_is_not_kept_here_goes_to_who_keeps_it(start_provider, start_gateway, client_of):
    targets = {"local": configs.synthetic_engine(base="1ms"),
               "ai-hub": configs.provider(start_provider("instant").base_url, "ai-hub")}
    gateway = start_gateway(configs.gateway(targets))
    raw = client_of(gateway).chat.completions.with_raw_response
    asked = {"model": "auto", "messages": HELLO}
    assert raw.create(**asked, response_format=schema_format(PERSON)).headers["x-spillway-target"] == "local"
    assert raw.create(**asked, response_format=schema_format({"not": {}})).headers["x-spillway-target"] == "ai-hub"


def test_a_form_that_takes_long_delays_nobody(client):
    def ask(**asked):
        began = time.monotonic()
        client.chat.completions.create(model="smollm2", messages=HELLO, max_tokens=8, **asked)
        return time.monotonic() - began

    alone = max(ask() for _ in range(5))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        large = pool.submit(ask, response_format=schema_format(LARGE))
        beside = [ask() for _ in range(20)]
        large.result()
    assert max(beside) < 5 * alone + 0.2
