"""Completions, embeddings, moderations, rankings and tokens: what is asked, what the provider gets, what comes back."""
import base64
import json
import struct
import threading
import time
import urllib.request

import openai
import pytest

import configs
from processes import KEY, as_client, send, wait_until
from test_money import book
from upstream import USAGE, begin

VECTOR = [0.5, -0.25, 1.0]
PACKED = base64.b64encode(struct.pack("<3f", *VECTOR)).decode()


def embeddings(vector, count=1):
    data = [{"object": "embedding", "index": at, "embedding": vector} for at in range(count)]
    return {"object": "list", "model": "up-e", "data": data, "usage": {"prompt_tokens": 3, "total_tokens": 3}}


def completion(*texts):
    choices = [{"index": i, "text": text, "logprobs": None, "finish_reason": "stop"} for i, text in enumerate(texts)]
    return {"id": "x", "object": "text_completion", "created": 1, "model": "up", "choices": choices,
            "usage": {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}}


@pytest.fixture
def house(start_gateway, start_upstream, client_of):
    def start(answer, endpoints, **settings):
        upstream = start_upstream(answer)
        provider = configs.provider(upstream.base_url, "up", endpoints=endpoints, **{"serves": {"m": "up"}, **settings})
        gateway = start_gateway(configs.gateway({"local": configs.synthetic_engine(), "up": provider}))
        return gateway, upstream, client_of(gateway)
    return start


