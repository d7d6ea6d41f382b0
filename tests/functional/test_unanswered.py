"""Who has the request bills the prompt, though no word of the answer came: it is booked, and no budget is got around."""
import http.client
import json
import sqlite3
import time
import urllib.parse

import openai
import pytest

import configs
from processes import KEY, as_client, send, wait_until
from upstream import USAGE, chat, chunk

PROMPT = "word " * 4000
PRICE = 2_000  # Nano-USD a token, both ways.


def house(start_gateway, tmp_path, urls, budget=None, limits=None, **timeouts):
    targets = {name: configs.provider(url, name, **timeouts) for name, url in urls.items()}
    tenant = {name: value for name, value in (("budget", budget), ("limits", limits)) if value}
    more = {"tenants": {"test": tenant}} if tenant else {}
    config = configs.gateway(targets, classes={"all": {"spill": "always"}}, default_class="all", **more)
    config["server"]["state"] = str(tmp_path / "state")
    return start_gateway(config)


def book(tmp_path):
    with sqlite3.connect(f"file:{tmp_path}/state/ledger.sqlite?mode=ro", uri=True) as database:
        return database.execute("SELECT target, prompt, completion, amount, estimated FROM entries ORDER BY prompt").fetchall()


def silent(asked):
    """It reads the request and says nothing until its client has gone."""
    return lambda handler: handler.wait_until_left()


def ask_and_leave(gateway, upstream, stream, after=0.0):
    """One request, left when the provider has it, and has had it for so many seconds."""
    seen = len(upstream.asked)
    body = json.dumps({"model": "auto", "stream": stream, "max_tokens": 5000, "messages": [{"role": "user", "content": PROMPT}]})
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(gateway.api).netloc)
    connection.request("POST", "/v1/chat/completions", body,
                       {"content-type": "application/json", "authorization": f"Bearer {KEY}"})
    wait_until(lambda: len(upstream.asked) > seen, what="the provider has the request")
    upstream.left.wait(after)
    connection.close()


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_who_leaves_before_the_first_word_pays_for_the_prompt(start_upstream, start_gateway, tmp_path, stream):
    upstream = start_upstream(silent)
    gateway = house(start_gateway, tmp_path, {"cloud": upstream.base_url})
    ask_and_leave(gateway, upstream, stream)
    target, prompt, completion, amount, estimated = wait_until(lambda: book(tmp_path), what="the entry")[0]
    assert target == "cloud" and 4000 < prompt < 6000 and completion == 0 and amount == prompt * PRICE and estimated


