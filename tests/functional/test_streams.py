"""Streams that break in the middle, at every place, on both sides: the client gets the whole answer or an honest error."""
import contextlib
import http.server
import json
import sqlite3
import threading

import openai
import pytest

import configs
from processes import wait_until
from upstream import USAGE, chunk

WORDS = "one two three four five six seven"
TOKENS = 12
WHOLE = (WORDS + " one two three four five")
ORDER = {"batch": {"spill": "always", "prefer": "ordered", "providers": ["ai-hub", "openmodel"], "local_as_last_resort": False}}
EACH_BREAK = ["cut", "stall", "malformed", "error_event"]


def house(start_provider, start_gateway, classes=None, local=None, between_tokens="300ms", **second):
    """ai-hub, which will break, and openmodel behind it."""
    providers = {name: start_provider("instant") for name in ("ai-hub", "openmodel")}
    for provider in providers.values():
        provider.script(faults=[{"kind": "error", "share": 0.0}])
    timeouts = {"first_token": "1s", "between_tokens": between_tokens}
    targets = {"ai-hub": configs.provider(providers["ai-hub"].base_url, "ai-hub", timeouts=timeouts,
                                          breaker={"failures_min": 10_000}, forward_fields=["ignore_eos"]),
               "openmodel": configs.provider(providers["openmodel"].base_url, "openmodel", timeouts=timeouts, **second)}
    if local:
        targets["local"] = local
    settings = {"limits": {"attempts_max": 3}}
    gateway = start_gateway(configs.gateway(targets, classes=classes or ORDER, default_class="batch", **settings))
    return gateway, providers


def breaks(provider, kind, after_tokens):
    provider.script(faults=[{"kind": kind, "share": 1.0, "after_tokens": after_tokens}])


def stream(client, max_tokens=TOKENS, **more):
    """What a client sees: the text, the finish reason, the usage."""
    text, finish, usage = "", None, None
    for piece in client.chat.completions.create(
            model="auto", stream=True, stream_options={"include_usage": True}, max_tokens=max_tokens,
            messages=[{"role": "user", "content": WORDS}], **more):
        usage = piece.usage or usage
        for choice in piece.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
    return text, finish, usage


def last_decision(gateway):
    return wait_until(lambda: gateway.decisions(1), what="the decision")[0]


@pytest.mark.parametrize("way", ["prefix", "continue_final_message"])
def test_another_goes_on_wherever_it_is_cut(start_provider, start_gateway, client_of, way):
    gateway, providers = house(start_provider, start_gateway, continues=way)
    client = client_of(gateway)
    unbroken = stream(client)
    assert unbroken[:2] == (WHOLE, "length")
    for after in range(TOKENS + 1):
        breaks(providers["ai-hub"], "cut", after)
        text, finish, usage = stream(client)
        assert (text, finish) == (WHOLE, "length"), f"cut after {after} tokens"
        assert usage.completion_tokens == TOKENS, f"cut after {after} tokens"
        assert last_decision(gateway)["attempts"][0] == {
            "target": "ai-hub", "failure": "backend_unavailable",
            "cause": "ai-hub: the connection broke in the middle of its answer"}
        assert abs(usage.prompt_tokens - unbroken[2].prompt_tokens) <= 2, "who broke off did not tell: an estimate"


@pytest.mark.parametrize("kind", EACH_BREAK)
def test_every_kind_of_break_is_mended(start_provider, start_gateway, client_of, kind):
    gateway, providers = house(start_provider, start_gateway, continues="prefix")
    breaks(providers["ai-hub"], kind, 5)
    assert stream(client_of(gateway))[:2] == (WHOLE, "length")
    decision = last_decision(gateway)
    assert [attempt["target"] for attempt in decision["attempts"]] == ["ai-hub", "openmodel"]
    assert decision["status"] == 200 and decision["target"] == "ai-hub"
    assert gateway.metric("spillway_fallbacks_total", **{"from": "ai-hub", "to": "openmodel"}) == 1


def test_both_parts_are_paid_for(start_provider, start_gateway, client_of):
    gateway, providers = house(start_provider, start_gateway, continues="prefix")
    client = client_of(gateway)
    prompt = stream(client)[2].prompt_tokens
    breaks(providers["ai-hub"], "cut", 5)
    stream(client)
    begun = len(" ".join(WHOLE.split()[:5]))
    message = 4 + (begun + 3) // 4  # The answer so far, as the second provider counts it.
    dollars = (1.98 * (prompt + 5) + 2.10 * (prompt + message + TOKENS - 5)) / 1e6
    assert last_decision(gateway)["cost_nano_usd"] == pytest.approx(dollars * 1e9, rel=0.12)


