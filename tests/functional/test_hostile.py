"""What somebody sends who means harm, with a key or without: none of it costs others time, memory, money or data."""
import concurrent.futures
import http.client
import json
import socket
import sqlite3
import time
import urllib.parse

import pytest

import configs
from processes import as_client, get, send, wait_until
from upstream import chat

HELLO = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def house(start_gateway, start_upstream):
    def start(answer=lambda asked: chat(), endpoints="chat", body_max="32MiB", **settings):
        upstream = start_upstream(answer)
        provider = configs.provider(upstream.base_url, "up", endpoints=endpoints)
        whole = configs.gateway({"local": configs.synthetic_engine(), "up": provider}, **settings)
        whole["server"]["body_max"] = body_max
        return start_gateway(whole), upstream
    return start


def ask(gateway, path, body):
    """Status and JSON."""
    status, _, answer = send(gateway.api + path, "POST", body, as_client(), timeout=20)
    return status, json.loads(answer)


def test_a_long_model_name_is_neither_kept_nor_repeated(house):
    gateway, _ = house()
    assert ask(gateway, "/chat/completions", {"model": "m" * 256, "messages": HELLO})[0] == 404
    for _ in range(5):
        status, answer = ask(gateway, "/chat/completions", {"model": "m" * (8 << 20), "messages": HELLO})
        assert (status, answer["error"]["param"]) == (400, "model") and len(str(answer)) < 1000
    assert len(get(f"{gateway.admin}/decisions?n=100")[1]) < 10_000


@pytest.mark.parametrize("path, member", [("/chat/completions", "x"), ("/embeddings", "x"), ("/messages", "metadata"),
                                          ("/messages/count_tokens", "metadata")])
def test_an_object_of_many_members_is_refused(house, path, member):
    gateway, _ = house(endpoints=["chat", "embeddings"])
    many = {f"k{i}": 1 for i in range(3_000)}
    body = {"model": "up", "messages": HELLO, **({"input": "a"} if path == "/embeddings" else {"max_tokens": 1})}
    for hostile in ({**body, **many}, {**body, member: many}, {**body, member: [[]] * 1_000_001}):
        status, answer = ask(gateway, path, hostile)
        assert status == 400 and "members in one object" in answer["error"]["message"]


def test_objects_of_many_members_are_few(house):
    """Where order counts each member is looked for among those before."""
    gateway, _ = house()
    wide = {f"k{i}": 1 for i in range(2_000)}

    def asked(objects):
        tools = [{"type": "function", "function": {"name": f"f{i}", "parameters": {"type": "object", "x": wide}}} for i in range(objects)]
        return ask(gateway, "/chat/completions", {"model": "up", "messages": HELLO, "tools": tools})
    assert asked(4)[0] == 200
    status, answer = asked(5)
    assert status == 400 and "several objects of hundreds" in answer["error"]["message"]


def test_one_tenant_sends_no_more_large_bodies_at_a_time_than_memory_can_bear(house):
    gateway, _ = house()
    at = urllib.parse.urlsplit(gateway.api)

    def begin():
        connection = socket.create_connection((at.hostname, at.port), timeout=5)
        head = {"host": "x", "content-length": str(32 << 20), "expect": "100-continue", **as_client()}
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\n" + b"".join(f"{k}: {v}\r\n".encode() for k, v in head.items()) + b"\r\n")
        return connection, int(connection.recv(4096).split()[1])
    begun = [begin() for _ in range(16)]
    assert {status for _, status in begun} == {100} and begin()[1] == 503
    assert ask(gateway, "/chat/completions", {"model": "up", "messages": HELLO})[0] == 200
    for connection, _ in begun:
        connection.close()
    wait_until(lambda: begin()[1] == 100, what="room")


def test_a_stranger_is_told_before_a_large_body_is_taken(house):
    gateway, _ = house()
    at = urllib.parse.urlsplit(gateway.api)
    for framing in ({"content-length": str(32 << 20)}, {"transfer-encoding": "chunked"}):
        connection = http.client.HTTPConnection(at.hostname, at.port, timeout=5)
        connection.putrequest("POST", "/v1/chat/completions")
        for name, value in {**framing, "authorization": "Bearer nobody", "content-type": "application/json"}.items():
            connection.putheader(name, value)
        connection.endheaders()  # Nothing of the body is sent.
        answer = connection.getresponse()
        assert answer.status == 401 and json.loads(answer.read())["error"]["code"] == "invalid_api_key"
        connection.close()


def test_limits_count_what_was_asked_for_however_much(house):
    limits = {"up": {"tokens_per_minute": 1_000_000}}
    gateway, _ = house(model_limits=limits)
    ask(gateway, "/chat/completions", {"model": "up", "messages": [{"role": "user", "content": " " * 8_000}],
                                       "max_tokens": 2**31 - 1})
    assert ask(gateway, "/chat/completions", {"model": "up", "messages": HELLO, "max_tokens": 5})[0] == 200


