"""Money: booked once, whatever happens; budgets and limits that hold; all of it with the official client."""
import concurrent.futures
import json
import resource
import signal
import sqlite3

import anthropic
import openai
import pytest

import configs
from played import PlayedProvider, chunk, events
from processes import KEY, as_client, send, wait_until
from upstream import USAGE, begin, chat
from upstream import chunk as upstream_chunk

HELLO = [{"role": "user", "content": "Hello there."}]
PRICE = 2.0  # USD a million tokens, both ways.


def cloud(start_provider, tmp_path, *profile, **settings):
    """One quick provider, and a ledger that outlives the gateway."""
    provider = start_provider(*(profile or ("ai-hub", "--slow", "0.01")))
    targets = {"cloud": configs.provider(provider.base_url, "cloud")}
    config = configs.gateway(targets, classes={"all": {"spill": "always"}}, default_class="all", **settings)
    config["server"]["state"] = str(tmp_path / "state")
    return config, provider


def book(tmp_path, query, *values):
    with sqlite3.connect(f"file:{tmp_path}/state/ledger.sqlite?mode=ro", uri=True) as database:
        return database.execute(query, values).fetchall()


def ask(client, tokens=8, stream=False, **more):
    return client.chat.completions.create(model="auto", messages=HELLO, max_tokens=tokens, stream=stream, **more)


def test_each_answer_is_booked_once_at_the_providers_own_count(start_provider, start_gateway, client_of, tmp_path):
    config, provider = cloud(start_provider, tmp_path)
    gateway = start_gateway(config)
    client = client_of(gateway)
    usages = [ask(client, tokens).usage for tokens in (1, 7, 40)]
    wait_until(lambda: len(book(tmp_path, "SELECT * FROM entries")) == 3, what="three entries")
    for usage in usages:
        cost = round((usage.prompt_tokens + usage.completion_tokens) * PRICE * 1000)
        rows = book(tmp_path, "SELECT amount, tenant, key, target, estimated FROM entries WHERE completion = ?",
                    usage.completion_tokens)
        assert rows == [(cost, "test", "test", "cloud", 0)]
    debits, credits = book(tmp_path, "SELECT sum(debits), sum(credits) FROM balances")[0]
    assert debits == credits > 0


def test_a_client_that_leaves_is_billed_for_what_it_got(start_provider, start_gateway, client_of, tmp_path):
    config, provider = cloud(start_provider, tmp_path)
    provider.script(slow=2)
    gateway = start_gateway(config)
    stream = ask(client_of(gateway), 2000, stream=True)
    for _, chunk in zip(range(5), stream):
        assert chunk
    stream.close()
    rows = wait_until(lambda: book(tmp_path, "SELECT completion, amount, estimated FROM entries"), what="the entry")
    completion, amount, estimated = rows[0]
    assert 3 <= completion < 500 and amount > 0 and estimated == 1


def test_a_budget_refuses_and_does_not_ask_to_retry(start_provider, start_gateway, client_of, tmp_path):
    config, provider = cloud(start_provider, tmp_path, tenants={"test": {"budget": {"month": "0.0001usd"}}})
    gateway = start_gateway(config)
    client = client_of(gateway, max_retries=2)
    asked = 0
    with pytest.raises(openai.RateLimitError) as refused:
        for asked in range(100):
            ask(client)
    assert (refused.value.type, refused.value.code) == ("insufficient_quota", "organization_spend_limit_exceeded")
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert "budget of tenant 'test'" in str(refused.value)
    assert asked > 0 and provider.stats()["requests"] == asked
    wait_until(lambda: book(tmp_path, "SELECT count(*) FROM entries") == [(asked,)], what="the entries")
    assert 0 < book(tmp_path, "SELECT sum(amount) FROM entries")[0][0] <= 100_000


def test_near_its_end_a_budget_warns(start_provider, start_gateway, client_of, tmp_path):
    config, _ = cloud(start_provider, tmp_path, tenants={"test": {"budget": {"day": "0.001usd", "warn_at": 0.05}}})
    client = client_of(start_gateway(config))
    first = client.chat.completions.with_raw_response.create(model="auto", messages=HELLO, max_tokens=1)
    assert "x-spillway-budget-warning" not in first.headers
    last = [client.chat.completions.with_raw_response.create(model="auto", messages=HELLO, max_tokens=8)
            for _ in range(5)][-1]
    assert last.headers["x-spillway-budget-warning"].startswith("tenant test: ")


