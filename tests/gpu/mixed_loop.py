"""Two classes of clients at once: interactive ones in a closed loop, and a backlog of batch work that is always open.

Every client asks again as soon as it is answered. What came before the window began is warm-up; at the window's end all
connections are cut. An interactive request counts as good if it kept its promise in full; one that has no first token yet
at the end and is late already counts as a miss.
"""
import multiprocessing
import random
import selectors
import time
from typing import NamedTuple

import closed_loop


CUT = ("open", "no first token")  # Why there is no answer, where the end of the loop is to blame.


class Kind(NamedTuple):
    """Clients of one class, and what they ask."""
    name: str
    clients: int
    prompts: object  # Of closed_loop.Prompts' kind.
    out_least: int
    out_most: int


class Done(NamedTuple):
    """One request; out_tokens is 0 if it failed or was cut off."""
    kind: str
    ended: float
    ttft: float
    tpot: float
    prompt_tokens: int
    out_tokens: int
    why: str = ""


class Client(closed_loop.Client):
    """Asks until it is cut off; `draw` makes its next request. A broken connection is a failed request."""

    def __init__(self, kind, draw, port, watch, forget):
        super().__init__(port, [], float("inf"), watch, forget)
        self.kind, self.draw = kind, draw

    def begin(self):
        self.requests = [self.draw()]
        self.round = 0
        return super().begin()

    def read(self):
        try:
            return super().read()
        except ConnectionError as error:
            self.parts.append(f"{error}".encode())
            self.forget(self.connection)
            self.connection.close()
            self.rows.append(self.row())
            return self.begin()

    def row(self):
        now = time.monotonic()
        try:
            row = super().row()
        except RuntimeError as error:
            return Done(self.kind.name, now, now - self.began, 0.0, 0, 0, str(error))
        return Done(self.kind.name, self.last, row.ttft, row.tpot, row.prompt_tokens, row.out_tokens)

    def cut(self, now):
        """What is to be said of the request that is still open."""
        self.connection.close()
        ttft = (self.first or now) - self.began
        return Done(self.kind.name, now, ttft, 0.0, 0, 0, CUT[0] if self.first else CUT[1])


def drawer(kind, rng, ahead):
    """Requests one after the other, the first `ahead` of them written beforehand."""
    def make():
        return kind.prompts.request(rng.randrange(10**9), rng.randint(kind.out_least, kind.out_most))

    stock = [make() for _ in range(ahead)]
    return lambda: stock.pop() if stock else make()


def drive(port, kinds, seconds, seed, ready):
    rng, rows = random.Random(seed), []
    with selectors.EpollSelector() as selector:
        def watch(connection, client):
            selector.register(connection, selectors.EVENT_READ, client)

        clients = [Client(kind, draw, port, watch, selector.unregister)
                   for kind in kinds for draw in [drawer(kind, rng, 3 * kind.clients)] for _ in range(kind.clients)]
        ready.wait()
        stop_at = time.monotonic() + seconds
        for client in clients:
            client.begin()
        while (left := stop_at - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                key.data.read()
        for client in clients:
            rows += client.rows + [client.cut(stop_at)]
    return rows


def process(port, kinds, seconds, seed, ready, results):
    try:
        cpu = time.process_time()
        rows = drive(port, kinds, seconds, seed, ready)
        results.put((rows, (time.process_time() - cpu) / seconds))
    except Exception as error:  # pylint: disable=broad-except
        results.put(error)


def share(kinds, part, parts):
    return [kind._replace(clients=len(range(part, kind.clients, parts))) for kind in kinds]


def begin(port, kinds, seconds):
    """Starts the load; returns when its clients begin, with what `end` needs."""
    context = multiprocessing.get_context("fork")
    processes = closed_loop.PROCESSES_MAX
    ready, results = context.Barrier(processes + 1), context.Queue()
    seed = random.randrange(10**9)
    children = [context.Process(target=process, args=(port, share(kinds, part, processes), seconds, seed + part, ready,
                                                      results), daemon=True) for part in range(processes)]
    for child in children:
        child.start()
    ready.wait(timeout=120)
    return children, results, time.monotonic()


def end(children, results, seconds):
    """All rows, and the share of its time that the busiest process was on a core."""
    got = [results.get(timeout=seconds + closed_loop.SILENCE_MAX) for _ in children]
    for child in children:
        child.join()
    for part in got:
        if isinstance(part, Exception):
            raise part
    return [row for rows, _ in got for row in rows], max(busy for _, busy in got)
