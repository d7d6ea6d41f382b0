"""/v1/messages as Anthropic's own client sees it, answered by the local engine and by providers of chat completions."""
import json
import socket
import urllib.request

import anthropic
import pytest

import configs
from processes import KEY, as_client, get, send, wait_until
from upstream import USAGE, chat, chunk

ASK = [{"role": "user", "content": "one two three four five"}]


@pytest.fixture
def messages_of():
    clients = []

    def make(gateway, **settings):
        clients.append(anthropic.Anthropic(**{"base_url": gateway.root, "api_key": KEY, "max_retries": 0, **settings}))
        return clients[-1].messages
    yield make
    for client in clients:
        client.close()


@pytest.fixture
def house(start_provider, start_gateway):
    """The local engine, and a provider that speaks chat completions."""
    provider = configs.provider(start_provider("instant").base_url, "cloudbrain")
    return start_gateway(configs.gateway({"local": configs.synthetic_engine(), "cloudbrain": provider}))


def raw_events(gateway, body, key=KEY):
    """(event, data) of a stream, as it stands on the wire."""
    request = urllib.request.Request(gateway.api + "/messages", json.dumps({**body, "stream": True}).encode(),
                                     {"content-type": "application/json", "x-api-key": key})
    with urllib.request.urlopen(request, timeout=20) as answer:
        blocks = answer.read().decode().split("\n\n")
    assert blocks.pop() == ""
    pairs = [block.split("\n") for block in blocks]
    return [(kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for kind, data in pairs]


@pytest.mark.parametrize("model", ["smollm2", "cloudbrain"])
def test_a_whole_message(house, messages_of, model):
    answer = messages_of(house).create(model=model, max_tokens=6, messages=ASK, system="be kind")
    assert answer.type == "message" and answer.role == "assistant" and answer.model == model
    assert [block.type for block in answer.content] == ["text"] and answer.content[0].text.strip()
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0
    assert answer.id.startswith("msg_") and answer._request_id.startswith("req_")


FUNCTION = {"name": "f", "input_schema": {"type": "object"}}
ONLY_THERE = [{"messages": [{"role": "user", "content": [
                  {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "The secret is 42."}}]}]},
              {"tools": [FUNCTION, {"type": "web_search_20250305", "name": "web_search", "max_uses": 1}]},
              {"inference_geo": "eu"}, {"messages": [*ASK, {"role": "assistant", "content": "{"}]}, {"stop_sequences": list("abcde")}]


@pytest.mark.parametrize("more", ONLY_THERE, ids=["document", "search", "region", "begun", "stops"])
def test_a_function_among_the_tools_lets_nothing_else_fall(house, more):
    """The local engine knows functions; what it does not know beside them is refused all the same."""
    body = {"model": "smollm2", "max_tokens": 6, "messages": ASK, "tools": [FUNCTION], **more}
    status, _, text = send(house.root + "/v1/messages", "POST", body, as_client())
    assert status == 400 and b"can be taken only by a provider that speaks messages" in text


@pytest.mark.parametrize("model", ["smollm2", "cloudbrain"])
def test_a_streamed_message_is_the_gathered_one(house, messages_of, model):
    with messages_of(house).stream(model=model, max_tokens=6, messages=ASK) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == final.content[0].text and text.strip()
    assert final.usage.output_tokens > 0 and final.usage.input_tokens > 0


@pytest.mark.parametrize("isolation", ["none", "process"])
def test_the_local_engine_names_its_stop_sequence(start_gateway, messages_of, isolation):
    engine = configs.synthetic_engine(isolation=isolation)
    gateway = start_gateway(configs.gateway({"local": engine}))
    wait_until(lambda: gateway.metric("spillway_backend_up", be="local") == 1, what="the engine")
    messages = messages_of(gateway)
    ask = {"model": "smollm2", "max_tokens": 9, "messages": ASK}
    said = messages.create(**ask).content[0].text
    stop = said.split()[4]
    for stops, ended in (([stop], ("stop_sequence", stop)), (["nowhere", stop], ("stop_sequence", stop)),
                         (["nowhere"], ("max_tokens", None))):
        whole = messages.create(**ask, stop_sequences=stops)
        with messages.stream(**ask, stop_sequences=stops) as stream:
            streamed = stream.get_final_message()
        assert {(each.stop_reason, each.stop_sequence) for each in (whole, streamed)} == {ended}, stops
        assert whole.content[0].text == streamed.content[0].text == (said.partition(stop)[0] if ended[1] else said)


