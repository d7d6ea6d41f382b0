"""What stands between a changed policy and all traffic: the shadow and the canary."""
import json

import openai
import pytest

import configs
from processes import Gateway, get, send, wait_until
from test_rules import ask, spillway


def state_of(house):
    return json.loads(get(house.admin + "/rollout")[1])


def policy(base_url, **settings):
    targets = {"local": configs.synthetic_engine(), "ai-hub": configs.provider(base_url, "ai-hub")}
    return configs.gateway(targets, **settings)


def write_policy(path, base_url, **settings):
    """Beside the gateway's own file, which may not listen where that does."""
    return configs.write(path, policy(base_url, **settings))


def test_a_shadow_decides_as_well_and_nothing_comes_of_it(start_provider, start_gateway, client_of, tmp_path):
    provider = start_provider("instant")
    next_policy = write_policy(tmp_path / "next.yaml", provider.base_url,
                               rules=[{"name": "away", "if": "label == 'away'", "route": "cloud"}])
    house = start_gateway(policy(provider.base_url, shadow={"policy": "next.yaml"}))
    client = client_of(house)
    for label in ("", "", "away"):
        headers = ask(client, label)
        assert headers["x-spillway-target"] == "local"
    shadow = wait_until(lambda: state_of(house)["shadow"]["differed"] and state_of(house)["shadow"], what="the shadow")
    assert (shadow["agreed"], shadow["differed"], shadow["skipped"]) == (2, 1, 0)
    assert shadow["cost_in_force_usd"] == 0 and shadow["cost_of_shadow_usd"] > 0
    assert [(move["class"], move["from"], move["to"], move["requests"]) for move in shadow["moves"]] == [
        ("interactive", "local", "ai-hub", 1)]
    assert provider.stats().get("requests", 0) == 0
    assert house.metric("spillway_shadow_decisions_total", outcome="differed") == 1
    assert house.metric("spillway_shadow_moves_total", **{"from": "local", "to": "ai-hub"}) == 1
    assert house.metric("spillway_shadow_cost_usd_total", policy="shadow") > 0
    status, told, _ = spillway("explain", headers["x-request-id"], "--admin", house.admin.removeprefix("http://"))
    assert status == 0 and "shadow      would begin with ai-hub, rule, by rule `away`, price predicted 0.0" in told

    configs.write(next_policy, {**json.loads(next_policy.read_text(encoding="utf-8")), "clases": {}})
    problem = wait_until(lambda: state_of(house)["shadow"]["problem"], what="the mistake")
    assert "clases" in problem and ask(client)["x-spillway-target"] == "local"
    write_policy(next_policy, provider.base_url)
    wait_until(lambda: state_of(house)["shadow"]["problem"] is None, what="the mended file")
    assert state_of(house)["shadow"]["differed"] == 0
    configs.write(house.config_path, policy(provider.base_url))
    wait_until(lambda: state_of(house)["shadow"] is None, what="its end")


KEYS = [f"team-{letter}" for letter in "abcdefgh"]


def keyed(base_url, canary, **settings):
    """Eight keys, whose secrets are their names."""
    keys = {name: {"secret": f"env:{name.upper().replace('-', '_')}"} for name in KEYS}
    return policy(base_url, keys=keys, canary=canary, **settings)


def secrets():
    return {name.upper().replace("-", "_"): name for name in KEYS}


AWAY = [{"name": "away", "route": "cloud"}]


@pytest.fixture
def clients_of(client_of):
    """A client for each key."""
    return lambda house: {name: client_of(house, api_key=name) for name in KEYS}


def targets_of(clients):
    return {name: ask(client)["x-spillway-target"] for name, client in clients.items()}


def ended(house, side):
    """Requests of that side of the canary."""
    told = state_of(house)["canary"][side]
    return sum(told[outcome] for outcome in ("attained", "missed", "failed", "unpromised"))


