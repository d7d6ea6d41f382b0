"""The ledger in a real PostgreSQL: the same promises as on the disk, and one writer at a time."""
import concurrent.futures
import json
import re
import signal
import subprocess
import threading
import time

import openai
import pytest

import configs
from postgres import PASSWORD, Postgres
from processes import BINARY, KEY, Process, get, wait_until

HELLO = [{"role": "user", "content": "Hello there."}]


@pytest.fixture(scope="module")
def server():
    running = Postgres()
    yield running
    running.end()


@pytest.fixture
def house(server, start_provider, start_gateway, tmp_path):
    """Starts gateways that keep their book in one database."""
    class House:
        def __init__(self):
            self.provider = start_provider("ai-hub", "--slow", "0.01")
            self.address = server.database()

        def config(self, name="state", targets=None, **settings):
            config = configs.gateway({"cloud": configs.provider(self.provider.base_url, "cloud"), **(targets or {})},
                                     classes={"all": {"spill": "always"}}, default_class="all",
                                     **{"ledger": {"postgres": "env:BOOK"}, **settings})
            config["server"]["state"] = str(tmp_path / name)
            return config

        def start(self, **settings):
            return start_gateway(self.config(**settings), BOOK=self.address)

        def book(self, sql):
            return server.book(self.address, sql)

        def audit(self, *words):
            return subprocess.run([BINARY, "report", "--config", tmp_path / "spillway.yaml", *words], capture_output=True,
                                  text=True, check=False, env={"BOOK": self.address, "SPILLWAY_TEST_KEY": KEY})
    return House()


def ask(client, tokens=8, **more):
    return client.chat.completions.create(model="auto", messages=HELLO, max_tokens=tokens, **more)


def test_the_book_is_in_the_database_and_budgets_outlive_the_gateway(house, client_of, tmp_path):
    gateway = house.start()
    answers = [ask(client_of(gateway), tokens) for tokens in (1, 7, 40)]
    wait_until(lambda: house.book("SELECT count(*) FROM entries") == [["3"]], what="three entries")
    cost = sum(round(answer.usage.total_tokens * 2.0 * 1000) for answer in answers)
    assert house.book("SELECT sum(amount) FROM entries") == [[str(cost)]]
    assert house.book("SELECT debits FROM balances WHERE account = 'tenant:test'") == [[str(cost)]]
    assert house.book("SELECT credits FROM balances WHERE account = 'target:cloud'") == [[str(cost)]]
    assert not (tmp_path / "state/ledger.sqlite").exists()
    assert gateway.metric("spillway_ledger_entries_total", store="postgres") == 3
    usage = json.loads(get(gateway.admin + f"/v1/organization/usage/completions?start_time={int(time.time()) - 86400}")[1])
    assert sum(row["input_tokens"] for bucket in usage["data"] for row in bucket["results"]) \
        == sum(answer.usage.prompt_tokens for answer in answers)
    assert json.loads(get(gateway.admin + "/audit")[1])["broken"] == []
    report = house.audit("--format", "json", "--by", "target")
    assert json.loads(report.stdout)["cost_nano_usd"] == cost
    assert "the book adds up" in house.audit("--audit").stdout
    shown = get(gateway.admin + "/config")[1]
    assert "env:BOOK" in shown
    assert PASSWORD not in shown + "".join(gateway.output)

    assert gateway.terminate() == 0
    client = client_of(house.start(tenants={"test": {"budget": {"month": f"{(cost + 1) / 1e9:.9f}usd"}}}))
    with pytest.raises(openai.RateLimitError, match=f"{cost / 1e9:f}".rstrip("0") + " USD spent"):
        ask(client)
    with pytest.raises(AssertionError, match="entries are only added"):
        house.book("DELETE FROM entries")


def test_what_is_dated_later_is_not_spent_yet(house, client_of):
    """As by a clock that had run ahead, and was put right before this start."""
    gateway = house.start()
    cost = round(ask(client_of(gateway)).usage.total_tokens * 2.0 * 1000)
    wait_until(lambda: house.book("SELECT count(*) FROM entries") == [["1"]], what="the entry")
    assert gateway.terminate() == 0
    house.book("UPDATE usage SET hour = hour + 24 * 40")
    ask(client_of(house.start(tenants={"test": {"budget": {"month": f"{(cost + 1) / 1e9:.9f}usd"}}})))


def load(client, until):
    """Asks until it is told to end; the ids of whole answers."""
    acknowledged = []
    while not until.is_set():
        try:
            raw = client.chat.completions.with_raw_response.create(model="auto", messages=HELLO, max_tokens=2)
            acknowledged.append(raw.headers["x-request-id"])
        except openai.APIError:
            until.wait(0.05)
    return acknowledged


