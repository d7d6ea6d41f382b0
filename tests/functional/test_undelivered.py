"""An answer whose connection breaks when the work is done waits for its client's next try, which pays nothing more."""
import contextlib
import json
import re
import socket
import sqlite3
import struct
import threading
import time

import anthropic
import openai
import pytest

import configs
import upstream
from processes import KEY, send, wait_until

HELLO = [{"role": "user", "content": "Hello there."}]
BODY = {"model": "auto", "messages": HELLO, "max_tokens": 8}


@pytest.fixture
def house(start_upstream, start_gateway, tmp_path):
    """A gateway with a ledger in front of one provider, which says something else each time."""
    def start(length=1, **settings):
        provider = start_upstream(lambda asked: upstream.chat(f"Answer {len(provider.asked)} " * length))
        config = configs.gateway({"cloud": configs.provider(provider.base_url, "cloud")}, classes={"all": {"spill": "always"}},
                                 default_class="all", **settings)
        config["server"]["state"] = str(tmp_path / "state")
        return start_gateway(config, ONE="sk-one", TWO="sk-two"), provider
    return start


def booked(tmp_path):
    with sqlite3.connect(f"file:{tmp_path}/state/ledger.sqlite?mode=ro", uri=True) as database:
        return database.execute("SELECT count(*) FROM entries").fetchone()[0]


def redelivered(gateway):
    return gateway.metric("spillway_idempotency_requests_total", result="redelivered")


def told_again(gateway, headers):
    """Whether the log has the line of an answer that was given again with these headers."""
    ids = (headers["x-request-id"], headers["x-spillway-first-request-id"])
    return any((line.get("request_id"), line.get("first_request_id")) == ids for line in gateway.log())


def request_of(body=None, secret=KEY, path="/v1/chat/completions", **headers):
    data = json.dumps(body or BODY).encode()
    lines = {"host": "a", "content-type": "application/json", "authorization": "Bearer " + secret,
             "content-length": str(len(data)), **headers}
    return f"POST {path} HTTP/1.1\r\n".encode() + "".join(f"{n}: {v}\r\n" for n, v in lines.items()).encode() + b"\r\n" + data


def connect(gateway, receive_bytes=None):
    client = socket.socket()
    if receive_bytes:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    client.settimeout(20)
    host, port = gateway.api.split("/")[2].split(":")
    client.connect((host, int(port)))
    return client


def lose(gateway, **request):
    """A client that goes when its answer has come, and has not read it."""
    client = connect(gateway)
    client.sendall(request_of(**request))
    assert client.recv(1, socket.MSG_PEEK) == b"H"
    client.close()


def retry(gateway, body=None, secret=KEY, count="1", path="/v1/chat/completions"):
    status, headers, text = send(gateway.api.removesuffix("/v1") + path, "POST", json.dumps(body or BODY).encode(),
                                 {"content-type": "application/json", "authorization": "Bearer " + secret,
                                  "x-stainless-retry-count": count})
    return status, headers, text.decode()


def test_a_lost_answer_is_had_by_the_next_try_once(house, tmp_path):
    gateway, provider = house()
    lose(gateway, **{"x-stainless-retry-count": "0"})
    status, headers, text = retry(gateway)
    assert status == 200 and "Answer 1" in text
    assert headers["idempotent-replayed"] == "true" and headers["x-spillway-first-request-id"] != headers["x-request-id"]
    assert headers["x-spillway-target"] == "cloud"
    wait_until(lambda: told_again(gateway, headers), what="the line")
    status, headers, text = retry(gateway)
    assert "Answer 2" in text and "idempotent-replayed" not in headers
    wait_until(lambda: booked(tmp_path) == 2, what="two entries")
    assert redelivered(gateway) == 1 and len(provider.asked) == 2


