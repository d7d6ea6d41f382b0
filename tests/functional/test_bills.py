"""What providers say that they count, in their own dialects, whole and broken: each is booked to the nano-dollar."""
import json
import pathlib

import anthropic
import openai
import pytest

import configs
from processes import KEY, as_client, send, wait_until
from test_money import book
from upstream import begin, chat

STREAMS = pathlib.Path(__file__).resolve().parents[1] / "data" / "streams"
INPUT, CACHED, WRITTEN, WRITTEN_1H, HEARD, OUTPUT, SPOKEN = 300, 75, 375, 600, 4000, 1200, 8000  # Nano-USD a token.
SEARCH = 10_000_000
PRICE = {"input": "0.30usd", "cached_input": "0.075usd", "cache_write": "0.375usd", "cache_write_1h": "0.60usd",
         "audio_input": "4usd", "output": "1.20usd", "audio_output": "8usd"}
BATCH_DISCOUNT = 0.5
ASK = [{"role": "user", "content": "Count to three, please."}]
BILLS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(STREAMS.glob("*.json"))}


def play(answer, held=False):
    """An upstream's answer: these bytes, in pieces; `held`: and then nothing, until the gateway leaves."""
    def say(handler):
        begin(handler)
        for at in range(0, len(answer), 512):
            handler.wfile.write(answer[at:at + 512])
        if held:
            handler.wait_until_left()
    return lambda asked: say


def target_of(name, upstream):
    dialect = BILLS[name]["dialect"]
    tier = {} if dialect == "anthropic" else {"batch_discount": BATCH_DISCOUNT}
    return configs.provider(upstream.base_url, name, dialect=dialect, price_per_million=PRICE, price_per_search="0.01usd", **tier)


@pytest.fixture
def house(start_upstream, start_gateway, tmp_path):
    """A target for each stream, with a model of its name."""
    def start(streams):
        targets = {f"target{at}": target_of(name, start_upstream(answer)) for at, (name, answer) in enumerate(streams.items())}
        config = configs.gateway(targets)
        config["server"]["state"] = str(tmp_path / "state")
        return start_gateway(config)
    return start


def listen(client, model):
    try:
        for _ in client.chat.completions.create(model=model, stream=True, messages=ASK, max_tokens=4000):
            pass
    except openai.APIError:
        pass


def booked(tmp_path, count):
    """The entries by model, once there are so many."""
    entries = wait_until(lambda: (found := book(
        tmp_path, "SELECT model, prompt, cached, completion, estimated, amount FROM entries")) and
        len(found) == count and found, what="the entries")
    return {model: tuple(rest) for model, *rest in entries}


def bill_of(bill, prompt):
    told = prompt if bill["prompt"] is None else bill["prompt"]  # Not told: as counted here.
    for_an_hour, heard, spoken = (bill.get(name, 0) for name in ("written_1h", "heard", "spoken"))
    amount = (told - bill["cached"] - bill["written"] - heard) * INPUT + bill["cached"] * CACHED + heard * HEARD + \
        (bill["written"] - for_an_hour) * WRITTEN + for_an_hour * WRITTEN_1H + \
        (bill["completion"] - spoken) * OUTPUT + spoken * SPOKEN
    if bill.get("batch_rate"):
        amount = round(amount * (1 - BATCH_DISCOUNT))
    amount += bill.get("searches", 0) * SEARCH
    if bill.get("unbilled"):
        amount = 0
    return (told, bill["cached"], bill["completion"], bill["estimated"], amount)


def test_each_stream_costs_what_its_provider_bills(house, client_of, tmp_path):
    gateway = house({name: play((STREAMS / f"{name}.sse").read_bytes()) for name in BILLS})
    client = client_of(gateway)
    for name in BILLS:
        listen(client, name)
    entries = booked(tmp_path, len(BILLS))
    assert entries == {name: bill_of(bill, entries[name][0]) for name, bill in BILLS.items()}
    assert all(prompt > 0 for prompt, *_ in entries.values())


def test_who_leaves_pays_what_the_provider_had_told(house, tmp_path):
    name = "anthropic-cut-later"
    gateway = house({name: play((STREAMS / f"{name}.sse").read_bytes(), held=True)})
    with anthropic.Anthropic(base_url=gateway.root, api_key=KEY, max_retries=0) as client:
        with client.messages.create(model=name, max_tokens=40, messages=ASK, stream=True) as stream:
            assert any(event.type == "content_block_delta" and event.delta.text == "three." for event in stream)
    assert booked(tmp_path, 1) == {name: bill_of(BILLS[name], None)}