def test_who_is_given_up_is_paid_beside_who_answers(start_upstream, start_gateway, client_of, tmp_path):
    upstream = start_upstream(silent)
    quick = start_upstream(lambda asked: {
        "id": "x", "object": "chat.completion", "created": 1, "model": "up", "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 4009, "completion_tokens": 2, "total_tokens": 4011}})
    gateway = house(start_gateway, tmp_path, {"slow": upstream.base_url, "quick": quick.base_url},
                    timeouts={"first_token": "300ms", "total": "300ms"})
    answer = client_of(gateway).chat.completions.create(model="auto", messages=[{"role": "user", "content": PROMPT}], max_tokens=5)
    assert answer.choices[0].message.content == "Hello" and answer.usage.prompt_tokens == 4009
    rows = {row[0]: row[1:] for row in wait_until(lambda: len(book(tmp_path)) == 2 and book(tmp_path), what="two entries")}
    assert rows["quick"] == (4009, 2, 4011 * PRICE, 0)
    assert rows["slow"][1] == 0 and rows["slow"][2] == rows["slow"][0] * PRICE and rows["slow"][3] == 1


@pytest.mark.parametrize("refusal", [(400, {"error": {"message": "no"}}), (429, {"error": {"message": "later"}}),
                                     (500, {"error": {"message": "oops"}}),
                                     (200, {"error": {"message": "overloaded", "code": 429}})], ids=lambda one: str(one[0]))
def test_who_refuses_or_cannot_be_reached_bills_nothing(start_upstream, start_gateway, client_of, tmp_path, refusal):
    upstream = start_upstream(lambda asked: refusal)
    gone = start_upstream(silent)
    gone.end()
    gateway = house(start_gateway, tmp_path, {"cloud": upstream.base_url, "gone": gone.base_url})
    with pytest.raises(openai.APIStatusError):
        client_of(gateway, max_retries=0).chat.completions.create(
            model="auto", messages=[{"role": "user", "content": PROMPT}], max_tokens=5)
    time.sleep(0.2)
    assert not book(tmp_path)


def test_whose_own_limit_it_is_is_asked_once_and_shut_for_nobody(start_upstream, start_gateway, client_of, tmp_path):
    upstream = start_upstream(lambda asked: (413, {"error": {"message": "too large for us"}}))
    client = client_of(house(start_gateway, tmp_path, {"cloud": upstream.base_url}), max_retries=0)
    for count in range(1, 9):  # More than its breaker bears.
        with pytest.raises(openai.BadRequestError, match="too large for us"):
            client.chat.completions.create(model="auto", messages=[{"role": "user", "content": PROMPT}], max_tokens=5)
        assert len(upstream.asked) == count


def breaks_off(after):
    """It reads the request, works on it for so long, and its connection breaks without a word."""
    def say(handler):
        time.sleep(after)
        handler.close_connection = True
    return lambda asked: say


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("budget", [None, {"month": "100usd", "hard": True}], ids=["free", "hard"])
def test_who_breaks_off_before_the_head_is_paid_if_it_had_time_to_begin(
        start_upstream, start_gateway, client_of, tmp_path, stream, budget):
    soon, late = start_upstream(breaks_off(0)), start_upstream(breaks_off(0.8))
    gateway = house(start_gateway, tmp_path, {"soon": soon.base_url, "late": late.base_url}, budget=budget)
    with pytest.raises(openai.APIStatusError):
        client_of(gateway, max_retries=0).chat.completions.create(
            model="auto", stream=stream, messages=[{"role": "user", "content": PROMPT}], max_tokens=50)
    assert soon.asked and late.asked
    (target, prompt, completion, amount, estimated), = wait_until(lambda: book(tmp_path), what="the entry")
    assert target == "late" and amount == (prompt + completion) * PRICE and estimated
    assert len(late.asked) == 1 and len(soon.asked) > 1  # Who bills for nothing is not asked again.
    if budget:
        assert prompt > len(PROMPT) and completion == 50
    else:
        assert 4000 < prompt < 6000 and completion == 0


def test_what_a_hard_budget_supposes_takes_no_tokens_of_the_limit(start_upstream, start_gateway, client_of, tmp_path):
    upstream = start_upstream(breaks_off(0.8))
    gateway = house(start_gateway, tmp_path, {"cloud": upstream.base_url}, budget={"month": "100usd", "hard": True},
                    limits={"tokens_per_minute": 100_000})
    with pytest.raises(openai.APIStatusError) as error:
        client_of(gateway, max_retries=0).chat.completions.create(
            model="auto", messages=[{"role": "user", "content": PROMPT}], max_tokens=50)
    assert error.value.status_code == 502
    with pytest.raises(openai.APIStatusError) as error:
        client_of(gateway, max_retries=0).chat.completions.create(
            model="auto", messages=[{"role": "user", "content": "word"}], max_tokens=50)
    assert 100_000 - int(error.value.response.headers["x-ratelimit-remaining-tokens"]) < 7_000 < len(PROMPT)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_leaving_early_does_not_get_past_a_hard_budget(start_upstream, start_gateway, client_of, tmp_path, stream):
    upstream = start_upstream(silent)
    gateway = house(start_gateway, tmp_path, {"cloud": upstream.base_url}, budget={"month": "0.15usd", "hard": True})
    client = client_of(gateway, max_retries=0)

    def refused():
        with pytest.raises(openai.APIError) as error:
            client.chat.completions.create(model="auto", messages=[{"role": "user", "content": PROMPT}], max_tokens=50, timeout=0.3)
        return isinstance(error.value, openai.RateLimitError)

    wait_until(refused, what="the end of the budget")
    billed = sum(len(asked.json["messages"][0]["content"].split()) for asked in upstream.asked) * PRICE
    assert 2 <= len(upstream.asked) and billed <= 150_000_000
    assert stream or billed <= sum(row[3] for row in book(tmp_path)) <= 150_000_000


WELL = {"breaker": {"failures_min": 1, "failure_share_max": 0.01}}  # The first failure of its own would close it out.


@pytest.mark.parametrize("status, words", [(413, "longer than 9 MB"), (403, "this content is refused")])
def test_what_one_request_meets_there_is_no_ill_health(start_gateway, start_upstream, client_of, tmp_path, status, words):
    def answer(asked):
        return chat() if asked.json["messages"][0]["content"] == "fits" else (status, {"error": {"message": words}})
    strict, other = start_upstream(answer), start_upstream(lambda asked: chat("from the other"))
    gateway = house(start_gateway, tmp_path, {"strict": strict.base_url}, **WELL)
    client = client_of(gateway, max_retries=0)
    ask = lambda content: client.chat.completions.create(model="strict", messages=[{"role": "user", "content": content}])
    for _ in range(2):
        with pytest.raises(openai.BadRequestError, match=words):
            ask("does not")
        assert ask("fits").choices
    gateway = house(start_gateway, tmp_path / "both", {"strict": strict.base_url, "other": other.base_url}, **WELL)
    both = client_of(gateway).chat.completions.create(model="auto", messages=[{"role": "user", "content": "does not"}])
    assert both.choices[0].message.content == "from the other"
    assert strict.asked[-1].json["messages"][0]["content"] == "does not"


def test_a_key_that_is_refused_is_ill_health(start_gateway, start_upstream, client_of, tmp_path):
    upstream = start_upstream(lambda asked: (403, {"error": {"message": "Your API key sk-a*** may not do this."}}))
    gateway = house(start_gateway, tmp_path, {"up": upstream.base_url}, **WELL)
    client = client_of(gateway, max_retries=0)
    with pytest.raises(openai.InternalServerError) as refused:
        client.chat.completions.create(model="up", messages=[{"role": "user", "content": "Hi"}])
    assert "sk-a" not in str(refused.value)
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="up", messages=[{"role": "user", "content": "Hi"}])
    assert len(upstream.asked) == 1, "it is not asked again at once"


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_fewer_choices_than_asked_for_are_paid_for_and_no_ill_health(start_gateway, start_upstream, client_of, tmp_path, stream):
    one = [chunk({"content": "a"}), chunk({}, finish="stop"), USAGE] if stream else chat()
    lacks = start_upstream(lambda asked: one)
    gateway = house(start_gateway, tmp_path, {"lacks": lacks.base_url}, **WELL)
    client = client_of(gateway, max_retries=0)
    for _ in range(2):
        with pytest.raises(openai.APIError, match="it gave 1 of 2 choices"):
            answer = client.chat.completions.create(
                model="lacks", messages=[{"role": "user", "content": "Hi"}], n=2, stream=stream)
            list(answer)
    rows = wait_until(lambda: len(rows := book(tmp_path)) >= len(lacks.asked) and rows, what="an entry for each time")
    assert rows == [("lacks", 9, 2, 11 * PRICE, 0)] * len(lacks.asked)


def error(message, **more):
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, **more}}


