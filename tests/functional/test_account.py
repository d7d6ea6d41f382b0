"""A provider that does not accept the gateway's account is the operator's matter: it is left alone, and said once."""
import json
import subprocess

import pytest

import configs
from processes import BINARY, as_client, send, wait_until
from upstream import chat

ASK = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8}
SECRET = "sk-upstream-secret"
REFUSALS = {
    "wrong key": (401, {"error": {"message": f"Incorrect API key provided: {SECRET}", "code": "invalid_api_key"}}),
    "no money": (402, {"error": {"message": "Insufficient Balance"}}),
    "no quota": (429, {"error": {"message": "You exceeded your quota", "type": "insufficient_quota",
                                 "code": "insufficient_quota"}})}


def post(gateway, model, path="/v1/chat/completions"):
    status, headers, text = send(gateway.root + path, "POST", {"model": model, **ASK}, as_client())
    assert SECRET.encode() not in text
    return status, headers, json.loads(text)


@pytest.mark.parametrize("refusal", REFUSALS)
def test_nobody_tries_again_in_vain(start_upstream, start_gateway, refusal):
    up = start_upstream(lambda asked: REFUSALS[refusal])
    gateway = start_gateway(configs.gateway({"up": configs.provider(up.base_url, "up", key="env:UP_KEY")}), UP_KEY=SECRET)
    for path in ("/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/chat/completions"):
        body = {"input": "Hi"} if path.endswith("responses") else ASK
        status, headers, text = send(gateway.root + path, "POST", {"model": "up", **body}, as_client())
        assert (status, headers["x-should-retry"], headers["retry-after"]) == (502, "false", None), path
        assert b"account" in text and SECRET.encode() not in text
    assert len(up.asked) == 1, "it is left alone"
    wait_until(lambda: len([line for line in gateway.log() if line["msg"] == "request"]) == 4, what="their lines")
    told = [line for line in gateway.log() if line["level"] == "error"]
    assert [line["target"] for line in told] == ["up"] and SECRET not in json.dumps(gateway.log())
    assert gateway.metric("spillway_circuit_state", be="up") > 0


def test_others_answer_meanwhile_and_it_is_tried_again(start_upstream, start_gateway):
    says = [REFUSALS["wrong key"]]
    first, second = start_upstream(lambda asked: says[0]), start_upstream(lambda asked: chat())
    cheap = {"price_per_million": {"input": "1usd", "output": "1usd"}, "breaker": {"account_pause": "300ms"}}
    gateway = start_gateway(configs.gateway({"first": configs.provider(first.base_url, "first", **cheap),
                                             "second": configs.provider(second.base_url, "second")}))
    for _ in range(3):
        status, headers, _ = post(gateway, "auto")
        assert (status, headers["x-spillway-target"]) == (200, "second")
    assert len(first.asked) < 3
    says[0] = chat()
    wait_until(lambda: post(gateway, "auto")[1]["x-spillway-target"] == "first", what="its return")


@pytest.mark.parametrize("status", [403, 404])
def test_a_model_that_is_gone_or_forbidden_keeps_nobody_from_the_rest(start_upstream, start_gateway, status):
    up = start_upstream(lambda asked: (status, {"error": {"message": "no such Model here"}}) if asked.json["model"] == "a"
                        else chat())
    target = {**configs.provider(up.base_url, "a"), "serves": ["a", "b"]}
    gateway = start_gateway(configs.gateway({"up": target}, limits={"retry_budget": {"per_second_min": 1000}}))
    for _ in range(30):
        assert post(gateway, "a")[0] == 502
    assert post(gateway, "b")[0] == 200 and up.asked[-1].json["model"] == "b"


CAUSES = {"closed port": ("http://127.0.0.1:1/v1", "up: it refuses connections or cannot be reached"),
          "unknown name": ("http://nobody.invalid/v1", "up: its name cannot be resolved"),
          "another path": (None, "up: it answered 404")}


@pytest.mark.parametrize("fault", CAUSES)
def test_why_a_provider_fails_is_told_to_the_operator(start_upstream, start_gateway, fault):
    """In the log, where a provider's own words stay out since they may quote the prompt, and by /decisions and explain."""
    address, cause = CAUSES[fault]
    words = "there is nothing for 'Hi'"
    up = start_upstream(lambda asked: (404, {"error": {"message": words}}))
    gateway = start_gateway(configs.gateway({"up": configs.provider(address or up.base_url, "up")}))
    status, headers, text = send(gateway.root + "/v1/chat/completions", "POST", {"model": "up", **ASK}, as_client())
    assert status == 502
    line = wait_until(lambda: [line for line in gateway.log() if line["msg"] == "request"], what="its line")[0]
    assert line["attempts"][0]["cause"] == cause and words not in json.dumps(gateway.log())
    in_full = cause if address else f"{cause}: {words}"
    assert gateway.decisions(1)[0]["attempts"][0]["cause"] == in_full
    told = subprocess.run([BINARY, "explain", headers["x-request-id"], "--admin", gateway.admin.removeprefix("http://")],
                          capture_output=True, text=True, timeout=20, check=True).stdout
    assert f"attempts    up ({in_full})" in told


def test_who_is_left_alone_for_its_failures_is_told_once_with_the_cause(start_gateway):
    gateway = start_gateway(configs.gateway({"up": configs.provider("http://127.0.0.1:1/v1", "up")}))
    for _ in range(20):
        send(gateway.root + "/v1/chat/completions", "POST", {"model": "up", **ASK}, as_client())
    told = wait_until(lambda: [line for line in gateway.log() if "left alone" in line["msg"]], what="the warning")
    assert [(line["level"], line["target"]) for line in told] == [("warn", "up")]
    assert told[0]["cause"] == CAUSES["closed port"][1]
