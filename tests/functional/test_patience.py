"""How long a provider's silence is borne, what of a request it may not know, and what a prompt counts before anybody has counted it."""
import concurrent.futures
import json
import time

import anthropic
import openai
import pytest

import configs
from played import chunk, events
from processes import KEY, as_client, send, wait_until
from test_money import book
from upstream import Upstream, begin, chat

ASK = {"model": "up", "messages": [{"role": "user", "content": "Go on."}], "max_tokens": 40}
TOOLS = [{"type": "function", "function": {"name": f"look_{at}", "description": "looks up what nobody knows " * 20, "parameters": {
    "type": "object", "properties": {"text": {"type": "string", "description": "whatever it is"}}}}} for at in range(100)]


def streaming(*pieces):
    """Bytes, and seconds to be silent."""
    def say(handler):
        begin(handler)
        for piece in pieces:
            if isinstance(piece, bytes):
                handler.wfile.write(piece)
                handler.wfile.flush()
            else:
                time.sleep(piece)
    return lambda asked: say


END = events(chunk(" two", finish="stop", usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}))


@pytest.fixture
def house(start_upstream, start_gateway, tmp_path):
    """One target a provider, in that order of price; each serves `up`."""
    def start(*answers, tenants=None, **settings):
        timeouts = {"first_token": "400ms", "between_tokens": "400ms"}
        upstreams = [start_upstream(answer) for answer in answers]
        targets = {f"target{at}": configs.provider(one.base_url, "up", timeouts=timeouts, **settings) for at, one in enumerate(upstreams)}
        for at, target in enumerate(targets.values()):
            target["price_per_million"] = {"input": f"{1 + at}usd", "output": f"{1 + at}usd"}
        config = configs.gateway(targets, tenants=tenants or {})
        config["server"]["state"] = str(tmp_path / "state")
        return start_gateway(config), upstreams
    return start


def post(gateway, body):
    status, _, answer = send(gateway.api + "/chat/completions", "POST", body, as_client(), timeout=30)
    return status, answer.decode()


def test_who_alone_can_answer_is_waited_for(house):
    gateway, _ = house(streaming(1.2, events(chunk("one"), done=False), END))
    status, answer = post(gateway, ASK | {"stream": True})
    assert status == 200 and '"content":"one"' in answer and "[DONE]" in answer


def test_who_is_silent_is_left_where_another_can_answer(house):
    gateway, upstreams = house(streaming(5.0, END), streaming(events(chunk("other"), done=False), END))
    began = time.monotonic()
    status, answer = post(gateway, ASK | {"stream": True})
    assert status == 200 and "other" in answer and time.monotonic() - began < 4
    assert [len(one.asked) for one in upstreams] == [1, 1]


def test_a_comment_is_a_sign_of_life(house):
    gateway, _ = house(streaming(events(chunk("one"), done=False), *[0.2, b": thinking\n\n"] * 6, END))
    status, answer = post(gateway, ASK | {"stream": True})
    assert status == 200 and '"content":" two"' in answer and "[DONE]" in answer


def test_no_sign_of_life_is_none(house):
    gateway, _ = house(streaming(events(chunk("one"), done=False), 5.0, END))
    status, answer = post(gateway, ASK | {"stream": True})
    assert status == 200 and "no further token within 400 ms" in answer and "[DONE]" not in answer


UNKNOWN = [
    (400, {"error": {"message": "Unsupported parameter: 'max_tokens'", "param": "max_tokens", "code": "unsupported_parameter"}}),
    (400, {"error": {"message": "Only the default is supported.", "param": "temperature", "code": "unsupported_value"}}),
    (422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "user"], "msg": "Extra inputs are not permitted"}]}),
    (422, {"error": {"message": "messages[0].role: unknown variant `developer`, expected one of `system`, `user`",
                     "type": "invalid_request_error", "code": "invalid_request_error"}}),
    (400, {"error": {"message": "'messages.2' : property 'reasoning_content' is unsupported", "type": "invalid_request_error"}}),
]


@pytest.mark.parametrize("refusal", UNKNOWN, ids=lambda one: json.dumps(one[1])[:60])
def test_what_one_does_not_know_another_may(house, refusal):
    gateway, upstreams = house(lambda asked: refusal, lambda asked: chat("Known"))
    status, answer = post(gateway, ASK)
    assert status == 200 and "Known" in answer and [len(one.asked) for one in upstreams] == [1, 1]
    for _ in range(12):  # It is well: nobody's breaker opens.
        assert post(gateway, ASK)[0] == 200
    assert len(upstreams[0].asked) == 13


def test_what_nobody_knows_is_told(house, client_of):
    gateway, _ = house(lambda asked: UNKNOWN[0])
    with pytest.raises(openai.BadRequestError) as raised:
        client_of(gateway).chat.completions.create(**ASK)
    assert raised.value.code == "unsupported_parameter" and raised.value.param == "max_tokens"


def test_tools_count_before_they_are_counted(house):
    """A budget of 0.02 USD, twenty at once that cost 0.015 each: who comes second finds no room."""
    def late(handler):
        time.sleep(0.5)
        Upstream.say(handler, chat() | {"usage": {"prompt_tokens": 15000, "completion_tokens": 2, "total_tokens": 15002}})
    gateway, _ = house(lambda asked: late, tenants={"test": {"budget": {"day": "0.02usd"}, "limits": {"tokens_per_minute": 1000000}}})
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(lambda _: post(gateway, ASK | {"tools": TOOLS})[0], range(20)))
    assert statuses.count(200) == 1 and statuses.count(429) == 19


def test_who_leaves_pays_for_the_tools_that_were_read(house, tmp_path):
    gateway, upstreams = house(streaming(events(chunk("one"), done=False), 30.0))
    call = {"id": "c", "type": "function", "function": {"name": "look_1", "arguments": json.dumps({"text": "word " * 4000})}}
    history = ASK["messages"] + [{"role": "assistant", "content": None, "tool_calls": [call]},
                                 {"role": "tool", "tool_call_id": "c", "content": "nothing"}]
    with openai.OpenAI(base_url=gateway.api, api_key=KEY, max_retries=0) as client:
        stream = client.chat.completions.create(**ASK | {"messages": history, "tools": TOOLS}, stream=True)
        next(iter(stream))
        stream.close()
    (prompt,), = wait_until(lambda: book(tmp_path, "SELECT prompt FROM entries"), what="the entry")
    assert 0.7 < prompt / (len(upstreams[0].asked[0].body) / 4) < 1.1


def test_tools_are_counted_for_who_asks(house):
    gateway, _ = house(lambda asked: chat())
    tools = [{"name": one["function"]["name"], "description": one["function"]["description"],
              "input_schema": one["function"]["parameters"]} for one in TOOLS]
    with anthropic.Anthropic(base_url=gateway.root, api_key=KEY, max_retries=0) as client:
        counted = client.messages.count_tokens(model="up", messages=ASK["messages"], tools=tools)
    assert 0.7 < counted.input_tokens / (len(json.dumps(tools)) / 4) < 1.2
