"""A policy that a reload brought for all keys is watched, and taken back where its promises are kept worse for it."""
import json

import pytest

import configs
from processes import Gateway, get, wait_until
from test_rules import ask, spillway

AWAY = [{"name": "away", "if": "label != 'stay'", "route": "cloud"}]
TERMS = {"requests_min": 10, "watch": "60s"}
MEASURED = {"ttft_p50": "50ms", "ttft_p99": "100ms", "tokens_per_second": 200}


def policy(provider, tmp_path, **settings):
    """Who stays is in time; the provider, whatever is said of it, need not be."""
    targets = {"local": configs.synthetic_engine(), "ai-hub": configs.provider(provider.base_url, "ai-hub", measured=MEASURED)}
    classes = {"interactive": {"sla": {"ttft": "1s"}, "spill": settings.pop("spill", "when_sla_at_risk")}}
    config = configs.gateway(targets, classes=classes, rollback=TERMS, **settings)
    config["server"]["state"] = str(tmp_path / "state")
    return config


def watch_of(house):
    return json.loads(get(house.admin + "/rollout")[1])["watch"]


def decided_by(client):
    """The rule that did."""
    return ask(client).get("x-spillway-rule")


def admin(house):
    return "--admin", house.admin.removeprefix("http://")


def reload(house, config, *flags):
    configs.write(house.config_path, config)
    status, out, error = spillway("rollout", "reload", *admin(house), *flags)
    assert status == 0, out + error


@pytest.fixture
def house(start_provider, start_gateway, client_of, tmp_path):
    """Twenty requests were in time; the provider takes more than a second."""
    provider = start_provider("ai-hub", "--slow", "5")
    config = policy(provider, tmp_path)
    gateway = start_gateway(config)
    gateway.provider, gateway.config = provider, config
    gateway.client = client_of(gateway)
    for _ in range(20):
        assert decided_by(gateway.client) is None
    return gateway


def burn(house):
    def rolled_back():
        ask(house.client)
        return watch_of(house)["state"] == "rolled_back"
    wait_until(rolled_back, 60, "the rollback")


def test_a_policy_that_burns_is_taken_back_by_itself(house):
    reload(house, {**house.config, "rules": AWAY})
    assert watch_of(house)["state"] == "running"
    burn(house)
    watch = watch_of(house)
    assert "promises kept: " in watch["why"] and " beside 100.0 % of 20" in watch["why"]
    assert watch["before"]["attained"] == 20 and watch["now"]["missed"] >= 8
    assert decided_by(house.client) is None
    assert house.metric("spillway_policy_watches_total", outcome="rolled_back") == 1
    told = wait_until(lambda: [one for one in house.log() if one.get("end") == "rolled_back"], what="the log's line")[0]
    assert told["level"] == "error" and told["msg"] == "a policy is watched no more"


def test_it_stays_taken_back_over_a_restart_and_a_change_of_keys(house, client_of, processes):
    burnt = {**house.config, "rules": AWAY}
    reload(house, burnt)
    burn(house)
    house.end()
    processes.append(Gateway(house.config_path, {"SPILLWAY_SECOND_KEY": "sk-second"}))
    again = processes[-1]
    client = client_of(again)
    assert decided_by(client) is None
    more = {**burnt, "keys": {**burnt["keys"], "second": {"secret": "env:SPILLWAY_SECOND_KEY"}}}
    configs.write(again.config_path, more)
    wait_until(lambda: "rolled back" in (json.loads(get(again.admin + "/rollout")[1])["guarded_against"] or ""), what="the refusal")
    assert decided_by(client) is None
    reload(again, more, "--force")
    assert decided_by(client) == "away" and watch_of(again) is None


def test_what_would_have_burnt_before_as_well_is_not_its_fault(start_provider, start_gateway, client_of, tmp_path):
    """All go to the provider, which becomes slow after the reload."""
    provider = start_provider("instant")
    config = policy(provider, tmp_path, spill="always")
    house = start_gateway(config)
    client = client_of(house)
    for _ in range(20):
        assert ask(client)["x-spillway-target"] == "ai-hub"
    rules = [{"name": "labelled", "if": "label == 'stay'", "route": "local_only"}]
    reload(house, {**config, "rules": rules})
    provider.script(faults=[{"kind": "error", "share": 1.0, "after_seconds": 1.2}])
    for _ in range(15):
        ask(client)
    wait_until(lambda: watch_of(house)["excused"] >= 5, what="what is excused")
    assert watch_of(house)["state"] == "running"


def test_who_says_that_it_is_meant_is_not_watched(house):
    reload(house, {**house.config, "rules": AWAY}, "--force")
    assert watch_of(house) is None or watch_of(house)["state"] == "withdrawn"  # The file was seen before that word came.
    for _ in range(12):
        assert decided_by(house.client) == "away"


def test_an_operator_takes_back_what_is_watched(house):
    reload(house, {**house.config, "rules": AWAY})
    assert decided_by(house.client) == "away"
    status, out, _ = spillway("rollout", "rollback", *admin(house))
    assert status == 0 and json.loads(out)["watch"]["state"] == "rolled_back"
    assert decided_by(house.client) is None


def test_another_file_ends_the_watch(house):
    reload(house, {**house.config, "rules": AWAY})
    reload(house, house.config)
    assert watch_of(house)["state"] == "running", "it is watched itself"
    assert house.metric("spillway_policy_watches_total", outcome="withdrawn") == 1
    assert decided_by(house.client) is None


def test_keys_that_came_with_a_policy_are_not_taken_back_with_it(start_provider, start_gateway, client_of, tmp_path):
    config = policy(start_provider("instant"), tmp_path)
    house = start_gateway(config, SPILLWAY_SECOND_KEY="sk-second")
    keys = {**config["keys"], "second": {"secret": "env:SPILLWAY_SECOND_KEY"}}
    reload(house, {**config, "rules": AWAY, "keys": keys})
    assert watch_of(house) is None
    assert decided_by(client_of(house, api_key="sk-second")) == "away"
    wait_until(lambda: [one for one in house.log() if "is not watched" in one.get("msg", "")], what="the log's line")


def test_keys_that_are_taken_away_stay_away(house, client_of, processes, tmp_path):
    two = {**house.config["keys"], "second": {"secret": "env:SPILLWAY_SECOND_KEY"}}
    house.end()
    configs.write(house.config_path, {**house.config, "keys": two})
    processes.append(Gateway(house.config_path, {"SPILLWAY_SECOND_KEY": "sk-second"}))
    again = processes[-1]
    assert ask(client_of(again, api_key="sk-second"))
    reload(again, {**house.config, "rules": AWAY})
    assert watch_of(again)["state"] == "running"
    status, _, _ = spillway("rollout", "rollback", *admin(again))
    assert status == 0 and decided_by(client_of(again)) is None
    with pytest.raises(Exception, match="not known here"):
        ask(client_of(again, api_key="sk-second"))