def test_an_answer_may_be_lost_again(house):
    gateway, provider = house()
    lose(gateway)
    lose(gateway, **{"x-stainless-retry-count": "1"})
    status, headers, text = retry(gateway, count="2")
    assert status == 200 and "Answer 1" in text and len(provider.asked) == 1
    assert headers.get_all("idempotent-replayed") == ["true"] and len(headers.get_all("x-spillway-first-request-id")) == 1


def test_equal_first_requests_are_never_merged(house):
    gateway, _ = house()
    lose(gateway)
    for count in ("0", "", "x", "-1"):
        assert "Answer 1" not in retry(gateway, count=count)[2]
    assert "Answer 1" in retry(gateway, count="2")[2]


def test_it_belongs_to_one_request_and_one_key(house):
    keys = {"one": {"secret": "env:ONE", "tenant": "a"}, "two": {"secret": "env:TWO", "tenant": "a"}}
    gateway, _ = house(keys=keys)
    lose(gateway, secret="sk-one")
    assert "Answer 2" in retry(gateway, secret="sk-two")[2]
    assert "Answer 3" in retry(gateway, {**BODY, "max_tokens": 9}, secret="sk-one")[2]
    assert retry(gateway, secret="nobody")[0] == 401
    assert "Answer 1" in retry(gateway, secret="sk-one")[2]


def test_a_client_that_has_read_all_has_its_answer(house):
    """However it goes then: by its end, and by the next request on the connection."""
    gateway, _ = house()
    with connect(gateway) as client:
        client.sendall(request_of())
        assert b"Answer 1" in client.recv(65536)
    assert "Answer 2" in retry(gateway)[2]
    with connect(gateway) as client:
        client.sendall(request_of())
        assert b"Answer 3" in client.recv(65536)
        client.sendall(request_of())
        assert b"Answer 4" in client.recv(65536)
        # An abort behind the last answer says nothing of the one before.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert "Answer 4" in retry(gateway)[2]
    assert "Answer 5" in retry(gateway)[2]


def test_what_was_taken_a_while_ago_has_arrived(house):
    """An idle connection may be reset by whoever stands between: its last answer was read long before."""
    gateway, _ = house()
    with connect(gateway) as client:
        client.sendall(request_of())
        assert b"Answer 1" in client.recv(65536)
        time.sleep(2)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert "Answer 2" in retry(gateway)[2]