def test_after_the_finish_nothing_is_missing(start_provider, start_gateway, client_of):
    gateway, providers = house(start_provider, start_gateway)
    breaks(providers["ai-hub"], "no_done", 0)
    assert stream(client_of(gateway))[:2] == (WHOLE, "length")
    assert [attempt["target"] for attempt in last_decision(gateway)["attempts"]] == ["ai-hub"]


@pytest.mark.parametrize("more", [{"temperature": 0}, {"seed": 7}])
def test_who_cannot_go_on_says_it_again_and_the_client_hears_it_once(start_provider, start_gateway, client_of, more):
    gateway, providers = house(start_provider, start_gateway)
    client = client_of(gateway)
    for after in range(1, TOKENS):
        breaks(providers["ai-hub"], "cut", after)
        text, finish, usage = stream(client, **more)
        assert (text, finish, usage.completion_tokens) == (WHOLE, "length", TOKENS), f"cut after {after} tokens"


def test_nobody_says_again_what_would_come_out_otherwise(start_provider, start_gateway, client_of):
    gateway, providers = house(start_provider, start_gateway)
    breaks(providers["ai-hub"], "cut", 5)
    with pytest.raises(openai.APIError):
        stream(client_of(gateway), temperature=1)
    assert providers["openmodel"].stats()["requests"] == 0


def text(words):
    return {"content": words}


def said(*deltas, finish=None):
    """The events of a stream: a chunk a delta, and the end if there is one."""
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    if finish:
        choices.append({"index": 0, "delta": {}, "finish_reason": finish})
    events = [f"data: {json.dumps({'id': 'x', 'object': 'chat.completion.chunk', 'created': 1, 'model': 'm', 'choices': [c]})}\n\n"
              for c in choices]
    return events + (["data: [DONE]\n\n"] if finish else [])


@pytest.fixture
def start_stranger():
    """A provider that answers its first request with the first list of events given, and so on; the last one for ever."""
    servers = []

    def start(*answers):
        class Stranger(http.server.BaseHTTPRequestHandler):
            def do_POST(self):  # pylint: disable=invalid-name
                self.rfile.read(int(self.headers["content-length"]))
                asked = self.server.asked
                self.server.asked += 1
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.end_headers()
                try:
                    for event in answers[min(asked, len(answers) - 1)]:
                        self.wfile.write(event.encode())
                except OSError:
                    self.server.left += 1

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stranger)
        server.asked = server.left = 0
        server.base_url = f"http://127.0.0.1:{server.server_port}/v1"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server
    yield start
    for server in servers:
        server.shutdown()


def strangers(start_gateway, first, second, attempts_max=2, breaker=None, state=None, **more):
    more["breaker"] = breaker or {"failures_min": 100}
    targets = {"ai-hub": configs.provider(first.base_url, "ai-hub", breaker=more["breaker"]),
               "openmodel": configs.provider(second.base_url, "openmodel", **more)}
    config = configs.gateway(targets, classes=ORDER, default_class="batch", limits={"attempts_max": attempts_max})
    if state:
        config["server"]["state"] = state
    return start_gateway(config)


def test_a_hard_budget_pays_for_what_is_said_again(start_stranger, start_upstream, start_gateway, client_of):
    words = ["one", " two", " three", " four"]
    first = start_stranger(said(*map(text, words[:2])))
    second = start_upstream(lambda asked: [chunk({"content": word}) for word in words] + [chunk({}, finish="stop")])
    targets = {"ai-hub": configs.provider(first.base_url, "ai-hub"), "openmodel": configs.provider(second.base_url, "openmodel")}
    gateway = start_gateway(configs.gateway(targets, classes=ORDER, default_class="batch",
                                            tenants={"test": {"budget": {"day": "100usd", "hard": True}}}))
    assert stream(client_of(gateway), temperature=0)[0] == "one two three four"
    assert second.asked[0].json["max_tokens"] == TOKENS


def thrifty(start_gateway, first, second, budget, tmp_path, **more):
    """Two targets, a hard budget, and a book."""
    targets = {"ai-hub": configs.provider(first.base_url, "ai-hub", **more),
               "openmodel": configs.provider(second.base_url, "openmodel", **more)}
    config = configs.gateway(targets, classes=ORDER, default_class="batch",
                             tenants={"test": {"budget": {"day": f"{budget}usd", "hard": True}}})
    config["server"]["state"] = str(tmp_path / "state")
    return start_gateway(config)


