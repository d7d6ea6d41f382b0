"""/v1/responses over a WebSocket: openai-python's own client, and a plain one for what goes wrong."""
import base64
import json
import os
import signal
import socket

import openai
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

import configs
from processes import KEY, wait_until

ASK = "one two three four five"
BEARER = {"authorization": f"Bearer {KEY}"}
LOOK = {"type": "function", "name": "look",
        "parameters": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}}
TEXT_TURN = ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
             "response.output_text.delta", "response.output_text.done", "response.content_part.done",
             "response.output_item.done", "response.completed"]


@pytest.fixture
def slow(start_provider):
    return start_provider("openmodel")


@pytest.fixture
def house(slow, start_provider, start_gateway):
    quick = start_provider("instant")
    quick.script(faults=[{"kind": "error", "share": 0.0}])  # It reads what it is asked.
    settings = configs.gateway({"openmodel": configs.provider(slow.base_url, "openmodel"),
                                "cloudbrain": configs.provider(quick.base_url, "cloudbrain")})
    settings["server"]["body_max"] = "64KiB"
    return start_gateway(settings)


def url_of(house):
    return house.api.replace("http://", "ws://") + "/responses"


@pytest.fixture
def plain(house):
    with connect(url_of(house), additional_headers=BEARER) as client:
        yield client


def turn(**more):
    return json.dumps({"type": "response.create", "model": "cloudbrain", "input": ASK, **more})


def events_of(client):
    """Those of one turn."""
    events = []
    while not events or events[-1]["type"] not in ("error", "response.completed", "response.incomplete", "response.failed"):
        events.append(json.loads(client.recv(timeout=10)))
    return events


def closed_with(client):
    with pytest.raises(ConnectionClosed) as raised:
        while True:
            client.recv(timeout=10)
    return raised.value.rcvd.code, raised.value.rcvd.reason


# openai-python opens it in a way that websockets will not have for ever.
@pytest.mark.filterwarnings("ignore:connect\\(\\) must be used:DeprecationWarning")
def test_turns_by_the_official_client(house, client_of):
    with client_of(house).responses.connect() as connection:
        connection.response.create(model="cloudbrain", input=ASK)
        kinds, numbers = [], []
        for event in connection:
            kinds.append(event.type)
            numbers.append(event.sequence_number)
            if event.type == "response.completed":
                first = event.response
                break
        assert list(dict.fromkeys(kinds)) == TEXT_TURN and numbers == list(range(len(numbers)))
        connection.response.create(model="cloudbrain", input="on", previous_response_id=first.id)
        second = next(event.response for event in connection if event.type == "response.completed")
        connection.response.create(model="nobody", input=ASK)
        refused = next(iter(connection))
        assert refused.type == "error" and refused.status == 404 and refused.error.code == "model_not_found"
        assert second.previous_response_id == first.id and second.usage.input_tokens > first.usage.input_tokens
    assert client_of(house).responses.retrieve(second.id).output_text == second.output_text


def test_a_call_and_its_result(plain):
    plain.send(turn(tools=[LOOK], tool_choice="required"))
    first = events_of(plain)[-1]["response"]
    call = first["output"][-1]
    assert call["type"] == "function_call"
    plain.send(turn(previous_response_id=first["id"], tools=[LOOK], tool_choice="required",
                    input=[{"type": "function_call_output", "call_id": call["call_id"], "output": "seen"}]))
    assert events_of(plain)[-1]["response"]["output"][-1]["type"] == "message"


def test_a_turn_that_is_not_kept_can_be_gone_on_from(plain, house, client_of):
    last = None
    for words in ("a b", "c d", "e f"):
        plain.send(turn(input=words, previous_response_id=last, store=False, max_output_tokens=16))
        last = events_of(plain)[-1]["response"]["id"]
        plain.send(turn(input=words, store=False, max_output_tokens=16, previous_response_id="resp_x"))
        assert events_of(plain)[-1]["error"]["code"] == "previous_response_not_found"
    plain.send(turn(input="g h", previous_response_id=last, max_output_tokens=16))
    kept = events_of(plain)[-1]["response"]
    plain.send(turn(input="alone", max_output_tokens=16))
    alone = events_of(plain)[-1]["response"]["usage"]["input_tokens"]
    assert kept["usage"]["input_tokens"] > alone + 3 * 16
    for name in (last, kept["id"]):
        with pytest.raises(openai.BadRequestError, match="not found"):
            client_of(house).responses.create(model="cloudbrain", input="x", previous_response_id=name)


