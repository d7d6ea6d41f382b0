"""Hard budgets: what keeps to them passes whole, and what nobody can hold is refused."""
import base64
import json
import urllib.request

import pytest

import configs
from processes import as_client, send, wait_until
from test_money import HELLO, book
from upstream import USAGE, begin, chat, chunk

PRICES = {"input": "1usd", "output": "4usd"}  # A thousand and four thousand nano-USD a token.


@pytest.fixture
def ask_of(start_upstream, start_gateway, tmp_path):
    """A function that starts a provider and a gateway with a hard budget, and asks that once: the status, the answer,
    and who was asked."""
    def ask(answer, path, body, month="500usd", hard=True, **target):
        upstream = start_upstream(answer)
        targets = {"m": configs.provider(upstream.base_url, "m", price_per_million=PRICES, **target)}
        config = configs.gateway(targets, classes={"all": {"spill": "always"}}, default_class="all",
                                 tenants={"test": {"budget": {"month": month, "hard": hard}}})
        config["server"]["state"] = str(tmp_path / "state")
        raw = json.dumps({"model": "m", **body}, ensure_ascii=False, separators=(",", ":")).encode()
        status, _, text = send(start_gateway(config).root + path, "POST", raw, as_client())
        return status, text.decode(), upstream
    return ask


def entry(tmp_path, columns="completion, amount, estimated"):
    return wait_until(lambda: book(tmp_path, f"SELECT {columns} FROM entries"), what="the entry")[0]


def chunks_of(text):
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]


def told(prompt, completion):
    return {**USAGE, "usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}}


@pytest.mark.parametrize("hard", [True, False], ids=["hard", "soft"])
def test_long_tokens_are_not_cut(ask_of, tmp_path, hard):
    """Bengali has thirteen bytes in a token of Gemma's."""
    pieces = ["স্বাধ"] * 35
    answer = [*(chunk({"content": piece}) for piece in pieces), chunk({}, finish="stop"), told(9, 35)]
    body = {"messages": HELLO, "max_tokens": 40, "stream": True}
    status, text, upstream = ask_of(lambda asked: answer, "/v1/chat/completions", body, hard=hard)
    choices = [each["choices"][0] for each in chunks_of(text) if each["choices"]]
    assert status == 200 and "".join(one["delta"].get("content") or "" for one in choices) == "".join(pieces)
    assert choices[-1]["finish_reason"] == "stop"
    assert entry(tmp_path) == (35, 9 * 1000 + 35 * 4000, 0)


def test_an_estimate_stays_within_the_limit_that_was_told(ask_of, tmp_path):
    """Nobody tells a usage: by their bytes they would be more than a hundred tokens."""
    answer = [*[chunk({"content": "স্বাধ"})] * 35, chunk({}, finish="stop")]
    body = {"messages": HELLO, "max_tokens": 40, "stream": True}
    ask_of(lambda asked: answer, "/v1/chat/completions", body, hard=False)
    assert entry(tmp_path, "completion, estimated") == (40, 1)


@pytest.mark.parametrize("said, tokens", [("3141592653589793238462643383279", 31), ("[-1.25, 3e7]", 12), ("incomprehensible", 4)])
def test_what_comes_a_byte_a_piece_is_booked_as_tokenizers_have_it(ask_of, tmp_path, said, tokens):
    """It breaks before its usage. Qwen has a token for each digit."""
    answer = breaks_after([chunk({"content": each}) for each in said])
    ask_of(lambda asked: answer, "/v1/chat/completions", {"messages": HELLO, "max_tokens": 40, "stream": True}, hard=False)
    assert entry(tmp_path, "completion, estimated") == (tokens, 1)


PROMPT = "The quick brown fox jumps over the lazy dog. " * 20


def said(text, finish=None):
    return {"id": "x", "object": "text_completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": finish}]}


def breaks_after(pieces):
    def say(handler):
        begin(handler)
        for piece in pieces:
            handler.wfile.write(b"data: " + json.dumps(piece).encode() + b"\n\n")
    return say