def post(gateway, path, value):
    request = urllib.request.Request(gateway.root + path, data=json.dumps(value).encode(), method="POST", headers={
        "authorization": f"Bearer {KEY}", "content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


@pytest.mark.parametrize("upstream_says", [VECTOR, PACKED], ids=["numbers", "base64"])
def test_embeddings_come_as_they_were_asked_for(house, upstream_says):
    gateway, upstream, client = house(lambda asked: embeddings(upstream_says), "embeddings")
    ask = {"model": "m", "input": "a"}
    plain = client.embeddings.create(**ask)  # The SDK asks for base64 and unpacks it.
    assert upstream.asked[-1].json == {"model": "up", "input": "a", "encoding_format": "base64"}
    assert upstream.asked[-1].path == "/v1/embeddings"
    assert plain.data[0].embedding == VECTOR and plain.model == "m" and plain.usage.prompt_tokens == 3
    assert post(gateway, "/v1/embeddings", ask)["data"][0]["embedding"] == VECTOR
    assert post(gateway, "/v1/embeddings", {**ask, "encoding_format": "float"})["data"][0]["embedding"] == VECTOR
    assert post(gateway, "/v1/embeddings", {**ask, "encoding_format": "base64"})["data"][0]["embedding"] == PACKED


def numbers_of(text):
    return list(struct.unpack(f"<{len(base64.b64decode(text)) // 4}f", base64.b64decode(text)))


def test_an_answer_as_large_as_openais_may_be_holds_up_nobody(house):
    vector = [struct.unpack("<f", struct.pack("<f", -0.012345678 * at))[0] for at in range(1536)]
    whole = json.dumps(embeddings(vector, 1_200)).encode()

    def say(handler):
        begin(handler, "application/json")
        handler.wfile.write(whole)

    gateway, _, _ = house(lambda asked: say, "embeddings")
    assert len(whole) > 32 << 20
    slowest, over = 0.0, threading.Event()

    def look():
        nonlocal slowest
        while not over.is_set():
            began = time.monotonic()
            send(gateway.root + "/v1/models", headers=as_client())
            slowest = max(slowest, time.monotonic() - began)

    looking = threading.Thread(target=look)
    looking.start()
    status, _, body = send(gateway.api + "/embeddings", "POST", {"model": "m", "input": ["a"] * 1_200, "encoding_format": "base64"},
                           as_client(), timeout=60)
    over.set()
    looking.join()
    assert status == 200, body[:300]
    data = json.loads(body)["data"]
    assert len(data) == 1_200 and all(numbers_of(one["embedding"]) == vector for one in (data[0], data[-1]))
    assert slowest < 1, f"another had to wait {slowest:.2f} s"


def test_an_answer_that_is_too_large_is_paid_for_once(start_upstream, start_gateway, client_of):
    large = lambda asked: embeddings("A" * (40 << 20))  # noqa: E731
    upstreams = {name: start_upstream(large) for name in ("one", "two")}
    targets = {name: configs.provider(one.base_url, "m", endpoints="embeddings", serves=["m"]) for name, one in upstreams.items()}
    client = client_of(start_gateway(configs.gateway(targets)))
    with pytest.raises(openai.BadRequestError, match="too large") as raised:
        client.embeddings.create(model="m", input="a")
    assert raised.value.param == "input"
    assert sum(len(one.asked) for one in upstreams.values()) == 1


@pytest.mark.parametrize("said, read", [
    ('{"model":"x","data":[{"embedding":[ 1, -2.5e-1 ]}]}', [1, -0.25]),
    ('{"data":[{"index":0,"embedding":[]}],"model":{"a":1}}', []),
    ('{"data":[{"embedding":[[1],[2]]}]}', [[1], [2]]),
    ('{"data":[{"embedding":[1,"2"]}]}', [1, "2"]),
    ('{"data":[{"embedding":null}]}', None),
    ('{"data":[{"a":{"embedding":[1]},"embedding":"AACAPw\\/"}]}', "AACAPw/"),
])
def test_what_is_no_list_of_numbers_is_passed_on(house, said, read):
    def say(handler):
        begin(handler, "application/json")
        handler.wfile.write(said.encode())

    gateway, _, _ = house(lambda asked: say, "embeddings")
    for encoding in ("base64", "float"):
        got = post(gateway, "/v1/embeddings", {"model": "m", "input": "a", "encoding_format": encoding})["data"][0]
        numbers = isinstance(got["embedding"], str) and encoding == "base64" and isinstance(read, list)
        assert (numbers_of(got["embedding"]) if numbers else got["embedding"]) == read


def test_all_forms_of_input_and_their_limits(house):
    def answer(asked):
        given = asked.json["input"]
        return embeddings(VECTOR, 1 if isinstance(given, str) or isinstance(given[0], int) else len(given))
    _, upstream, client = house(answer, "embeddings")
    for given in ("a", ["a", "b"], [1, 2], [[1, 2], [3]], ["a"] * 2048, [1] * 8192):
        client.embeddings.create(model="m", input=given, dimensions=2, encoding_format="float")
        assert upstream.asked[-1].json["input"] == given and upstream.asked[-1].json["dimensions"] == 2
    for given in ("", [], [""], ["a"] * 2049, [1] * 8193, [[1] * 8192] * 37, [[]], {"a": 1}, [-1]):
        with pytest.raises(openai.BadRequestError) as refused:
            client.embeddings.create(model="m", input=given)
        assert refused.value.param.startswith("input"), given
    assert len(upstream.asked) == 6


def test_embeddings_fail_over_and_are_priced_by_what_they_used(house, start_upstream, start_gateway, client_of):
    broken = start_upstream(lambda asked: (500, {"error": {"message": "no"}}))
    good = start_upstream(lambda asked: {**embeddings(VECTOR), "usage": {"prompt_tokens": 1000, "total_tokens": 1000}})
    targets = {name: configs.provider(up.base_url, name, serves=["m"], endpoints=["chat", "embeddings"])
               for name, up in (("broken", broken), ("good", good))}
    targets["broken"]["price_per_million"] = {"input": "1usd", "output": "1usd"}
    gateway = start_gateway(configs.gateway(targets))
    raw = client_of(gateway).embeddings.with_raw_response.create(model="m", input="x" * 400)
    assert raw.headers["x-spillway-target"] == "good" and raw.parse().data[0].embedding == VECTOR
    assert len(broken.asked) == 1
    lines = wait_until(lambda: [line for line in gateway.log() if line.get("target") == "good"], what="the log line")
    assert lines[0]["prompt_tokens"] == 1000 and lines[0]["completion_tokens"] == 0
    assert lines[0]["cost_nano_usd"] == 2_000_000


@pytest.mark.parametrize("count", [0, 1, 3])
def test_as_many_embeddings_as_inputs_or_another_answers(start_upstream, start_gateway, client_of, tmp_path, count):
    wrong = start_upstream(lambda asked: embeddings([9.0], count))
    right = start_upstream(lambda asked: embeddings(VECTOR, 2))
    targets = {name: configs.provider(up.base_url, name, serves=["m", name], endpoints=["embeddings"])
               for name, up in (("wrong", wrong), ("right", right))}
    targets["wrong"]["price_per_million"] = {"input": "1usd", "output": "1usd"}
    targets["wrong"]["breaker"] = {"failures_min": 1, "failure_share_max": 0.01}
    config = configs.gateway(targets)
    config["server"]["state"] = str(tmp_path / "state")
    client = client_of(start_gateway(config))
    raw = client.embeddings.with_raw_response.create(model="m", input=["a", "b"])
    assert raw.headers["x-spillway-target"] == "right" and [one.embedding for one in raw.parse().data] == [VECTOR] * 2
    assert len(wrong.asked) == 1
    for _ in range(2):  # What it lacks, it lacks for such requests: it is not ill.
        with pytest.raises(openai.BadRequestError, match=f"it gave {count} embeddings of 2 inputs"):
            client.embeddings.create(model="wrong", input=["a", "b"])
    rows = wait_until(lambda: len(rows := book(tmp_path, "SELECT amount, estimated FROM entries")) > len(wrong.asked) and rows,
                      what="an entry for each time that one was asked")
    assert sorted(rows) == [(3_000, 0)] * len(wrong.asked) + [(6_000, 0)], "what it answered amiss is paid for"


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": 0, "total_tokens": 0}, {"prompt_tokens": -3}], ids=str)
def test_embeddings_that_are_not_counted_are_estimated(start_upstream, start_gateway, client_of, tmp_path, usage):
    upstream = start_upstream(lambda asked: {**embeddings(VECTOR), "usage": usage})
    config = configs.gateway({"up": configs.provider(upstream.base_url, "up", endpoints=["embeddings"])})
    config["server"]["state"] = str(tmp_path / "state")
    assert client_of(start_gateway(config)).embeddings.create(model="up", input="one two three four").data
    (prompt, amount, estimated), = wait_until(
        lambda: book(tmp_path, "SELECT prompt, amount, estimated FROM entries"), what="the entry")
    assert prompt > 0 and amount == prompt * 2_000 and estimated == 1


def test_who_serves_no_embeddings_is_not_asked_for_them(house):
    _, upstream, client = house(lambda asked: embeddings(VECTOR), "chat")
    for model in ("m", "smollm2", "auto"):
        with pytest.raises(openai.BadRequestError) as refused:
            client.embeddings.create(model=model, input="a")
        assert "embeddings" in refused.value.message
    assert not upstream.asked


def test_moderations_and_rankings_are_handed_on(house):
    def answer(asked):
        if asked.path == "/v1/rerank":
            return {"results": [{"index": 1, "relevance_score": 0.9}], "model": "up", "usage": {"total_tokens": 7}}
        return {"id": "modr-1", "model": "up", "results": [{"flagged": False, "categories": {}, "category_scores": {}}]}
    gateway, upstream, client = house(answer, ["moderations", "rerank"],
                                      serves={"m": "up", "omni-moderation-latest": "omni"})
    assert client.moderations.create(input=["a", "b"]).results[0].flagged is False
    assert upstream.asked[-1].json == {"model": "omni", "input": ["a", "b"]}
    ask = {"model": "m", "query": "q", "documents": ["a", {"text": "b"}], "top_n": 1, "return_documents": True}
    for path in ("/v1/rerank", "/rerank", "/v2/rerank"):
        assert post(gateway, path, ask)["results"][0]["index"] == 1
        assert upstream.asked[-1].json == {**ask, "model": "up"}
    for wrong, param in (({"documents": []}, "documents"), ({"query": None}, "query"), ({"top_n": 0}, "top_n")):
        with pytest.raises(urllib.error.HTTPError) as refused:
            post(gateway, "/v1/rerank", {**ask, **wrong})
        assert json.loads(refused.value.read())["error"]["param"] == param


OBJECTS = {"embeddings": {"input": "a"}, "moderations": {"input": "a"}, "rerank": {"query": "q", "documents": ["d"]}}
OWN = {"embeddings": {"user": "me", "input_type": "query", "truncate": "END", "late_chunking": True, "truncate_prompt_tokens": 9},
       "moderations": {}, "rerank": {"top_k": 1, "return_documents": True, "max_tokens_per_doc": 9, "instruction": "i"}}
NOBODYS = {"api_base": "http://127.0.0.1:9", "api_key": "k", "mock_response": "x", "fallbacks": ["dear"], "functions": [], "top_p": 1,
           "max_tokens": 1}


@pytest.mark.parametrize("endpoint", OBJECTS)
def test_fields_that_nobody_knows_are_those_of_a_chat(start_gateway, start_upstream, endpoint):
    def answer(asked):
        found = {"embeddings": {"data": embeddings(VECTOR)["data"]}}.get(endpoint, {"results": [{"index": 0, "relevance_score": 1}]})
        return {"model": "up", "usage": {"prompt_tokens": 3, "total_tokens": 3}, **found}
    upstream = start_upstream(answer)
    settings = {"plain": {}, "named": {"forward_fields": ["api_base", "chat_template"]}, "mistral": {"dialect": "mistral"}}
    config = configs.gateway({name: configs.provider(upstream.base_url, name, endpoints=list(OBJECTS), **more)
                              for name, more in settings.items()})

    def ask(model, **fields):
        body = {"model": model, **OBJECTS[endpoint], **fields}
        status, headers, text = send(f"{gateway.root}/v1/{endpoint}", "POST", body, as_client())
        return status, sorted(filter(None, headers.get("x-spillway-left-out", "").split(", "))), json.loads(text)
    gateway = start_gateway(config)
    assert ask("plain", **OWN[endpoint], **NOBODYS)[:2] == (200, sorted(NOBODYS))
    assert upstream.asked[-1].json == {"model": "plain", **OBJECTS[endpoint], **OWN[endpoint]}
    assert ask("named", **NOBODYS)[:2] == (200, sorted({*NOBODYS} - {"api_base"}))
    assert upstream.asked[-1].json == {"model": "named", **OBJECTS[endpoint], "api_base": NOBODYS["api_base"]}
    assert ask("mistral", user="me")[:2] == (200, ["user"]) and "user" not in upstream.asked[-1].json
    # What runs what the client names is asked of who is known to take it.
    status, _, refused = ask("plain", chat_template="x")
    assert status == 400 and refused["error"]["param"] == "chat_template"
    assert ask("named", chat_template="x")[0] == 200 and upstream.asked[-1].json["chat_template"] == "x"
    config["server"]["unknown_fields"] = "refuse"
    gateway = start_gateway(config)
    asked = len(upstream.asked)
    status, _, refused = ask("plain", mock_response="x")
    assert (status, refused["error"]["param"], refused["error"]["code"]) == (400, "mock_response", "unsupported_parameter")
    assert len(upstream.asked) == asked and ask("plain", **OWN[endpoint])[:2] == (200, [])


def test_completions_at_a_provider(house):
    def answer(asked):
        if asked.json.get("stream"):
            return [{**completion(), "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": end}]}
                    for text, end in (("one ", None), ("two", None), ("", "length"))] + [{**USAGE, "choices": []}]
        return completion("one two", "three")
    _, upstream, client = house(answer, ["completions"])
    whole = client.completions.create(model="m", prompt=["a", "b"], suffix="!", max_tokens=5, seed=3)
    assert [c.text for c in whole.choices] == ["one two", "three"] and whole.id.startswith("cmpl-")
    assert whole.object == "text_completion" and whole.usage.total_tokens == 6
    assert upstream.asked[0].json == {"model": "up", "prompt": ["a", "b"], "suffix": "!", "max_tokens": 5, "seed": 3}
    chunks = list(client.completions.create(model="m", prompt="a", stream=True, echo=True,
                                            stream_options={"include_usage": True}))
    assert "".join(c.choices[0].text for c in chunks if c.choices) == "aone two"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "length"
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == 2
    assert "echo" not in upstream.asked[1].json  # Repeated here.
    client.completions.create(model="m", prompt=[[1, 2], [3]], echo=True)
    assert upstream.asked[2].json["echo"] is True and upstream.asked[2].json["prompt"] == [[1, 2], [3]]
    scored = client.completions.create(model="m", prompt="a", max_tokens=0, echo=True, logprobs=1)
    assert scored.choices[0].text == "one two" and (upstream.asked[3].json["max_tokens"], upstream.asked[3].json["echo"]) == (0, True)
    for fields in ({"max_tokens": 0}, {"max_tokens": -1, "echo": True}):
        with pytest.raises(openai.BadRequestError) as refused:
            client.completions.create(model="m", prompt="a", **fields)
        assert refused.value.param == "max_tokens"