def begin_canary(house, config):
    configs.write(house.config_path, config)
    return wait_until(lambda: (state_of(house)["canary"] or {}).get("state") == "running" and state_of(house)["canary"],
                      what="the canary")


def test_a_canary_is_for_some_keys_and_then_for_all(start_provider, start_gateway, clients_of):
    base_url = start_provider("instant").base_url
    house = start_gateway(keyed(base_url, {"share": 0.5, "requests_min": 1000}), **secrets())
    clients = clients_of(house)
    assert set(targets_of(clients).values()) == {"local"}
    canary = begin_canary(house, keyed(base_url, {"share": 0.5, "requests_min": 1000}, rules=AWAY))
    assert canary["share"] == 0.5 and house.metric("spillway_canary_share") == 0.5
    before = targets_of(clients)
    assert set(before.values()) == {"local", "ai-hub"}
    assert targets_of(clients) == before, "a key stays on its side"
    for side, target in (("canary", "ai-hub"), ("stable", "local")):
        wait_until(lambda: ended(house, side) == 2 * list(before.values()).count(target), what=f"the {side} side")

    admin = house.admin.removeprefix("http://")
    status, out, _ = spillway("rollout", "promote", "--admin", admin)
    assert status == 0 and json.loads(out)["canary"]["state"] == "promoted"
    assert set(targets_of(clients).values()) == {"ai-hub"}
    assert house.metric("spillway_canary_ends_total", outcome="promoted") == 1
    assert house.metric("spillway_canary_share") == 0
    configs.write(house.config_path, keyed(base_url, {"share": 0.5}, rules=AWAY, log={"level": "warn"}))
    status, out, _ = spillway("rollout", "reload", "--admin", admin)
    assert status == 0 and json.loads(out)["share_of_keys"] == 1, "what is no policy is for everybody at once"
    assert state_of(house)["canary"]["state"] == "promoted"
    status, out, _ = spillway("rollout", "rollback", "--admin", admin)
    assert status == 0 and json.loads(out)["watch"]["state"] == "rolled_back", "what was promoted is watched"
    assert set(targets_of(clients).values()) == {"local"}
    status, _, error = spillway("rollout", "rollback", "--admin", admin)
    assert status == 1 and "there is no canary, nor is a policy watched" in error


def test_what_would_be_a_canary_can_be_rehearsed(start_provider, start_gateway, clients_of, tmp_path):
    base_url = start_provider("instant").base_url
    house = start_gateway(keyed(base_url, {"share": 0.5}), **secrets())
    assert set(targets_of(clients_of(house)).values()) == {"local"}
    path = configs.write(tmp_path / "next.yaml", keyed(base_url, {"share": 0.5}, rules=AWAY))
    status, out, error = spillway("check", path, "--rehearse", "--admin", house.admin.removeprefix("http://"))
    assert status == 0 and json.loads(out[out.index("{"):])["objections"] is None, error


def test_a_canary_that_burns_is_rolled_back_by_itself(start_provider, start_gateway, clients_of):
    """Its provider fails, and its class lets nobody else answer."""
    provider = start_provider("instant")
    provider.script(faults=[{"kind": "error", "share": 1.0, "after_seconds": 0}])
    canary = {"share": 0.5, "requests_min": 8}
    rules = [{"name": "away", "route": "cloud", "among": ["ai-hub"]}]
    house = start_gateway(keyed(provider.base_url, canary), **secrets())
    clients = clients_of(house)
    begin_canary(house, keyed(provider.base_url, canary, rules=rules))
    failed = set()

    def rolled_back():
        for name, client in clients.items():
            try:
                ask(client)
            except openai.APIStatusError:
                failed.add(name)
        return state_of(house)["canary"]["state"] == "rolled_back"
    wait_until(rolled_back, 60, "the rollback")
    assert 0 < len(failed) < len(KEYS)
    assert set(targets_of(clients).values()) == {"local"}
    assert "0.0 %" in state_of(house)["canary"]["why"] and house.metric("spillway_canary_share") == 0
    assert house.metric("spillway_canary_ends_total", outcome="rolled_back") == 1
    assert house.metric("spillway_canary_requests_total", side="canary", outcome="failed") >= 8
    ended = wait_until(lambda: [one for one in house.log() if one.get("end")], what="the log's line")[0]
    assert ended["end"] == "rolled_back" and ended["level"] == "error"
    assert {one["key_name"] for one in house.log() if one.get("canary")} == failed