def test_what_a_connection_remembers_is_no_larger_than_a_body(plain):
    last = None
    for letter in "ab":
        plain.send(turn(input=letter * 31_000, previous_response_id=last, store=False, max_output_tokens=16))
        last = events_of(plain)[-1]["response"]["id"]
    plain.send(turn(input="on" * 2_000, previous_response_id=last, store=False, max_output_tokens=16))
    assert events_of(plain)[-1]["error"]["code"] == "context_length_exceeded"
    plain.send(turn(input="anew", store=False, max_output_tokens=16))
    assert events_of(plain)[-1]["type"] == "response.incomplete"


def test_turns_sent_ahead_are_answered_one_after_the_other(plain, house):
    for words in ("a", "b c", "d e f"):
        plain.send(turn(input=words, max_output_tokens=16))
    answers = [events_of(plain) for _ in range(3)]
    assert [len({event["response"]["id"] for event in events if "response" in event}) for events in answers] == [1, 1, 1]
    assert [events[-1]["response"]["usage"]["input_tokens"] for events in answers] == sorted(
        events[-1]["response"]["usage"]["input_tokens"] for events in answers)
    wait_until(lambda: [r["status"] for r in house.decisions()] == [200] * 3, what="the accounts")


def test_a_refused_turn_is_told_and_the_next_answered(plain):
    refused = [("{", 400, None, None), ("[]", 400, None, None), (json.dumps({"type": "session.update"}), 400, "type", None),
               (turn(background=True), 400, "background", None), (turn(stream_id="a"), 400, "stream_id", None),
               (turn(generate=False), 400, "generate", None), (turn(input=[]), 400, "input", None),
               (turn(previous_response_id="resp_x"), 400, "previous_response_id", "previous_response_not_found"),
               (turn(model="nobody"), 404, "model", "model_not_found")]
    for message, status, param, code in refused:
        plain.send(message)
        told = events_of(plain)[-1]
        assert (told["type"], told["status"]) == ("error", status)
        assert set(told["error"]) == {"message", "type", "param", "code"}
        assert param is None or told["error"]["param"] == param
        assert code is None or told["error"]["code"] == code
    plain.send(turn())
    assert events_of(plain)[-1]["type"] == "response.completed"


def test_who_may_not_come_in_hears_it_in_http(house):
    for headers, status in (({}, 401), ({"authorization": "Bearer sk-wrong"}, 401), ({**BEARER, "origin": "http://a"}, 403)):
        with pytest.raises(InvalidStatus) as raised, connect(url_of(house), additional_headers=headers):
            pass
        assert raised.value.response.status_code == status and b'"error"' in raised.value.response.body