def test_a_limit_is_max_tokens(house, messages_of):
    answer = messages_of(house).create(model="smollm2", max_tokens=3, messages=ASK)
    assert answer.stop_reason == "max_tokens" and answer.usage.output_tokens == 3


def test_events_stand_in_order_and_name_their_type(house):
    events = raw_events(house, {"model": "smollm2", "max_tokens": 3, "messages": ASK})
    assert all(kind == data["type"] for kind, data in events)
    kinds = [kind for kind, _ in events]
    assert kinds[:3] == ["message_start", "ping", "content_block_start"]
    assert set(kinds[3:-3]) == {"content_block_delta"}
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert events[0][1]["message"]["usage"]["input_tokens"] == events[-2][1]["usage"]["input_tokens"] > 0


def test_a_bearer_key_serves_too(house):
    client = anthropic.Anthropic(base_url=house.root, api_key=None, auth_token=KEY, max_retries=0)
    assert client.messages.create(model="smollm2", max_tokens=2, messages=ASK).content


def test_prompts_are_counted(house, messages_of):
    messages = messages_of(house)
    short = messages.count_tokens(model="smollm2", messages=ASK).input_tokens
    long = messages.count_tokens(model="smollm2", messages=ASK * 3, system="x " * 50).input_tokens
    assert 0 < short < long
    assert messages.create(model="smollm2", max_tokens=2, messages=ASK).usage.input_tokens == short


@pytest.mark.parametrize("change, error, kind", [
    ({"max_tokens": 0}, anthropic.BadRequestError, "invalid_request_error"),
    ({"messages": []}, anthropic.BadRequestError, "invalid_request_error"),
    ({"model": "nobody"}, anthropic.NotFoundError, "not_found_error"),
    ({"tools": [{"name": "no way", "input_schema": {"type": "object"}}]}, anthropic.BadRequestError,
     "invalid_request_error"),
    ({"model": "cloudbrain", "extra_body": {"container": "c"}}, anthropic.BadRequestError, "invalid_request_error"),
])
def test_errors_have_anthropics_shape(house, messages_of, change, error, kind):
    with pytest.raises(error) as raised:
        messages_of(house).create(**{"model": "smollm2", "max_tokens": 4, "messages": ASK, **change})
    body = raised.value.body
    assert body["type"] == "error" and body["error"]["type"] == kind and body["error"]["message"]
    assert raised.value.request_id == body["request_id"] != ""
    assert raised.value.response.headers["x-should-retry"] == "false"


def test_an_unknown_key_is_told_before_the_body_is_read(house):
    client = anthropic.Anthropic(base_url=house.root, api_key="sk-wrong", max_retries=0)
    with pytest.raises(anthropic.AuthenticationError) as raised:
        client.messages.create(model="", max_tokens=0, messages=[])
    assert raised.value.body["error"]["type"] == "authentication_error" and "sk-wrong" not in str(raised.value)