def test_a_canary_that_is_well_is_promoted_after_its_time(start_provider, start_gateway, clients_of):
    base_url = start_provider("instant").base_url
    canary = {"share": 0.5, "requests_min": 4, "promote_after": "1ms"}
    house = start_gateway(keyed(base_url, canary), **secrets())
    clients = clients_of(house)
    begin_canary(house, keyed(base_url, canary, rules=AWAY))
    wait_until(lambda: set(targets_of(clients).values()) == {"ai-hub"}, 60, "the promotion")
    assert state_of(house)["canary"]["why"] == "it has been well for its time"


def test_running_answers_outlive_their_canary(start_provider, start_gateway, clients_of):
    provider = start_provider("ai-hub")
    canary = {"share": 0.5, "requests_min": 1000}
    stable = keyed(provider.base_url, canary)
    house = start_gateway(stable, **secrets())
    clients = clients_of(house)
    begin_canary(house, keyed(provider.base_url, canary, rules=AWAY))
    key = next(name for name, target in targets_of(clients).items() if target == "ai-hub")
    stream = clients[key].chat.completions.create(
        model="auto", messages=[{"role": "user", "content": "Go on."}], max_tokens=40, stream=True)
    next(iter(stream))
    configs.write(house.config_path, stable)
    wait_until(lambda: state_of(house)["canary"]["state"] == "withdrawn", what="its end")
    assert [chunk.choices[0].finish_reason for chunk in stream][-1] in ("stop", "length")
    assert ask(clients[key])["x-spillway-target"] == "local"


def test_what_is_no_policy_is_not_tried(start_provider, start_gateway):
    """Its keys would go with a rollback, and its provider would be another for all."""
    base_url = start_provider("instant").base_url
    house = start_gateway(keyed(base_url, {"share": 0.5}), **secrets(), TEAM_I="team-i")
    admin = house.admin.removeprefix("http://")

    def reload(trial, *flags):
        configs.write(house.config_path, trial)
        return spillway("rollout", "reload", "--admin", admin, *flags)

    more = keyed(base_url, {"share": 0.5}, rules=AWAY)
    more["keys"]["team-i"] = {"secret": "env:TEAM_I"}
    status, _, error = reload(more)
    assert status == 1 and "bring them in a reload of their own" in error
    other = keyed(base_url + "/other", {"share": 0.5}, rules=AWAY)
    status, _, error = reload(other)
    assert status == 1 and "give it another name" in error
    assert house.metric("spillway_canary_share") == 0
    status, out, _ = reload(other, "--force")
    assert status == 0 and json.loads(out)["share_of_keys"] == 1


def test_a_canary_has_some_keys_beside_it(start_provider, start_gateway):
    base_url = start_provider("instant").base_url
    house = start_gateway(keyed(base_url, {"share": 0.0001}), **secrets())
    configs.write(house.config_path, keyed(base_url, {"share": 0.0001}, rules=AWAY))
    status, _, error = spillway("rollout", "reload", "--admin", house.admin.removeprefix("http://"))
    assert status == 1 and "none of the 8 keys would be under the canary" in error


def test_a_canary_that_refuses_whom_the_policy_in_force_would_not_is_rolled_back(start_provider, start_gateway):
    base_url = start_provider("instant").base_url
    canary = {"share": 0.5, "requests_min": 8, "promote_after": "1ms"}
    house = start_gateway(keyed(base_url, canary), **secrets())
    begin_canary(house, keyed(base_url, canary, rules=[{"name": "closed", "route": "refuse", "message": "Closed."}]))

    def rolled_back():
        assert set(statuses_of(house).values()) <= {200, 403}
        return state_of(house)["canary"]["state"] == "rolled_back"
    wait_until(rolled_back, 60, "the rollback")
    assert "failed" in state_of(house)["canary"]["why"]
    assert set(statuses_of(house).values()) == {200}


