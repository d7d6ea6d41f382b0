"""Providers that fail, hang, cut and lie: what the client sees of it is nothing, or an honest error."""
import concurrent.futures
import json

import openai
import pytest

import configs
from processes import get, wait_until
from upstream import chat

HELLO = [{"role": "user", "content": "Hello there."}]
BATCH = {"batch": {"spill": "always", "prefer": "ordered", "providers": ["ai-hub", "openmodel", "cloudbrain"]}}


def cloud_only(start_provider, start_gateway, **timeouts):
    providers = {name: start_provider("instant") for name in ("ai-hub", "openmodel", "cloudbrain")}
    targets = {name: configs.provider(p.base_url, name, timeouts={"first_token": "1s", "between_tokens": "1s", **timeouts})
               for name, p in providers.items()}
    return start_gateway(configs.gateway(targets, classes=BATCH, default_class="batch")), providers


def ask(client, stream, number=0):
    answer = client.chat.completions.create(
        model="auto", max_tokens=24, stream=stream, messages=[{"role": "user", "content": f"Hello, number {number}."}])
    if not stream:
        return answer.choices[0].message.content
    return "".join(chunk.choices[0].delta.content or "" for chunk in answer)


def test_one_failing_18_percent_and_slow_and_one_dead(start_provider, start_gateway, client_of):
    gateway, providers = cloud_only(start_provider, start_gateway)
    providers["ai-hub"].script(slow=3, faults=[{"kind": "error", "share": 0.18, "after_seconds": 0.2}])
    providers["openmodel"].end()
    client = client_of(gateway)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: ask(client, n % 2 == 0, n), range(500)))
    assert len(answers) == 500 and all(answers)
    assert providers["ai-hub"].stats()["failures"] > 0
    failed = gateway.metric("spillway_requests_total") - gateway.metric("spillway_requests_total", code="2xx")
    print(f"\n500 requests, ai-hub failing 18 % and slow, openmodel dead: {failed:.0f} client errors, "
          f"{gateway.metric('spillway_fallbacks_total'):.0f} fallbacks")
    assert failed == 0
    assert gateway.metric("spillway_fallbacks_total") > 0


@pytest.mark.parametrize("fault", ["error", "silence", "silence_after_headers", "garbage", "rate_limited"])
@pytest.mark.parametrize("stream", [True, False])
def test_failing_before_the_first_token_is_replaced(start_provider, start_gateway, client_of, fault, stream):
    gateway, providers = cloud_only(start_provider, start_gateway)
    providers["ai-hub"].script(faults=[{"kind": fault, "share": 1.0, "after_seconds": 0.05}])
    raw = client_of(gateway).chat.completions.with_raw_response.create(
        model="auto", messages=HELLO, max_tokens=8, stream=stream)
    assert raw.headers["x-spillway-target"] == "openmodel"
    decision = wait_until(lambda: gateway.decisions(1), what="the decision")[0]
    assert [attempt["target"] for attempt in decision["attempts"]] == ["ai-hub", "openmodel"]


@pytest.mark.parametrize("fault", ["cut", "stall", "malformed", "error_event"])
def test_a_stream_that_breaks_never_looks_complete(start_provider, start_gateway, client_of, fault):
    gateway, providers = cloud_only(start_provider, start_gateway)
    providers["ai-hub"].script(faults=[{"kind": fault, "share": 1.0, "after_tokens": 3}])
    with pytest.raises(openai.APIError):
        ask(client_of(gateway), stream=True)


def test_text_that_came_is_relayed_before_the_error(start_provider, start_gateway, client_of):
    gateway, providers = cloud_only(start_provider, start_gateway)
    providers["ai-hub"].script(faults=[{"kind": "error_event", "share": 1.0, "after_tokens": 5}])
    seen = ""
    with pytest.raises(openai.APIError):
        for chunk in client_of(gateway).chat.completions.create(model="auto", messages=HELLO, max_tokens=24, stream=True):
            seen += chunk.choices[0].delta.content or ""
    assert seen
    decision = wait_until(lambda: gateway.decisions(1), what="the decision")[0]
    assert decision["status"] == 502 and decision["cost_nano_usd"] > 0


def test_what_is_too_long_here_is_answered_elsewhere(start_provider, start_gateway, client_of):
    """More tokens than four bytes a token would make: only the engine itself knows that it cannot."""
    cloud = start_provider("instant")
    targets = {"local": configs.synthetic_engine(context_max=200),
               "ai-hub": configs.provider(cloud.base_url, "ai-hub")}
    gateway = start_gateway(configs.gateway(targets))
    many = [{"role": "user", "content": "a"}] * 100
    raw = client_of(gateway).chat.completions.with_raw_response.create(model="auto", messages=many, max_tokens=8)
    assert raw.headers["x-spillway-target"] == "ai-hub"