def test_choices_count_against_the_limit_of_tokens(house):
    gateway, upstream = house(model_limits={"up": {"tokens_per_minute": 1_000}})
    upstream.answer = lambda asked: lambda handler: handler.wait_until_left()
    at = urllib.parse.urlsplit(gateway.api)
    first = http.client.HTTPConnection(at.hostname, at.port, timeout=20)
    body = {"model": "up", "messages": HELLO, "max_tokens": 100, "n": 8}
    first.request("POST", "/v1/chat/completions", json.dumps(body), as_client())
    wait_until(lambda: upstream.asked, what="the first of them")
    assert ask(gateway, "/chat/completions", body)[0] == 429
    first.close()


@pytest.mark.parametrize("path, body", [
    ("/moderations", {"input": [{"type": 5}]}), ("/moderations", {"input": [{"type": {}}]}),
    ("/chat/completions", {"model": "up", "messages": HELLO, "max_tokens": 100_000, "max_completion_tokens": 5}),
    ("/completions", {"model": "up", "prompt": "a" * (1 << 20), "n": 128, "echo": True})])
def test_it_is_refused_with_a_reason(house, path, body):
    gateway, _ = house(endpoints=["chat", "moderations", "completions"])
    status, answer = ask(gateway, path, body)
    assert 400 <= status < 500 and answer["error"]["message"]