def booked(tmp_path):
    """Nano-USD, once the request is in the book."""
    with sqlite3.connect(f"file:{tmp_path}/state/ledger.sqlite?mode=ro", uri=True) as database:
        return wait_until(lambda: database.execute("SELECT sum(amount) FROM entries").fetchone()[0], what="the entries")


def test_a_hard_budget_holds_what_is_gone_on_from_by_its_bytes(start_stranger, start_upstream, start_gateway, client_of, tmp_path):
    """Another's tokens may be more than they were for who began."""
    def goes_on(asked):
        usage = {"prompt_tokens": 3020, "completion_tokens": asked.json["max_tokens"]}
        return [chunk({"content": " end"}), chunk({}, finish="stop"), {**USAGE, "usage": usage}]
    first, second = start_stranger(said(text("x" * 3000))), start_upstream(goes_on)
    gateway = thrifty(start_gateway, first, second, 0.02, tmp_path, continues="prefix")
    stream(client_of(gateway), max_tokens=4000)
    assert len(second.asked) == 1 and 18_000_000 < booked(tmp_path) <= 20_000_000


@pytest.mark.parametrize("budget, is_enough", [(1.5, False), (2.5, True)])
def test_a_hard_budget_holds_the_search_of_who_broke_off(start_stranger, start_upstream, start_gateway, client_of, tmp_path,
                                                         budget, is_enough):
    first = start_stranger(said(text("one"), text(" two")))
    second = start_upstream(lambda asked: [chunk({"content": "one two three"}), chunk({}, finish="stop"), USAGE])
    gateway = thrifty(start_gateway, first, second, budget, tmp_path, price_per_search="1usd")
    with contextlib.nullcontext() if is_enough else pytest.raises(openai.APIError):
        stream(client_of(gateway), temperature=0, extra_body={"web_search_options": {}})
    assert len(second.asked) == is_enough and booked(tmp_path) <= budget * 1e9


def test_another_answer_is_not_put_behind_the_begun_one(start_stranger, start_gateway, client_of):
    words = [text("one"), text(" two"), text(" something"), text(" else")]
    first = start_stranger(said(*words[:2]), said(text("one"), text(" three")))
    gateway = strangers(start_gateway, first, start_stranger(said(*words, finish="stop")))
    assert stream(client_of(gateway), temperature=0)[0] == "one two something else", "the same so far: it may go on"
    with pytest.raises(openai.APIError) as caught:
        stream(client_of(gateway), temperature=0)
    assert "ended without [DONE]" in str(caught.value), "the first cause, not what came of the attempt to mend it"


def test_what_shows_that_it_says_something_else_is_paid_for(start_stranger, start_gateway, client_of, tmp_path):
    first = start_stranger(said(text("one"), text(" two")))
    second = start_stranger(said(text("one"), text(" " + "x" * 400), finish="stop"))
    gateway = strangers(start_gateway, first, second, state=str(tmp_path / "state"))
    with pytest.raises(openai.APIError):
        stream(client_of(gateway), max_tokens=200, temperature=0)
    with sqlite3.connect(f"file:{tmp_path}/state/ledger.sqlite?mode=ro", uri=True) as database:
        parts = wait_until(lambda: database.execute("SELECT completion FROM entries WHERE target = 'openmodel'").fetchall(), what="the entry")
    assert parts == [(101,)]


def test_letters_are_not_taken_for_tokens(start_stranger, start_gateway, client_of):
    """Twelve deltas are out, and twelve tokens allowed: but these are letters."""
    first = start_stranger(said(*map(text, "Hello world!")))
    second = start_stranger(said(text(" And more"), finish="stop"))
    gateway = strangers(start_gateway, first, second, continues="prefix")
    assert stream(client_of(gateway))[:2] == ("Hello world! And more", "stop")


@pytest.mark.parametrize("told", [True, False])
def test_a_long_piece_is_not_taken_for_a_token(start_stranger, start_upstream, start_gateway, client_of, told):
    """Six of twelve words are out, in one delta: no more than six are left."""
    usage = {"prompt_tokens": 9, "completion_tokens": 6, "total_tokens": 15}
    begun = said(text("word " * 6))
    first = start_stranger([begun[0].replace('"model"', f'"usage": {json.dumps(usage)}, "model"')] if told else begun)
    second = start_upstream(lambda asked: [chunk({"content": "the end"}), chunk({}, finish="stop")])
    gateway = strangers(start_gateway, first, second, continues="prefix")
    assert stream(client_of(gateway))[0] == "word " * 6 + "the end"
    assert 3 <= second.asked[0].json["max_tokens"] <= TOKENS - 6