def test_completions_of_the_local_model(house):
    _, upstream, client = house(lambda asked: completion("x"), ["chat"])
    whole = client.completions.create(model="smollm2", prompt="The dam", max_tokens=3, echo=True)
    assert whole.choices[0].text.startswith("The dam ") and whole.choices[0].finish_reason == "length"
    assert whole.usage.prompt_tokens == 2 and whole.usage.completion_tokens == 3
    ids = client.completions.create(model="smollm2", prompt=[1, 2, 3], max_tokens=2)
    assert ids.usage.prompt_tokens == 3
    assert client.completions.create(model="smollm2", prompt="a").usage.completion_tokens == 16  # OpenAI's default.
    for fields, param in (({"suffix": "x"}, "suffix"), ({"best_of": 2}, "n"), ({"prompt": [10**9]}, "prompt"),
                          ({"prompt": ["a", [10**9]]}, "prompt"), ({"prompt": []}, "prompt"), ({"prompt": ""}, "prompt"),
                          ({"prompt": ["a", ""]}, "prompt")):
        with pytest.raises(openai.BadRequestError) as refused:
            client.completions.create(**{"model": "smollm2", "prompt": "a", "max_tokens": 2, **fields})
        assert refused.value.param == param, fields
    assert not upstream.asked


def test_completions_of_a_given_form(start_gateway, start_upstream, client_of):
    upstream = start_upstream(lambda asked: completion("x"))
    providers = {name: configs.provider(upstream.base_url, name, dialect=name, endpoints=["completions"]) for name in ("openai", "vllm")}
    client = client_of(start_gateway(configs.gateway({"local": configs.synthetic_engine(), **providers})))
    schema = {"type": "object", "properties": {"a": {"enum": [True]}}, "required": ["a"], "additionalProperties": False}
    for form in ({"type": "json_object"}, {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}):
        ask = {"prompt": "a", "max_tokens": 40, "seed": 1, "extra_body": {"response_format": form}}
        for prompt in ("a", [1, 2]):
            said = json.loads(client.completions.create(**{**ask, "prompt": prompt}, model="smollm2").choices[0].text)
            assert isinstance(said, dict) if form["type"] == "json_object" else said == {"a": True}
        client.completions.create(**ask, model="vllm")
        assert upstream.asked[-1].json["response_format"] == form
        with pytest.raises(openai.BadRequestError) as refused:
            client.completions.create(**ask, model="openai")
        assert refused.value.param == "response_format"
    for model in ("smollm2", "vllm"):
        with pytest.raises(openai.BadRequestError) as refused:
            client.completions.create(model=model, prompt="a", extra_body={"response_format": {"type": "json"}})
        assert refused.value.param == "response_format.type"


