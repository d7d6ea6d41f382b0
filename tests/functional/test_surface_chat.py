"""Everything that chat completions promise, against a provider that records what it gets: fields, choices, logprobs,
tools, tiers, errors, headers, silence."""
import gzip
import json
import socket
import time

import openai
import pytest

import configs
from processes import KEY, as_client, get, send, wait_until
from upstream import USAGE, Upstream, chat, chunk

HELLO = [{"role": "user", "content": "Hi"}]
LOGPROBS = {"content": [{"token": "a", "logprob": -0.1, "bytes": None, "top_logprobs": []}], "refusal": None}


@pytest.fixture
def house(start_gateway, start_upstream, client_of):
    """A gateway before one provider that answers as the test says, and the client."""
    def start(answer, local=False, classes=None, server=None, **settings):
        upstream = start_upstream(answer)
        targets = {"up": configs.provider(upstream.base_url, "up", **settings)}
        if local:
            targets = {"local": configs.synthetic_engine(), **targets}
        config = configs.gateway(targets, classes)
        config["server"].update(server or {})
        gateway = start_gateway(config)
        return gateway, upstream, client_of(gateway)
    return start


def raw_post(gateway, body, path="/v1/chat/completions", **headers):
    """Status, headers and body, whatever they are."""
    return send(gateway.root + path, "POST", body, {**as_client(), **headers})


def error_of(body):
    """The error object, which has all four keys whatever it is about."""
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] is None or isinstance(error["code"], str)
    return error


def test_a_request_reaches_the_provider_as_it_was_written(house):
    _, upstream, client = house(lambda asked: chat(), forward_fields=["top_k"])
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},
             {"type": "custom", "custom": {"name": "shell"}}]
    fields = dict(
        tools=tools, tool_choice={"type": "function", "function": {"name": "f"}}, parallel_tool_calls=False,
        response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
        seed=2**63 - 1, logit_bias={"5": -100}, reasoning_effort="high", metadata={"a": "b"}, prompt_cache_key="k",
        safety_identifier="me", verbosity="low", max_completion_tokens=7, user="u", store=True)
    client.chat.completions.create(model="up", messages=HELLO, **fields, service_tier="priority",
                                   extra_body={"thinking": {"type": "enabled"}, "top_k": 5, "unheard_of": 1})
    got = upstream.asked[0].json
    assert got == {"model": "up", "messages": HELLO, **fields, "thinking": {"type": "enabled"}, "top_k": 5}


def test_images_and_audio_go_to_who_takes_them(house, start_upstream, start_gateway, client_of):
    blind, seeing = start_upstream(lambda asked: chat("blind")), start_upstream(lambda asked: chat("seeing"))
    targets = {"local": configs.synthetic_engine(),
               "blind": configs.provider(blind.base_url, "blind", takes=["tools"]),
               "seeing": configs.provider(seeing.base_url, "seeing", takes=["images", "audio"])}
    client = client_of(start_gateway(configs.gateway(targets)))
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    sound = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    for part in (image, sound):
        messages = [{"role": "user", "content": [{"type": "text", "text": "what?"}, part]}]
        answer = client.chat.completions.create(model="auto", messages=messages)
        assert answer.choices[0].message.content == "seeing"
        assert seeing.asked[-1].json["messages"] == messages
    assert not blind.asked
    for model in ("blind", "smollm2"):
        with pytest.raises(openai.BadRequestError) as refused:
            client.chat.completions.create(model=model, messages=messages)
        assert refused.value.param == "messages" and "audio" in refused.value.message


def test_several_choices_streamed_and_whole(house):
    def answer(asked):
        if not asked.json.get("stream"):
            whole = chat("a")
            whole["choices"].append(chat("b", index=1, finish_reason="length")["choices"][0])
            return whole
        return [chunk({"role": "assistant", "content": "b"}, index=1), chunk({"content": "a"}),
                chunk({"content": "b"}, index=1), chunk({}, finish="stop"), chunk({}, index=1, finish="length"), USAGE]
    _, upstream, client = house(answer)
    whole = client.chat.completions.create(model="up", messages=HELLO, n=2)
    assert [(c.index, c.message.content, c.finish_reason) for c in whole.choices] == [
        (0, "a", "stop"), (1, "b", "length")]
    chunks = list(client.chat.completions.create(model="up", messages=HELLO, n=2, stream=True))
    for index, text, reason in ((0, "a", "stop"), (1, "bb", "length")):
        mine = [c.choices[0] for c in chunks if c.choices and c.choices[0].index == index]
        assert mine[0].delta.role == "assistant" and mine[-1].finish_reason == reason
        assert "".join(c.delta.content or "" for c in mine) == text
    assert upstream.asked[0].json["n"] == 2