def refuses(refusal):
    """An upstream's answer: 400 with this body, be it a list."""
    body = json.dumps(refusal).encode()

    def say(handler):
        handler.send_response(400)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
    return lambda asked: say


def ask_both(start_gateway, start_upstream, client_of, dialect, refusal):
    """Who answers in the place of a provider that refuses so; and what is said where there is nobody else."""
    strict, other = start_upstream(refuses(refusal)), start_upstream(lambda asked: chat("from the other"))
    targets = {name: configs.provider(strict.base_url, name, dialect=dialect) for name in ("strict", "alone")}
    targets["strict"]["serves"] = {"both": "x"}
    targets["other"] = configs.provider(other.base_url, "both", price_per_million={"input": "90usd", "output": "90usd"})
    client = client_of(start_gateway(configs.gateway(targets, classes={"all": {"spill": "always"}}, default_class="all")))
    hello = [{"role": "user", "content": "Hi"}]
    raw = client.chat.completions.with_raw_response.create(model="both", messages=hello)
    assert raw.headers["x-spillway-target"] == "other" and len(strict.asked) == 1
    with pytest.raises(openai.APIStatusError) as alone:
        client.chat.completions.create(model="alone", messages=hello)
    return alone.value


@pytest.mark.parametrize("dialect, refusal", [
    ("anthropic", {"type": "error", **error("Your credit balance is too low to access the Anthropic API.")}),
    ("openai", error("Billing hard limit has been reached", code="billing_hard_limit_reached")),
    ("gemini", [error("API key not valid.", code=400, status="INVALID_ARGUMENT", details=[{"reason": "API_KEY_INVALID"}])]),
    ("gemini", [error("User location is not supported for the API use.", code=400, status="FAILED_PRECONDITION")])],
    ids=["credit", "limit", "key", "place"])
