"""A gateway's own log in the place of the gateway: what its decisions would be under another policy."""
import json
import re

import pytest

import configs
from processes import wait_until
from test_rules import ask, ruled, spillway

AWAY = [{"name": "away", "if": "label == 'away'", "route": "cloud"}]
CLOSED = [{"name": "closed", "if": "max_tokens > 500", "route": "refuse", "message": "Closed."}]


@pytest.fixture
def recorded(start_provider, start_gateway, client_of, tmp_path):
    """Twelve decisions, four of them labelled; the log, the running gateway, its provider's address."""
    base_url = start_provider("instant").base_url
    house = start_gateway(ruled(base_url, rules=[], tests=[]))
    client = client_of(house)
    for number in range(12):
        ask(client, "away" if number % 3 == 0 else "", max_tokens=600 if number == 11 else 5)
    wait_until(lambda: sum(line["msg"] == "request" for line in house.log()) == 12, what="the log's lines")
    log = tmp_path / "gateway.log"
    log.write_text("".join(house.output), encoding="utf-8")
    return log, house, base_url


def policy(tmp_path, base_url, rules):
    return configs.write(tmp_path / "next.yaml", ruled(base_url, rules=rules, tests=[]))


def rehearsed(text):
    return json.loads(text[text.index("{"):])


def test_a_log_is_rehearsed_as_the_gateway_would(recorded, tmp_path):
    log, house, base_url = recorded
    path = policy(tmp_path, base_url, AWAY)
    words = ("check", path, "--config", house.config_path)
    asked_status, asked, asked_error = spillway(*words, "--rehearse", "--admin", house.admin.removeprefix("http://"))
    assert asked_status in (0, 1) and house.terminate() == 0  # From here on it is asked nothing.
    status, out, error = spillway(*words, "--log", log)
    answer = rehearsed(out if status == 0 else error)
    live = rehearsed(asked if asked_status == 0 else asked_error)["rehearsal"]
    told = answer["rehearsal"]
    assert told["decisions"] == 12 and told["moved"] == 4 and told["in_time_after"] == 12
    assert [(one["from"], one["to"]) for one in told["moves"]] == [(one["from"], one["to"]) for one in live["moves"]]
    assert told["cost_before_usd"] == 0 and 0 < told["cost_after_usd"]
    status, out, _ = spillway(*words, "--log", log, "--last", "3")
    assert status == 0 and rehearsed(out)["rehearsal"]["decisions"] == 3


def test_a_reload_that_would_be_refused_is_told(recorded, tmp_path):
    log, house, base_url = recorded
    path = policy(tmp_path, base_url, CLOSED)
    status, _, error = spillway("check", path, "--config", house.config_path, "--log", log)
    answer = rehearsed(error)
    assert status == 1 and answer["rehearsal"]["stranded"] == 1
    assert "Closed. (rule `closed`" in answer["objections"] and "guard.stranded_max" in answer["objections"]


def test_what_is_missing_is_said(recorded, tmp_path):
    log, house, base_url = recorded
    path = policy(tmp_path, base_url, AWAY)
    status, _, error = spillway("check", path, "--log", log)
    assert status == 2 and "--config" in error
    empty = tmp_path / "empty.log"
    empty.write_text("nothing\n", encoding="utf-8")
    status, _, error = spillway("check", path, "--config", house.config_path, "--log", empty)
    assert status == 2 and "has no requests" in error


def test_a_log_is_a_trace(recorded, tmp_path):
    log, house, base_url = recorded
    del house
    old = configs.write(tmp_path / "old.yaml", ruled(base_url, rules=[], tests=[]))
    new = policy(tmp_path, base_url, [{"name": "all", "route": "cloud"}])
    status, out, error = spillway("diff", old, new, "--trace", log, "--no-overload")
    assert status == 0, error
    assert re.search(r"moved +12 of 12 requests", out)
    status, out, error = spillway("simulate", "--policy", old, "--trace", log)
    assert status == 0, error


@pytest.mark.parametrize("condition, moved", [("label == 'away'", 4), ("key == 'test'", 12), ("tenant == 'other'", 0),
                                              ("max_tokens > 500", 1), ("key == 'test' and label == 'away'", 4)])
def test_a_log_tells_who_asked_for_what(recorded, tmp_path, condition, moved):
    log, house, base_url = recorded
    new = policy(tmp_path, base_url, [{"name": "new", "if": condition, "route": "cloud"}])
    status, out, error = spillway("diff", house.config_path, new, "--trace", log, "--no-overload", "--failing", "all=0")
    assert status == 0, error
    assert f"moved        {moved} of 12 requests" in out


def test_a_log_measures_its_providers(recorded, tmp_path, start_gateway, client_of):
    _, _, base_url = recorded
    house = start_gateway(ruled(base_url, rules=[{"name": "all", "route": "cloud"}], tests=[]))
    client = client_of(house)
    for _ in range(25):
        list(client.chat.completions.create(model="auto", max_tokens=5, stream=True, messages=[{"role": "user", "content": "Why?"}]))
    wait_until(lambda: sum(line["msg"] == "request" for line in house.log()) == 25, what="the log's lines")
    log = tmp_path / "streams.log"
    log.write_text("".join(house.output), encoding="utf-8")
    config = ruled(base_url, rules=[{"name": "all", "route": "cloud"}], tests=[])
    config["targets"]["quick"] = config["targets"].pop("ai-hub")  # Not a profile's name: what the file says counts, or the log.
    renamed = tmp_path / "renamed.log"
    renamed.write_text(log.read_text(encoding="utf-8").replace('"ai-hub"', '"quick"'), encoding="utf-8")
    path = configs.write(tmp_path / "quick.yaml", config)
    trace = tmp_path / "trace.csv"
    trace.write_text("id,t_ms,in_tokens,out_tokens,class,deadline_ms\n" + "".join(f"{i},{i * 1000},9,9,interactive,\n" for i in range(50)),
                     encoding="utf-8")

    def ttft(*words):
        status, out, error = spillway("simulate", "--policy", path, "--trace", trace, "--no-overload", *words)
        assert status == 0, error
        return float(re.search(r"TTFT +P50 ([\d.]+) s", out).group(1))
    assert ttft() > 0.3 and ttft("--providers-from", renamed) < 0.2