ECHOING = {"prompt": PROMPT, "echo": True, "logprobs": 1, "max_tokens": 16, "stream": True}


def test_an_echoed_prompt_is_not_taken_for_the_answer(ask_of, tmp_path):
    answer = [said(PROMPT), *[said("word ")] * 15, said("word ", "length"), told(202, 16)]
    _, text, _ = ask_of(lambda asked: answer, "/v1/completions", ECHOING, endpoints=["completions"], dialect="vllm")
    words = "".join(each["choices"][0]["text"] for each in chunks_of(text) if each["choices"])
    assert words == PROMPT + "word " * 16
    assert entry(tmp_path) == (16, 202 * 1000 + 16 * 4000, 0)


@pytest.mark.parametrize("max_tokens", [16, 1000])
def test_an_echoed_prompt_is_not_booked_as_answer(ask_of, tmp_path, max_tokens):
    """It breaks after three words, and nobody told a usage."""
    answer = breaks_after([said(PROMPT), *[said("word ")] * 3])
    ask_of(lambda asked: answer, "/v1/completions", {**ECHOING, "max_tokens": max_tokens}, hard=False,
           endpoints=["completions"], dialect="vllm")
    assert entry(tmp_path, "completion, estimated") == (4, 1)  # Fifteen bytes.


@pytest.mark.parametrize("path, endpoint, body", [
    ("/v1/chat/completions", "chat", {"messages": [{"role": "user", "content": "\u0fa2" * 1000}], "max_tokens": 4}),
    ("/v1/messages", "chat", {"messages": [{"role": "user", "content": "\u0fa2" * 1000}], "max_tokens": 4}),
    ("/v1/completions", "completions", {"prompt": "\u0fa2" * 1000, "max_tokens": 4}),
    ("/v1/embeddings", "embeddings", {"input": "\ufdfa" * 200}),
    ("/v1/rerank", "rerank", {"query": "q", "documents": ["\ufdfa" * 200]})], ids=lambda each: each if isinstance(each, str) else "")
def test_what_grows_before_it_is_read_is_held_as_it_is_read(ask_of, path, endpoint, body):
    """Two letters are made of one where the tokenizer composes them, and 18 of the other."""
    status, text, upstream = ask_of(lambda asked: {}, path, body, month="0.005usd", endpoints=[endpoint])
    assert (status, upstream.asked) == (402 if path == "/v1/messages" else 429, []) and "budget of tenant 'test'" in text


def ranking(prompt):
    return {"id": "x", "model": "m", "results": [{"index": 0, "relevance_score": 0.5}],
            "usage": {"prompt_tokens": prompt, "total_tokens": prompt}}


@pytest.mark.parametrize("month, status", [("0.1302usd", 200), ("0.1usd", 429)])
def test_a_rankings_pairs_have_tokens_of_their_own(ask_of, tmp_path, month, status):
    """XLM-R's <s> q </s></s> d </s>."""
    body = {"query": "q", "documents": ["d"] * 1000}
    got, _, upstream = ask_of(lambda asked: ranking(6000), "/v1/rerank", body, month=month, endpoints=["rerank"])
    assert got == status and bool(upstream.asked) == (status == 200)
    if status == 200:
        assert entry(tmp_path, "prompt, amount, estimated") == (6000, 6_000_000, 0)


@pytest.mark.parametrize("document, hard, status", [
    ({"text": "", "image": "https://example.test/a.png"}, True, 400), ({"text": "d", "title": "t"}, True, 400),
    ({"text": "d", "image": "https://example.test/a.png"}, False, 200), ({"text": "d", "id": 7}, True, 200)], ids=str)
def test_what_documents_have_beside_their_text_has_no_bound(ask_of, document, hard, status):
    body = {"query": "q", "documents": [document]}
    got, text, upstream = ask_of(lambda asked: ranking(9), "/v1/rerank", body, hard=hard, endpoints=["rerank"])
    assert got == status and bool(upstream.asked) == (status == 200)
    assert status == 200 or "what documents have beside their text" in text