def test_what_makes_room_for_another_has_its_answer(house):
    gateway, _ = house(server={"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "connections_max": 1, "workers": 1})
    with connect(gateway) as client:
        client.sendall(request_of())
        assert b"Answer 1" in client.recv(65536)
        assert "Answer 2" in retry(gateway)[2]


def test_an_answer_that_breaks_while_it_is_written(house):
    gateway, provider = house(length=200_000)
    with connect(gateway, 4096) as client:
        client.sendall(request_of())
        assert client.recv(64)
    status, headers, text = retry(gateway)
    assert json.loads(text)["choices"][0]["message"]["content"].startswith("Answer 1 ") and len(text) > 1_000_000
    assert len(provider.asked) == 1


def test_what_a_client_left_before_its_end_is_not_kept(start_upstream, start_gateway):
    asked, go_on = threading.Event(), threading.Event()

    def answer(request):
        first = not asked.is_set()
        asked.set()
        assert not first or go_on.wait(20)
        return upstream.chat("Answer first" if first else "Answer second")
    provider = start_upstream(answer)
    gateway = start_gateway(configs.gateway({"cloud": configs.provider(provider.base_url, "cloud")},
                                            classes={"all": {"spill": "always"}}, default_class="all"))
    client = connect(gateway)
    client.sendall(request_of())
    assert asked.wait(20)
    client.close()
    wait_until(lambda: gateway.metric("spillway_stream_client_gone_total") == 1, what="its end")
    go_on.set()
    assert "Answer second" in retry(gateway)[2]


def test_a_lost_batch_is_not_made_twice(house):
    gateway, _ = house()
    form = (b'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--b\r\ncontent-disposition: form-data; '
            b'name="file"; filename="a.jsonl"\r\n\r\n' + json.dumps({"custom_id": "1", "method": "POST",
                                                                    "url": "/v1/chat/completions", "body": BODY}).encode() +
            b"\n\r\n--b--\r\n")
    _, _, file = send(gateway.api + "/files", "POST", form,
                      {"content-type": "multipart/form-data; boundary=b", "authorization": "Bearer " + KEY})
    body = {"input_file_id": json.loads(file)["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    lose(gateway, body=body, path="/v1/batches")
    made = json.loads(retry(gateway, body, path="/v1/batches")[2])
    listed = json.loads(send(gateway.api + "/batches", headers={"authorization": "Bearer " + KEY})[2])["data"]
    assert [batch["id"] for batch in listed] == [made["id"]]


class Breaker:
    """Reads of the first answer no more than its head, tells its client that, and breaks both connections; later ones pass."""

    def __init__(self, gateway):
        self.gateway, self.broke = gateway, False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client, connect(self.gateway) as server, contextlib.suppress(OSError):
            while (asked := self._request(client)) is not None:
                server.sendall(asked)
                if not self.broke:
                    self.broke = True
                    client.sendall(server.recv(40))
                    return
                client.sendall(self._answer(server))

    @staticmethod
    def _request(client):
        text = b""
        while not (found := re.search(rb"content-length: (\d+)(?:\r\n.*?)?\r\n\r\n", text, re.S | re.I)) or \
                len(text) < found.end() + int(found[1]):
            piece = client.recv(65536)
            if not piece:
                return None
            text += piece
        return text

    _answer = _request

    def end(self):
        self.listener.close()


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
def test_the_sdks_own_retry_pays_once(house, processes, tmp_path, sdk):
    gateway, provider = house()
    broken = Breaker(gateway)
    processes.append(broken)
    if sdk == "openai":
        with openai.OpenAI(base_url=broken.url + "/v1", api_key=KEY, max_retries=2) as client:
            answer = client.chat.completions.create(model="auto", messages=HELLO, max_tokens=8)
        text = answer.choices[0].message.content
    else:
        with anthropic.Anthropic(base_url=broken.url, api_key=KEY, max_retries=2) as client:
            text = client.messages.create(model="auto", messages=HELLO, max_tokens=8).content[0].text
    assert broken.broke and text.strip() == "Answer 1" and len(provider.asked) == 1
    wait_until(lambda: booked(tmp_path) == 1, what="the entry")
    assert redelivered(gateway) == 1


def test_what_the_provider_has_sent_is_booked_though_its_client_has_not_taken_it(start_upstream, start_gateway, tmp_path):
    words, written = 3000, threading.Event()

    def say(handler):
        upstream.begin(handler)
        usage = {**upstream.USAGE, "usage": {"prompt_tokens": 9, "completion_tokens": words, "total_tokens": words + 9}}
        for one in [upstream.chunk({"content": " word"})] * words + [upstream.chunk({}, finish="length"), usage]:
            handler.wfile.write(b"data: " + json.dumps(one).encode() + b"\n\n")
        written.set()

    provider = start_upstream(lambda asked: say)
    config = configs.gateway({"cloud": configs.provider(provider.base_url, "cloud")}, classes={"all": {"spill": "always"}},
                             default_class="all")
    config["server"]["state"] = str(tmp_path / "state")
    client = connect(start_gateway(config), receive_bytes=4096)
    client.sendall(request_of({**BODY, "max_tokens": words, "stream": True}))
    assert client.recv(12) == b"HTTP/1.1 200" and written.wait(10)
    client.close()
    wait_until(lambda: booked(tmp_path) == 1, what="the entry")
    with sqlite3.connect(f"file:{tmp_path}/state/ledger.sqlite?mode=ro", uri=True) as database:
        assert database.execute("SELECT prompt, completion, estimated FROM entries").fetchall() == [(9, words, 0)]