def test_a_call_is_not_lost_on_the_way_to_where_it_broke(start_stranger, start_gateway, client_of):
    call = {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}
    first = start_stranger(said(text("one"), text(" two")))
    second = start_stranger(said(text("one"), call, text(" two three"), finish="tool_calls"))
    gateway = strangers(start_gateway, first, second)
    with pytest.raises(openai.APIError):
        stream(client_of(gateway), temperature=0)


def test_who_always_breaks_on_the_way_is_left_alone(start_stranger, start_gateway, client_of):
    first = start_stranger(said(text("one"), text(" two"), text(" three")))
    second = start_stranger(said(text("one")))
    gateway = strangers(start_gateway, first, second, breaker={"failures_min": 3, "open_for": "60s"})
    for _ in range(12):
        with pytest.raises(openai.APIError):
            stream(client_of(gateway), temperature=0)
    assert second.asked <= 4 and first.asked <= 4, "each breaker opens"


def test_a_beginning_said_again_is_dropped(start_stranger, start_gateway, client_of):
    first = start_stranger(said(text("one two three"), text(" four")))
    second = start_stranger(said(text("one two"), text(" three four"), text(" five"), finish="stop"),
                            said(text("one twofold"), finish="stop"))
    gateway = strangers(start_gateway, first, second, continues="prefix")
    assert stream(client_of(gateway))[0] == "one two three four five"
    assert stream(client_of(gateway))[0] == "one two three fourone twofold", "another word: no repetition"


def test_the_first_cause_is_told(start_stranger, start_gateway, client_of):
    def broken(message):
        return [f"data: {json.dumps({'error': {'message': message, 'type': 'server_error'}})}\n\n"]
    first = start_stranger(said(text("one two")) + broken("FIRST"))
    second = start_stranger(said(text(" three")) + broken("SECOND"))
    gateway = strangers(start_gateway, first, second, attempts_max=3, continues="prefix")
    with pytest.raises(openai.APIError) as caught:
        stream(client_of(gateway))
    assert "FIRST" in str(caught.value) and "SECOND" not in str(caught.value)


@pytest.mark.parametrize("ended", [False, True])
def test_who_does_not_keep_the_limit_is_stopped(start_stranger, start_gateway, client_of, ended):
    """Also one that says that it has ended, and goes on."""
    begun = said(text("one"), finish="stop")[:-1] if ended else []
    first = start_stranger(begun + said(*[text(f" word{number}") for number in range(50_000)], finish="stop"))
    gateway = strangers(start_gateway, first, first)
    words, finish, _ = stream(client_of(gateway))
    assert finish == ("stop" if ended else "length") and len(words.split()) < 200
    wait_until(lambda: first.left == 1, what="the provider to be left")


def test_a_whole_answer_begun_in_vain_is_somebody_elses(start_stranger, start_provider, start_gateway, client_of):
    """A provider that streams though it was not asked to, and breaks off."""
    first = start_stranger(said(text("one"), text(" two")))
    gateway = strangers(start_gateway, first, start_provider("instant"))
    raw = client_of(gateway).chat.completions.with_raw_response.create(
        model="auto", max_tokens=TOKENS, messages=[{"role": "user", "content": WORDS}])
    answer = raw.parse()
    assert raw.headers["x-spillway-target"] == "openmodel" and "two" not in answer.choices[0].message.content
    assert answer.usage.completion_tokens == len(answer.choices[0].message.content.split())


def test_where_a_whole_answer_came_from_is_told(start_provider, start_gateway, client_of):
    gateway, providers = house(start_provider, start_gateway)
    breaks(providers["ai-hub"], "cut", 5)
    raw = client_of(gateway).chat.completions.with_raw_response.create(
        model="auto", max_tokens=TOKENS, messages=[{"role": "user", "content": WORDS}])
    assert raw.headers["x-spillway-target"] == "openmodel"
    assert last_decision(gateway)["target"] == "openmodel"