def test_a_rule_sees_how_much_of_a_budget_is_left(start_provider, start_gateway, client_of, tmp_path):
    config, _ = cloud(start_provider, tmp_path, tenants={"test": {"budget": {"day": "0.0001usd"}}},
                      rules=[{"name": "thrift", "if": "budget_left <= 0.5", "route": "refuse", "message": "Half is spent."}],
                      tests=[{"given": {"budget_left": "50%"}, "expect": {"rule": "thrift"}},
                             {"expect": {"rule": "none"}}])
    client = client_of(start_gateway(config))
    with pytest.raises(openai.PermissionDeniedError, match="Half is spent."):
        for _ in range(20):
            ask(client)
    spent = lambda: book(tmp_path, "SELECT coalesce(sum(amount), 0) FROM entries")[0][0]
    wait_until(lambda: spent() >= 50_000, what="half of it in the book")
    assert spent() <= 80_000


@pytest.mark.parametrize("stream", [True, False])
def test_a_hard_budget_cuts_the_answer_and_is_never_overspent(start_provider, start_gateway, client_of, tmp_path, stream):
    config, _ = cloud(start_provider, tmp_path, tenants={"test": {"budget": {"month": "0.0006usd", "hard": True}}})
    client = client_of(start_gateway(config))
    if stream:
        chunks = list(ask(client, 1000, stream=True))
        finish = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1]
    else:
        finish = ask(client, 1000).choices[0].finish_reason
    assert finish == "length"
    rows = wait_until(lambda: book(tmp_path, "SELECT amount, estimated, completion FROM entries"), what="the entry")
    assert 300_000 < rows[0][0] <= 600_000 and rows[0][1] == 0 and rows[0][2] < 300


@pytest.mark.parametrize("stream", [True, False])
def test_a_hard_budget_cuts_every_protocols_answer(start_provider, start_gateway, client_of, tmp_path, stream):
    tenants = {name: {"budget": {"month": "0.0006usd", "hard": True}} for name in ("test", "other")}
    config, _ = cloud(start_provider, tmp_path, tenants=tenants)
    config["keys"]["other"] = {"secret": "env:SPILLWAY_OTHER_KEY"}
    gateway = start_gateway(config, SPILLWAY_OTHER_KEY="sk-spillway-other")
    with anthropic.Anthropic(base_url=gateway.root, api_key=KEY, max_retries=0) as client:
        ask = dict(model="auto", max_tokens=1000, messages=HELLO)
        if stream:
            with client.messages.stream(**ask) as streaming:
                message = streaming.get_final_message()
        else:
            message = client.messages.create(**ask)
    assert message.stop_reason == "max_tokens" and 0 < message.usage.output_tokens < 300
    responses = client_of(gateway, api_key="sk-spillway-other").responses
    answer = responses.create(model="auto", max_output_tokens=1000, input="Hello there.", stream=stream)
    events = list(answer) if stream else []
    answer = events[-1].response if stream else answer
    assert answer.status == "incomplete" and answer.incomplete_details.reason == "max_output_tokens"
    assert 0 < answer.usage.output_tokens < 300
    assert not stream or events[-1].type == "response.incomplete"
    rows = wait_until(lambda: len(rows := book(tmp_path, "SELECT amount FROM entries")) == 2 and rows, what="both entries")
    assert all(300_000 < amount <= 600_000 for amount, in rows)


def test_a_hard_budget_stops_a_provider_that_does_not(start_gateway, client_of, processes, tmp_path):
    """It is told a limit and goes on: the answer is cut here."""
    processes.append(PlayedProvider(events(*[chunk("word ")] * 3000, chunk(finish="stop"))))
    config = configs.gateway({"cloud": configs.provider(processes[-1].base_url, "cloud")}, classes={"all": {"spill": "always"}},
                             default_class="all", tenants={"test": {"budget": {"month": "0.0006usd", "hard": True}}})
    config["server"]["state"] = str(tmp_path / "state")
    chunks = list(ask(client_of(start_gateway(config)), 1000, stream=True))
    told = processes[0].asked[0]["max_tokens"]
    assert told < 300
    assert sum(1 for each in chunks if each.choices and each.choices[0].delta.content) == told + 1
    assert [each.choices[0].finish_reason for each in chunks if each.choices][-1] == "length"
    rows = wait_until(lambda: book(tmp_path, "SELECT amount FROM entries"), what="the entry")
    assert 300_000 < rows[0][0] <= 600_000


