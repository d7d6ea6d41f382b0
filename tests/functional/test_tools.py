"""Calls of functions by the local engine, as the official client sees them."""
import json

import anthropic
import jsonschema
import openai
import pytest
from openai import pydantic_function_tool
from pydantic import BaseModel

import configs
from processes import KEY, wait_until

HELLO = [{"role": "user", "content": "What is the weather in Bonn?"}]
PLACE = {"type": "object", "required": ["city", "days"], "additionalProperties": False, "properties": {
    "city": {"enum": ["Bonn", "Ulm"]}, "days": {"type": "integer", "minimum": 1}}}
WEATHER = {"type": "function", "function": {"name": "weather", "description": "Of a place.", "parameters": PLACE}}
TIME = {"type": "function", "function": {"name": "time", "parameters": {"type": "object", "properties": {}}}}
NAMED = {"type": "function", "function": {"name": "weather"}}


@pytest.fixture(params=[{}, {"isolation": "process"}], ids=["inside", "isolated"])
def client(request, start_gateway, client_of):
    gateway = start_gateway(configs.gateway({"local": configs.synthetic_engine(base="1ms", **request.param)}))
    wait_until(lambda: gateway.metric("spillway_backend_up", be="local") == 1, what="the engine")
    return client_of(gateway)


def ask(client, **asked):
    return client.chat.completions.create(model="smollm2", messages=HELLO, max_tokens=300, **asked).choices[0]


def check_weather(choice):
    assert choice.finish_reason == "tool_calls" and choice.message.content is None
    (call,) = choice.message.tool_calls
    assert call.type == "function" and call.id.startswith("call_") and call.function.name == "weather"
    jsonschema.validate(json.loads(call.function.arguments), PLACE)


@pytest.mark.parametrize("choice", [NAMED, "required"], ids=["named", "required"])
def test_who_must_call_calls_with_arguments_that_fit(client, choice):
    tools = [WEATHER, TIME] if choice == NAMED else [WEATHER]
    check_weather(ask(client, tools=tools, tool_choice=choice, temperature=1))
    check_weather(ask(client, tools=tools, tool_choice=choice, parallel_tool_calls=False))


def test_allowed_tools_are_the_only_ones(client):
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [NAMED]}}
    check_weather(ask(client, tools=[TIME, WEATHER], tool_choice=allowed))


def test_calls_are_streamed_as_they_come(client):
    chunks = list(client.chat.completions.create(model="smollm2", messages=HELLO, stream=True, tools=[WEATHER, TIME],
                                                 tool_choice=NAMED, stream_options={"include_usage": True}))
    pieces = [call for chunk in chunks if chunk.choices for call in chunk.choices[0].delta.tool_calls or []]
    assert all(piece.index == 0 for piece in pieces)
    assert [piece.function.name for piece in pieces if piece.function.name] == ["weather"]
    assert [bool(piece.id) for piece in pieces] == [True] + [False] * (len(pieces) - 1) and len(pieces) > 10
    jsonschema.validate(json.loads("".join(piece.function.arguments or "" for piece in pieces)), PLACE)
    assert not any(chunk.choices[0].delta.content for chunk in chunks if chunk.choices)
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "tool_calls"
    assert chunks[-1].usage.completion_tokens > len(pieces)


def test_the_clients_stream_helper_puts_them_together(client):
    class Weather(BaseModel):
        city: str
        celsius: bool

    with client.chat.completions.stream(model="smollm2", messages=HELLO, tools=[pydantic_function_tool(Weather)],
                                        tool_choice="required") as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
        assert isinstance(stream.get_final_completion().choices[0].message.tool_calls[0].function.parsed_arguments,
                          Weather)
    assert [event.name for event in done] == ["Weather"]


def test_who_may_call_may_speak(client):
    for asked in ({"tools": [WEATHER]}, {"tools": [WEATHER], "tool_choice": "none"}):
        choice = ask(client, **asked)
        assert choice.finish_reason == "stop" and choice.message.content and not choice.message.tool_calls


def test_a_conversation_goes_on_after_a_call(client):
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\": \"Bonn\"}"}}
    turns = [*HELLO, {"role": "assistant", "content": None, "tool_calls": [call]},
             {"role": "tool", "tool_call_id": "call_1", "content": "7 degrees"}]
    answer = client.chat.completions.create(model="smollm2", messages=turns, tools=[WEATHER], max_tokens=20)
    assert answer.choices[0].message.content


@pytest.mark.parametrize("stream", [False, True])
def test_responses_and_messages_have_their_own_words_for_it(client, stream):
    function = {"type": "function", "name": "weather", "parameters": PLACE, "strict": True}
    answer = client.responses.create(model="smollm2", input="Weather?", tools=[function], tool_choice="required",
                                     parallel_tool_calls=False, stream=stream)
    (item,) = (list(answer)[-1].response if stream else answer).output
    assert (item.type, item.name) == ("function_call", "weather")
    jsonschema.validate(json.loads(item.arguments), PLACE)

    asked = dict(model="smollm2", max_tokens=300, messages=HELLO, tool_choice={"type": "any"},
                 tools=[{"name": "weather", "input_schema": PLACE}])
    with anthropic.Anthropic(base_url=str(client.base_url).removesuffix("/v1/"), api_key=KEY, max_retries=0) as other:
        if stream:
            with other.messages.stream(**asked) as events:
                answer = events.get_final_message()
        else:
            answer = other.messages.create(**asked)
    assert answer.stop_reason == "tool_use"
    for block in answer.content:
        assert (block.type, block.name) == ("tool_use", "weather")
        jsonschema.validate(block.input, PLACE)


def test_a_cut_call_is_half_a_call(client):
    choice = client.chat.completions.create(model="smollm2", messages=HELLO, max_tokens=60, tools=[WEATHER],
                                            tool_choice="required").choices[0]
    assert choice.finish_reason == "length"
    assert choice.message.tool_calls[0].function.name == "weather"


@pytest.mark.parametrize("asked, param, words", [
    ({"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice", "not among"),
    ({"tools": [{"type": "function", "function": {"name": "f", "strict": True, "parameters": {"not": {}}}}]},
     "tools[0].function.parameters", "'not', which is not supported"),
])
def test_what_cannot_be_done_is_refused_before_a_token(client, asked, param, words):
    with pytest.raises(openai.BadRequestError, match=words) as refused:
        ask(client, **asked)
    assert refused.value.param == param


def test_tools_of_other_kinds_go_to_who_knows_them(start_provider, start_gateway, client_of):
    targets = {"local": configs.synthetic_engine(base="1ms"),
               "ai-hub": configs.provider(start_provider("instant").base_url, "ai-hub")}
    raw = client_of(start_gateway(configs.gateway(targets))).chat.completions.with_raw_response
    custom = {"type": "custom", "custom": {"name": "c"}}
    for tools, target in (([WEATHER], "local"), ([WEATHER, custom], "ai-hub")):
        assert raw.create(model="auto", messages=HELLO, tools=tools).headers["x-spillway-target"] == target
