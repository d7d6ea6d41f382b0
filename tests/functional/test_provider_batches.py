"""Lines of batches that leave through a provider's batches API: at half the price, each answered and booked once."""
import json
import signal
import sqlite3
import subprocess

import pytest

import configs
from processes import BINARY, Gateway, send, wait_until
from test_batches import begin, end_of, line, results

PRICE = 2_000  # Nano-USD a token.
LINES = 120
TERMS = {"enabled": True, "window": "10m", "poll": "100ms"}


def config(provider, tmp_path, **more):
    """A batch has an hour, and the provider ten minutes: it is time as soon as a batch comes."""
    target = configs.provider(provider.base_url, "up", batch_discount=0.5, batches={**TERMS, **more.pop("terms", {})})
    targets = {"up": target, **more.pop("targets", {})}
    batch = {"match": "by_name", "spill": "always", **more.pop("batch_class", {})}
    settings = configs.gateway(targets, classes={"interactive": {"spill": "always"}, "batch": batch},
                               batch={"class": "batch", "window": "1h", **more.pop("batch", {})}, **more)
    settings["server"]["state"] = str(tmp_path / "state")
    return settings


@pytest.fixture
def house(start_provider, start_gateway, client_of, tmp_path):
    def start(script=None, **more):
        provider = start_provider("instant", "--script", json.dumps({"batches": script or {}}))
        gateway = start_gateway(config(provider, tmp_path, **more))
        return provider, gateway, client_of(gateway)
    return start


def lines(count=LINES, **body):
    return [line(n, model="up", **body) for n in range(count)]


def entries(tmp_path):
    book = sqlite3.connect(f"file:{tmp_path}/state/ledger.sqlite?mode=ro", uri=True)
    rows = book.execute("SELECT id, amount FROM entries WHERE phase = 1").fetchall()
    book.close()
    return rows


def booked(tmp_path, count):
    """All entries once there are `count`, and what they come to."""
    wait_until(lambda: len(entries(tmp_path)) >= count, what=f"{count} entries")
    rows = entries(tmp_path)
    assert len({one for one, _ in rows}) == len(rows) == count
    return sum(amount for _, amount in rows)


def bill(stats):
    """What the provider asks: half for what it answered in batches."""
    batches = stats["batch_prompt_tokens"] + stats["batch_completion_tokens"]
    return batches * PRICE // 2 + (stats["prompt_tokens"] + stats["completion_tokens"]) * PRICE


def is_whole(client, done, count=LINES):
    out = results(client, done.output_file_id)
    assert done.request_counts.completed == count
    assert sorted(one["custom_id"] for one in out) == sorted(f"line-{n}" for n in range(count))
    assert all(one["response"]["body"]["choices"][0]["finish_reason"] in ("stop", "length") for one in out)
    assert done.usage.output_tokens == sum(one["response"]["body"]["usage"]["completion_tokens"] for one in out)


def test_lines_leave_in_one_batch_at_half_the_price(house, tmp_path):
    provider, gateway, client = house()
    done = end_of(client, begin(client, lines()))
    assert done.status == "completed"
    is_whole(client, done)
    stats = provider.stats()
    assert (stats["batches"], stats["batch_lines"], stats["requests"]) == (1, LINES, 0)
    assert booked(tmp_path, LINES) == bill(stats) > 0
    decision = gateway.decisions(1)[0]
    assert (decision["target"], decision["reason"]) == ("up", "handed_over")
    assert gateway.metric("spillway_batch_handovers_total") == 1
    assert gateway.metric("spillway_batch_lines_handed_over") == 0
    report = subprocess.run([BINARY, "report", "--config", gateway.config_path, "--by", "target"],
                            env={"SPILLWAY_TEST_KEY": "x"}, capture_output=True, text=True, check=True)
    assert "up" in report.stdout
    explained = subprocess.run([BINARY, "explain", decision["id"], "--config", gateway.config_path, "--admin", gateway.admin.removeprefix("http://")],
                               env={"SPILLWAY_TEST_KEY": "x"}, capture_output=True, text=True, check=False)
    assert "handed_over" in explained.stdout, explained.stderr