# What a whole answer tells, and what it costs at PRICE.
WRITTEN_BY_OPENAI = {"prompt_tokens": 1000, "completion_tokens": 30, "total_tokens": 1030,
                     "prompt_tokens_details": {"cached_tokens": 50, "cache_write_tokens": 900}}


@pytest.fixture
def told(start_upstream, start_gateway, tmp_path):
    """A gateway whose provider tells that usage, whatever it is asked."""
    def start(usage, **settings):
        upstream = start_upstream(lambda asked: {**chat(), "usage": usage})
        config = configs.gateway({"up": configs.provider(upstream.base_url, "up", **{"price_per_million": PRICE, **settings})})
        config["server"]["state"] = str(tmp_path / "state")
        return start_gateway(config)
    return start


def amounts(tmp_path, count):
    return wait_until(lambda: len(rows := book(tmp_path, "SELECT amount, estimated FROM entries")) == count and rows, what="the entries")


def test_what_openai_puts_into_its_cache_is_paid_and_told_in_every_protocol(told, client_of, tmp_path):
    gateway = told(WRITTEN_BY_OPENAI)
    client = client_of(gateway)
    usage = client.chat.completions.create(model="up", messages=ASK).usage
    assert usage.prompt_tokens_details.cache_write_tokens == 900 and usage.prompt_tokens_details.cached_tokens == 50
    usage = client.responses.create(model="up", input="Hello.").usage
    assert usage.input_tokens == 1000 and usage.input_tokens_details.cache_write_tokens == 900
    with anthropic.Anthropic(base_url=gateway.root, api_key=KEY, max_retries=0) as messages:
        usage = messages.messages.create(model="up", messages=ASK, max_tokens=40).usage
    assert (usage.input_tokens, usage.cache_creation_input_tokens, usage.cache_read_input_tokens) == (50, 900, 50)
    due = 50 * INPUT + 50 * CACHED + 900 * WRITTEN + 30 * OUTPUT
    assert amounts(tmp_path, 3) == [(due, 0)] * 3


def test_a_chats_usage_is_booked_under_anthropics_names(told, client_of, tmp_path):
    gateway = told({"input_tokens": 50, "cache_creation_input_tokens": 900, "cache_read_input_tokens": 50, "output_tokens": 30})
    usage = client_of(gateway).chat.completions.create(model="up", messages=ASK).usage
    assert (usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens, usage.completion_tokens) == (1000, 50, 30)
    assert amounts(tmp_path, 1) == [(50 * INPUT + 50 * CACHED + 900 * WRITTEN + 30 * OUTPUT, 0)]


@pytest.mark.parametrize("prompt", [200_000, 200_001])
def test_a_long_prompt_has_its_own_price(told, client_of, tmp_path, prompt):
    gateway = told({"prompt_tokens": prompt, "completion_tokens": 10, "total_tokens": prompt + 10}, price_per_million={
        "input": "1.25usd", "output": "10usd", "long": {"above": 200_000, "input": "2.50usd", "output": "15usd"}})
    client_of(gateway).chat.completions.create(model="up", messages=ASK)
    due = prompt * 2500 + 10 * 15_000 if prompt > 200_000 else prompt * 1250 + 10 * 10_000
    assert amounts(tmp_path, 1) == [(due, 0)]