def shake(house, **changed):
    """A handshake by hand; the connection and the answer's head."""
    host, port = house.root.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)), timeout=10)
    headers = {"host": "a", "authorization": f"Bearer {KEY}", "connection": "Upgrade", "upgrade": "websocket",
               "sec-websocket-version": "13", "sec-websocket-key": base64.b64encode(os.urandom(16)).decode(), **changed}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items() if value)
    client.sendall(f"GET /v1/responses HTTP/1.1\r\n{lines}\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += client.recv(65536)
    return client, answer.decode()


@pytest.mark.parametrize("changed, status", [
    ({}, 101), ({"sec-websocket-key": None}, 400), ({"sec-websocket-key": "x"}, 400), ({"sec-websocket-version": "8"}, 400),
    ({"upgrade": "h2c"}, 405), ({"upgrade": None, "connection": "keep-alive"}, 405)])
def test_handshakes(house, changed, status):
    client, answer = shake(house, **changed)
    client.close()
    assert answer.startswith(f"HTTP/1.1 {status} ") and "\r\nx-request-id: req_" in answer.lower()


def test_a_silent_client_is_asked_for_a_sign_of_life(slow, start_gateway):
    settings = configs.gateway({"openmodel": configs.provider(slow.base_url, "openmodel")})
    settings["server"]["idle_timeout"] = "200ms"
    client, answer = shake(start_gateway(settings))
    assert answer.startswith("HTTP/1.1 101 ")
    got = b""
    while piece := client.recv(65536):
        got += piece
    assert got[:2] == b"\x89\x00"  # A ping, and then the end.
    client.close()


def test_pings_are_answered_in_the_middle_of_a_turn(plain):
    plain.send(turn(model="openmodel", max_output_tokens=30))
    assert plain.ping(b"well?").wait(10)
    assert events_of(plain)[-1]["response"]["usage"]["output_tokens"] == 30


@pytest.mark.parametrize("message, code", [("x" * (64 << 10), None), ("x" * ((64 << 10) + 1), 1009), (b"{}", 1003)])
def test_what_is_no_message_ends_the_connection(plain, message, code):
    plain.send(message)
    if code:
        assert closed_with(plain)[0] == code
    else:
        assert events_of(plain)[-1]["status"] == 400


@pytest.mark.parametrize("ahead, code", [(16, None), (17, 1008)])
def test_only_so_many_turns_are_sent_ahead(plain, slow, ahead, code):
    plain.send(turn(model="openmodel", max_output_tokens=5000))
    wait_until(lambda: slow.stats()["open_streams"] == 1, what="the turn")
    for _ in range(ahead):
        plain.send(turn())
    if code:
        assert closed_with(plain)[0] == code
        wait_until(lambda: slow.stats()["disconnects"] == 1, what="the provider's client leaving")
    else:
        assert plain.ping().wait(10)
        assert slow.stats()["open_streams"] == 1


@pytest.mark.parametrize("read", [False, True])
def test_a_client_that_leaves_stops_the_work(house, slow, read):
    with connect(url_of(house), additional_headers=BEARER) as client:
        client.send(turn(model="openmodel", max_output_tokens=5000))
        wait_until(lambda: slow.stats()["open_streams"] == 1, what="the turn")
        while read and json.loads(client.recv(timeout=10))["type"] != "response.output_text.delta":
            pass
    wait_until(lambda: slow.stats()["disconnects"] == 1, what="the provider's client leaving")
    wait_until(lambda: [r["status"] for r in house.decisions()] == [499], what="the account of it")


class Slowly:
    """A connection whose client sends a message a little at a time, and never its end."""

    def __init__(self, house, key=KEY):
        host, port = house.root.removeprefix("http://").split(":")
        self.client = socket.create_connection((host, int(port)), timeout=10)
        token = base64.b64encode(os.urandom(16)).decode()
        self.client.sendall((f"GET /v1/responses HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\nupgrade: websocket\r\n"
                             f"connection: Upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: {token}\r\n\r\n").encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.client.recv(1)
        assert b" 101 " in head
        self.client.sendall(b"\x81\xff" + (32 << 20).to_bytes(8, "big") + bytes(4))

    def send(self, megabytes):
        try:
            self.client.sendall(b" " * (megabytes << 20))
        except OSError:
            pass  # It was closed: what it was closed with is there to be read.

    def closed_with(self):
        frame = self.client.recv(4)
        assert frame[0] == 0x88, frame
        return int.from_bytes(frame[2:4], "big")

    def is_open(self):
        self.client.settimeout(0.2)
        try:
            return self.client.recv(1) != b""
        except TimeoutError:
            return True


def test_large_messages_have_room_like_large_bodies(slow, start_gateway):
    settings = configs.gateway({"openmodel": configs.provider(slow.base_url, "openmodel")})
    settings["keys"]["other"] = {"secret": "env:OTHER_KEY", "tenant": "other"}
    house = start_gateway(settings, OTHER_KEY="sk-other")
    held = [Slowly(house) for _ in range(16)]
    for one in held:
        one.send(30)
    late = Slowly(house)
    late.send(30)
    assert late.closed_with() == 1013
    assert all(one.is_open() for one in held)
    other = Slowly(house, "sk-other")
    other.send(30)
    assert other.is_open()
    for one in held:
        one.client.close()

    def has_room():
        after = Slowly(house)
        after.send(30)
        return after.is_open()

    wait_until(has_room, what="the room that they left")


def test_a_message_may_not_take_for_ever(slow, start_gateway):
    settings = configs.gateway({"openmodel": configs.provider(slow.base_url, "openmodel")})
    settings["server"]["body_timeout"] = "500ms"
    one = Slowly(start_gateway(settings))
    one.send(1)
    assert one.closed_with() == 1008


def test_a_gateway_that_stops_ends_the_turn_first(house, slow, plain):
    with connect(url_of(house), additional_headers=BEARER) as idle:
        plain.send(turn(model="openmodel", max_output_tokens=40))
        wait_until(lambda: slow.stats()["open_streams"] == 1, what="the turn")
        house.child.send_signal(signal.SIGTERM)
        assert closed_with(idle) == (1001, "the gateway is shutting down")
    assert events_of(plain)[-1]["response"]["usage"]["output_tokens"] == 40
    assert closed_with(plain)[0] == 1001
    assert house.child.wait(timeout=10) == 0