def test_a_provider_that_says_nonsense_still_has_its_account(house):
    """Pieces of a call whose arguments are a number are no reason to lose the request."""
    calls = [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": 5}},
             {"index": 0, "function": {"arguments": "x"}}]

    def answer(asked):
        return [{"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "up",
                 "choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]} for call in calls] + [
            {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "up",
             "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}]
    gateway, _ = house(answer)
    ask(gateway, "/chat/completions", {"model": "up", "messages": HELLO})
    wait_until(lambda: gateway.decisions(1), what="the decision")


def test_what_is_stored_and_damaged_costs_its_readers_only(start_gateway, start_upstream, tmp_path):
    config = configs.gateway({"up": configs.provider(start_upstream(lambda asked: chat()).base_url, "up")})
    config["server"]["state"] = str(tmp_path / "state")
    gateway = start_gateway(config)
    identity = ask(gateway, "/responses", {"model": "up", "input": "x"})[1]["id"]
    with sqlite3.connect(tmp_path / "state" / "responses.sqlite") as database:
        assert database.execute("UPDATE responses SET body = '{', input = 'nonsense'").rowcount == 1
    status, _, _ = send(f"{gateway.api}/responses/{identity}/input_items", "GET", None, as_client())
    assert status == 500
    for more in ({"previous_response_id": identity}, {"input": [{"type": "item_reference", "id": f"msg_{identity[5:]}_0"}]}):
        assert ask(gateway, "/responses", {"model": "up", "input": "y", **more})[0] >= 400
    assert ask(gateway, "/responses", {"model": "up", "input": "x"})[0] == 200


@pytest.mark.parametrize("host, status", [("evil.example", 403), ("evil.example:9090", 403), ("127.0.0.1.evil.example:1", 403),
                                          ("127.0.0.1:9090", 200), ("[::1]:9090", 200), ("localhost", 200), ("gateway:9090", 200)])
def test_a_page_that_a_name_leads_here_is_no_operator(house, host, status):
    """Without an admin key a browser might be made to ask by a page's own name."""
    gateway, _ = house()
    at = urllib.parse.urlsplit(gateway.admin)
    for method, path in (("GET", "/config"), ("POST", "/reload")):
        connection = http.client.HTTPConnection(at.hostname, at.port, timeout=5)
        connection.putrequest(method, path, skip_host=True)
        for name, value in (("host", host), ("content-length", "0")):
            connection.putheader(name, value)
        connection.endheaders()
        assert connection.getresponse().status == status
        connection.close()


def test_small_bodies_in_chunks_are_no_large_ones(house):
    """A proxy sends so what it has not read itself; their ends are on their way."""
    gateway, _ = house()
    at = urllib.parse.urlsplit(gateway.api)
    body = json.dumps({"model": "up", "messages": HELLO, "max_tokens": 4}).encode()
    connections = [http.client.HTTPConnection(at.hostname, at.port, timeout=20) for _ in range(40)]
    for connection in connections:
        connection.putrequest("POST", "/v1/chat/completions")
        for name, value in {**as_client(), "transfer-encoding": "chunked"}.items():
            connection.putheader(name, value)
        connection.endheaders()
        connection.send(b"%x\r\n%b\r\n" % (len(body), body))
    for connection in connections:
        connection.send(b"0\r\n\r\n")
        assert connection.getresponse().status == 200
        connection.close()


ARGUMENTS = {"deep": '{"a":' + "[" * 200_000 + "]" * 200_000 + "}", "wide": json.dumps({f"k{i}": 1 for i in range(30_000)})}


def call_of(arguments):
    return {"id": "c1", "type": "function", "function": {"name": "f", "arguments": arguments}}


def is_well(gateway):
    began = time.monotonic()
    return get(gateway.root + "/health")[0] == 200 and time.monotonic() - began < 1


@pytest.mark.parametrize("arguments", ARGUMENTS.values(), ids=ARGUMENTS)
def test_a_calls_arguments_that_no_model_writes_stay_text(house, arguments):
    """They are JSON in a text: what Claude takes, and its clients get, is an object."""
    answer = chat(text=None)
    answer["choices"][0] = {"index": 0, "finish_reason": "tool_calls",
                            "message": {"role": "assistant", "content": None, "tool_calls": [call_of(arguments)]}}
    gateway, _ = house(lambda asked: answer)
    tool = {"name": "f", "input_schema": {"type": "object"}}
    body = {"model": "up", "max_tokens": 9, "messages": HELLO, "tools": [tool]}
    began = time.monotonic()
    status, told = ask(gateway, "/messages", body)
    assert (status, told["content"][0]["input"]) == (200, {"arguments": arguments})
    assert time.monotonic() - began < 5 and is_well(gateway)


@pytest.mark.parametrize("arguments", ARGUMENTS.values(), ids=ARGUMENTS)
def test_a_history_of_such_calls_reaches_claude_as_text(start_gateway, start_upstream, arguments):
    upstream = start_upstream(lambda asked: {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}})
    gateway = start_gateway(configs.gateway({"up": configs.provider(upstream.base_url, "up", dialect="anthropic")}))
    messages = [*HELLO, {"role": "assistant", "tool_calls": [call_of(arguments)]},
                {"role": "tool", "tool_call_id": "c1", "content": "ok"}]
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    began = time.monotonic()
    ask(gateway, "/chat/completions", {"model": "up", "max_tokens": 9, "messages": messages, "tools": tools})
    assert time.monotonic() - began < 5 and is_well(gateway)
    sent = upstream.asked[0].json["messages"][1]["content"][0]
    assert sent["input"] == {"arguments": arguments}


def said(gateway, text, **more):
    """The response to it."""
    status, response = ask(gateway, "/responses", {"model": "up", "input": text, **more})
    assert status == 200, response
    return response


def test_items_that_are_named_again_and_again_are_neither_copied_nor_read_without_end(house):
    gateway, _ = house(body_max="256KiB")
    large, small = said(gateway, "x" * 150_000), said(gateway, "y")

    def count(*responses, times):
        names = []
        for response in responses:
            items = json.loads(send(f"{gateway.api}/responses/{response['id']}/input_items", headers=as_client())[2])
            names.append({"type": "item_reference", "id": items["data"][0]["id"]})
        return ask(gateway, "/responses/input_tokens", {"model": "up", "input": names * times})
    for status, answer in (count(large, times=2), count(large, times=500), count(large, said(gateway, "z" * 150_000), times=1)):
        assert (status, answer["error"]["code"], answer["error"]["param"]) == (400, "context_length_exceeded", "input")
    assert count(small, times=1_000)[0] == 200
    small_names = count(small, times=1_001)
    assert small_names[0] == 400 and "at most 1000 items" in small_names[1]["error"]["message"]


def test_a_conversation_may_be_as_large_as_a_body(house):
    gateway, upstream = house(body_max="64KiB")
    first = said(gateway, "x" * 30_000)
    second = said(gateway, "y" * 30_000, previous_response_id=first["id"])
    third = said(gateway, "z" * 3_000, previous_response_id=second["id"])
    before = len(upstream.asked)
    for path in ("/responses", "/responses/input_tokens"):
        status, answer = ask(gateway, path, {"model": "up", "input": "on" * 1_500, "previous_response_id": third["id"]})
        error = answer["error"]
        assert (status, error["code"], error["param"]) == (400, "context_length_exceeded", "previous_response_id")
    assert len(upstream.asked) == before


def test_a_long_prompt_holds_up_nobody_else(start_gateway):
    """With LibTorch its tokenizer is a real one, which 3 MB of spaces keep busy for seconds."""
    limits = {"smollm2": {"requests_per_minute": 1}}
    whole = configs.gateway({"local": configs.engine()}, model_limits=limits)
    whole["server"]["workers"] = 1
    gateway = start_gateway(whole)
    long = [{"role": "user", "content": " " * (3 << 20)}]
    assert ask(gateway, "/chat/completions", {"model": "smollm2", "messages": HELLO, "max_tokens": 1})[0] == 200
    assert ask(gateway, "/chat/completions", {"model": "smollm2", "messages": long})[0] == 429
    for path, body in (("/chat/completions", {"messages": long}), ("/responses/input_tokens", {"input": long}),
                       ("/messages/count_tokens", {"messages": long})):
        with concurrent.futures.ThreadPoolExecutor() as beside:
            asked = beside.submit(ask, gateway, path, {"model": "smollm2", **body})
            assert is_well(gateway)
            assert asked.result()[0] in (200, 400, 429)
