"""What stands between a changed policy and all traffic."""
import json

import configs
from processes import get, wait_until
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