def test_a_missing_choice_is_no_whole_answer(house):
    _, _, client = house(lambda asked: chat())
    with pytest.raises(openai.BadRequestError, match="it gave 1 of 2 choices"):
        client.chat.completions.create(model="up", messages=HELLO, n=2)


def test_what_the_local_model_cannot_do_is_refused_not_dropped(house):
    def answer(asked):
        whole = chat()
        whole["choices"] = [chat(index=i)["choices"][0] for i in range(asked.json.get("n", 1))]
        return whole
    _, upstream, client = house(answer, local=True)
    custom = [{"type": "custom", "custom": {"name": "anything"}}]
    for field, value in (("tools", custom), ("modalities", ["text", "audio"])):
        with pytest.raises(openai.BadRequestError) as refused:
            client.chat.completions.create(model="smollm2", messages=HELLO, **{field: value})
        assert refused.value.param == {"modalities": "messages"}.get(field, field)
        client.chat.completions.create(model="auto", messages=HELLO, **{field: value})  # Somebody else can.
    assert len(upstream.asked) == 2


def test_logprobs_streamed_and_whole(house):
    def answer(asked):
        if asked.json.get("stream"):
            return [chunk({"content": "a"}, logprobs=LOGPROBS), chunk({"content": "a"}, logprobs=LOGPROBS),
                    chunk({}, finish="stop"), USAGE]
        return chat("a", logprobs=LOGPROBS)
    _, upstream, client = house(answer)
    ask = dict(model="up", messages=HELLO, logprobs=True, top_logprobs=2)
    assert client.chat.completions.create(**ask).choices[0].logprobs.content[0].token == "a"
    chunks = list(client.chat.completions.create(**ask, stream=True))
    assert [c.choices[0].logprobs.content[0].logprob for c in chunks if c.choices[0].logprobs] == [-0.1, -0.1]
    assert upstream.asked[0].json["top_logprobs"] == 2


def test_tool_calls_streamed_and_whole(house):
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}

    def answer(asked):
        if asked.json.get("stream"):
            first = {"index": 0, **call, "function": {"name": "f", "arguments": '{"a"'}}
            return [chunk({"role": "assistant", "content": None, "tool_calls": [first]}),
                    chunk({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}),
                    chunk({}, finish="tool_calls"), USAGE]
        whole = chat(None, finish_reason="tool_calls")
        whole["choices"][0]["message"]["tool_calls"] = [call]
        return whole
    _, _, client = house(answer)
    tools = [{"type": "function", "function": {"name": "f"}}]
    choice = client.chat.completions.create(model="up", messages=HELLO, tools=tools).choices[0]
    assert choice.finish_reason == "tool_calls" and choice.message.content is None
    assert choice.message.tool_calls[0].function.arguments == '{"a":1}'
    with client.chat.completions.stream(model="up", messages=HELLO, tools=tools) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.tool_calls[0].function.arguments == '{"a":1}'


@pytest.mark.parametrize("stream", [True, False])
def test_a_call_of_a_function_ends_as_it_came(house, stream):
    call = {"name": "f", "arguments": "{}"}
    whole = chat(None, finish_reason="function_call")
    whole["choices"][0]["message"]["function_call"] = call
    _, _, client = house(lambda asked: [chunk({"function_call": call}), chunk({}, finish="function_call"), USAGE]
                         if stream else whole)
    answer = client.chat.completions.create(model="up", messages=HELLO, functions=[{"name": "f"}], stream=stream)
    choices = [one.choices[0] for one in answer if one.choices] if stream else answer.choices
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["function_call"]
    said = [choice.delta if stream else choice.message for choice in choices]
    assert [one.function_call.name for one in said if one.function_call] == ["f"]
    assert stream or said[0].content is None


def test_reasoning_is_kept_and_usage_has_its_details(house):
    def answer(_):
        whole = chat("4")
        whole["choices"][0]["message"]["reasoning_content"] = "two and two"
        whole["usage"] = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14, "prompt_cache_hit_tokens": 8,
                          "prompt_cache_miss_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 3}}
        return whole
    _, _, client = house(answer, dialect="deepseek")
    answer = client.chat.completions.create(model="up", messages=HELLO)
    assert answer.choices[0].message.reasoning_content == "two and two"
    assert answer.usage.prompt_tokens_details.cached_tokens == 8
    assert answer.usage.completion_tokens_details.reasoning_tokens == 3