def test_what_only_chats_have_is_nobodys_in_completions(start_gateway, start_upstream):
    upstream = start_upstream(lambda asked: completion("x"))
    config = configs.gateway({"local": configs.synthetic_engine(),
                              "up": configs.provider(upstream.base_url, "up", endpoints=["completions"])})
    tools = [{"type": "function", "function": {"name": "f"}}]
    fields = {"tools": tools, "tool_choice": "required", "functions": [{"name": "f"}], "modalities": ["audio"], "top_logprobs": 3,
              "reasoning_effort": "low", "messages": []}
    body = {"prompt": "a", "max_tokens": 4, **fields}
    for policy in ("leave_out", "refuse"):
        config["server"]["unknown_fields"] = policy
        gateway = start_gateway(config)
        for model in ("smollm2", "up"):
            status, headers, text = send(gateway.root + "/v1/completions", "POST", {"model": model, **body}, as_client())
            if policy == "refuse":
                assert status == 400 and json.loads(text)["error"]["param"] in fields
            else:
                assert status == 200 and sorted(headers["x-spillway-left-out"].split(", ")) == sorted(fields), model
    assert [asked.json for asked in upstream.asked] == [{"model": "up", "prompt": "a", "max_tokens": 4}]


def test_deepseek_completes_the_middle_under_beta(house):
    _, upstream, client = house(lambda asked: completion("x"), ["completions"], dialect="deepseek")
    client.completions.create(model="m", prompt="def f(", suffix="return 1", max_tokens=4)
    assert upstream.asked[0].path == "/beta/completions" and upstream.asked[0].json["suffix"] == "return 1"


