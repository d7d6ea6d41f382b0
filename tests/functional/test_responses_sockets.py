"""Many WebSockets, and those whose clients do not read: what they hold is not kept from others."""
import base64
import json
import os
import socket
import struct
import time

import pytest

import configs
from processes import KEY, as_client, send, wait_until
from upstream import begin, chat, chunk

OTHER = "sk-other-0123456789"
HELLO = {"model": "m", "messages": [{"role": "user", "content": "x"}]}


@pytest.fixture
def house(start_upstream, start_gateway):
    """A gateway whose server has these settings, in front of a provider that answers so; `other` is another tenant."""
    def start(answer=lambda asked: chat(), limits=None, **server):
        upstream = start_upstream(answer)
        config = configs.gateway({"m": configs.provider(upstream.base_url, "m")}, classes={"all": {"spill": "always"}},
                                 default_class="all", limits=limits or {})
        config["server"] |= {"workers": 1, **server}
        config["keys"]["other"] = {"secret": "env:OTHER", "tenant": "other"}
        return start_gateway(config, OTHER=OTHER)
    return start


def handshake(gateway, receive_bytes=None):
    """A client's socket, and the status that it was answered."""
    host, port = gateway.root.removeprefix("http://").split(":")
    client = socket.socket()
    if receive_bytes:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    client.settimeout(10)
    client.connect((host, int(port)))
    token = base64.b64encode(os.urandom(16)).decode()
    client.sendall((f"GET /v1/responses HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {KEY}\r\nupgrade: websocket\r\n"
                    f"connection: Upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: {token}\r\n\r\n").encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += client.recv(1)
    return client, int(head[9:12])


def say(client, message):
    data = json.dumps(message).encode()
    length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack(">H", len(data))
    client.sendall(b"\x81" + length + bytes(4) + data)


def asks(gateway):
    return send(gateway.root + "/v1/chat/completions", "POST", HELLO, as_client(key=OTHER), 5)[0]


def test_who_does_not_read_gives_its_place_back(house):
    def answer(asked):
        def words(handler):
            begin(handler)
            try:
                for _ in range(20_000):  # More than the kernel keeps for a client.
                    handler.wfile.write(b"data: " + json.dumps(chunk({"content": " word" * 400})).encode() + b"\n\n")
            except OSError:
                pass  # It was left.
        return words if asked.json.get("stream") else chat()
    gateway = house(answer, limits={"in_flight_max": 1}, write_timeout="500ms")
    client, status = handshake(gateway, receive_bytes=4096)
    assert status == 101
    say(client, {"type": "response.create", "model": "m", "input": "x", "max_output_tokens": 8_000_000})
    wait_until(lambda: asks(gateway) == 503, what="the only place being taken")

    def is_free():
        try:
            client.sendall(b"\x8a\x80" + bytes(4))  # A pong: there it is.
        except OSError:
            pass
        return asks(gateway) == 200

    wait_until(is_free, what="the place", seconds=10)


def test_a_tenant_has_a_share_of_them(house):
    gateway = house(connections_max=16)
    held = [handshake(gateway) for _ in range(6)]
    assert [status for _, status in held] == [101] * 4 + [503] * 2
    assert asks(gateway) == 200
    held[0][0].close()
    wait_until(lambda: handshake(gateway)[1] == 101, what="the place of who left")


def test_one_that_waits_for_its_next_turn_is_idle(house):
    gateway = house(connections_max=4)
    idle, status = handshake(gateway)
    assert status == 101
    time.sleep(0.1)
    host, port = gateway.root.removeprefix("http://").split(":")
    others = [socket.create_connection((host, int(port))) for _ in range(3)]
    for one in others:
        one.sendall(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n")
        assert one.recv(12) == b"HTTP/1.1 200"
    assert asks(gateway) == 200
    assert idle.recv(1) == b""