def test_what_is_the_operators_fault_is_not_told_as_the_clients(start_gateway, start_upstream, client_of, dialect, refusal):
    told = ask_both(start_gateway, start_upstream, client_of, dialect, refusal)
    assert told.status_code == 502 and "API key" not in str(told)


@pytest.mark.parametrize("dialect, refusal", [
    ("vllm", {"object": "error", "message": "This model's maximum context length is 8 tokens. However, you requested 9 tokens",
              "type": "BadRequestError", "param": None, "code": 400}),
    ("sglang", {"object": "error", "message": "The input (9 tokens) is longer than the model's context length (8 tokens).",
                "type": "BadRequest", "param": None, "code": 400}),
    ("deepseek", error("This model's maximum context length is 8 tokens.", code="invalid_request_error")),
    ("anthropic", {"type": "error", **error("prompt is too long: 9 tokens > 8 maximum")}),
    ("gemini", [error("The input token count (9) exceeds the maximum number of tokens allowed (8).", code=400)])],
    ids=["vllm", "sglang", "deepseek", "anthropic", "gemini"])
def test_what_is_too_long_for_one_is_asked_of_the_next(start_gateway, start_upstream, client_of, dialect, refusal):
    told = ask_both(start_gateway, start_upstream, client_of, dialect, refusal)
    assert told.status_code == 400 and told.code == "context_length_exceeded"


@pytest.fixture
def engine_and(start_gateway, start_upstream):
    """A gateway whose engine is asked first, then a provider that refuses so."""
    def start(refusal, budget=None, **settings):
        upstream = start_upstream(refuses(refusal))
        targets = {"local": configs.synthetic_engine(context_max=200), "up": configs.provider(upstream.base_url, "up", **settings)}
        tenants = {"tenants": {"test": {"budget": budget}}} if budget else {}
        return start_gateway(configs.gateway(targets, **tenants)), upstream
    return start


STALE = {"type": "error", **error("container: Extra inputs are not permitted")}


def test_who_could_read_the_request_is_heard_before_who_could_not(engine_and):
    gateway, upstream = engine_and(STALE, dialect="anthropic")
    body = {"model": "auto", "max_tokens": 8, "messages": [{"role": "user", "content": "Hi"}], "container": "c"}
    status, _, text = send(gateway.root + "/v1/messages", "POST", body, as_client())
    assert status == 400 and b"Extra inputs" in text and len(upstream.asked) == 1


def test_what_the_budget_wants_is_told_before_what_the_engine_cannot_read(engine_and):
    gateway, upstream = engine_and(STALE, budget={"day": "1usd", "hard": True}, dialect="anthropic", price_per_search="0.01usd")
    body = {"model": "auto", "max_tokens": 8, "messages": [{"role": "user", "content": "Hi"}],
            "tools": [{"type": "web_search_20250305", "name": "web_search"}]}
    status, _, text = send(gateway.root + "/v1/messages", "POST", body, as_client())
    assert status == 400 and b"max_uses" in text and not upstream.asked


LONGER = error("This model's maximum context length is 9000 tokens.", code="context_length_exceeded")
BIASED = dict(model="auto", messages=[{"role": "user", "content": "Hi"}], max_tokens=8, logit_bias={"99999999": 1})  # No token of the engine's.


def test_a_providers_refusal_is_told_rather_than_the_engines(engine_and, client_of):
    gateway, upstream = engine_and(LONGER)
    with pytest.raises(openai.BadRequestError, match="9000 tokens") as told:
        client_of(gateway).chat.completions.create(**BIASED)
    assert told.value.code == "context_length_exceeded" and len(upstream.asked) == 1


def test_the_engines_refusal_is_told_where_the_provider_has_no_words_for_the_request(engine_and, client_of):
    gateway, upstream = engine_and(LONGER, dialect="anthropic")
    with pytest.raises(openai.BadRequestError, match="99999999"):
        client_of(gateway).chat.completions.create(**BIASED)
    assert not upstream.asked


NO_FINISH = chat(finish_reason=None)
UNKNOWN_PARTS = chat([{"type": "hologram"}])
NO_CHOICES = {**chat(), "choices": []}
CUT = [chunk({"content": "Hel"}), chunk({}, finish="error"), USAGE]


