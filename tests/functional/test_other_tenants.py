"""What one tenant does with limits of its own, or buys by name, is its own affair: nobody else's requests go elsewhere."""
from concurrent.futures import ThreadPoolExecutor

import configs
from processes import send

LONG = "word " * 600  # Some two seconds of the slow engine below.


def keyed(base_urls, local, interactive):
    targets = {"local": local, **{name: configs.provider(url, name, forward_fields=["ignore_eos"]) for name, url in base_urls.items()}}
    config = configs.gateway(targets, classes={"interactive": {"sla": {"ttft": "1s", "per_token": "500ms"}, **interactive}})
    return {**config, "keys": {name: {"secret": f"env:{name.upper()}"} for name in ("one", "other")}}


def ask(house, key, model="auto", words="Why here?", headers=None, **more):
    body = {"model": model, "messages": [{"role": "user", "content": words}], "max_tokens": 8, "stream": True, **more}
    sent = {"authorization": f"Bearer {key}", "content-type": "application/json", **(headers or {})}
    status, heads, _ = send(house.api + "/chat/completions", "POST", body, sent, 60)
    return status, {name.lower(): value for name, value in heads.items()}


def of(answer):
    return answer[1].get("x-spillway-target")


def test_promises_of_a_clients_own_do_not_make_a_provider_late(start_provider, start_gateway):
    slow = configs.synthetic_engine(base="20ms", per_prefill_token="3ms")
    provider = start_provider("ai-hub")
    house = start_gateway(keyed({"ai-hub": provider.base_url}, slow, {"spill": "when_sla_at_risk"}), ONE="one", OTHER="other")
    assert of(ask(house, "other", words=LONG)) == "ai-hub"
    with ThreadPoolExecutor(4) as pool:
        hurried = [pool.submit(ask, house, "one", "ai-hub", headers={"x-spillway-ttft-ms": "1"}) for _ in range(20)]
    assert {of(one.result()) for one in hurried} == {"ai-hub"}
    assert of(ask(house, "other", words=LONG)) == "ai-hub"


def test_deadlines_of_a_clients_own_do_not_open_a_breaker(start_provider, start_gateway):
    providers = {name: start_provider(name).base_url for name in ("ai-hub", "openmodel")}
    house = start_gateway(keyed(providers, configs.synthetic_engine(), {"spill": "always"}), ONE="one", OTHER="other")
    assert of(ask(house, "other")) == "ai-hub"
    for _ in range(5):
        status, _ = ask(house, "one", "ai-hub", "word " * 120_000, {"x-spillway-deadline-ms": "2500"})
        assert status == 504
    assert house.metric("spillway_circuit_state", target="ai-hub") == 0
    assert of(ask(house, "other")) == "ai-hub"


def test_what_is_bought_by_name_is_not_the_classs_spend(start_provider, start_gateway):
    slow = configs.synthetic_engine(base="20ms", per_prefill_token="3ms")
    provider = start_provider("instant")
    house = start_gateway(keyed({"ai-hub": provider.base_url}, slow, {
        "spill": "when_sla_at_risk", "promise_price_max": "0.1usd",
        "feedback": {"enabled": True, "spend_per_hour_max": "0.2usd"}}), ONE="one", OTHER="other")
    for _ in range(8):
        ask(house, "one", "ai-hub", "word " * 4000, max_tokens=9000, ignore_eos=True)
    assert house.metric("spillway_cost_usd_total") > 0.06  # Ten minutes of the class's are 0.03.
    assert house.metric("spillway_promise_price_ratio", cls="interactive") == 1
    assert of(ask(house, "other", words=LONG)) == "ai-hub"
