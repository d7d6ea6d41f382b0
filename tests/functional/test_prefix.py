"""What the engine has read before for a tenant it need not read again, and the router knows."""
import openai
import pytest

import configs
from processes import wait_until

SYSTEM = "You answer in short sentences. " * 60
KEYS = {"SPILLWAY_TEST_KEY": "sk-spillway-test", "SPILLWAY_OTHER_KEY": "sk-spillway-other"}
TENANTS = {"test": {"secret": "env:SPILLWAY_TEST_KEY", "tenant": "acme"},
           "other": {"secret": "env:SPILLWAY_OTHER_KEY", "tenant": "other"}}


@pytest.fixture(name="house")
def fixture_house(start_provider, start_gateway):
    """An engine that takes 5 ms a prompt token: the long prompts below take seconds, unless they are known."""
    targets = {"local": configs.synthetic_engine(per_prefill_token="5ms", step_tokens_max=64, prefix_cache=True),
               "ai-hub": configs.provider(start_provider("instant").base_url, "ai-hub")}
    classes = {"interactive": {"sla": {"ttft": "1s", "per_token": "500ms"}, "spill": "when_sla_at_risk"},
               "private": {"match": {"service_tier": "scale"}, "spill": "never"}}
    return start_gateway(configs.gateway(targets, classes=classes, keys=TENANTS), **KEYS)


def ask(gateway, question, key="sk-spillway-test", **settings):
    """The target that answered, and how many tokens of the prompt had not to be read."""
    with openai.OpenAI(base_url=gateway.api, api_key=key, max_retries=0) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="auto", max_tokens=2,
            messages=[{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}], **settings)
    usage = raw.parse().usage
    return raw.headers["x-spillway-target"], usage.prompt_tokens_details.cached_tokens, usage.prompt_tokens


def test_the_router_keeps_a_known_prompt_that_it_would_have_sent_away(house):
    assert ask(house, "What is a weir?")[0] == "ai-hub", "seconds of prompt, and one promised"
    assert ask(house, "What is a weir?", service_tier="scale")[:2] == ("local", 0)
    target, cached, prompt = ask(house, "What is a sluice?")
    assert target == "local" and cached % 16 == 0 and 0.9 * prompt <= cached < prompt
    row = wait_until(lambda: len(house.decisions()) == 3 and house.decisions()[0], what="the decision")
    assert row["predicted_ttft_ms"] < 1000
    assert house.metric("spillway_engine_prefix_hits_total") == cached


def test_a_tenant_finds_nothing_of_another(house):
    assert ask(house, "What is a weir?", service_tier="scale")[1] == 0
    other = ask(house, "What is a weir?", key="sk-spillway-other", service_tier="scale")
    assert other[:2] == ("local", 0)
    assert ask(house, "What is a weir?", key="sk-spillway-other", service_tier="scale")[1] > 0


def test_it_can_be_switched_off(start_gateway):
    targets = {"local": configs.synthetic_engine(prefix_cache=False)}
    gateway = start_gateway(configs.gateway(targets))
    assert [ask(gateway, "What is a weir?")[1] for _ in range(2)] == [0, 0]
    assert gateway.metric("spillway_engine_prefix_queries_total") == 0