def test_azure_names_the_deployment_in_the_path(start_upstream, start_gateway, client_of):
    upstream = start_upstream(lambda asked: embeddings(VECTOR))
    provider = configs.provider(upstream.url, "up", serves={"m": "dep"}, dialect="azure", api_version="2024-10-21",
                                endpoints=["embeddings"], key="env:SPILLWAY_TEST_KEY")
    client_of(start_gateway(configs.gateway({"up": provider}))).embeddings.create(model="m", input="a")
    assert upstream.asked[0].path == "/openai/deployments/dep/embeddings?api-version=2024-10-21"
    assert upstream.asked[0].headers["api-key"] == KEY and "authorization" not in {
        name.lower() for name in upstream.asked[0].headers}


def test_tokens_of_the_local_model(house):
    gateway, _, _ = house(lambda asked: completion("x"), ["chat"])
    tokens = post(gateway, "/tokenize", {"model": "smollm2", "prompt": "The dam rises"})
    assert tokens["count"] == len(tokens["tokens"]) == 4 and tokens["max_model_len"] > 0
    chat = post(gateway, "/tokenize", {"messages": [{"role": "user", "content": "The dam rises"}]})
    assert chat["count"] > tokens["count"]
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    asked = {"messages": [{"role": "user", "content": "The dam rises"}], "tools": tools, "add_generation_prompt": True}
    assert post(gateway, "/tokenize", asked)["count"] >= chat["count"]
    for field, value in (("add_generation_prompt", False), ("continue_final_message", True), ("return_token_strs", True),
                         ("add_special_tokens", True), ("chat_template", "x")):
        with pytest.raises(urllib.error.HTTPError) as refused:
            post(gateway, "/tokenize", {**asked, field: value})
        assert refused.value.code == 400 and json.load(refused.value)["error"]["param"] == field
    assert isinstance(post(gateway, "/detokenize", {"tokens": tokens["tokens"]})["prompt"], str)
    for path, body in (("/tokenize", {}), ("/detokenize", {"tokens": [10**9]}), ("/detokenize", {"tokens": "a"})):
        with pytest.raises(urllib.error.HTTPError) as refused:
            post(gateway, path, body)
        assert refused.value.code == 400
