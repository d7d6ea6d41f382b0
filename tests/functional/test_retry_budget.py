"""What fails everywhere is not asked ever more: attempts after the first are bounded, over all requests."""
import concurrent.futures
import json

import openai
import pytest

import configs
from processes import get, wait_until

NAMES = ("ai-hub", "openmodel", "cloudbrain")
NEVER_OPENS = {"window": 10000, "failures_min": 10000}
ALL = {"all": {"spill": "always", "prefer": "ordered", "providers": list(NAMES)}}


def house(start_provider, start_gateway, budget=None, local=False):
    providers = {name: start_provider("instant") for name in NAMES}
    targets = {name: configs.provider(p.base_url, name, breaker=NEVER_OPENS) for name, p in providers.items()}
    if local:
        targets = {"local": configs.synthetic_engine(), **targets}
    limits = {"limits": {"retry_budget": budget}} if budget else {}
    return start_gateway(configs.gateway(targets, classes=ALL, default_class="all", **limits)), providers


def fail(providers, share=1.0, **how):
    for provider in providers.values():
        provider.script(faults=[{"kind": "error", "share": share, "after_seconds": 0, **how}])


def asked(providers):
    return sum(provider.stats()["requests"] for provider in providers.values())


def ask(client, number, stream=False):
    return client.chat.completions.create(model="auto", max_tokens=8, stream=stream,
                                          messages=[{"role": "user", "content": f"Number {number}."}])


def errors_of(client, count):
    """What each of so many requests came to: an error, or None."""
    def outcome(number):
        try:
            ask(client, number)
        except openai.APIStatusError as error:
            return error
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return list(pool.map(outcome, range(count)))


def test_where_all_fail_attempts_are_bounded(start_provider, start_gateway, client_of):
    gateway, providers = house(start_provider, start_gateway, {"share_max": 0.2, "per_second_min": 0})
    fail(providers)
    errors = errors_of(client_of(gateway, max_retries=0), 100)
    assert asked(providers) <= 120, "100 first attempts, and a fifth of that"
    assert asked(providers) >= 110
    not_asked_on = [error for error in errors if error.status_code == 503]
    assert len(not_asked_on) >= 80
    for error in not_asked_on:
        assert int(error.response.headers["retry-after"]) >= 1
        assert "asked again" in error.message
    wait_until(lambda: gateway.metric("spillway_retry_budget_exhausted_total") == len(not_asked_on), what="all accounts")


def test_it_is_told_by_explain_and_the_log(start_provider, start_gateway, client_of):
    gateway, providers = house(start_provider, start_gateway, {"share_max": 0, "per_second_min": 0})
    fail(providers)
    with pytest.raises(openai.InternalServerError):
        ask(client_of(gateway, max_retries=0), 1, stream=True)
    decision = wait_until(lambda: gateway.decisions(1), what="the decision")[0]
    assert [attempt["target"] for attempt in decision["attempts"]] == ["ai-hub"]
    assert decision["retry_budget_exhausted"]
    assert "then no other: the retry budget is used up" in get(f"{gateway.admin}/explain/{decision['id']}")[1]
    line = wait_until(lambda: [line for line in gateway.log() if line["msg"] == "request"], what="the line")[0]
    assert line["retry_budget_exhausted"] and len(line["attempts"]) == 1


def test_the_local_engine_is_still_asked(start_provider, start_gateway, client_of):
    gateway, providers = house(start_provider, start_gateway, {"share_max": 0, "per_second_min": 0}, local=True)
    fail(providers)
    raw = client_of(gateway, max_retries=0).chat.completions.with_raw_response.create(
        model="auto", max_tokens=8, messages=[{"role": "user", "content": "Hello."}])
    assert raw.headers["x-spillway-target"] == "local"
    assert asked(providers) == 1


def test_a_stream_that_breaks_ends_with_its_cause(start_provider, start_gateway, client_of):
    gateway, providers = house(start_provider, start_gateway, {"share_max": 0, "per_second_min": 0})
    for provider in providers.values():
        provider.script(faults=[{"kind": "cut", "share": 1.0, "after_tokens": 3}])
    with pytest.raises(openai.APIError):
        list(client_of(gateway, max_retries=0).chat.completions.create(
            model="auto", max_tokens=24, stream=True, temperature=0, messages=[{"role": "user", "content": "Hello."}]))
    assert asked(providers) == 1


def test_by_default_all_three_may_fail_18_percent(start_provider, start_gateway, client_of):
    gateway, providers = house(start_provider, start_gateway)
    fail(providers, share=0.18)
    errors = errors_of(client_of(gateway, max_retries=0), 300)
    told = [json.dumps(error.body) for error in errors if error]
    assert gateway.metric("spillway_retry_budget_exhausted_total") == 0
    assert len(told) <= 3, "one in 170 fails at all three; then the first is asked again"