def test_what_is_refused_before_any_handler_has_the_shape_too(start_gateway):
    gateway = start_gateway(configs.gateway({"local": configs.synthetic_engine()}, server={
        "listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "body_max": "2KiB"}))
    client = anthropic.Anthropic(base_url=gateway.root, api_key=KEY, max_retries=0)
    with pytest.raises(anthropic.RequestTooLargeError) as raised:
        client.messages.create(model="smollm2", max_tokens=4, messages=[{"role": "user", "content": "x" * 3000}])
    assert raised.value.body["error"]["type"] == "request_too_large"
    assert raised.value.request_id == raised.value.body["request_id"] != ""
    for path, status in [("/messages", 405), ("/messages/nothing", 404)]:
        code, text = get(gateway.api + path)
        assert code == status and json.loads(text)["type"] == "error"


def test_what_is_full_is_529(start_provider, start_gateway, messages_of):
    provider = start_provider("instant")
    provider.script(faults=[{"kind": "rate_limited", "share": 1.0}])
    gateway = start_gateway(configs.gateway({"cloudbrain": configs.provider(provider.base_url, "cloudbrain")}))
    with pytest.raises(anthropic.APIStatusError) as raised:
        messages_of(gateway).create(model="cloudbrain", max_tokens=4, messages=ASK)
    assert raised.value.status_code == 529 and raised.value.body["error"]["type"] == "overloaded_error"
    assert int(raised.value.response.headers["retry-after"]) >= 1
    decided = wait_until(gateway.decisions, what="the decision")  # It is noted once the answer has gone out.
    assert [record["status"] for record in decided] == [529]


def test_a_stream_that_breaks_ends_in_an_error_event(start_provider, start_gateway):
    provider = start_provider("instant")
    provider.script(faults=[{"kind": "cut", "share": 1.0, "after_tokens": 2}])
    gateway = start_gateway(configs.gateway({"cloudbrain": configs.provider(provider.base_url, "cloudbrain")}))
    events = raw_events(gateway, {"model": "cloudbrain", "max_tokens": 9, "messages": ASK})
    assert events[-1][0] == "error" and events[-1][1]["error"]["type"] == "api_error"
    assert "message_stop" not in [kind for kind, _ in events]


@pytest.mark.parametrize("stream, tokens", [(False, 0), (True, 0), (True, 2)])
def test_a_client_that_leaves_stops_the_work(start_provider, start_gateway, stream, tokens):
    provider = start_provider("openmodel")
    gateway = start_gateway(configs.gateway({"openmodel": configs.provider(provider.base_url, "openmodel")}))
    body = json.dumps({"model": "openmodel", "max_tokens": 5000, "messages": ASK, "stream": stream})
    host, port = gateway.root.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)))
    client.sendall((f"POST /v1/messages HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\ncontent-type: application/json\r\n"
                    f"content-length: {len(body)}\r\n\r\n{body}").encode())
    wait_until(lambda: provider.stats()["open_streams"] == 1, what="the request's arrival")
    read = b""
    while read.count(b"text_delta") < tokens:
        read += client.recv(4096)
    client.close()
    wait_until(lambda: provider.stats()["disconnects"] == 1, what="the provider's client leaving")
    wait_until(lambda: [r["status"] for r in gateway.decisions()] == [499], what="the account of it")


TOOLS = [{"name": name, "input_schema": {"type": "object"}} for name in "fg"]


def call(index, name=None, arguments=""):
    named = {"id": f"c{index}", "type": "function"} if name else {}
    return {"index": index, **named, "function": {**({"name": name} if name else {}), "arguments": arguments}}


@pytest.fixture
def speaks(start_upstream, start_gateway, messages_of):
    """/v1/messages before a provider that answers so, streamed if it is a list of chunks."""
    def start(answer, **settings):
        target = configs.provider(start_upstream(lambda asked: answer).base_url, "up", **settings)
        create = messages_of(start_gateway(configs.gateway({"up": target})))
        ask = dict(model="up", max_tokens=50, messages=ASK, tools=TOOLS, stop_sequences=["END"])
        if not isinstance(answer, list):
            return create.create(**ask)
        with create.stream(**ask) as stream:
            return stream.get_final_message()
    return start


@pytest.mark.parametrize("text", ["", "and a word"])
def test_calls_that_come_beside_each_other_are_whole(speaks, text):
    pieces = [call(0, "f"), call(1, "g"), call(0, arguments='{"a": "}'), call(1, arguments='{"b":'),
              call(0, arguments='"}'), call(1, arguments=" 2}")]
    deltas = [chunk({"tool_calls": [piece]}) for piece in pieces]
    message = speaks([*deltas[:3], *([chunk({"content": text})] if text else []), *deltas[3:], chunk({}, finish="tool_calls"), USAGE])
    calls = [(block.id, block.name, block.input) for block in message.content if block.type == "tool_use"]
    assert calls == [("c0", "f", {"a": "}"}), ("c1", "g", {"b": 2})] and message.stop_reason == "tool_use"
    assert [block.text for block in message.content if block.type == "text"] == ([text] if text else [])


@pytest.mark.parametrize("first", [
    [{"id": "c0", "type": "function"}, {"function": {"name": "look"}}],
    [{"id": "c0", "type": "function", "function": {"name": "lo", "arguments": ""}}, {"function": {"name": "ok"}}]])
