"""A second target beside one that is silent for long: who answers, what both cost, and when it is not done."""
import concurrent.futures
import http.client
import json
import sqlite3
import time
import urllib.parse

import pytest

import configs
from processes import as_client, send, wait_until
from upstream import USAGE, chunk

PRICE = 2_000  # Nano-USD a token, both ways.
PROMPT = "word " * 400
BILL = {**USAGE, "usage": {"prompt_tokens": 409, "completion_tokens": 2, "total_tokens": 411}}


def streamed(*deltas):
    """Server-sent events of a whole answer."""
    chunks = [chunk({"role": "assistant", "content": text}) for text in deltas] + [chunk({}, finish="stop"), BILL]
    return chunks


def answers(text, after=0.0):
    """Says `text`, after so many seconds of silence, unless it is left."""
    def answer(asked):
        def say(handler):
            handler.connection.settimeout(after)
            try:
                if after > 0 and handler.connection.recv(1) == b"":
                    handler.close_connection = True
                    return
            except TimeoutError:
                pass
            body = "".join(f"data: {json.dumps(one)}\n\n" for one in streamed(text)) + "data: [DONE]\n\n"
            handler.send_response(200)
            handler.send_header("content-type", "text/event-stream")
            handler.send_header("content-length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body.encode())
        return say
    return answer


def silent(asked):
    return lambda handler: handler.wait_until_left()


def house(start_gateway, tmp_path, urls, hedge, budget=None, **timeouts):
    targets = {name: configs.provider(url, name, timeouts={"first_token": "3s", **timeouts}) for name, url in urls.items()}
    more = {"tenants": {"test": {"budget": budget}}} if budget else {}
    classes = {"all": {"spill": "always", "prefer": "ordered", "providers": list(urls), "hedge": hedge}}
    config = configs.gateway(targets, classes=classes, default_class="all", **more)
    config["server"]["state"] = str(tmp_path / "state")
    return start_gateway(config)


def book(tmp_path):
    with sqlite3.connect(f"file:{tmp_path}/state/ledger.sqlite?mode=ro", uri=True) as database:
        return database.execute("SELECT target, prompt, completion, amount FROM entries").fetchall()


def ask(client, tokens=5, **more):
    """The text of a streamed answer and who gave it."""
    raw = client.chat.completions.with_raw_response.create(
        model="auto", max_tokens=tokens, stream=True, messages=[{"role": "user", "content": PROMPT}], **more)
    text = "".join(one.choices[0].delta.content or "" for one in raw.parse() if one.choices)
    return text, raw.headers["x-spillway-target"]


def hedges(gateway, outcome):
    return gateway.metric("spillway_hedges_total", outcome=outcome)


def wait_for_one(gateway, outcome):
    """It is counted when its account is closed, a moment after the client has its answer."""
    wait_until(lambda: hedges(gateway, outcome) == 1, what=f"a hedge: {outcome}")


SOON = {"enabled": True, "after": "100ms", "spend_share_max": 1}


@pytest.fixture
def two(start_upstream, start_gateway, client_of, tmp_path):
    """A gateway over `first` and `second`, which has spent something already, so that it may hedge."""
    def start(first, second, hedge=None, third=None, **more):
        upstreams = {"first": start_upstream(answers("first")), "second": start_upstream(second)}
        if third:
            upstreams["third"] = start_upstream(third)
        gateway = house(start_gateway, tmp_path, {name: one.base_url for name, one in upstreams.items()}, hedge or SOON, **more)
        client = client_of(gateway)
        for _ in range(3):
            assert ask(client) == ("first", "first")
        wait_until(lambda: len(book(tmp_path)) == 3, what="the entries")
        upstreams["first"].answer = first
        return gateway, client, upstreams
    return start


def test_the_second_answers_for_one_that_is_silent(two, tmp_path):
    gateway, client, upstreams = two(silent, answers("second"))
    begun = time.monotonic()
    assert ask(client) == ("second", "second")
    assert time.monotonic() - begun < 1.5
    assert upstreams["first"].left.wait(5), "the first was not left"
    rows = wait_until(lambda: len(book(tmp_path)) == 5 and book(tmp_path)[3:], what="two entries")
    assert sorted(row[0] for row in rows) == ["first", "second"]
    for target, prompt, completion, amount in rows:
        assert amount == (prompt + completion) * PRICE and prompt > 0
        assert (completion == 0) == (target == "first")
    wait_for_one(gateway, "won")
    assert hedges(gateway, "lost") == 0
    wasted = next(row[3] for row in rows if row[0] == "first")
    assert gateway.metric("spillway_hedge_cost_usd_total") == pytest.approx(wasted / 1e9)
    decision = gateway.decisions(1)[0]
    assert [(one["target"], one.get("failure")) for one in decision["attempts"]] == [("first", "cancelled"), ("second", None)]
    assert gateway.metric("spillway_fallbacks_total") == 0


def test_the_first_answers_all_the_same(two, tmp_path):
    gateway, client, upstreams = two(answers("first", after=0.5), silent)
    assert ask(client) == ("first", "first")
    assert upstreams["second"].left.wait(5), "the second was not left"
    rows = wait_until(lambda: len(book(tmp_path)) == 5 and book(tmp_path)[3:], what="two entries")
    assert {row[0]: row[2] > 0 for row in rows} == {"first": True, "second": False}
    wait_for_one(gateway, "lost")
    assert hedges(gateway, "won") == 0


def test_who_is_in_time_is_not_hedged(two):
    gateway, client, upstreams = two(answers("first", after=0.02), silent, hedge={**SOON, "after": "2s"})
    assert ask(client) == ("first", "first")
    assert not upstreams["second"].asked and hedges(gateway, "won") + hedges(gateway, "lost") == 0


def test_both_fail_and_the_third_answers(two):
    def refuses(asked):
        time.sleep(0.1)
        return 500, {"error": {"message": "oops"}}
    gateway, client, upstreams = two(silent, refuses, third=answers("third"), first_token="600ms")
    assert ask(client) == ("third", "third")
    wait_for_one(gateway, "failed")
    assert len(upstreams["second"].asked) == 1


def test_a_second_that_fails_leaves_the_first_in_the_race(two):
    gateway, client, _ = two(answers("first", after=1.5), lambda asked: (500, {"error": {"message": "oops"}}))
    assert ask(client) == ("first", "first")
    wait_for_one(gateway, "lost")
    assert gateway.metric("spillway_hedge_cost_usd_total") == 0, "who fails of itself was not left"


def test_the_first_fails_while_the_second_is_asked(two):
    def fails_late(asked):
        time.sleep(0.3)
        return 500, {"error": {"message": "oops"}}
    gateway, client, _ = two(fails_late, answers("second", after=0.6))
    assert ask(client) == ("second", "second")
    wait_for_one(gateway, "won")
    assert gateway.metric("spillway_hedge_cost_usd_total") == 0, "who fails of itself was not left"


def test_hedges_stop_where_their_share_is_spent(two, tmp_path):
    gateway, client, upstreams = two(answers("first", after=0.4), silent, hedge={**SOON, "spend_share_max": 0.25})
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(answer == ("first", "first") for answer in pool.map(lambda _: ask(client), range(40)))
    lost = hedges(gateway, "lost")
    spent = sum(row[3] for row in book(tmp_path))
    twice = gateway.metric("spillway_hedge_cost_usd_total") * 1e9
    print(f"\n43 requests, 40 of them late: {lost:.0f} hedged, {twice / spent:.1%} of the spend for nothing, 25 % granted")
    assert 1 <= lost < 40 and twice <= 0.25 * spent
    assert len(upstreams["second"].asked) == lost


def test_none_is_granted(two):
    gateway, client, upstreams = two(answers("first", after=0.3), silent, hedge={**SOON, "spend_share_max": 0})
    assert ask(client) == ("first", "first")
    assert not upstreams["second"].asked


def test_a_hard_budget_holds_both_or_there_is_no_second(two):
    budget = {"day": "0.0160usd", "hard": True}
    gateway, client, upstreams = two(answers("first", after=0.4), silent, budget=budget)
    assert ask(client) == ("first", "first")
    assert not upstreams["second"].asked
    assert ask(client) == ("first", "first"), "nothing was held for good"


def test_a_client_that_leaves_leaves_both(two, tmp_path):
    gateway, _, upstreams = two(silent, silent)
    body = json.dumps({"model": "auto", "stream": True, "max_tokens": 5, "messages": [{"role": "user", "content": PROMPT}]})
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(gateway.api).netloc)
    connection.request("POST", "/v1/chat/completions", body, as_client())
    wait_until(lambda: upstreams["second"].asked, what="the second being asked")
    connection.close()
    assert upstreams["first"].left.wait(5) and upstreams["second"].left.wait(5)
    rows = wait_until(lambda: len(book(tmp_path)) == 5 and book(tmp_path)[3:], what="two entries")
    assert sorted(row[0] for row in rows) == ["first", "second"] and all(row[2] == 0 for row in rows)
    assert wait_until(lambda: gateway.metric("spillway_stream_client_gone_total") == 1, what="the account")
    assert gateway.metric("spillway_hedge_cost_usd_total") > 0, "the second was asked for nothing"


def test_whole_answers_are_not_hedged(two):
    gateway, _, upstreams = two(silent, silent, first_token="500ms", total="500ms")
    body = {"model": "auto", "max_tokens": 5, "messages": [{"role": "user", "content": PROMPT}]}
    assert send(f"{gateway.api}/chat/completions", "POST", body, as_client())[0] in (502, 504)
    assert hedges(gateway, "failed") == 0


def test_the_local_engine_is_the_second_where_it_is_in_time(start_upstream, start_gateway, client_of, tmp_path):
    upstream = start_upstream(answers("first"))
    targets = {"local": configs.synthetic_engine(), "first": configs.provider(upstream.base_url, "first", timeouts={"first_token": "3s"})}
    classes = {"all": {"spill": "always", "sla": {"ttft": "1s"}, "hedge": SOON}}
    gateway = start_gateway(configs.gateway(targets, classes=classes, default_class="all"))
    client = client_of(gateway)
    for _ in range(3):
        assert ask(client)[1] == "first"
    upstream.answer = silent
    assert ask(client)[1] == "local"
    wait_for_one(gateway, "won")