@pytest.mark.parametrize("body", [{"n": 3}, {"max_tokens": None}, {"max_tokens": 10**6}], ids=str)
def test_a_hard_budget_holds_against_a_provider_that_packs_its_words(start_gateway, client_of, processes, tmp_path, body):
    """Each event has as many words as a budget can pay, and nobody tells a usage: it is cut when they are surely too many."""
    processes.append(PlayedProvider(events(*[chunk("word " * 500)] * 3000)))
    provider = configs.provider(processes[-1].base_url, "cloud")
    config = configs.gateway({"cloud": provider}, classes={"all": {"spill": "always"}}, default_class="all",
                             tenants={"test": {"budget": {"month": "0.002usd", "hard": True}}})
    config["server"]["state"] = str(tmp_path / "state")
    client = client_of(start_gateway(config))
    list(client.chat.completions.create(model="auto", messages=HELLO, stream=True, **body))
    assert processes[0].asked[0]["max_tokens"] <= 1000
    rows = wait_until(lambda: book(tmp_path, "SELECT amount FROM entries"), what="the entry")
    assert rows[0][0] <= 2_200_000  # What showed it was booked: a few events of three thousand.


@pytest.mark.parametrize("said, more", [("word ", {}), ("word ", {"n": 3}), ("7", {}), (" ", {}), ("x", {})], ids=str)
def test_what_is_cut_is_booked_as_it_was_cut(start_upstream, start_gateway, client_of, tmp_path, said, more):
    """Nobody tells the tokens: five bytes a word are not a fourth more than the budget has, digits are one each, letters a fourth."""
    def go_on(handler):
        begin(handler)
        for i in range(300):
            piece = upstream_chunk({"content": said}, index=i % more.get("n", 1))
            handler.wfile.write(b"data: " + json.dumps(piece).encode() + b"\n\n")
    target = configs.provider(start_upstream(lambda asked: go_on).base_url, "cloud",
                              price_per_million={"input": "0usd", "output": "1000usd"})
    config = configs.gateway({"cloud": target}, classes={"all": {"spill": "always"}}, default_class="all",
                             tenants={"test": {"budget": {"month": "0.05usd", "hard": True}}})
    config["server"]["state"] = str(tmp_path / "state")
    list(ask(client_of(start_gateway(config)), 1000, stream=True, **more))
    (completion, amount), = wait_until(lambda: book(tmp_path, "SELECT completion, amount FROM entries"), what="the entry")
    assert completion == 50 and amount == 50_000_000  # The one that showed it is within the budget.


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_no_tokens_told_beside_words_are_none_told(start_upstream, start_gateway, client_of, tmp_path, stream):
    none = {**USAGE, "usage": {"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 9}}
    whole = {**chat("word " * 40), "usage": none["usage"]}
    pieces = [upstream_chunk({"content": "word "})] * 40 + [upstream_chunk({}, finish="stop"), none]
    upstream = start_upstream(lambda asked: pieces if stream else whole)
    target = configs.provider(upstream.base_url, "cloud", price_per_million={"input": "0usd", "output": "1usd"})
    config = configs.gateway({"cloud": target}, classes={"all": {"spill": "always"}}, default_class="all")
    config["server"]["state"] = str(tmp_path / "state")
    answer = ask(client_of(start_gateway(config)), 100, stream=stream)
    if stream:
        list(answer)
    (completion, estimated), = wait_until(lambda: book(tmp_path, "SELECT completion, estimated FROM entries"), what="the entry")
    assert completion == 50 and estimated


def test_sound_of_an_earlier_answer_has_no_bound(start_upstream, start_gateway, tmp_path):
    upstream = start_upstream(lambda asked: chat())
    target = configs.provider(upstream.base_url, "cloud", takes=["audio"])
    config = configs.gateway({"cloud": target}, tenants={"test": {"budget": {"month": "1usd", "hard": True}}})
    earlier = {"role": "assistant", "audio": {"id": "audio_1"}}
    body = {"model": "cloud", "messages": [*HELLO, earlier, *HELLO], "max_tokens": 8}
    status, _, text = send(start_gateway(config).root + "/v1/chat/completions", "POST", body, as_client())
    assert status == 400 and b"earlier sound by its id" in text and not upstream.asked


@pytest.mark.parametrize("dialect, name", [("azure", "max_completion_tokens"), ("openai", "max_tokens")])
def test_a_limit_of_ours_has_the_name_that_the_provider_takes(start_gateway, start_upstream, client_of, dialect, name):
    upstream = start_upstream(lambda asked: chat())
    provider = configs.provider(upstream.base_url, "cloud", dialect=dialect)
    client = client_of(start_gateway(configs.gateway(
        {"cloud": provider}, tenants={"test": {"budget": {"month": "0.002usd", "hard": True}}})))
    client.chat.completions.create(model="cloud", messages=HELLO)
    assert [key for key in upstream.asked[0].json if key.startswith("max_")] == [name]


def test_limits_are_told_and_kept_to_the_millisecond(start_provider, start_gateway, client_of, tmp_path):
    keys = {"test": {"secret": "env:SPILLWAY_TEST_KEY", "limits": {"requests_per_minute": 60}}}
    config, _ = cloud(start_provider, tmp_path, keys=keys)
    client = client_of(start_gateway(config))
    first = client.chat.completions.with_raw_response.create(model="auto", messages=HELLO, max_tokens=1)
    assert first.headers["x-ratelimit-limit-requests"] == "60"
    assert first.headers["x-ratelimit-remaining-requests"] == "59"
    assert first.headers["x-ratelimit-reset-requests"] == "1s"
    with pytest.raises(openai.RateLimitError) as refused:
        for _ in range(70):
            ask(client, 1)
    assert refused.value.code == "rate_limit_exceeded"
    wait = int(refused.value.response.headers["retry-after-ms"])
    assert 0 < wait <= 1000
    assert refused.value.response.headers["x-ratelimit-remaining-requests"] == "0"
    assert ask(client.with_options(max_retries=3), 1)  # The SDK waits as long as it is told, and gets through.


def test_tokens_and_places_are_limited(start_provider, start_gateway, client_of, tmp_path):
    config, provider = cloud(start_provider, tmp_path, model_limits={"auto": {"tokens_per_minute": 1000}},
                             tenants={"test": {"limits": {"concurrency": 1}}})
    client = client_of(start_gateway(config))
    with pytest.raises(openai.RateLimitError, match="tokens a minute"):
        for _ in range(10):
            ask(client, 400)
    provider.script(slow=5)
    stream = ask(client, 50, stream=True)
    next(iter(stream))
    with pytest.raises(openai.RateLimitError, match="at once"):
        ask(client, 1)
    stream.close()


def test_a_key_asks_only_for_its_models(start_provider, start_gateway, client_of, tmp_path):
    config, _ = cloud(start_provider, tmp_path,
                      keys={"test": {"secret": "env:SPILLWAY_TEST_KEY", "models": "cloud"}})
    client = client_of(start_gateway(config))
    assert client.chat.completions.create(model="cloud", messages=HELLO, max_tokens=1)
    with pytest.raises(openai.PermissionDeniedError):
        ask(client)


@pytest.mark.parametrize("on_failure", ["fail_closed", "local_only"])
def test_while_the_disk_is_full_nothing_costs_money(start_provider, start_gateway, client_of, tmp_path, on_failure):
    config, provider = cloud(start_provider, tmp_path, ledger={"on_failure": on_failure})
    if on_failure == "local_only":
        config["targets"]["local"] = configs.synthetic_engine()
    gateway = start_gateway(config)
    client = client_of(gateway)
    ask(client)
    wait_until(lambda: gateway.metric("spillway_ledger_entries_total") == 1, what="the first entry")
    _, most = resource.prlimit(gateway.child.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(gateway.child.pid, resource.RLIMIT_FSIZE, (1, most))  # No file of its may grow.
    ask(client)  # Answered: that nothing can be booked shows only now.
    wait_until(lambda: gateway.metric("spillway_ledger_errors_total") > 0, what="the failure")
    asked = provider.stats()["requests"]
    if on_failure == "local_only":
        raw = client.chat.completions.with_raw_response.create(model="auto", messages=HELLO, max_tokens=4)
        assert raw.headers["x-spillway-target"] == "local"
    else:
        with pytest.raises(openai.InternalServerError, match="booked") as refused:
            ask(client)
        assert refused.value.status_code == 503
    assert provider.stats()["requests"] == asked
    resource.prlimit(gateway.child.pid, resource.RLIMIT_FSIZE, (most, most))
    wait_until(lambda: gateway.metric("spillway_ledger_lag_entries") == 0, what="the rest to be booked")
    ask(client)
    assert gateway.terminate() == 0
    booked = book(tmp_path, "SELECT count(*) FROM entries WHERE target = 'cloud'")[0][0]
    assert booked == 3


def test_killed_again_and_again_under_load(start_provider, start_gateway, client_of, tmp_path):
    """Three times kill -9: every answer that a client has the end of is in the book, once."""
    config, _ = cloud(start_provider, tmp_path, "instant")
    acknowledged = []

    def worker(client):
        while True:
            try:
                raw = client.chat.completions.with_raw_response.create(model="auto", messages=HELLO, max_tokens=2)
                raw.parse()
            except openai.APIError:
                return
            acknowledged.append(raw.headers["x-request-id"])

    for _ in range(3):
        gateway = start_gateway(config)
        before = len(acknowledged)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            done = [pool.submit(worker, client_of(gateway)) for _ in range(8)]
            wait_until(lambda: len(acknowledged) > before + 150, what="answers")
            gateway.child.send_signal(signal.SIGKILL)
            gateway.child.wait(timeout=10)
            concurrent.futures.wait(done, timeout=20)
    start_gateway(config).terminate()
    booked = [row[0] for row in book(tmp_path, "SELECT id FROM entries WHERE phase = 1")]
    assert len(booked) == len(set(booked))
    lost = set(acknowledged) - set(booked)
    print(f"\n3 kills, {len(acknowledged)} acknowledged, {len(booked)} booked, {len(lost)} lost")
    assert not lost
    debits, credits, amount = book(
        tmp_path, "SELECT (SELECT sum(debits) FROM balances), (SELECT sum(credits) FROM balances), sum(amount) FROM entries")[0]
    assert debits == credits == amount


PDF = "data:application/pdf;base64,JVBERi0xLjQ="


@pytest.mark.parametrize("data, served", [(PDF, False), ("data:text/plain;base64,JVBERi0xLjQ=", False), ("data:text/plain;base64,aGVsbG8=", True)])
def test_a_hard_budget_refuses_documents_that_their_bytes_do_not_measure(start_upstream, start_gateway, client_of, data, served):
    """A PDF of a few hundred bytes may have a hundred pages."""
    upstream = start_upstream(lambda asked: {**chat(), "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}})
    targets = {"up": configs.provider(upstream.base_url, "up", price_per_million={"input": "1usd", "output": "1usd"})}
    config = configs.gateway(targets, tenants={"test": {"budget": {"day": "1usd", "hard": True}}})
    gateway = start_gateway(config)
    client = client_of(gateway)
    part = {"type": "file", "file": {"filename": "a", "file_data": data}}
    by_id = {"type": "file", "file": {"file_id": client.files.create(
        file=("a.txt", b"hello") if served else ("a.pdf", b"%PDF-1.4"), purpose="user_data").id}}
    picture = {"type": "image_url", "image_url": {"url": data}}
    for one in (part, by_id) if served else (part, by_id, picture):
        ask = dict(model="up", messages=[{"role": "user", "content": [one]}], max_tokens=8)
        if served:
            client.chat.completions.create(**ask)
        else:
            with pytest.raises(openai.BadRequestError, match="no plain text"):
                client.chat.completions.create(**ask)
    assert len(upstream.asked) == (2 if served else 0)


def test_a_hard_budget_reckons_with_sound(start_upstream, start_gateway, client_of, tmp_path):
    upstream = start_upstream(lambda asked: {**chat(), "usage": {
        "prompt_tokens": 9, "completion_tokens": asked.json["max_tokens"], "total_tokens": 9 + asked.json["max_tokens"],
        "completion_tokens_details": {"audio_tokens": asked.json["max_tokens"]}}})
    price = {"input": "1usd", "output": "1usd", "audio_output": "80usd"}
    targets = {"up": configs.provider(upstream.base_url, "up", price_per_million=price)}
    config = configs.gateway(targets, tenants={"test": {"budget": {"day": "0.02usd", "hard": True}}})
    config["server"]["state"] = str(tmp_path / "state")
    client = client_of(start_gateway(config))
    client.chat.completions.create(model="up", messages=HELLO, max_tokens=4096, modalities=["text", "audio"],
                                   audio={"voice": "alloy", "format": "wav"})
    assert 0 < upstream.asked[0].json["max_tokens"] <= 250
    (amount,), = wait_until(lambda: book(tmp_path, "SELECT amount FROM entries"), what="the entry")
    assert 0 < amount <= 20_000_000


def test_an_answer_that_looks_things_up_costs_a_search(start_upstream, start_gateway, client_of, tmp_path):
    """The provider's usage does not tell of it."""
    upstream = start_upstream(lambda asked: chat())
    target = configs.provider(upstream.base_url, "cloud", price_per_search="0.01usd")
    config = configs.gateway({"cloud": target})
    config["server"]["state"] = str(tmp_path / "state")
    client = client_of(start_gateway(config))
    for more in ({}, {"web_search_options": {}}):
        client.chat.completions.create(model="cloud", messages=HELLO, max_tokens=8, **more)
    amounts = wait_until(lambda: (found := book(tmp_path, "SELECT amount FROM entries ORDER BY amount")) and
                         len(found) == 2 and found, what="both entries")
    assert [amount for amount, in amounts] == [22_000, 10_022_000]


def test_nobody_looks_things_up_as_if_it_cost_nothing(start_upstream, start_gateway, client_of):
    upstream = start_upstream(lambda asked: chat())
    targets = {"free": configs.provider(upstream.base_url, "free"),
               "told": configs.provider(upstream.base_url, "told", takes=["search"])}
    client = client_of(start_gateway(configs.gateway(targets)))
    assert client.chat.completions.create(model="told", messages=HELLO, web_search_options={})
    with pytest.raises(openai.BadRequestError, match="takes search"):
        client.chat.completions.create(model="free", messages=HELLO, web_search_options={})


@pytest.mark.parametrize("stream", [False, True])
def test_a_dearer_tier_is_no_exact_cost(start_upstream, start_gateway, client_of, tmp_path, stream):
    def answer(asked):
        if stream:
            return [{**upstream_chunk({"content": "Hello"}), "service_tier": "priority"}, upstream_chunk({}, finish="stop"), USAGE]
        return {**chat(), "service_tier": "priority"}
    config = configs.gateway({"cloud": configs.provider(start_upstream(answer).base_url, "cloud")})
    config["server"]["state"] = str(tmp_path / "state")
    gateway = start_gateway(config)
    answer = client_of(gateway).chat.completions.create(model="cloud", messages=HELLO, stream=stream)
    assert not stream or list(answer)
    assert wait_until(lambda: book(tmp_path, "SELECT estimated, amount FROM entries"), what="the entry") == [(1, 22_000)]
    wait_until(lambda: gateway.metric("spillway_dearer_tier_total", be="cloud") == 1, what="the count")


def test_a_completion_without_a_limit_is_told_sixteen_tokens(start_upstream, start_gateway, client_of, tmp_path):
    """Whatever the provider would have taken for it."""
    def write(asked):
        tokens = asked.json["max_tokens"] * len(asked.json["prompt"]) * asked.json["n"]
        return {"id": "x", "object": "text_completion", "created": 1, "model": "up",
                "choices": [{"index": at, "text": "a", "logprobs": None, "finish_reason": "length"} for at in range(6)],
                "usage": {"prompt_tokens": 3, "completion_tokens": tokens, "total_tokens": tokens + 3}}
    upstream = start_upstream(write)
    targets = {"up": configs.provider(upstream.base_url, "up", endpoints=["completions"])}
    config = configs.gateway(targets, tenants={"test": {"budget": {"day": "0.002usd", "hard": True}}})
    config["server"]["state"] = str(tmp_path / "state")
    client = client_of(start_gateway(config))
    client.completions.create(model="up", prompt=["a", "b", "c"], n=2)
    assert upstream.asked[0].json["max_tokens"] == 16
    (amount,), = wait_until(lambda: book(tmp_path, "SELECT amount FROM entries"), what="the entry")
    assert amount == (3 + 6 * 16) * 2_000


def test_a_hard_budget_counts_what_a_call_says_and_not_its_json(start_upstream, start_gateway, client_of, tmp_path):
    def piece(arguments, **named):
        return upstream_chunk({"tool_calls": [{"index": 0, **named, "function": {"arguments": arguments, **({"name": "f"} if named else {})}}]})
    pieces = [piece("{", id="c", type="function")] + [piece("word ")] * 998 + [piece("}")]
    usage = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [],
             "usage": {"prompt_tokens": 10, "completion_tokens": 1000, "total_tokens": 1010}}
    upstream = start_upstream(lambda asked: [*pieces, upstream_chunk({}, finish="tool_calls"), usage] if asked.json.get("user") else pieces)
    config = configs.gateway({"up": configs.provider(upstream.base_url, "up")},
                             tenants={"test": {"budget": {"day": "100usd", "hard": True}}})
    config["server"]["state"] = str(tmp_path / "state")
    client = client_of(start_gateway(config))
    tools = [{"type": "function", "function": {"name": "f"}}]
    with client.chat.completions.stream(model="up", messages=HELLO, tools=tools, user="me") as stream:
        list(stream)
        choice = stream.get_final_completion().choices[0]
    assert choice.finish_reason == "tool_calls" and len(choice.message.tool_calls[0].function.arguments) == 998 * 5 + 2
    with pytest.raises(openai.APIError):
        list(client.chat.completions.create(model="up", messages=HELLO, tools=tools, stream=True))
    tokens = wait_until(lambda: (found := book(tmp_path, "SELECT completion, estimated FROM entries ORDER BY estimated")) and
                        len(found) == 2 and found, what="both entries")
    assert tokens[0] == (1000, 0) and tokens[1] == (4096, 1), "what broke off may come to all that was granted"


@pytest.mark.parametrize("dialect, reads", [("openai", True), ("anthropic", True), ("vllm", False)])
def test_the_form_of_an_answer_costs_where_it_is_read(start_upstream, start_gateway, client_of, tmp_path, dialect, reads):
    """4,000 bytes of a schema are 1,000 tokens of the prompt, or none."""
    message = {"id": "m", "type": "message", "role": "assistant", "model": "x", "content": [{"type": "text", "text": "{}"}],
               "stop_reason": "end_turn", "stop_sequence": None}
    uncounted = {name: value for name, value in chat("{}").items() if name != "usage"}
    upstream = start_upstream(lambda asked: message if dialect == "anthropic" else uncounted)
    form = {"type": "json_schema", "json_schema": {"name": "f", "schema": {"type": "object", "description": "a" * 4_000}}}
    most = {"dear": "0.001usd", "cheap": "1usd"}
    classes = {name: {"match": "by_name", "spill": "always", "price_max": most} for name, most in most.items()}
    config = configs.gateway({"cloud": configs.provider(upstream.base_url, "cloud", dialect=dialect)}, classes=classes,
                             default_class="cheap", tenants={"test": {"budget": {"day": "0.004usd"}}})
    config["server"]["state"] = str(tmp_path / "state")
    client = client_of(start_gateway(config))

    def asks(name, **more):
        return client.chat.completions.create(model="cloud", messages=HELLO, response_format=form,
                                              extra_headers={"x-spillway-class": name}, **{"max_tokens": 8, **more})
    if reads:
        with pytest.raises(openai.InternalServerError, match="more than its class pays: price_max") as refused:
            asks("dear")
        told = refused.value.response.headers
        assert told["x-should-retry"] == "false" and "retry-after" not in told
        with pytest.raises(openai.RateLimitError):
            asks("cheap", max_tokens=1_200)
    else:
        asks("dear")
        asks("cheap", max_tokens=1_200)
    asks("cheap")
    entries = wait_until(lambda: book(tmp_path, "SELECT prompt, estimated FROM entries"), what="the entry")
    assert {(prompt > 1_000, estimated) for prompt, estimated in entries} == {(reads, 1)}