def test_each_target_has_its_own_costs(start_provider, start_gateway, client_of):
    gateway, providers = house(start_provider, start_gateway, continues="prefix")
    breaks(providers["ai-hub"], "cut", 5)
    stream(client_of(gateway))
    paid = {name: gateway.metric("spillway_cost_usd_total", be=name) for name in ("ai-hub", "openmodel")}
    assert all(paid.values()) and sum(paid.values()) * 1e9 == pytest.approx(last_decision(gateway)["cost_nano_usd"])


@pytest.mark.parametrize("silent", ["silence", "stall"])
def test_a_client_that_leaves_while_somebody_goes_on_has_left(start_provider, start_gateway, client_of, silent):
    gateway, providers = house(start_provider, start_gateway, between_tokens="20s", continues="prefix")
    breaks(providers["ai-hub"], "cut", 3)
    providers["openmodel"].script(faults=[{"kind": silent, "share": 1.0, "after_tokens": 2}])
    answer = client_of(gateway).chat.completions.create(
        model="auto", stream=True, max_tokens=TOKENS, messages=[{"role": "user", "content": WORDS}])
    for _ in range(2):
        next(answer)
    wait_until(lambda: providers["openmodel"].stats()["open_streams"] == 1, what="somebody to go on")
    answer.close()
    assert wait_until(lambda: gateway.decisions(1), what="the decision")[0]["status"] == 499
    wait_until(lambda: providers["openmodel"].stats()["open_streams"] == 0, what="the provider to be left")


def test_the_local_engine_goes_on(start_provider, start_gateway, client_of):
    classes = {"batch": {**ORDER["batch"], "providers": ["ai-hub"], "local_as_last_resort": True}}
    gateway, providers = house(start_provider, start_gateway, classes=classes, local=configs.engine())
    breaks(providers["ai-hub"], "cut", 5)
    text, finish, usage = stream(client_of(gateway), extra_body={"ignore_eos": True})
    assert text.startswith(" ".join(WHOLE.split()[:5])) and len(text) > len(" ".join(WHOLE.split()[:5]))
    assert finish == "length" and usage.completion_tokens == TOKENS
    decision = last_decision(gateway)
    assert [attempt["target"] for attempt in decision["attempts"]][-1] == "local"
    assert decision["cost_nano_usd"] > 0


@pytest.mark.parametrize("kind", ["cut", "malformed", "error_event"])
def test_a_whole_answer_that_breaks_comes_from_another(start_provider, start_gateway, client_of, kind):
    gateway, providers = house(start_provider, start_gateway)
    breaks(providers["ai-hub"], kind, 5)
    answer = client_of(gateway).chat.completions.create(
        model="auto", max_tokens=TOKENS, messages=[{"role": "user", "content": WORDS}])
    assert answer.choices[0].message.content == WHOLE
    assert answer.usage.completion_tokens == TOKENS


def test_a_client_that_leaves_anywhere_stops_the_work(start_provider, start_gateway, client_of):
    gateway, providers = house(start_provider, start_gateway)
    provider = providers["ai-hub"]
    provider.script(slow=1, faults=[{"kind": "stall", "share": 1.0, "after_tokens": 7}])
    client = client_of(gateway)
    for chunks in range(1, 8):
        answer = client.chat.completions.create(
            model="auto", stream=True, max_tokens=TOKENS, messages=[{"role": "user", "content": WORDS}])
        for _ in range(chunks):
            next(answer)
        answer.close()
        wait_until(lambda: provider.stats()["open_streams"] == 0, what=f"the provider to be left after {chunks} chunks")
        decision = wait_until(lambda n=chunks: len(gateway.decisions(n)) == n and gateway.decisions(1)[0], what="the decision")
        assert decision["status"] == 499 and decision["cost_nano_usd"] > 0
        assert [attempt["target"] for attempt in decision["attempts"]] == ["ai-hub"]


def test_a_picture_in_an_event_passes(start_upstream, start_gateway, client_of):
    picture = {"images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 6_000_000}}]}
    provider = start_upstream(lambda asked: [chunk({"content": "Here: "}), chunk(picture), chunk({}, finish="stop"), USAGE])
    gateway = start_gateway(configs.gateway({"up": configs.provider(provider.base_url, "up")}, classes={"all": {"spill": "always"}},
                                            default_class="all"))
    stream = client_of(gateway).chat.completions.create(model="up", messages=[{"role": "user", "content": WORDS}], stream=True)
    deltas = [event.choices[0].delta for event in stream if event.choices]
    assert any(getattr(delta, "images", None) == picture["images"] for delta in deltas) and len(provider.asked) == 1