@pytest.mark.parametrize("answer", [NO_CHOICES, NO_FINISH, UNKNOWN_PARTS, CUT], ids=["empty", "endless", "parts", "cut"])
def test_what_an_answer_of_no_use_bills_is_booked(start_gateway, start_upstream, client_of, tmp_path, answer):
    upstream = start_upstream(lambda asked: answer)
    gateway = house(start_gateway, tmp_path, {"up": upstream.base_url})
    with pytest.raises(openai.APIError):
        list(client_of(gateway).chat.completions.create(
            model="up", messages=[{"role": "user", "content": "Hi"}], stream=isinstance(answer, list)))
    rows = wait_until(lambda: len(rows := book(tmp_path)) >= len(upstream.asked) and rows, what="an entry for each time")
    assert set(rows) == {("up", 9, 2, 11 * PRICE, 0)}


def test_what_a_ranking_read_is_what_its_provider_says(start_gateway, start_upstream, client_of, tmp_path):
    upstream = start_upstream(lambda asked: {"results": [{"index": 0, "relevance_score": 0.5}], "meta": {
        "billed_units": {"search_units": 1}, "tokens": {"input_tokens": 33}}})
    targets = {"up": configs.provider(upstream.base_url, "up", endpoints="rerank")}
    config = configs.gateway(targets, classes={"all": {"spill": "always"}}, default_class="all")
    config["server"]["state"] = str(tmp_path / "state")
    ranked = client_of(start_gateway(config)).post("/rerank", cast_to=object, body={"model": "up", "query": "q", "documents": ["d"]})
    assert ranked["results"][0]["relevance_score"] == 0.5
    assert wait_until(lambda: book(tmp_path), what="the entry") == [("up", 33, 0, 33 * PRICE, 0)]


def whole_but_for_its_end(answer, then_silent=False):
    """The first 95 of 100 bytes of a whole answer, and then nothing."""
    body = json.dumps(answer).encode()

    def say(handler):
        handler.send_response(200)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[:len(body) * 95 // 100])
        handler.wfile.flush()
        handler.close_connection = True
        if then_silent:
            handler.wait_until_left()
    return lambda asked: say


LONG = {**chat("word " * 3000), "usage": {"prompt_tokens": 9, "completion_tokens": 3000, "total_tokens": 3009}}


def test_what_came_of_a_whole_answer_that_breaks_is_paid(start_gateway, start_upstream, client_of, tmp_path):
    gateway = house(start_gateway, tmp_path, {"up": start_upstream(whole_but_for_its_end(LONG)).base_url})
    with pytest.raises(openai.InternalServerError):
        client_of(gateway).chat.completions.create(model="up", messages=[{"role": "user", "content": "Hi"}], max_tokens=4000)
    target, prompt, completion, amount, estimated = wait_until(lambda: book(tmp_path), what="the entry")[0]
    assert 3300 < completion < 3750 and prompt > 0  # Four bytes a token, of 95 % of 15,000.
    assert amount == (prompt + completion) * PRICE and estimated


def test_whole_answers_teach_what_a_broken_one_is(start_gateway, start_upstream, client_of, tmp_path):
    broken = whole_but_for_its_end(LONG)
    upstream = start_upstream(lambda asked: LONG if len(upstream.asked) < 4 else broken(asked))
    client = client_of(house(start_gateway, tmp_path, {"up": upstream.base_url}), max_retries=0)
    ask = {"model": "up", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4000}
    for _ in range(3):
        client.chat.completions.create(**ask)
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(**ask)
    entries = wait_until(lambda: len(rows := book(tmp_path)) == 4 and rows, what="the entries")
    assert 2800 < min(completion for _, _, completion, _, _ in entries) < 2950  # A word a token, of 95 % of 3,000.


def test_what_came_of_a_whole_answer_whose_client_leaves_is_paid(start_gateway, start_upstream, tmp_path):
    upstream = start_upstream(whole_but_for_its_end(LONG, then_silent=True))
    gateway = house(start_gateway, tmp_path, {"up": upstream.base_url})

    def left_with_it():
        """Nothing tells when the gateway has read what the provider has sent: it is left a little later each time."""
        upstream.left.clear()
        ask_and_leave(gateway, upstream, stream=False, after=0.1 * len(upstream.asked))
        asked = len(upstream.asked)
        entries = wait_until(lambda: len(rows := book(tmp_path)) == asked and rows, what="the entry")
        return [entry for entry in entries if entry[2] > 0]

    target, prompt, completion, amount, estimated = wait_until(left_with_it, what="an entry with an answer")[0]
    assert 3300 < completion < 3750 and amount == (prompt + completion) * PRICE and estimated