@pytest.mark.parametrize("options, hard, status", [
    ({"max_pixels": 100_000_000}, True, 400), ({"max_pixels": 100_000_000}, False, 200), ({}, True, 200)], ids=str)
def test_pictures_as_large_as_one_likes_have_no_bound(ask_of, options, hard, status):
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    body = {"messages": [{"role": "user", "content": [picture]}], "max_tokens": 5, "mm_processor_kwargs": options}
    got, text, upstream = ask_of(lambda asked: chat(), "/v1/chat/completions", body, hard=hard, dialect="vllm")
    assert got == status and bool(upstream.asked) == (status == 200)
    assert status == 200 or "mm_processor_kwargs" in text


PICTURE = base64.b64encode(bytes(300_000)).decode()
TEXT = base64.b64encode(b"word " * 10_000).decode()


def chat_of(part):
    return "/v1/chat/completions", "chat", {"messages": [{"role": "user", "content": [part]}], "max_tokens": 5}


def message_of(*blocks):
    return "/v1/messages", "chat", {"messages": [{"role": "user", "content": list(blocks)}], "max_tokens": 5}


def picture_of(url):
    return {"type": "image_url", "image_url": {"url": url}}


def result_of(block):
    return message_of({"type": "tool_result", "tool_use_id": "t", "content": [block]})


IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}}
ENCODED = {
    "a picture": (chat_of(picture_of("data:image/png;base64," + PICTURE)), "0.06usd", True),
    "a picture in a message": (message_of(IMAGE), "0.06usd", True),
    "a picture that is judged": (("/v1/moderations", "moderations", {"input": [picture_of("data:image/png;base64," + PICTURE)]}), "0.06usd", True),
    "a text": (chat_of({"type": "file", "file": {"file_data": "data:text/plain;base64," + TEXT}}), "0.11usd", True),
    "a long text": (chat_of({"type": "file", "file": {"file_data": "data:text/plain;base64," + TEXT}}), "0.09usd", False),
    "a long sound": (chat_of({"type": "input_audio", "input_audio": {"data": PICTURE, "format": "mp3"}}), "0.3usd", False),
    "words that look like it": (chat_of({"type": "text", "text": "data:image/png;base64," + PICTURE}), "0.3usd", False),
    "what is none": (chat_of(picture_of("data:image/png;base64," + "word " * 60_000)), "0.3usd", False)}


@pytest.mark.parametrize("asked, month, fits", ENCODED.values(), ids=ENCODED)
def test_what_is_said_in_base64_is_held_as_what_it_is(ask_of, asked, month, fits):
    """A token for a thousand nano-USD: a picture comes to 50,000 of them, whatever its bytes."""
    path, endpoint, body = asked
    answer = {"id": "x", "model": "m", "results": []} if endpoint == "moderations" else chat()
    status, text, upstream = ask_of(lambda said: answer, path, body, month=month, endpoints=[endpoint], takes=["images", "audio", "files"])
    assert (status == 200, bool(upstream.asked)) == (fits, fits), text[:300]


def test_a_picture_that_a_tool_gave_is_held_as_one(ask_of):
    _, text, upstream = ask_of(lambda said: chat(), *result_of(IMAGE)[::2], month="0.07usd", dialect="anthropic")
    assert len(upstream.asked) == 1, text


def test_a_picture_that_is_judged_is_held_as_one(ask_of):
    picture = {"type": "image_url", "image_url": {"url": "https://example.test/a.png"}}
    status, _, upstream = ask_of(lambda asked: {}, "/v1/moderations", {"input": [picture]}, month="0.04usd", endpoints=["moderations"])
    assert (status, upstream.asked) == (429, [])


@pytest.mark.parametrize("field", ["instruction", "instruct"])
def test_what_a_ranking_is_told_to_look_for_is_read_with_each_document(ask_of, field):
    body = {"query": "q", "documents": ["d"] * 1000, field: "i" * 1000}
    got, _, upstream = ask_of(lambda asked: ranking(1_010_000), "/v1/rerank", body, month="1usd", endpoints=["rerank"])
    assert (got, upstream.asked) == (429, [])