@pytest.fixture
def loaded(client_of):
    """Four clients that ask while something happens; all ids that they were answered under."""
    def run(gateway, happens):
        until = threading.Event()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(load, client_of(gateway), until) for _ in range(4)]
            try:
                happens()
            finally:
                until.set()
            return [each for one in asking for each in one.result()]
    return run


def each_is_booked_once(house, acknowledged):
    def booked():
        return {row[0]: int(row[1]) for row in house.book("SELECT id, count(*) FROM entries WHERE phase = 1 GROUP BY id")}
    wait_until(lambda: set(acknowledged) <= set(booked()), what="all that was acknowledged")
    assert set(booked().values()) == {1}
    done = house.audit("--audit")
    assert "the book adds up" in done.stdout, done.stdout + done.stderr


def test_a_killed_gateway_loses_nothing_and_doubles_nothing(house, loaded):
    acknowledged = []
    for _ in range(2):
        gateway = house.start()

        def kill(gateway=gateway):
            wait_until(lambda: gateway.metric("spillway_ledger_entries_total") > 30, what="some entries")
            gateway.child.send_signal(signal.SIGKILL)
            gateway.child.wait(timeout=10)
        acknowledged += loaded(gateway, kill)
    house.start()
    assert len(acknowledged) > 60
    each_is_booked_once(house, acknowledged)


def test_a_killed_database_loses_nothing_and_doubles_nothing(house, loaded, server):
    gateway = house.start()

    def kill():
        wait_until(lambda: gateway.metric("spillway_ledger_entries_total") > 30, what="some entries")
        server.kill()
        wait_until(lambda: gateway.metric("spillway_ledger_errors_total") >= 1, what="the failure")
        with pytest.raises(openai.InternalServerError, match="cannot be booked"), \
                openai.OpenAI(base_url=gateway.api, api_key=KEY, max_retries=0) as client:
            ask(client)
        server.start()
        wait_until(lambda: "the ledger is written again" in "".join(gateway.output), what="that it is written again")
    acknowledged = loaded(gateway, kill)
    each_is_booked_once(house, acknowledged)
    assert gateway.metric("spillway_ledger_entries_total") == int(house.book("SELECT count(*) FROM entries")[0][0])


def test_with_local_only_work_goes_on_here(house, client_of, server):
    gateway = house.start(targets={"local": configs.synthetic_engine()},
                          ledger={"postgres": "env:BOOK", "on_failure": "local_only"})
    client = client_of(gateway)

    def target():
        return client.chat.completions.with_raw_response.create(model="auto", messages=HELLO, max_tokens=2) \
            .headers["x-spillway-target"]
    assert target() == "cloud"
    server.kill()
    try:
        wait_until(lambda: target() == "local", what="that it stays here")
    finally:
        server.start()
    wait_until(lambda: target() == "cloud", what="that it leaves again")


def test_one_gateway_writes_at_a_time(house, client_of, server, tmp_path):
    first = house.start()
    ask(client_of(first))
    config = configs.write(tmp_path / "second.yaml", house.config("second"))
    second = Process([BINARY, "serve", "--config", config], {"SPILLWAY_TEST_KEY": KEY, "BOOK": house.address})
    second.wait_for(r"ledger\.postgres: another gateway keeps this ledger \(spillway .*:%d\): stop it" % first.child.pid)
    assert second.child.wait(timeout=10) != 0

    # Its connection is lost and somebody else is quicker.
    server.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'spillway %'")
    third = Process([BINARY, "serve", "--config", config], {"SPILLWAY_TEST_KEY": KEY, "BOOK": house.address})
    third.wait_for('"api":')
    client = client_of(first)
    owed = client.chat.completions.with_raw_response.create(model="auto", messages=HELLO, max_tokens=2)  # It does not know yet.
    with pytest.raises(openai.InternalServerError, match="cannot be booked"):
        for _ in range(200):
            ask(client)
    assert third.terminate() == 0
    wait_until(lambda: not server.query("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"), what="the lock")
    with pytest.raises(openai.InternalServerError, match="cannot be booked"):
        ask(client)
    first.end()
    house.start()  # Books what was owed.
    assert house.book(f"SELECT count(*) FROM entries WHERE id = '{owed.headers['x-request-id']}'") == [["1"]]


@pytest.mark.parametrize("address, says", [
    ("keeper:top-secret@127.0.0.1:1/x", "is no connection string"),
    ("postgresql://keeper:top-secret@127.0.0.1:1/x", "Connection refused"),
])
def test_who_cannot_connect_says_so_and_not_the_password(house, tmp_path, address, says):
    config = configs.write(tmp_path / "spillway.yaml", house.config())
    gateway = Process([BINARY, "serve", "--config", config], {"SPILLWAY_TEST_KEY": KEY, "BOOK": address})
    gateway.wait_for("ledger.postgres: .*" + re.escape(says))
    assert gateway.child.wait(timeout=10) != 0
    assert "secret" not in "".join(gateway.output)