TIERS = {"fast": {"match": {"service_tier": ["priority"]}, "spill": "when_sla_at_risk"},
         "slow": {"match": {"service_tier": ["flex"]}, "spill": "always", "price_max": "0.000001usd",
                  "local_as_last_resort": False},
         "interactive": {"spill": "when_sla_at_risk"}}


def test_the_answer_names_the_tier_that_served(house):
    gateway, _, client = house(lambda asked: chat(), classes=TIERS)
    for asked, served in (("priority", "priority"), ("fast", "priority"), ("auto", "default"), ("default", "default"),
                          ("scale", "default"), (None, None)):
        answer = client.chat.completions.create(model="up", messages=HELLO, service_tier=asked)
        assert answer.service_tier == served, asked
        response = client.responses.create(model="up", input="Hi", **({"service_tier": asked} if asked else {}))
        assert response.service_tier == (served or "default"), asked
    for speed, served in (("fast", "priority"), ("standard", "standard")):
        said = {"model": "up", "max_tokens": 8, "messages": HELLO, "speed": speed}
        for stream in (False, True):
            status, _, text = send(gateway.root + "/v1/messages", "POST", {**said, "stream": stream}, as_client())
            assert status == 200 and f'"service_tier":"{served}"'.encode() in text, text


def test_flex_is_refused_rather_than_sent_where_it_is_dear(house):
    _, upstream, client = house(lambda asked: chat(), classes=TIERS)
    with pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(model="auto", messages=HELLO * 50, service_tier="flex")
    assert refused.value.code == "resource_unavailable" and "price_max" in refused.value.message
    assert float(refused.value.response.headers["retry-after"]) >= 1
    assert not upstream.asked


def test_errors_have_their_codes(house):
    gateway, _, _ = house(lambda asked: chat())
    good = {"model": "up", "messages": HELLO}
    cases = [
        (400, "missing_required_parameter", "messages", {"model": "up"}),
        (400, "missing_required_parameter", "model", {"messages": HELLO}),
        (400, "invalid_type", "temperature", {**good, "temperature": "hot"}),
        (400, "invalid_value", "temperature", {**good, "temperature": 2.1}),
        (400, "invalid_value", "stream_options", {**good, "stream_options": {"include_usage": True}}),
        (400, None, None, b'{"model": NaN}'),
        (400, None, None, b'{"model": 1e400}'),
        (400, None, None, b'{"model":"' + b"\xff" + b'"}'),
        (400, None, None, b"[" * 100_000),
        (404, "model_not_found", "model", {**good, "model": "who"}),
    ]
    for status, code, param, body in cases:
        got, headers, text = raw_post(gateway, body)
        error = error_of(text)
        assert (got, error["code"], error["param"]) == (status, code, param), (body, text)
        assert headers["x-request-id"].startswith("req_") and headers["x-should-retry"] == "false"


