"""Idempotency keys: the first answer again, byte for byte, and paid for once."""
import concurrent.futures
import contextlib
import http.client
import json
import socket
import sqlite3
import threading

import openai
import pytest

import configs
import upstream
from processes import KEY, wait_until

HELLO = [{"role": "user", "content": "Hello there."}]


@pytest.fixture
def house(start_upstream, start_gateway, tmp_path):
    """A gateway with a ledger in front of one provider; `answers` makes that say something else each time."""
    def start(answer=None, **settings):
        provider = start_upstream(lambda asked: (answer or other_each_time)(provider, asked))
        config = configs.gateway({"cloud": configs.provider(provider.base_url, "cloud")}, classes={"all": {"spill": "always"}},
                                 default_class="all", **settings)
        config["server"]["state"] = str(tmp_path / "state")
        return start_gateway(config, ONE="sk-one", TWO="sk-two"), provider
    return start


def other_each_time(provider, asked):
    text = f"Answer {len(provider.asked)}"
    if asked.json.get("stream"):
        return [upstream.chunk({"role": "assistant", "content": text}), upstream.chunk({}, finish="stop"), upstream.USAGE]
    return upstream.chat(text)


def post(gateway, key, body=None, path="/v1/chat/completions", secret=KEY):
    """Status, headers and bytes."""
    with contextlib.closing(http.client.HTTPConnection(gateway.api.split("/")[2], timeout=20)) as connection:
        body = body if body is not None else {"model": "auto", "messages": HELLO, "max_tokens": 8}
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json", "idempotency-key": key,
                                                            "authorization": "Bearer " + secret})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def booked(tmp_path):
    with sqlite3.connect(f"file:{tmp_path}/state/ledger.sqlite?mode=ro", uri=True) as database:
        return database.execute("SELECT count(*) FROM entries").fetchone()[0]


@pytest.mark.parametrize("stream", [False, True])
def test_the_first_answer_comes_again_to_the_byte(house, tmp_path, stream):
    gateway, provider = house()
    body = {"model": "auto", "messages": HELLO, "max_tokens": 8, "stream": stream}
    status, headers, first = post(gateway, "once", body)
    assert status == 200 and b"Answer 1" in first and "idempotent-replayed" not in headers
    status, again, second = post(gateway, "once", body)
    assert (status, second) == (200, first)
    assert again["content-type"] == headers["content-type"]
    assert again["idempotent-replayed"] == "true"
    assert again["x-spillway-first-request-id"] == headers["x-request-id"] != again["x-request-id"]
    assert again["x-spillway-target"] == "cloud"
    assert len(provider.asked) == 1
    ids = (again["x-request-id"], headers["x-request-id"])
    wait_until(lambda: any((line.get("request_id"), line.get("first_request_id")) == ids for line in gateway.log()),
               what="its line")
    assert b"Answer 2" in post(gateway, "another", body)[2]
    wait_until(lambda: booked(tmp_path) == 2, what="two entries")
    counts = {result: gateway.metric("spillway_idempotency_requests_total", result=result) for result in ("first", "replayed")}
    assert counts == {"first": 2, "replayed": 1}


def test_a_key_belongs_to_one_request_and_one_caller(house):
    keys = {"one": {"secret": "env:ONE", "tenant": "a"}, "two": {"secret": "env:TWO", "tenant": "a"}}
    gateway, provider = house(keys=keys)
    assert post(gateway, "mine", secret="sk-one")[0] == 200
    status, headers, text = post(gateway, "mine", {"model": "auto", "messages": HELLO, "max_tokens": 9}, secret="sk-one")
    error = json.loads(text)["error"]
    assert (status, error["code"], headers["x-should-retry"]) == (400, "idempotency_key_reused", "false")
    assert post(gateway, "mine", path="/v1/completions", body={"model": "auto", "prompt": "x"}, secret="sk-one")[0] == 400
    assert b"Answer 2" in post(gateway, "mine", secret="sk-two")[2]
    assert post(gateway, "mine", secret="nobody")[0] == 401
    assert len(provider.asked) == 2


@pytest.mark.parametrize("key, status", [("k" * 255, 200), ("k" * 256, 400), ("", 400), ("a b", 400)])
def test_a_key_has_a_length(house, key, status):
    gateway, _ = house()
    assert post(gateway, key)[0] == status


def held():
    """An answer that waits: how it is given, that it has been asked for, and what lets it go."""
    asked, go_on = threading.Event(), threading.Event()

    def answer(provider, request):
        asked.set()
        assert go_on.wait(20)
        return other_each_time(provider, request)
    return answer, asked, go_on