def statuses_of(house):
    """What each key is answered."""
    body = {"model": "auto", "messages": [{"role": "user", "content": "Why here?"}], "max_tokens": 4}
    heads = {"content-type": "application/json"}
    return {name: send(house.api + "/chat/completions", "POST", body, {**heads, "authorization": f"Bearer {name}"})[0]
            for name in KEYS}


def roll_back(house, config):
    begin_canary(house, config)
    status, out, _ = spillway("rollout", "rollback", "--admin", house.admin.removeprefix("http://"))
    assert status == 0 and json.loads(out)["canary"]["state"] == "rolled_back"


def test_a_start_does_not_bring_back_what_was_rolled_back(start_provider, start_gateway, clients_of, processes, tmp_path):
    base_url = start_provider("instant").base_url
    canary = {"share": 0.5, "requests_min": 1000}
    in_force = keyed(base_url, canary)
    in_force["server"]["state"] = str(tmp_path / "state")
    house = start_gateway(in_force, **secrets())
    roll_back(house, {**in_force, "rules": AWAY})
    fewer = {name: key for name, key in in_force["keys"].items() if name != "team-h"}
    configs.write(house.config_path, {**in_force, "rules": AWAY, "keys": fewer})
    wait_until(lambda: statuses_of(house)["team-h"] == 401, what="the revocation")
    wait_until(lambda: "was rolled back" in (state_of(house)["guarded_against"] or ""), what="the refusal")
    house.end()

    processes.append(Gateway(house.config_path, secrets()))
    house = processes[-1]
    assert statuses_of(house) == {**dict.fromkeys(KEYS, 200), "team-h": 401}
    clients = clients_of(house)
    del clients["team-h"]
    assert set(targets_of(clients).values()) == {"local"}
    admin = house.admin.removeprefix("http://")
    status, out, _ = spillway("rollout", "reload", "--admin", admin)
    assert status == 0 and json.loads(out)["share_of_keys"] == 0.5, "who asks for it tries it again"
    status, out, _ = spillway("rollout", "promote", "--admin", admin)
    assert status == 0
    house.end()
    processes.append(Gateway(house.config_path, secrets()))
    assert set(targets_of({"team-a": clients_of(processes[-1])["team-a"]}).values()) == {"ai-hub"}


def test_a_key_is_taken_away_whatever_else_is_refused(start_provider, start_gateway):
    """By the guard's objections, a canary's terms, the policy's own tests or a mistake elsewhere in the file."""
    base_url = start_provider("instant").base_url
    canary = {"share": 0.5, "requests_min": 1000}
    house = start_gateway(keyed(base_url, canary), **secrets())
    begin_canary(house, keyed(base_url, canary, rules=AWAY))
    file = keyed(base_url + "/other", canary, rules=AWAY)
    refused = [{}, {"tests": [{"given": {"label": "x"}, "expect": {"route": "local"}}]}, {"clases": {}}]
    gone = []
    for name, mistake in zip(KEYS, refused):
        gone.append(name)
        file["keys"].pop(name)
        configs.write(house.config_path, {**file, **mistake})
        status, _, _ = spillway("rollout", "reload", "--admin", house.admin.removeprefix("http://"))
        assert status == 1, mistake
        assert statuses_of(house) == {**dict.fromkeys(KEYS, 200), **dict.fromkeys(gone, 401)}
    assert state_of(house)["canary"]["state"] == "running"
    status, _, _ = spillway("rollout", "promote", "--admin", house.admin.removeprefix("http://"))
    assert status == 0 and statuses_of(house)[gone[0]] == 401, "its keys are no more than that either"