@pytest.mark.parametrize("said", [
    {"refusal": "No."}, {"audio": {"id": "a", "data": "AAAA", "expires_at": 9, "transcript": "Hey"}},
    {"tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}])
def test_a_message_without_a_text_has_none(house, said):
    _, _, client = house(lambda asked: whole_of({"role": "assistant", "content": None, "refusal": None, **said}))
    message = client.chat.completions.create(model="up", messages=HELLO).choices[0].message.to_dict()
    assert message["content"] is None and {name: message[name] for name in said} == said


def whole_of(message):
    whole = chat()
    whole["choices"][0]["message"] = message
    return whole


def test_a_message_of_nothing_is_an_empty_text(house):
    _, _, client = house(lambda asked: chat(""))
    assert client.chat.completions.create(model="up", messages=HELLO).choices[0].message.content == ""


DOORS = [("/v1/chat/completions", {"messages": HELLO}), ("/v1/messages", {"messages": HELLO, "max_tokens": 9}),
         ("/v1/responses", {"input": "Hi"}), ("/v1/completions", {"prompt": "Hi"})]
DOORS = [(path, {**body, "stream": stream}) for path, body in DOORS for stream in (False, True)] + [
    ("/v1/embeddings", {"input": "Hi"})]


@pytest.mark.parametrize("says", [429, 503, 529])
def test_a_providers_own_time_to_wait_is_told(start_upstream, start_gateway, says):
    def answer(_):
        def busy(handler):
            handler.send_response(says)
            handler.send_header("retry-after", "37")
            handler.send_header("content-length", "0")
            handler.end_headers()
        return busy
    upstream = start_upstream(answer)
    endpoints = ["chat", "completions", "embeddings"]
    gateway = start_gateway(configs.gateway({
        f"up-{i}": configs.provider(upstream.base_url, f"up-{i}", endpoints=endpoints) for i in range(len(DOORS))}))
    for i, (path, body) in enumerate(DOORS):
        status, headers, text = raw_post(gateway, {"model": f"up-{i}", **body}, path)
        assert status in (429, 503, 529) and len(upstream.asked) == i + 1, text
        assert (headers["retry-after"], headers["retry-after-ms"]) == ("37", "37000"), path
        assert headers["x-should-retry"] in (None, "true")
        _, headers, _ = raw_post(gateway, {"model": f"up-{i}", **body}, path)  # It is not asked again before.
        assert 30 < int(headers["retry-after"]) <= 37 and len(upstream.asked) == i + 1


def test_routes_methods_types_and_sizes_are_refused_in_json(house):
    gateway, _, _ = house(lambda asked: chat(), server={"body_max": "4KiB"})
    body = {"model": "up", "messages": HELLO}
    status, headers, text = raw_post(gateway, json.dumps(body).encode(),
                                     **{"content-type": "application/x-www-form-urlencoded"})
    assert status == 415 and error_of(text)["code"] == "unsupported_media_type" and headers["x-request-id"]
    status, _, text = raw_post(gateway, {**body, "user": "x" * 8000})
    assert status == 413 and error_of(text)["code"] == "request_too_large"
    status, _, text = raw_post(gateway, body, **{"x-a": "y" * 70_000})
    assert status == 431 and error_of(text)["code"] == "headers_too_large"
    status, _, text = raw_post(gateway, body, path="/v1/nothing/here")
    assert status == 404 and error_of(text)["type"] == "invalid_request_error"
    status, text = get(gateway.api + "/embeddings")
    assert status == 405 and error_of(text)["code"] == "method_not_allowed"
    # The key comes before the body.
    status, _, text = raw_post(gateway, b"{", authorization="Bearer wrong-key-value")
    assert status == 401 and error_of(text)["code"] == "invalid_api_key" and b"wrong-key" not in text


def test_headers_of_an_answer(house):
    gateway, _, _ = house(lambda asked: chat("x" * 3000))
    body = {"model": "up", "messages": HELLO}
    status, headers, _ = raw_post(gateway, body, **{"x-client-request-id": "mine-7"})
    assert status == 200 and headers["openai-version"] == "2020-10-01" and int(headers["openai-processing-ms"]) >= 0
    assert headers["content-encoding"] is None and headers["openai-organization"] == "test"
    wait_until(lambda: any(line.get("client_request_id") == "mine-7" for line in gateway.log()), what="the log line")
    _, headers, packed = raw_post(gateway, body, **{"accept-encoding": "GZip, deflate"})
    assert headers["content-encoding"] == "gzip" and len(packed) < 1000
    assert json.loads(gzip.decompress(packed))["choices"][0]["message"]["content"] == "x" * 3000
    _, headers, _ = raw_post(gateway, {**body, "messages": []}, **{"accept-encoding": "gzip"})
    assert headers["openai-processing-ms"] and headers["content-encoding"] is None  # Small.


def test_a_stream_that_waits_says_so(house):
    def answer(_):
        def slowly(handler):
            time.sleep(0.5)
            Upstream.say(handler, [chunk({"content": "at last"}), chunk({}, finish="stop"), USAGE])
        return slowly

    gateway, _, client = house(answer, server={"keep_alive": "100ms"})
    body = {"model": "up", "messages": HELLO, "stream": True}
    status, headers, text = raw_post(gateway, body, **{"accept-encoding": "gzip"})
    assert status == 200 and headers["content-type"] == "text/event-stream" and headers["content-encoding"] is None
    assert text.startswith(b": keep-alive\n\n") and text.count(b": keep-alive\n\n") <= 6
    assert text.endswith(b"data: [DONE]\n\n")
    chunks = list(client.chat.completions.create(model="up", messages=HELLO, stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "at last"


def test_a_failure_after_the_comments_is_an_event(house):
    def answer(_):
        def fail(handler):
            time.sleep(0.4)
            handler.send_error(500)
        return fail
    gateway, _, client = house(answer, server={"keep_alive": "100ms"})
    status, _, text = raw_post(gateway, {"model": "up", "messages": HELLO, "stream": True})
    last = text.split(b"\n\n")[-2]
    assert status == 200 and error_of(last.removeprefix(b"data: "))["code"] == "backend_unavailable"
    assert b"[DONE]" not in text
    with pytest.raises(openai.APIError):
        list(client.chat.completions.create(model="up", messages=HELLO, stream=True))


@pytest.mark.parametrize("phase", ["plain", "before the first token", "mid-stream"])
def test_a_client_that_leaves_stops_the_provider(house, phase):
    def answer(_):
        def hang(handler):
            if phase != "plain":
                handler.send_response(200)
                handler.send_header("content-type", "text/event-stream")
                handler.end_headers()
            if phase == "mid-stream":
                handler.wfile.write(f"data: {json.dumps(chunk({'content': 'a'}))}\n\n".encode())
            handler.wait_until_left()
        return hang
    gateway, upstream, _ = house(answer)
    host, port = gateway.root.removeprefix("http://").split(":")
    body = json.dumps({"model": "up", "messages": HELLO, "stream": phase != "plain"})
    with socket.create_connection((host, int(port))) as client:
        client.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {KEY}\r\n"
                       f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
        wait_until(lambda: upstream.asked, what="the request at the provider")
        if phase == "mid-stream":
            assert client.recv(1)
    assert upstream.left.wait(5), "the provider's connection stays open"


def test_the_clients_timeout_is_its_deadline(house):
    def answer(_):
        return lambda handler: handler.wait_until_left()
    gateway, upstream, _ = house(answer)
    for name in ("x-stainless-read-timeout", "x-stainless-timeout"):
        upstream.left.clear()
        began = time.monotonic()
        status, _, text = raw_post(gateway, {"model": "up", "messages": HELLO}, **{name: "0.5"})
        assert status == 504 and error_of(text)["code"] == "timeout" and time.monotonic() - began < 4
        assert upstream.left.wait(5)


def test_a_streams_patience_decides_who_answers(start_gateway, start_upstream, client_of):
    """The engine here would say its first word after four seconds, the provider at once."""
    upstream = start_upstream(lambda asked: [chunk({"content": "cloud"}), chunk({}, finish="stop"), USAGE])
    engine = configs.synthetic_engine(per_prefill_token="20ms", serves=["either"])
    measured = {"ttft_p50": "50ms", "ttft_p99": "100ms", "tokens_per_second": 100}
    targets = {"local": engine, "up": configs.provider(upstream.base_url, "either", measured=measured)}
    gateway = start_gateway(configs.gateway(targets, classes={"std": {"spill": "when_sla_at_risk"}}, default_class="std"))
    ask = {"model": "auto", "messages": [{"role": "user", "content": "word " * 150}], "max_tokens": 3, "stream": True}
    for timeout, target in ((2.0, "up"), (60.0, "local")):
        stream = client_of(gateway, timeout=timeout).chat.completions.with_raw_response.create(**ask)
        assert stream.headers["x-spillway-target"] == target
        stream.http_response.close()


def test_a_stream_is_never_silent_for_as_long_as_its_client_bears(house):
    def answer(_):
        def slowly(handler):
            time.sleep(1.5)
            Upstream.say(handler, [chunk({"content": "at last"}), chunk({}, finish="stop"), USAGE])
        return slowly
    gateway, _, client = house(answer)
    assert list(client.with_options(timeout=0.6).chat.completions.create(model="up", messages=HELLO, stream=True))
    status, _, text = raw_post(gateway, {"model": "up", "messages": HELLO, "stream": True}, **{"x-stainless-read-timeout": "0.6"})
    assert status == 200 and text.count(b": keep-alive\n\n") >= 3


@pytest.mark.parametrize("index", [{}, {"index": 0}], ids=["without an index", "all of the same index"])
def test_parallel_calls_are_told_apart_whatever_the_provider_calls_them(house, index):
    pieces = [chunk({"tool_calls": [{**index, "id": id, "type": "function", "function": {"name": name, "arguments": "{}"}}]})
              for id, name in (("c1", "f"), ("c2", "g"))]
    _, _, client = house(lambda asked: [*pieces, chunk({}, finish="tool_calls"), USAGE], dialect="gemini")
    tools = [{"type": "function", "function": {"name": name}} for name in "fg"]
    with client.chat.completions.stream(model="up", messages=HELLO, tools=tools) as stream:
        list(stream)
        calls = stream.get_final_completion().choices[0].message.tool_calls
    assert [(call.id, call.function.name, call.function.arguments) for call in calls] == [("c1", "f", "{}"), ("c2", "g", "{}")]