def test_the_clients_batch_shows_how_far_the_provider_is(house):
    _, gateway, client = house({"seconds": 3})
    batch = begin(client, lines())
    wait_until(lambda: gateway.metric("spillway_batch_lines_handed_over") == LINES, what="lines at the provider")
    wait_until(lambda: 0 < client.batches.retrieve(batch.id).request_counts.completed < LINES, what="some progress")
    assert client.batches.retrieve(batch.id).status == "in_progress"
    is_whole(client, end_of(client, batch))


def test_a_few_lines_are_asked_one_by_one(house, tmp_path):
    provider, _, client = house()
    done = end_of(client, begin(client, lines(20)))
    is_whole(client, done, 20)
    assert (provider.stats()["batches"], provider.stats()["requests"]) == (0, 20)


def test_what_the_provider_leaves_undone_is_asked_one_by_one(house, tmp_path):
    provider, gateway, client = house({"answered": 0.5, "ends_as": "expired"})
    is_whole(client, end_of(client, begin(client, lines())))
    stats = provider.stats()
    assert (stats["batches"], stats["batch_lines"], stats["requests"]) == (1, LINES // 2, LINES // 2)
    assert booked(tmp_path, LINES) == bill(stats)
    assert gateway.metric("spillway_batch_lines_handed_back_total") == LINES // 2


def test_lines_that_break_there_are_asked_again_and_those_that_are_refused_are_not(house, tmp_path):
    provider, _, client = house({"failing": 0.1, "refusing": 0.1})
    done = end_of(client, begin(client, lines()))
    tenth = LINES // 10
    assert (done.request_counts.completed, done.request_counts.failed) == (LINES - tenth, tenth)
    errors = results(client, done.error_file_id)
    assert [one["custom_id"] for one in errors] == [f"line-{n}" for n in range(tenth, 2 * tenth)]
    assert {one["response"]["status_code"] for one in errors} == {400}
    stats = provider.stats()
    assert (stats["batch_lines"], stats["requests"]) == (LINES - 2 * tenth, tenth)
    assert booked(tmp_path, LINES - tenth) == bill(stats)


def test_a_batch_that_the_provider_refuses_is_asked_line_by_line(house):
    provider, gateway, client = house({"ends_as": "failed"})
    is_whole(client, end_of(client, begin(client, lines())))
    assert (provider.stats()["batches"], provider.stats()["requests"]) == (1, LINES)
    assert any("The file is not right." in one.get("cause", "") for one in gateway.log())


def test_a_cancel_ends_it_there_too_and_pays_what_was_done(house, tmp_path):
    provider, _, client = house({"seconds": 20})
    batch = begin(client, lines())
    wait_until(lambda: client.batches.retrieve(batch.id).request_counts.completed >= 5, what="some progress")
    client.batches.cancel(batch.id)
    done = end_of(client, batch)
    stats = provider.stats()
    assert done.status == "cancelled" and 5 <= done.request_counts.completed == stats["batch_lines"] < LINES
    assert len(results(client, done.output_file_id)) == stats["batch_lines"] and stats["requests"] == 0
    assert booked(tmp_path, stats["batch_lines"]) == bill(stats)


def test_a_batch_whose_making_was_not_heard_of_is_not_made_twice(house, tmp_path):
    provider, _, client = house({"unanswered": 1})
    is_whole(client, end_of(client, begin(client, lines())))
    assert (provider.stats()["batches"], provider.stats()["requests"]) == (1, 0)
    assert booked(tmp_path, LINES) == bill(provider.stats())


def results_on_disk(tmp_path):
    book = sqlite3.connect(f"file:{tmp_path}/state/batches.sqlite?mode=ro", uri=True)
    count = book.execute("SELECT sum(lines_completed) FROM batches").fetchone()[0]
    book.close()
    return count


PHASES = {
    "it may have been made": (LINES, {"unanswered": 1}, lambda provider, _: provider.stats()["batches"] > 0),
    "it runs": (LINES, {"seconds": 3}, lambda provider, gateway: gateway.metric("spillway_batch_lines_handed_over") == LINES),
    "it is taken back": (3000, {}, lambda _, path: results_on_disk(path) > 100),
}


@pytest.mark.parametrize("phase", PHASES)
def test_killed_in_each_phase_nothing_is_paid_or_told_twice(start_provider, processes, client_of, tmp_path, phase):
    count, script, is_reached = PHASES[phase]
    provider = start_provider("instant", "--script", json.dumps({"batches": script}))
    path = configs.write(tmp_path / "spillway.yaml", config(provider, tmp_path))
    processes.append(Gateway(path))
    batch = begin(client_of(processes[-1]), lines(count))
    seen = tmp_path if phase == "it is taken back" else processes[-1]
    wait_until(lambda: is_reached(provider, seen), what=phase)
    processes[-1].child.send_signal(signal.SIGKILL)
    processes[-1].child.wait()
    assert results_on_disk(tmp_path) < count
    processes.append(Gateway(path))
    client = client_of(processes[-1])
    done = end_of(client, batch, 60)
    assert done.status == "completed"
    is_whole(client, done, count)
    stats = provider.stats()
    assert (stats["batches"], stats["batch_lines"], stats["requests"]) == (1, count, 0)
    assert booked(tmp_path, count) == bill(stats)


def test_a_term_leaves_it_to_the_next_start(start_provider, processes, client_of, tmp_path):
    provider = start_provider("instant", "--script", json.dumps({"batches": {"seconds": 3}}))
    path = configs.write(tmp_path / "spillway.yaml", config(provider, tmp_path))
    processes.append(Gateway(path))
    batch = begin(client_of(processes[-1]), lines())
    wait_until(lambda: processes[-1].metric("spillway_batch_lines_handed_over") == LINES, what="lines at the provider")
    assert processes[-1].terminate() == 0
    processes.append(Gateway(path))
    is_whole(client_of(processes[-1]), end_of(client_of(processes[-1]), batch))
    assert (provider.stats()["batches"], provider.stats()["requests"]) == (1, 0)


def test_what_is_there_is_held_of_the_budget(house, tmp_path):
    """A hundred and twenty lines of some ten tokens hold more than half of the day's money until they are booked."""
    most = LINES * 100 * PRICE
    provider, _, client = house({"seconds": 3}, tenants={"test": {"budget": {"day": f"{most / 1e9}usd"}}})
    batch = begin(client, lines(max_tokens=50))
    wait_until(lambda: provider.stats()["batches"] == 1, what="the batch")
    status, _, body = send(client.base_url.join("chat/completions").__str__(), "POST",
                           {"model": "up", "max_tokens": 60 * LINES, "messages": [{"role": "user", "content": "Hi"}]},
                           {"authorization": f"Bearer {client.api_key}", "content-type": "application/json"})
    assert status == 429 and b"held by running requests" in body
    done = end_of(client, batch)
    assert done.request_counts.completed == LINES
    assert booked(tmp_path, LINES) == bill(provider.stats())


def test_a_class_hands_over_no_more_than_its_share_of_a_budget(house, tmp_path):
    provider, _, client = house(batch_class={"budget_share": 0.1}, tenants={"test": {"budget": {"day": "0.02usd", "hard": True}}})
    done = end_of(client, begin(client, lines()))
    assert 0 < provider.stats()["batch_lines"] < LINES and done.request_counts.failed > 0
    wait_until(lambda: entries(tmp_path), what="the entries")
    assert sum(amount for _, amount in entries(tmp_path)) <= 2_000_000


def test_what_is_there_comes_back_when_nothing_new_may_leave(house, tmp_path):
    provider, gateway, client = house({"seconds": 4})
    batch = begin(client, lines())
    wait_until(lambda: gateway.metric("spillway_batch_lines_handed_over") == LINES, what="lines at the provider")
    configs.write(gateway.config_path, config(provider, tmp_path, terms={"enabled": False}))
    wait_until(lambda: gateway.metric("spillway_config_reloads_total", result="ok") >= 2, what="the reload")
    is_whole(client, end_of(client, batch))
    stats = provider.stats()
    assert (stats["batches"], stats["batch_lines"], stats["requests"]) == (1, LINES, 0)


def test_what_the_engine_gets_to_stays(house):
    engine = configs.synthetic_engine(base="1ms", per_sequence="0.1ms", per_prefill_token="0.01ms", serves=["up"])
    patient = {"sla": {"deadline": "1h"}, "spill": "cheapest_before_deadline"}
    provider, _, client = house(targets={"local": engine}, batch_class=patient)
    asked = [line(n, model="auto") for n in range(LINES)]
    done = end_of(client, begin(client, asked), 60)
    assert done.request_counts.completed == LINES
    assert (provider.stats()["batches"], provider.stats()["requests"]) == (0, 0)


def test_what_it_does_not_get_to_leaves_when_it_is_time(house, tmp_path):
    """A batch has twenty minutes less the provider's ten and two of reserve: it leaves at once but for what the engine does, a line in ten seconds."""
    engine = configs.synthetic_engine(base="3000ms", serves=["up"], sequences_max=1)
    patient = {"sla": {"deadline": "1h"}, "spill": "cheapest_before_deadline"}
    provider, gateway, client = house({"seconds": 1}, targets={"local": engine}, batch_class=patient,
                                      batch={"concurrency": 100, "window": "670s"})
    batch = begin(client, [line(n, model="auto") for n in range(400)])
    wait_until(lambda: provider.stats()["batch_lines"] > 100, 30, "lines in the provider's batch")
    assert provider.stats()["requests"] == 0 and provider.stats()["batch_lines"] < 400
    wait_until(lambda: client.batches.retrieve(batch.id).request_counts.completed >= provider.stats()["batch_lines"],
               what="their results")
    assert gateway.metric("spillway_batch_handovers_total") == 1
    client.batches.cancel(batch.id)


def test_a_provider_that_is_too_slow_is_asked_to_end(house, tmp_path):
    """Of fifteen seconds one is the provider's and ten are the reserve."""
    provider, _, client = house({"seconds": 600}, terms={"window": "1s"}, batch={"concurrency": 120, "window": "15s"})
    done = end_of(client, begin(client, lines()), 40)
    assert done.status == "completed"
    is_whole(client, done)
    stats = provider.stats()
    assert stats["batches"] == 1 and stats["requests"] == LINES - stats["batch_lines"] > 0
    assert booked(tmp_path, LINES) == bill(stats)


def test_only_who_has_it_may_be_told_to(tmp_path):
    target = {**configs.provider("https://127.0.0.1:1/v1", "up"), "dialect": "mistral", "batches": {"enabled": True}}
    path = configs.write(tmp_path / "spillway.yaml", configs.gateway({"up": target}))
    told = subprocess.run([BINARY, "check", path], env={"SPILLWAY_TEST_KEY": "x"}, capture_output=True, text=True, check=False)
    assert told.returncode != 0 and "batches.enabled" in told.stdout + told.stderr and "only openai" in told.stdout + told.stderr


def test_a_window_that_leaves_no_time_is_told(tmp_path):
    target = {**configs.provider("http://127.0.0.1:1/v1", "up"), "batches": {"enabled": True}}
    path = configs.write(tmp_path / "spillway.yaml", configs.gateway({"up": target}))
    told = subprocess.run([BINARY, "check", path], env={"SPILLWAY_TEST_KEY": "x"}, capture_output=True, text=True, check=False)
    assert "batches.window" in told.stdout + told.stderr
