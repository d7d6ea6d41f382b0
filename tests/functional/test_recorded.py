"""A thousand exchanges that others had with real providers, played to the gateway: it takes each request, books each answer as
its provider counted it, whole or cut, and says the same to clients of every protocol."""
import random

import pytest

import configs
import said
from played import chunk, events
from processes import as_client, send, wait_until
from recordings import recordings
from test_bills import PRICE, bill_of
from test_money import book
from upstream import begin
from upstream import chunk as spoken

PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "completions": "/v1/completions",
         "embeddings": "/v1/embeddings", "responses": "/v1/responses"}
ENDPOINTS = ["chat", "completions", "embeddings"]
ANSWERS = [one for one in recordings() if one.status == 200 and one.endpoint != "responses" and b'"error"' not in one.answer[:20]]
TALKS = [one for one in ANSWERS if one.endpoint in ("chat", "messages") and b'"function_call"' not in one.answer]
TURNS = [one for one in recordings() if one.endpoint == "responses" and one.status == 200 and one.streams]
ASKS = {"chat": {"messages": [{"role": "user", "content": "Go on."}]},
        "messages": {"messages": [{"role": "user", "content": "Go on."}], "max_tokens": 4000},
        "responses": {"input": "Go on.", "store": False}}
# What some of OpenAI's models add, and its specification asks of nobody.
UNSAID = {"moderation", "tool_usage", "phase"}
# Mistral's own word for "required", which no client of OpenAI's protocol says.
MISTRALS = b'"tool_choice":"any"'


class House:
    """A gateway with one target a dialect, whose provider answers with `bytes`."""

    def __init__(self, start_upstream, start_gateway, state):
        self.bytes, self.streams = b"", False
        upstream = start_upstream(lambda asked: self._say)
        targets = {}
        for dialect in {one.dialect for one in ANSWERS}:
            asked = {} if dialect == "anthropic" else {"endpoints": ENDPOINTS}
            targets[dialect] = configs.provider(upstream.base_url, dialect, dialect=dialect, price_per_million=PRICE,
                                                price_per_search="0.01usd", forward_fields="*",
                                                breaker={"failures_min": 10000}, **asked)
        config = configs.gateway(targets)
        config["server"]["state"] = str(state)
        self.gateway = start_gateway(config)

    def _say(self, handler):
        begin(handler, "text/event-stream" if self.streams else "application/json")
        handler.wfile.write(self.bytes)

    def ask(self, recording, endpoint, request, answer=None):
        """Id and answer of a request whose provider says what was recorded, or `answer` instead."""
        self.bytes, self.streams = answer or recording.answer, recording.streams
        status, headers, body = send(self.gateway.root + PATHS[endpoint], "POST", request | {"model": recording.dialect},
                                     as_client(), timeout=30)
        assert status == 200, f"{recording}: {body}"
        return headers["x-request-id"], body


@pytest.fixture
def house(start_upstream, start_gateway, tmp_path):
    return House(start_upstream, start_gateway, tmp_path / "state")


def booked(tmp_path, count):
    """What was booked, by request."""
    entries = wait_until(lambda: (found := book(
        tmp_path, "SELECT id, prompt, cached, completion, estimated, amount FROM entries")) and
        len(found) == count and found, what="the entries")
    return {identity: tuple(rest) for identity, *rest in entries}


def test_each_is_booked_as_its_provider_counted(house, tmp_path):
    asked = {house.ask(one, one.endpoint, one.request)[0]: one for one in ANSWERS if MISTRALS not in one.asked.encode()}
    told = 0
    for identity, entry in booked(tmp_path, len(asked)).items():
        one = asked[identity]
        bill = said.READERS[one.endpoint](one.answer, one.streams).bill
        if bill is None:  # Nobody had asked for it: counted here, and said to be.
            assert entry[3] == 1 and entry[4] > 0, one
        else:
            told += 1
            assert entry == bill_of(bill, entry[0]), one
    print(f"\n{len(asked)} recorded answers of {len({one.dialect for one in asked.values()})} kinds of provider: {told} of {told} "
          f"booked as their providers counted, the others, which came without a count, as estimated")
    assert told > 600