def test_an_open_breaker_is_not_asked(start_provider, start_gateway, client_of):
    gateway, providers = cloud_only(start_provider, start_gateway)
    providers["ai-hub"].script(faults=[{"kind": "error", "share": 1.0, "after_seconds": 0}])
    client = client_of(gateway)
    for number in range(20):
        ask(client, False, number)
    asked = providers["ai-hub"].stats()["requests"]
    assert 1 <= asked <= 8
    assert gateway.metric("spillway_circuit_state", be="ai-hub") == 2
    status, ready = get(gateway.admin + "/readyz")
    assert status == 200 and json.loads(ready)["impaired"] == ["`ai-hub` failed of late and is left alone for a while"]
    for number in range(10):
        ask(client, False, number)
    assert providers["ai-hub"].stats()["requests"] == asked


@pytest.mark.parametrize("says, status, code", [(500, 502, "backend_unavailable"), (503, 503, "server_is_overloaded")])
def test_all_failing_is_one_clear_error(start_provider, start_gateway, client_of, says, status, code):
    gateway, providers = cloud_only(start_provider, start_gateway)
    for provider in providers.values():
        provider.script(faults=[{"kind": "error", "share": 1.0, "after_seconds": 0, "status": says}])
    with pytest.raises(openai.InternalServerError) as caught:
        ask(client_of(gateway), stream=True)
    assert (caught.value.status_code, caught.value.body["code"]) == (status, code)


def test_a_wrong_key_at_the_provider_is_not_the_clients_fault(start_provider, start_gateway, client_of, monkeypatch):
    monkeypatch.setenv("SIMULATED_KEY", "right")
    strict = start_provider("instant", "--key-env", "SIMULATED_KEY")
    target = configs.provider(strict.base_url, "ai-hub", key="env:WRONG_KEY")
    gateway = start_gateway(configs.gateway({"ai-hub": target}), WRONG_KEY="not-the-right-one")
    with pytest.raises(openai.InternalServerError) as caught:
        client_of(gateway).chat.completions.create(model="ai-hub", messages=HELLO)
    assert "not-the-right-one" not in str(caught.value)
    assert "not-the-right-one" not in "".join(gateway.output)


@pytest.mark.parametrize("headers", [
    {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "900ms"},
    {"x-ratelimit-remaining-tokens": "3", "x-ratelimit-reset-tokens": "900ms"}], ids=["requests", "tokens"])
def test_who_says_that_nothing_is_left_is_not_asked_until_there_is(start_upstream, start_gateway, client_of, headers):
    """Before its 429, which costs the client a turn, and the account its good name."""
    def limited(handler):
        body = json.dumps(chat("first")).encode()
        handler.send_response(200)
        for name, value in {"content-type": "application/json", "content-length": len(body), **headers}.items():
            handler.send_header(name, str(value))
        handler.end_headers()
        handler.wfile.write(body)
    first, second = start_upstream(lambda asked: limited), start_upstream(lambda asked: chat("second"))
    targets = {name: configs.provider(one.base_url, name) for name, one in (("first", first), ("second", second))}
    ordered = {"all": {"spill": "always", "prefer": "ordered", "providers": ["first", "second"]}}
    client = client_of(start_gateway(configs.gateway(targets, classes=ordered, default_class="all")), max_retries=0)

    def answer():
        return client.chat.completions.create(model="auto", messages=HELLO, max_tokens=8).choices[0].message.content
    assert [answer(), answer(), answer()] == ["first", "second", "second"]
    wait_until(lambda: answer() == "first", what="the limit to be full again")
    assert len(second.asked) >= 2


@pytest.mark.parametrize("fields", [{"n": 2}, {"logprobs": True}, {"logit_bias": {"5": 1}}, {"response_format": {"type": "json_object"}}],
                         ids=lambda one: next(iter(one)))
def test_a_target_without_words_for_a_request_does_not_speak_for_one_that_rests(start_upstream, start_gateway, client_of, fields):
    """Both times the client is to come back: who could do it is full, then left alone for a while."""
    full = start_upstream(lambda asked: (429, {"error": {"message": "slow down"}}))
    wordless = start_upstream(lambda asked: {"id": "m"})
    targets = {name: {**configs.provider(one.base_url, name), "price_per_million": {"input": price, "output": price}}
               for name, one, price in (("full", full, "1usd"), ("wordless", wordless, "2usd"))}
    targets["wordless"]["dialect"] = "anthropic"
    client = client_of(start_gateway(configs.gateway(targets)), max_retries=0)
    for _ in range(2):
        with pytest.raises(openai.APIStatusError) as caught:
            client.chat.completions.create(model="auto", messages=HELLO, max_tokens=8, **fields)
        assert caught.value.status_code in (429, 503) and caught.value.response.headers["retry-after"]
    assert len(full.asked) == 1 and not wordless.asked