def says_and_thinks_on(asked):
    def say(handler):
        begin(handler)
        handler.wfile.write(b"data: " + json.dumps(chunk({"content": "So "})).encode() + b"\n\n")
        handler.wait_until_left()
    return say


def test_leaving_after_the_first_word_does_not_get_past_it(start_upstream, start_gateway, tmp_path):
    """It thinks unseen, and bills that: what was granted is booked of each request, and twice that does not fit."""
    upstream = start_upstream(says_and_thinks_on)
    targets = {"m": configs.provider(upstream.base_url, "m", price_per_million=PRICES)}
    config = configs.gateway(targets, classes={"all": {"spill": "always"}}, default_class="all",
                             tenants={"test": {"budget": {"month": "0.02usd", "hard": True}}})
    config["server"]["state"] = str(tmp_path / "state")
    root = start_gateway(config).root
    body = json.dumps({"model": "m", "stream": True, "max_tokens": 4000, "messages": HELLO}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{root}/v1/chat/completions", body, as_client())) as answer:
        assert b"So " in answer.readline() + answer.readline() + answer.readline()
    prompt, completion, amount, estimated = entry(tmp_path, "prompt, completion, amount, estimated")
    assert (completion, estimated) == (4000, 1) and prompt >= len(HELLO[0]["content"])
    assert amount == prompt * 1000 + 4000 * 4000
    status, _, text = send(f"{root}/v1/chat/completions", "POST", body.replace(b"4000", b"2000"), as_client())
    assert (status, len(upstream.asked)) == (200, 2) and b"So " in text or status == 429


def test_a_prompt_that_the_server_keeps_has_no_bound(ask_of):
    body = {"input": "q", "prompt_name": "long"}
    got, text, upstream = ask_of(lambda asked: ranking(9), "/v1/embeddings", body, hard=True, endpoints=["embeddings"])
    assert (got, upstream.asked) == (400, []) and "a prompt that the server keeps" in text


LONG = base64.b64encode(b"word " * 80_000).decode()  # A hundred thousand tokens, for a tenth of a dollar.
DOCUMENT = {"type": "file", "file": {"filename": "a.txt", "file_data": "data:text/plain;base64," + LONG}}
DOCUMENTS = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": [DOCUMENT]}], "max_tokens": 4},
    "/v1/responses": {"input": [{"role": "user", "content": [{"type": "input_file", **DOCUMENT["file"]}]}], "max_output_tokens": 16},
    "/v1/messages": message_of({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "word " * 80_000}})[2]}


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_soft_budget_holds_a_text_for_its_words(ask_of, path):
    status, text, upstream = ask_of(lambda asked: chat(), path, DOCUMENTS[path], month="0.05usd", hard=False, takes=["files", "tools"],
                                    dialect="anthropic" if path == "/v1/messages" else "openai")
    assert (status, upstream.asked) == (402 if path == "/v1/messages" else 429, []), text[:300]


def test_a_soft_budget_holds_an_uploaded_text_for_its_words(start_upstream, start_gateway, client_of):
    upstream = start_upstream(lambda asked: chat())
    targets = {"m": configs.provider(upstream.base_url, "m", price_per_million=PRICES, takes=["files"])}
    gateway = start_gateway(configs.gateway(targets, classes={"all": {"spill": "always"}}, default_class="all",
                                            tenants={"test": {"budget": {"month": "0.05usd"}}}))
    client = client_of(gateway, max_retries=0)
    for words, fits in ((10, True), (80_000, False)):
        file = client.files.create(file=("a.txt", b"word " * words), purpose="user_data").id
        body = {"model": "m", "max_tokens": 4, "messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": file}}]}]}
        status, _, text = send(gateway.root + "/v1/chat/completions", "POST", json.dumps(body).encode(), as_client())
        assert (status == 200, len(upstream.asked)) == (fits, 1), text[:300]