def test_a_second_is_told_while_the_first_is_answered(house):
    """…in a way that the SDK comes back by itself."""
    slow, asked, go_on = held()
    gateway, provider = house(slow)
    with openai.OpenAI(base_url=gateway.api, api_key=KEY, max_retries=5) as client, \
            concurrent.futures.ThreadPoolExecutor(2) as pool:
        def create():
            return client.chat.completions.with_raw_response.create(model="auto", messages=HELLO, max_tokens=8,
                                                                    extra_headers={"idempotency-key": "once"})
        first = pool.submit(create)
        assert asked.wait(20)
        second = pool.submit(create)
        wait_until(lambda: gateway.metric("spillway_idempotency_requests_total", result="refused") >= 1,
                   what="its first try")
        go_on.set()
        assert "idempotent-replayed" not in first.result().headers
        assert second.result().headers["idempotent-replayed"] == "true"
    assert len(provider.asked) == 1


def test_how_a_second_is_told(house):
    slow, asked, go_on = held()
    gateway, _ = house(slow)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, gateway, "once")
        assert asked.wait(20)
        status, headers, text = post(gateway, "once")
        go_on.set()
        assert (status, headers["retry-after"], json.loads(text)["error"]["code"]) == (409, "1", "idempotency_key_in_use")
        assert first.result()[0] == 200
    assert post(gateway, "once")[1]["idempotent-replayed"] == "true"


def test_what_failed_is_tried_again(house):
    gateway, provider = house(lambda provider, asked: upstream.chat() if len(provider.asked) > 1
                              else (400, {"error": {"message": "not this time", "type": "x", "code": None}}))
    assert post(gateway, "once")[0] == 400
    status, headers, _ = post(gateway, "once")
    assert status == 200 and "idempotent-replayed" not in headers
    assert len(provider.asked) == 2


def test_a_stream_that_broke_is_not_repeated(house):
    def breaks_once(provider, asked):
        if len(provider.asked) > 1:
            return other_each_time(provider, asked)

        def cut(handler):
            handler.send_response(200)
            handler.send_header("content-type", "text/event-stream")
            handler.end_headers()
            piece = json.dumps(upstream.chunk({"role": "assistant", "content": "Answer half"}))
            handler.wfile.write(f"data: {piece}\n\n".encode())
            handler.wfile.flush()
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
        return cut
    gateway, _ = house(breaks_once)
    body = {"model": "auto", "messages": HELLO, "max_tokens": 8, "stream": True}
    first = post(gateway, "once", body)[2]
    assert b"Answer half" in first and b'"error"' in first and b"data: [DONE]" not in first
    status, headers, second = post(gateway, "once", body)
    assert status == 200 and b"Answer 2" in second and "idempotent-replayed" not in headers


class CuttingProxy:
    """Takes the first whole answer away from the client and closes the connection; later ones pass."""

    def __init__(self, address):
        self.address, self.cut = address, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/v1"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        server = socket.create_connection(self.address)
        threading.Thread(target=self._copy, args=(client, server), daemon=True).start()
        cuts = not self.cut
        answer = b""
        while piece := server.recv(65536):
            answer += piece
            if not cuts:
                client.sendall(piece)
            elif b"\r\n0\r\n\r\n" in answer or (b'"usage"' in answer and answer.endswith(b"}")):
                break
        self.cut.append(answer)
        for end in (client, server):  # The other thread still reads of both.
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _copy(source, target):
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                target.sendall(piece)

    def end(self):
        self.listener.close()


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_lost_on_its_way_is_not_paid_twice(house, processes, tmp_path, stream):
    """The connection dies when the work is done: the SDK's retry gets what was paid for."""
    gateway, provider = house()
    host, port = gateway.api.split("/")[2].split(":")
    proxy = CuttingProxy((host, int(port)))
    processes.append(proxy)
    with openai.OpenAI(base_url=proxy.url, api_key=KEY, max_retries=3) as client:
        answer = client.chat.completions.create(model="auto", messages=HELLO, max_tokens=8, stream=stream,
                                                extra_headers={"idempotency-key": "once"})
        text = "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices) if stream \
            else answer.choices[0].message.content
    assert text == "Answer 1" and b"Answer 1" in proxy.cut[0]
    assert len(provider.asked) == 1
    wait_until(lambda: booked(tmp_path) == 1, what="the entry")
    assert gateway.metric("spillway_idempotency_requests_total", result="replayed") == 1
