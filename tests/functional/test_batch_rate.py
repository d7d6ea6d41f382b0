"""Providers with a cheaper tier: who may wait is sent there, routed by its price, and booked by what the answer names; and
providers that a class takes by their architecture."""
import json
import time

import openai
import pytest

import configs
from processes import send, wait_until
from test_money import book
from upstream import begin, chat

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


def test_embeddings_have_no_cheaper_tier(house, start_upstream, client_of):
    upstream = start_upstream(lambda asked: {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [1.0]}],
                                             "usage": {"prompt_tokens": 3, "total_tokens": 3}})
    client = client_of(house({"up": configs.provider(upstream.base_url, "up", endpoints=["embeddings"], batch_discount=0.5)}))
    client.embeddings.create(model="up", input="a", extra_body={"service_tier": "flex"})
    assert "service_tier" not in upstream.asked[0].json


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


def full_of_flex(asked):
    """429 for its cheaper tier, and an answer for the usual one."""
    if asked.json.get("service_tier") != "flex":
        return served_as("default")(asked)

    def refuse(handler):
        handler.send_response(429)
        handler.send_header("retry-after", "60")
        handler.send_header("content-length", "2")
        handler.end_headers()
        handler.wfile.write(b"{}")
    return refuse


def flex(client, **more):
    return client.chat.completions.create(model="up", messages=HELLO, max_tokens=5, service_tier="flex", **more)


def test_a_tier_without_room_holds_nobody_up(house, start_upstream, client_of, tmp_path):
    upstream = start_upstream(full_of_flex)
    client = client_of(house({"up": configs.provider(upstream.base_url, "up", batch_discount=0.5)}), max_retries=0)
    assert flex(client).choices and client.chat.completions.create(model="up", messages=HELLO, max_tokens=5).choices
    assert flex(client).choices  # Not asked for it again within the minute.
    assert [asked.json.get("service_tier") for asked in upstream.asked] == ["flex", None, None, None]
    assert amounts(tmp_path, 3) == [FULL] * 3


def test_who_pays_the_lower_price_alone_is_told_to_come_again(house, start_upstream, client_of):
    upstream = start_upstream(full_of_flex)
    patient = {**CLASSES["patient"], "price_max": "0.000015usd"}
    gateway = house({"up": configs.provider(upstream.base_url, "up", batch_discount=0.9)}, patient=patient)
    client = client_of(gateway, max_retries=0)
    with pytest.raises(openai.RateLimitError) as refused:
        flex(client)
    assert refused.value.code == "resource_unavailable" and len(upstream.asked) == 1
    assert client.chat.completions.create(model="up", messages=HELLO, max_tokens=5).choices


def test_who_knows_no_tiers_is_asked_without(house, start_upstream, client_of):
    def strict(asked):
        if "service_tier" in asked.json:
            return 400, {"error": {"message": "no such tier", "type": "invalid_request_error", "param": "service_tier"}}
        return chat()
    upstream = start_upstream(strict)
    client = client_of(house({"up": configs.provider(upstream.base_url, "up", batch_discount=0.5)}), max_retries=0)
    assert flex(client).choices and len(upstream.asked) == 2


def test_the_tier_may_take_its_time_and_is_paid_once(house, start_upstream, client_of, tmp_path):
    def slow(asked):
        time.sleep(0.8)
        return served_as(None)(asked)
    upstream = start_upstream(slow)
    target = configs.provider(upstream.base_url, "up", batch_discount=0.5, timeouts={"first_token": "300ms"})
    client = client_of(house({"up": target}), max_retries=0)
    assert flex(client, stream=False).choices and len(upstream.asked) == 1 and amounts(tmp_path, 1) == [FULL // 2]


def test_only_chat_is_asked_for_in_the_tier(house, start_upstream, client_of, tmp_path):
    upstream = start_upstream(lambda asked: {
        "object": "list", "model": "up", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
        "usage": {"prompt_tokens": 3, "total_tokens": 3}})
    client = client_of(house({"up": configs.provider(upstream.base_url, "up", batch_discount=0.5, endpoints=["embeddings"])}))
    line = {"custom_id": "1", "method": "POST", "url": "/v1/embeddings", "body": {"model": "up", "input": "Hi"}}
    file = client.files.create(file=("input.jsonl", json.dumps(line).encode()), purpose="batch")
    batch = client.batches.create(input_file_id=file.id, endpoint="/v1/embeddings", completion_window="24h")
    wait_until(lambda: client.batches.retrieve(batch.id).status == "completed", what="the batch")
    assert "service_tier" not in upstream.asked[0].json and amounts(tmp_path, 1) == [3 * 2_000]


def test_who_may_not_name_the_tier_does_not_get_it(start_gateway, start_upstream, client_of):
    upstream = start_upstream(served_as(None))
    config = configs.gateway({"up": configs.provider(upstream.base_url, "up", batch_discount=0.5)}, classes=CLASSES)
    config["keys"]["test"]["may_name"] = ["interactive"]
    answer = flex(client_of(start_gateway(config)))
    assert answer.service_tier == "default" and "service_tier" not in upstream.asked[0].json


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
    wait_until(lambda: b"not of the class's architectures" in send(gateway.admin + "/decisions")[2], what="the decision")
    with pytest.raises(openai.APIStatusError, match="no target for this request's class"):
        client.chat.completions.create(model="other", **ask)
    assert not other.asked


def test_another_architecture_does_not_go_on_with_an_answer(house, start_upstream, client_of):
    """The first breaks off in the middle; of the others, only one may go on with what it began."""
    begun = b'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"up","choices":[{"index":0,"delta":' \
            b'{"content":"One two three four "},"finish_reason":null}]}\n\n'

    def breaks(handler):
        begin(handler)
        handler.wfile.write(begun)

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