@pytest.mark.parametrize("text", ["", "and a word"])
def test_a_call_opens_with_its_whole_name(speaks, first, text):
    said = [] if text else [{"function": {"arguments": '{"a":'}}, {"function": {"arguments": "1}"}}]
    deltas = [chunk({"tool_calls": [{"index": 0, **piece}]}) for piece in [*first, *said]]
    message = speaks([*deltas, *([chunk({"content": text})] if text else []), chunk({}, finish="tool_calls"), USAGE])
    block = message.content[0]
    assert (block.type, block.id, block.name, block.input) == ("tool_use", "c0", "look", {} if text else {"a": 1})


@pytest.mark.parametrize("stream", [True, False])
def test_who_calls_a_tool_has_stopped_for_it(speaks, stream):
    calls = [call(0, "f", "{}")]
    whole = chat(None)
    whole["choices"][0]["message"]["tool_calls"] = calls
    message = speaks([chunk({"tool_calls": calls}), chunk({}, finish="stop"), USAGE] if stream else whole)
    assert message.stop_reason == "tool_use" and message.content[0].name == "f"


def test_the_sdks_own_runner_of_tools_goes_on_without_a_thread(start_upstream, start_gateway):
    """It asks for a thread by itself, which only Anthropic has."""
    def answer(asked):
        done = any(message["role"] == "tool" for message in asked.json["messages"])
        return chat() if done else chat(None, finish_reason="tool_calls", message={
            "role": "assistant", "content": None, "tool_calls": [call(0, "weather", '{"name": "Ghent"}')]})

    @anthropic.beta_tool
    def weather(name: str) -> str:
        """The weather."""
        return f"sunny in {name}"
    upstream = start_upstream(answer)
    gateway = start_gateway(configs.gateway({"up": configs.provider(upstream.base_url, "up")}))
    client = anthropic.Anthropic(base_url=gateway.root, api_key=KEY, max_retries=0)
    runner = client.beta.messages.tool_runner(model="up", max_tokens=20, messages=ASK, tools=[weather])
    assert [message.stop_reason for message in runner] == ["tool_use", "end_turn"]
    assert upstream.asked[-1].json["messages"][-1]["content"] == "sunny in Ghent"


def test_models_have_anthropics_shape(house, start_gateway):
    client = anthropic.Anthropic(base_url=house.root, api_key=KEY, max_retries=0)
    models = list(client.models.list())
    assert models and {model.type for model in models} == {"model"} and all(model.created_at.year > 2020 for model in models)
    assert client.models.retrieve(models[0].id).display_name == models[0].id
    for answer in (client.models.with_raw_response.list(), client.models.with_raw_response.retrieve(models[0].id)):
        assert answer.headers["request-id"] == answer.headers["x-request-id"]
    assert "request-id" not in send(house.root + "/v1/models", "GET", None, as_client())[1]


def test_its_clients_are_refused_in_its_words_wherever_they_ask(house):
    client, stranger = (anthropic.Anthropic(base_url=house.root, api_key=key, max_retries=0) for key in (KEY, "sk-nobody"))
    large = {"path": "/v1/nothing", "body": {"x": "x" * (33 << 20)}, "cast_to": object}
    for ask, kind in ((lambda: client.models.retrieve("nobody"), "not_found_error"),
                      (lambda: stranger.models.list(), "authentication_error"),
                      (lambda: stranger.models.retrieve("smollm2"), "authentication_error"),
                      (lambda: client.get("/v1/nothing", cast_to=object), "not_found_error"),
                      (lambda: client.post("/v1/models", body={}, cast_to=object), "invalid_request_error"),
                      (lambda: client.post(**large), "request_too_large")):
        with pytest.raises(anthropic.APIStatusError) as refused:
            ask()
        error = refused.value
        assert error.type == error.body["error"]["type"] == kind and error.body["type"] == "error", error.body
        assert error.request_id == error.body["request_id"] == error.response.headers["x-request-id"]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("dialect, name", [("vllm", "stop_reason"), ("sglang", "matched_stop")])
def test_the_stop_sequence_is_told(speaks, stream, dialect, name):
    last = {"finish_reason": "stop", name: "END"}
    answer = [chunk({"content": "A"}), chunk({}, finish="stop", **{name: "END"}), USAGE] if stream else chat("A", **last)
    message = speaks(answer, dialect=dialect)
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "END")