@pytest.mark.parametrize("cost", [0.5, {"total_cost": 0.5}], ids=["number", "object"])
@pytest.mark.parametrize("as_told", [True, False])
def test_what_a_provider_says_that_it_asks_is_booked_or_shown(told, client_of, tmp_path, cost, as_told):
    gateway = told({"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13, "cost": cost}, price_as_told=as_told)
    usage = client_of(gateway).chat.completions.create(model="up", messages=ASK).usage
    assert usage.model_extra["cost"] == cost
    assert amounts(tmp_path, 1) == [(500_000_000, 0) if as_told else (10 * INPUT + 3 * OUTPUT, 1)]
    wait_until(lambda: gateway.metric("spillway_charged_otherwise_total", be="up") == (0 if as_told else 1), what="the count")


def test_what_no_answer_costs_is_not_booked_as_exact(told, client_of, tmp_path):
    gateway = told({"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13, "cost": 9e9}, price_as_told=True)
    client_of(gateway).chat.completions.create(model="up", messages=ASK)
    assert amounts(tmp_path, 1) == [(10 * INPUT + 3 * OUTPUT, 1)]


def test_what_is_booked_as_told_is_so_in_any_tier(start_upstream, start_gateway, client_of, tmp_path):
    usage = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13, "cost": 0.5}
    upstream = start_upstream(lambda asked: {**chat(), "usage": usage, "service_tier": "priority"})
    config = configs.gateway({"up": configs.provider(upstream.base_url, "up", price_per_million=PRICE, price_as_told=True)})
    config["server"]["state"] = str(tmp_path / "state")
    client_of(start_gateway(config)).chat.completions.create(model="up", messages=ASK)
    assert amounts(tmp_path, 1) == [(500_000_000, 0)]


def test_a_ranking_that_broke_off_is_in_the_next_ones_hold(start_upstream, start_gateway, tmp_path):
    def breaks(handler):
        begin(handler, "application/json")
        handler.wfile.write(b'{"results":[')
    broken = start_upstream(lambda asked: breaks)
    whole = start_upstream(lambda asked: {"results": [], "meta": {"billed_units": {"search_units": 1}}})
    free = {"input": "0usd", "output": "0usd"}
    targets = {name: configs.provider(upstream.base_url, "up", endpoints="rerank", price_per_million=free,
                                      price_per_search="1usd", serves={"m": "up"})
               for name, upstream in (("broken", broken), ("whole", whole))}
    config = configs.gateway(targets, tenants={"test": {"budget": {"month": "1.5usd", "hard": True}}})
    config["server"]["state"] = str(tmp_path / "state")
    gateway = start_gateway(config)
    body = {"model": "m", "query": "q", "documents": ["d"]}
    for _ in range(3):
        send(gateway.root + "/v1/rerank", "POST", body, as_client())
    assert broken.asked
    assert sum(amount for amount, in book(tmp_path, "SELECT amount FROM entries")) <= 1_500_000_000


@pytest.mark.parametrize("beside", [{}, {"tokens": {"input_tokens": 50}}], ids=["units", "tokens too"])
@pytest.mark.parametrize("price", ["price_per_request", "price_per_search"])
def test_a_ranking_costs_its_search_units(start_upstream, start_gateway, client_of, tmp_path, beside, price):
    upstream = start_upstream(lambda asked: {"results": [], "meta": {"billed_units": {"search_units": 21}, **beside}})
    free = {"input": "0usd", "output": "0usd"}
    config = configs.gateway({"up": configs.provider(
        upstream.base_url, "up", endpoints="rerank", price_per_million=free, **{price: "0.002usd"})})
    config["server"]["state"] = str(tmp_path / "state")
    client_of(start_gateway(config)).post("/rerank", cast_to=object, body={"model": "up", "query": "q", "documents": ["d"] * 2049})
    assert amounts(tmp_path, 1)[0][0] == 21 * 2_000_000


@pytest.mark.parametrize("price", ["price_per_request", "price_per_search"])
def test_a_ranking_goes_where_all_its_units_cost_least(start_upstream, start_gateway, client_of, price):
    upstreams = {name: start_upstream(lambda asked: {"results": [], "meta": {"billed_units": {"search_units": 21}}})
                 for name in ("by_unit", "by_token")}
    prices = {"by_unit": {price: "0.001usd"}, "by_token": {"price_per_million": {"input": "0.5usd", "output": "0usd"}}}
    targets = {name: configs.provider(upstream.base_url, "up", endpoints="rerank", serves={"m": "up"},
                                      **{"price_per_million": {"input": "0usd", "output": "0usd"}, **prices[name]})
               for name, upstream in upstreams.items()}
    body = {"model": "m", "query": "q", "documents": ["drum"] * 2049}
    client_of(start_gateway(configs.gateway(targets))).post("/rerank", cast_to=object, body=body)
    assert upstreams["by_token"].asked and not upstreams["by_unit"].asked  # 0.021 dollars.


@pytest.mark.parametrize("documents, status", [(["d"] * 100, 200), (["d"] * 101, 429), (["d" * 60_000], 429)],
                         ids=["100", "101", "one that is cut"])
def test_a_hard_budget_holds_a_rankings_units(start_upstream, start_gateway, tmp_path, documents, status):
    upstream = start_upstream(lambda asked: {"results": [], "meta": {"billed_units": {"search_units": -(-len(asked.json["documents"]) // 100)}}})
    free = {"input": "0usd", "output": "0usd"}
    config = configs.gateway(
        {"up": configs.provider(upstream.base_url, "up", endpoints="rerank", price_per_million=free, price_per_request="0.002usd")},
        tenants={"test": {"budget": {"day": "0.003usd", "hard": True}}})
    config["server"]["state"] = str(tmp_path / "state")
    gateway = start_gateway(config)
    body = {"model": "up", "query": "q", "documents": documents}
    assert send(gateway.root + "/v1/rerank", "POST", body, as_client())[0] == status