def test_a_cut_one_is_booked_for_what_came(house, tmp_path):
    """Cut between two events: never for nothing, hardly for more than the whole, and as estimated; the client is told."""
    dice, wholes = random.Random(7), {}
    for one in [each for each in TALKS if each.streams]:
        whole = said.READERS[one.endpoint](one.answer, True)
        parts = one.answer.replace(b"\r\n", b"\n").split(b"\n\n")
        if whole.bill is None or len(parts) < 8:
            continue
        cut = b"\n\n".join(parts[:dice.randrange(4, len(parts) - 3)]) + b"\n\n"
        if (b"text_delta" if one.endpoint == "messages" else b'"content":"') not in cut:
            continue
        identity, body = house.ask(one, one.endpoint, ASKS[one.endpoint] | {"stream": True}, cut)
        assert b"data: [DONE]" not in body and b"event: message_stop" not in body and b"error" in body[-300:], one
        wholes[identity] = (one, whole.bill)
    most = 0
    for identity, (prompt, _, completion, estimated, amount) in booked(tmp_path, len(wholes)).items():
        one, bill = wholes[identity]
        assert prompt > 0 and completion > 0 and amount > 0 and estimated, one
        most = max(most, completion / bill["completion"])
    print(f"\n{len(wholes)} recorded streams cut: booked at most {100 * most:.0f} % of the whole's tokens")
    assert most < 1.3


@pytest.mark.parametrize("endpoint", ASKS)
def test_it_says_the_same_in_every_protocol(house, endpoint):
    for one in TALKS:
        _, body = house.ask(one, endpoint, ASKS[endpoint] | {"stream": one.streams})
        wanted = said.READERS[one.endpoint](one.answer, one.streams)
        got = said.READERS[endpoint](body, one.streams)
        assert (got.text, got.calls, got.finish) == (wanted.text, wanted.calls, wanted.finish), one


def chat_of(response):
    """The stream of a chat completion that says what this response does."""
    deltas, calls = [], 0
    for item in response["output"]:
        if item["type"] == "message":
            deltas += [{"content": part["text"]} for part in item["content"]]
        elif item["type"] == "function_call":
            function = {"name": item["name"], "arguments": item["arguments"]}
            deltas.append({"tool_calls": [{"index": calls, "id": item["call_id"], "type": "function", "function": function}]})
            calls += 1
    finish = "length" if response["status"] == "incomplete" else "tool_calls" if calls else "stop"
    usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
    return events(*[spoken(delta) for delta in deltas], spoken({}, finish=finish), chunk(usage=usage, choices=False))


def shape(told):
    """Types of events, repeated ones once, with the type of their item, and the fields of each; without reasoning."""
    steps, fields = [], {}
    silent = {event["output_index"] for event in told if event.get("item", {}).get("type") == "reasoning"}
    for event in told:
        if event.get("output_index") in silent:
            continue
        step = (event["type"], event.get("item", {}).get("type"))
        if not steps or steps[-1] != step:
            steps.append(step)
        fields.setdefault(event["type"], set()).update(set(event) - {"obfuscation"})
        for inner in ("item", "part", "response"):
            if inner in event:
                fields.setdefault((step, inner), set()).update(event[inner])
    return steps, fields


def test_a_turn_of_responses_is_told_in_openais_own_events(house):
    compared = 0
    for one in TURNS:
        told = list(said.events_of(one.answer))
        response = told[-1]["response"]
        if not {item["type"] for item in response["output"]} <= {"message", "function_call", "reasoning"}:
            continue
        _, body = house.ask(one, "responses", {"input": "Go on.", "stream": True}, chat_of(response))
        steps, fields = shape(list(said.events_of(body)))
        wanted_steps, wanted_fields = shape(told)
        assert steps == wanted_steps, one
        for key, value in wanted_fields.items():
            assert value - UNSAID <= fields[key], (one.name, key)
        compared += 1
    print(f"\n{compared} of OpenAI's own streams of events: ours are the same")
    assert compared > 40
