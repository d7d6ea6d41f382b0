"""Closed loops of streamed requests: each client asks again as soon as it is answered.

Several processes, each with one thread that waits for all of its sockets; requests are written before the clock starts,
and an answer is looked into when it is whole (until then only for its first text). Says how busy the processes were, so
that nobody takes their speed for the gateway's.
"""
import json
import multiprocessing
import random
import re
import selectors
import socket
import time
import zlib
from typing import NamedTuple

import gguf_header

PROCESSES_MAX = 6
SILENCE_MAX = 60  # Seconds without a byte for any client.
TEXT = re.compile(rb'"(?:content|text)": ?"((?:[^"\\\\]|\\\\.)*)"')
FIRST_TEXT = re.compile(rb'"(?:content|text)": ?"[^"]')
COMPLETION, PROMPT = re.compile(rb'"completion_tokens": ?(\d+)'), re.compile(rb'"prompt_tokens": ?(\d+)')
ORDINARY_FIRST = 300  # Ids below are single bytes.
WORDS = ("river mountain window garden letter winter number silver answer people music table yellow paper stone bread "
         "morning island teacher ocean simple engine color forest metal doctor camera bridge village summer").split()


class Row(NamedTuple):
    """One request."""
    client_round: int
    ttft: float
    tpot: float  # Seconds of a further token.
    prompt_tokens: int
    out_tokens: int
    text: int    # A number for the answer's text.
    pieces: int  # How many different ones it is made of.


class Loop(NamedTuple):
    rows: list
    seconds: float
    busy: float  # Share of its time that the busiest process was on a core.


def post(path, question):
    """A whole request for a greedy answer of exactly max_tokens, streamed."""
    body = json.dumps(question | {"stream": True, "stream_options": {"include_usage": True}, "temperature": 0,
                                  "ignore_eos": True}).encode()
    return (f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\nconnection: close\r\n"
            f"content-length: {len(body)}\r\n\r\n").encode() + body


class Prompts:
    """Texts of a given number of tokens, each with words of its own that are one token each."""

    def __init__(self, model):
        known = set(gguf_header.tokens(model))
        self.words = [word for word in WORDS if "\u0120" + word in known]
        self.count = 0
        self.more = {}  # What each question has besides.

    def request(self, seed, out_tokens, ending=""):
        """Two of one seed differ in their endings alone."""
        rng = random.Random(seed)
        text = f"Story {seed:09d}:" + "".join(" " + rng.choice(self.words) for _ in range(self.count)) + ending
        return post("/v1/chat/completions", {"model": "model", "messages": [{"role": "user", "content": text}],
                                             "max_tokens": out_tokens} | self.more)

    def fit(self, port, tokens):
        """Finds the number of words that makes `tokens` tokens with the template's."""
        for _ in range(3):
            excess = once(port, self.request(0, 1)).prompt_tokens - tokens
            if excess == 0:
                return
            self.count = max(0, self.count - excess)
        raise RuntimeError(f"no prompt of {tokens} tokens was found: {self.count} words are {excess} off")


class TokenPrompts:
    """Requests of exactly `tokens` random ids each."""

    def __init__(self, vocabulary, tokens, more=None):
        self.vocabulary, self.tokens, self.more = vocabulary, tokens, more or {}

    def request(self, seed, out_tokens):
        rng = random.Random(seed)
        ids = [rng.randrange(ORDINARY_FIRST, self.vocabulary) for _ in range(self.tokens)]
        return post("/v1/completions", {"model": "model", "prompt": ids, "max_tokens": out_tokens} | self.more)


class Client:
    """Sends its requests one after the other; `watch` and `forget` are the selector's."""

    def __init__(self, port, requests, stop_at, watch, forget):
        self.port, self.requests, self.stop_at = port, requests, stop_at
        self.watch, self.forget = watch, forget
        self.rows, self.round = [], 0
        self.parts, self.first, self.last = [], None, None
        self.began = self.connection = None

    def begin(self):
        """False if there is nothing left to ask."""
        if self.round == len(self.requests) or time.monotonic() >= self.stop_at:
            return False
        self.parts, self.first, self.last = [], None, None
        self.began = time.monotonic()
        self.connection = socket.create_connection(("127.0.0.1", self.port), timeout=SILENCE_MAX)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection.sendall(self.requests[self.round])
        self.watch(self.connection, self)
        return True

    def read(self):
        """False once the last answer is whole."""
        part = self.connection.recv(1 << 16)
        if part:
            self.last = time.monotonic()
            self.parts.append(part)
            if self.first is None and FIRST_TEXT.search(b"".join(self.parts)):
                self.first = self.last
            return True
        self.forget(self.connection)
        self.connection.close()
        self.rows.append(self.row())
        self.round += 1
        return self.begin()

    def row(self):
        answer = b"".join(self.parts)
        found = COMPLETION.search(answer), PROMPT.search(answer)
        if b"[DONE]" not in answer or None in found or self.first is None:
            raise RuntimeError(f"not a whole answer: …{answer[-400:]!r}")
        out_tokens, prompt_tokens = (int(match.group(1)) for match in found)
        pieces = TEXT.findall(answer)
        return Row(self.round, self.first - self.began, (self.last - self.first) / max(1, out_tokens - 1), prompt_tokens,
                   out_tokens, zlib.crc32(b"".join(pieces)), len(set(pieces)))


def drive(port, requests, stop_at):
    """The rows of clients, one for each list of requests."""
    with selectors.EpollSelector() as selector:
        def watch(connection, client):
            selector.register(connection, selectors.EVENT_READ, client)

        clients = [Client(port, mine, stop_at, watch, selector.unregister) for mine in requests]
        left = sum(client.begin() for client in clients)
        while left > 0:
            ready = selector.select(SILENCE_MAX)
            if not ready:
                raise RuntimeError(f"{left} clients heard nothing for {SILENCE_MAX} s")
            left -= sum(not key.data.read() for key, _ in ready)
    return [row for client in clients for row in client.rows]


def once(port, request):
    row, = drive(port, [[request]], time.monotonic() + SILENCE_MAX)
    return row


def process(port, requests, seconds, ready, results):
    try:
        ready.wait()
        began, cpu = time.monotonic(), time.process_time()
        rows = drive(port, requests, began + seconds)
        results.put((rows, (time.process_time() - cpu) / max(1e-9, time.monotonic() - began)))
    except Exception as error:  # pylint: disable=broad-except
        results.put(error)


def run(port, prompts, concurrency, rounds, out_tokens, seconds):
    """`concurrency` clients with up to `rounds` requests each; none is begun after `seconds`."""
    context = multiprocessing.get_context("fork")
    processes = min(PROCESSES_MAX, concurrency)
    ready, results = context.Barrier(processes + 1), context.Queue()
    first_seed = random.randrange(10**8)
    requests = [[prompts.request(first_seed + client * rounds + i, out_tokens) for i in range(rounds)]
                for client in range(concurrency)]
    children = [context.Process(target=process, args=(port, requests[p::processes], seconds, ready, results), daemon=True)
                for p in range(processes)]
    for child in children:
        child.start()
    ready.wait(timeout=30)
    began = time.monotonic()
    got = [results.get(timeout=seconds + 2 * SILENCE_MAX) for _ in children]
    took = time.monotonic() - began
    for child in children:
        child.join()
    for part in got:
        if isinstance(part, Exception):
            raise part
    return Loop([row for rows, _ in got for row in rows], took, max(busy for _, busy in got))
