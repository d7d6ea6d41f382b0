"""What a class may spend of the budgets that its requests are paid from."""
import concurrent.futures
import signal

import openai
import pytest

import configs
from processes import wait_until
from test_money import HELLO, ask, book, cloud

BULK = {"extra_headers": {"x-spillway-class": "bulk"}}


def shared(start_provider, tmp_path, targets=(), **tenant):
    """Work of class bulk may spend three tenths."""
    config, provider = cloud(start_provider, tmp_path, tenants={"test": {"budget": {"month": "0.001usd", **tenant}}})
    config["targets"] |= dict(targets)
    config["classes"] = {"all": {"spill": "always"}, "bulk": {"spill": "always", "match": "by_name", "budget_share": 0.3}}
    return config, provider


def ask_until_refused(client):
    with pytest.raises(openai.RateLimitError, match="share of class 'bulk', 30 % of the month's budget of tenant 'test'") as refused:
        for _ in range(100):
            ask(client, **BULK)
    assert (refused.value.type, refused.value.code) == ("insufficient_quota", "organization_spend_limit_exceeded")
    assert refused.value.response.headers["x-should-retry"] == "false"


def test_a_class_spends_its_share_of_a_budget_and_no_more(start_provider, start_gateway, client_of, tmp_path):
    config, _ = shared(start_provider, tmp_path)
    gateway = start_gateway(config)
    ask_until_refused(client_of(gateway))
    assert ask(client_of(gateway)).choices, "others have the rest"
    spent = lambda: dict(book(tmp_path, "SELECT class, sum(amount) FROM entries GROUP BY class"))
    wait_until(lambda: len(spent()) == 2, what="the entries")
    assert 200_000 < spent()["bulk"] <= 300_000


def test_what_a_class_spent_outlives_a_kill(start_provider, start_gateway, client_of, tmp_path):
    config, _ = shared(start_provider, tmp_path)
    gateway = start_gateway(config)
    ask_until_refused(client_of(gateway))
    gateway.child.send_signal(signal.SIGKILL)
    gateway.child.wait()
    again = client_of(start_gateway(config))
    with pytest.raises(openai.RateLimitError, match="share of class 'bulk'"):
        ask(again, **BULK)
    assert ask(again).choices


def test_past_its_share_a_class_is_still_served_for_nothing(start_provider, start_gateway, client_of, tmp_path):
    config, provider = shared(start_provider, tmp_path, {"local": configs.synthetic_engine()})
    client = client_of(start_gateway(config))
    for _ in range(100):
        raw = client.chat.completions.with_raw_response.create(model="auto", messages=HELLO, max_tokens=8, **BULK)
        if raw.headers["x-spillway-target"] == "local":
            break
    assert raw.headers["x-spillway-target"] == "local" and provider.stats()["requests"] > 1


def test_running_requests_hold_the_share(start_provider, start_gateway, client_of, tmp_path):
    config, provider = shared(start_provider, tmp_path)
    provider.script(slow=50)
    client = client_of(start_gateway(config))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, client, 100, **BULK)
        wait_until(lambda: provider.stats()["requests"] == 1, what="the first")
        with pytest.raises(openai.RateLimitError, match="share of class 'bulk'.*is held by running requests") as refused:
            ask(client, 100, **BULK)
        assert refused.value.code == "rate_limit_exceeded"
        assert first.result().choices


def test_a_hard_budget_is_hard_at_the_share(start_provider, start_gateway, client_of, tmp_path):
    config, _ = shared(start_provider, tmp_path, hard=True)
    answer = ask(client_of(start_gateway(config)), 1000, **BULK)
    assert answer.choices[0].finish_reason == "length"
    rows = wait_until(lambda: book(tmp_path, "SELECT amount FROM entries"), what="the entry")
    assert 100_000 < rows[0][0] <= 300_000
