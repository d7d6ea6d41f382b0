"""Providers with a cheaper tier: who may wait is sent there, routed by its price, and booked by what the answer names; and
providers that a class takes by their architecture."""
import json

import openai
import pytest

import configs
from processes import send, wait_until
from test_money import book
from upstream import chat

HELLO = [{"role": "user", "content": "Hi"}]
CLASSES = {"interactive": {"spill": "always"}, "patient": {"match": {"service_tier": ["flex"]}, "spill": "always"},
           "batch": {"match": "by_name", "spill": "always"}}
FULL = 11 * 2_000  # Nano-USD of upstream.chat().


def served_as(tier):
    return lambda asked: {**chat(), "service_tier": tier or asked.json.get("service_tier", "default")}


@pytest.fixture
def house(start_gateway, tmp_path):
    def start(targets, **classes):
        config = configs.gateway(targets, classes={**CLASSES, **classes}, batch={"class": "batch"})
        config["server"]["state"] = str(tmp_path / "state")
        return start_gateway(config)
    return start


def amounts(tmp_path, count):
    rows = wait_until(lambda: (found := book(tmp_path, "SELECT amount FROM entries")) and
                      len(found) == count and found, what=f"{count} entries")
    return sorted(amount for amount, in rows)


@pytest.mark.parametrize("served, paid", [(None, FULL // 2), ("default", FULL)], ids=["as asked", "at the usual rate"])
def test_flex_is_asked_for_and_paid_as_it_was_served(house, start_upstream, client_of, tmp_path, served, paid):
    upstream = start_upstream(served_as(served))
    client = client_of(house({"up": configs.provider(upstream.base_url, "up", batch_discount=0.5)}))
    answer = client.chat.completions.create(model="up", messages=HELLO, max_tokens=5, service_tier="flex")
    assert answer.service_tier == "flex"  # The tier of ours that served it.
    assert client.chat.completions.create(model="up", messages=HELLO, max_tokens=5).choices
    assert [asked.json.get("service_tier") for asked in upstream.asked] == ["flex", None]
    assert amounts(tmp_path, 2) == [paid, FULL]


def test_who_has_no_cheaper_tier_is_not_asked_for_one(house, start_upstream, client_of, tmp_path):
    upstream = start_upstream(served_as(None))
    client = client_of(house({"up": configs.provider(upstream.base_url, "up")}))
    client.chat.completions.create(model="up", messages=HELLO, max_tokens=5, service_tier="flex")
    assert "service_tier" not in upstream.asked[0].json and amounts(tmp_path, 1) == [FULL]


def test_lines_of_batches_go_where_the_discount_makes_it_cheapest(house, start_upstream, client_of, tmp_path):
    plain, tiered = start_upstream(served_as(None)), start_upstream(served_as(None))
    price = {"input": "3usd", "output": "3usd"}
    client = client_of(house({
        "plain": configs.provider(plain.base_url, "plain"),
        "tiered": configs.provider(tiered.base_url, "tiered", price_per_million=price, batch_discount=0.5)}))
    client.chat.completions.create(model="auto", messages=HELLO, max_tokens=5)
    assert (len(plain.asked), len(tiered.asked)) == (1, 0)
    lines = [{"custom_id": str(number), "method": "POST", "url": "/v1/chat/completions",
              "body": {"model": "auto", "max_tokens": 5, "messages": HELLO}} for number in range(3)]
    file = client.files.create(file=("input.jsonl", "\n".join(map(json.dumps, lines)).encode()), purpose="batch")
    batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    wait_until(lambda: client.batches.retrieve(batch.id).status == "completed", what="the batch")
    assert (len(plain.asked), [asked.json["service_tier"] for asked in tiered.asked]) == (1, ["flex"] * 3)
    assert amounts(tmp_path, 4) == [11 * 1_500] * 3 + [FULL]


def test_a_class_takes_its_architectures_alone(house, start_upstream, client_of):
    other, same = start_upstream(served_as(None)), start_upstream(served_as(None))
    targets = {"other": configs.provider(other.base_url, "other", architecture="llama"),
               "unsaid": configs.provider(other.base_url, "unsaid"),
               "same": configs.provider(same.base_url, "same", architecture="qwen2",
                                        price_per_million={"input": "9usd", "output": "9usd"})}
    family = {"spill": "always", "match": "by_name", "architectures": ["qwen2"]}
    gateway = house(targets, family=family)
    client = client_of(gateway, max_retries=0)
    ask = {"messages": HELLO, "max_tokens": 5, "extra_headers": {"x-spillway-class": "family"}}
    client.chat.completions.create(model="auto", **ask)
    assert (len(other.asked), len(same.asked)) == (0, 1)
    _, _, text = send(gateway.admin + "/decisions?limit=1")
    assert b"not of the class's architectures" in text
    with pytest.raises(openai.APIStatusError, match="no target for this request's class"):
        client.chat.completions.create(model="other", **ask)
    assert not other.asked


def test_another_architecture_does_not_go_on_with_an_answer(house, start_upstream, client_of):
    """The first breaks off in the middle; of the others, only one may go on with what it began."""
    begun = b'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"up","choices":[{"index":0,"delta":' \
            b'{"content":"One two three four "},"finish_reason":null}]}\n\n'

    def breaks(handler):
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.send_header("connection", "close")
        handler.end_headers()
        handler.wfile.write(begun)
        handler.close_connection = True

    first, other, same = start_upstream(lambda asked: breaks), start_upstream(lambda asked: chat()), \
        start_upstream(lambda asked: [
            {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "up",
             "choices": [{"index": 0, "delta": {"content": "five"}, "finish_reason": "stop"}]}])
    priced = lambda usd: {"price_per_million": {"input": f"{usd}usd", "output": f"{usd}usd"}, "continues": "prefix"}
    gateway = house({"first": configs.provider(first.base_url, "first", architecture="qwen2", **priced(1)),
                     "other": configs.provider(other.base_url, "other", architecture="llama", **priced(2)),
                     "same": configs.provider(same.base_url, "same", architecture="qwen2", **priced(3))})
    stream = client_of(gateway).chat.completions.create(model="auto", messages=HELLO, max_tokens=50, stream=True)
    assert "".join(piece.choices[0].delta.content or "" for piece in stream if piece.choices) == "One two three four five"
    assert (len(first.asked), len(other.asked), len(same.asked)) == (1, 0, 1)
