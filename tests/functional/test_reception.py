"""Who comes in, and how often: limits that count every POST, models that only some keys may ask for."""
import http.client
import json
import re
import subprocess
import threading
import time
import urllib.parse

import anthropic
import openai
import pytest

import configs
from processes import BINARY, Gateway, Provider, as_client, send, wait_until
from test_batches import begin, end_of, results
from test_files import form
from upstream import chat

ASK = [{"role": "user", "content": "Hello there."}]
FORM = "multipart/form-data; boundary=b"
COUNTED = {
    "/v1/files": None,
    "/v1/batches": {"endpoint": "/v1/chat/completions", "completion_window": "24h"},
    "/v1/uploads": {"filename": "x", "purpose": "evals", "bytes": 5, "mime_type": "x/y"},
    "/tokenize": {"model": "smollm2", "prompt": "The dam"},
    "/detokenize": {"tokens": [1, 2]},
    "/v1/messages/count_tokens": {"model": "smollm2", "messages": ASK},
    "/v1/responses/input_tokens": {"model": "smollm2", "input": "The dam"},
    "/v1/chat/completions": {"model": "cloud", "messages": ASK, "max_tokens": 1},
    "/v1/messages": {"model": "cloud", "messages": ASK, "max_tokens": 1},
    "/v1/responses": {"model": "cloud", "input": "The dam", "max_output_tokens": 16},
}
NAMES = {path: path.strip("/").replace("/", "-") for path in COUNTED}
KEYS = {name: {"limits": {"requests_per_minute": 2}} for name in NAMES.values()} | {
    "maker": {}, "talker": {"scopes": "chat"}, "writer": {"scopes": ["files", "completions"]},
    "thinker": {"scopes": ["responses", "messages"]}, "narrow": {"models": "cloud"}, "single": {"limits": {"concurrency": 1}},
    "twice": {"limits": {"requests_per_minute": 2}}, "reader": {"limits": {"requests_per_minute": 2}},
    "unread": {"limits": {"requests_per_minute": 1}}, "one-of-two": {"tenant": "couple"}, "two-of-two": {"tenant": "couple"}}
TENANTS = {"couple": {"limits": {"requests_per_minute": 2}}}


def key_of(name):
    return f"sk-spillway-{name}"


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """One for all tests: each has a key of its own."""
    folder = tmp_path_factory.mktemp("house")
    provider = Provider("instant")
    variables = {name: "KEY_" + name.replace("-", "_").upper() for name in KEYS}
    keys = {name: {"secret": "env:" + variables[name], "tenant": "acme", **more} for name, more in KEYS.items()}
    targets = {"local": configs.synthetic_engine(),
               "cloud": configs.provider(provider.base_url, "cloud", serves=["cloud", "dear"])}
    path = configs.write(folder / "spillway.yaml", configs.gateway(targets, keys=keys, tenants=TENANTS))
    try:
        gateway = Gateway(path, {variable: key_of(name) for name, variable in variables.items()})
        yield gateway
        gateway.end()
    finally:
        provider.end()


@pytest.fixture(scope="module")
def input_file(house):
    line = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": COUNTED["/v1/chat/completions"]}
    with openai.OpenAI(base_url=house.api, api_key=key_of("maker")) as client:
        return client.files.create(file=("in.jsonl", json.dumps(line).encode()), purpose="batch").id


def post(house, path, name, body):
    """Status, headers and JSON of a POST of that key's."""
    kind = FORM if body is None else "application/json"
    status, headers, text = send(house.root + path, "POST", form(b"x", "b") if body is None else body,
                                 as_client(kind, key_of(name)))
    return status, headers, json.loads(text)


@pytest.mark.parametrize("path", COUNTED)
def test_every_post_counts_and_no_get_does(house, input_file, path):
    name, body = NAMES[path], COUNTED[path]
    if path == "/v1/batches":
        body = {**body, "input_file_id": input_file}
    for remaining in ("1", "0"):
        status, headers, answer = post(house, path, name, body)
        assert status == 200, answer
        assert headers["x-ratelimit-limit-requests"] == "2" and headers["x-ratelimit-remaining-requests"] == remaining
    status, headers, answer = post(house, path, name, body)
    assert status == 429 and 25 <= int(headers["retry-after"]) <= 30
    assert int(headers["retry-after"]) * 1000 - 1000 < int(headers["retry-after-ms"]) <= int(headers["retry-after"]) * 1000
    if path.startswith("/v1/messages"):
        assert answer["type"] == "error" and answer["error"]["type"] == "rate_limit_error" and answer["request_id"]
    else:
        assert answer["error"]["code"] == "rate_limit_exceeded" and answer["error"]["type"] == "rate_limit_error"
    for read in ("/v1/models", "/v1/files", "/v1/batches", "/v1/files/" + input_file):
        assert send(house.root + read, headers=as_client(key=key_of(name)))[0] == 200, read


def test_reading_counts_where_the_answer_is_large(house):
    text = " ".join(f"{number:x}" for number in range(250_000))
    ask = {"model": "cloud", "input": "The dam", "max_output_tokens": 16}
    large, small = (post(house, "/v1/responses", "maker", {**ask, "instructions": said})[2]["id"] for said in (text, "Hi."))
    file = openai.OpenAI(base_url=house.api, api_key=key_of("maker")).files.create(file=("a", text.encode()), purpose="evals").id
    reader = {**as_client(key=key_of("reader")), "accept-encoding": "gzip"}
    assert [send(house.root + f"/v1/responses/{small}", headers=reader)[0] for _ in range(4)] == [200] * 4
    status, headers, body = send(house.root + f"/v1/responses/{large}", headers=reader)
    assert (status, headers["content-encoding"], json.loads(body)["instructions"]) == (200, None, text)
    assert send(house.root + f"/v1/files/{file}/content", headers=reader)[0] == 200
    for path in (f"/v1/responses/{large}", f"/v1/files/{file}/content"):
        status, headers, _ = send(house.root + path, headers=reader)
        assert status == 429 and headers["retry-after"]
    assert send(house.root + f"/v1/responses/{small}", headers=reader)[0] == 200


def test_what_gives_up_is_never_refused(house):
    _, _, upload = post(house, "/v1/uploads", "twice", COUNTED["/v1/uploads"])
    _, _, file = post(house, "/v1/files", "twice", None)
    assert post(house, "/tokenize", "twice", COUNTED["/tokenize"])[0] == 429
    status, _, answer = post(house, f"/v1/uploads/{upload['id']}/cancel", "twice", {})
    assert status == 200 and answer["status"] == "cancelled"
    assert send(f"{house.api}/files/{file['id']}", "DELETE", headers=as_client(key=key_of("twice")))[0] == 200


def test_keys_of_a_tenant_share_its_limit(house):
    for name, status in (("one-of-two", 200), ("two-of-two", 200), ("one-of-two", 429), ("two-of-two", 429)):
        got, _, answer = post(house, "/tokenize", name, COUNTED["/tokenize"])
        assert got == status, answer


def test_an_upload_that_is_under_way_takes_a_place(house):
    at = urllib.parse.urlsplit(house.api)
    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=10)
    connection.putrequest("POST", "/v1/files")
    for header, value in {**as_client(FORM, key_of("single")), "content-length": "9000"}.items():
        connection.putheader(header, value)
    connection.endheaders(form(b"x" * 9000, "b")[:3000])
    tokens = lambda: post(house, "/tokenize", "single", COUNTED["/tokenize"])
    status, headers, answer = wait_until(lambda: (got := tokens())[0] == 429 and got, what="a place that is taken")
    assert "at once" in answer["error"]["message"] and int(headers["retry-after"]) >= 1
    connection.close()
    wait_until(lambda: tokens()[0] == 200, what="the place to be given back")


def test_a_key_is_told_only_of_its_models(house):
    with openai.OpenAI(base_url=house.api, api_key=key_of("narrow"), max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["cloud"]
        assert client.models.retrieve("cloud").id == "cloud"
        with pytest.raises(openai.PermissionDeniedError):
            client.models.retrieve("dear")
    with openai.OpenAI(base_url=house.api, api_key=key_of("maker"), max_retries=0) as client:
        assert {"cloud", "dear", "smollm2"} <= {model.id for model in client.models.list()}
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("nobody")


# What a key may not ask for, at every door that takes a model: 403; and what nobody may: 404.
DOORS = {
    "/v1/chat/completions": {"messages": ASK}, "/v1/messages": {"messages": ASK, "max_tokens": 1},
    "/v1/responses": {"input": "a"}, "/v1/completions": {"prompt": "a"}, "/v1/embeddings": {"input": "a"},
    "/v1/rerank": {"query": "a", "documents": ["b"]}, "/v1/moderations": {"input": "a"},
    "/v1/messages/count_tokens": {"messages": ASK}, "/v1/responses/input_tokens": {"input": "a"},
    "/tokenize": {"prompt": "a"},
}


@pytest.mark.parametrize("path", DOORS)
def test_no_door_opens_to_a_model_that_is_not_the_keys(house, path):
    status, _, answer = post(house, path, "narrow", {"model": "dear", **DOORS[path]})
    assert status == 403 and "dear" in answer["error"]["message"]
    assert answer["error"]["type"] == "permission_error"
    status, _, answer = post(house, path, "maker", {"model": "nobody", **DOORS[path]})
    assert status == 404 and "nobody" in answer["error"]["message"]


def test_a_key_reads_tokens_of_its_own_models_alone(house):
    for path in ("/tokenize", "/detokenize"):
        body = {**COUNTED[path], "model": "smollm2"}
        status, _, answer = post(house, path, "narrow", body)
        assert status == 403 and answer["error"]["param"] == "model", (path, answer)


def test_a_class_may_match_every_door_to_a_model(house, tmp_path):
    classes = {"some": {"match": {"endpoint": "/"}}, "rest": {}}
    path = configs.write(tmp_path / "some.yaml", configs.gateway(
        {"local": configs.synthetic_engine()}, classes=classes, default_class="rest"))
    told = subprocess.run([BINARY, "check", path], capture_output=True, text=True, check=False).stderr
    known = re.search(r"match\.endpoint\[0\]: no request has '/'; valid here: ([^\n]*) \(warning\)", told).group(1).split(", ")
    for door in known:
        status, _, answer = post(house, door, "maker", {})
        assert status == 400 and "there is nothing at" not in answer["error"]["message"], (door, answer)
    counting = {"/tokenize", "/v1/messages/count_tokens", "/v1/responses/input_tokens"}
    assert set(known) >= set(DOORS) - counting


@pytest.mark.parametrize("path", ["/tokenize", "/detokenize"])
def test_nobody_reads_the_tokens_of_a_providers_model(house, path):
    for model, status in (("smollm2", 200), ("auto", 200), ("cloud", 400)):
        got, _, answer = post(house, path, "maker", {**COUNTED[path], "model": model})
        assert got == status, (model, answer)
    assert answer["error"]["param"] == "model" and "`cloud`" in answer["error"]["message"]


@pytest.mark.parametrize("path", ["/tokenize", "/detokenize"])
def test_who_may_send_prompts_may_count_them(house, path):
    for name in ("talker", "writer", "maker"):
        assert post(house, path, name, COUNTED[path])[0] == 200, name
    status, _, answer = post(house, path, "thinker", COUNTED[path])
    assert status == 403 and f"may not call {path}" in answer["error"]["message"]


def test_anthropics_client_is_refused_in_its_own_words(house):
    with anthropic.Anthropic(base_url=house.root, api_key=key_of("narrow"), max_retries=0) as client:
        with pytest.raises(anthropic.PermissionDeniedError) as refused:
            client.messages.create(model="dear", messages=ASK, max_tokens=1)
        assert refused.value.body["error"]["type"] == "permission_error"
        with pytest.raises(anthropic.PermissionDeniedError):
            client.messages.count_tokens(model="dear", messages=ASK)


def test_a_batchs_line_asks_for_no_more_than_its_key_may(house):
    line = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions",
            "body": {"model": "dear", "messages": ASK, "max_tokens": 1}}
    with openai.OpenAI(base_url=house.api, api_key=key_of("narrow"), max_retries=0) as client:
        done = end_of(client, begin(client, [line]))
        assert done.request_counts.failed == 1 and done.output_file_id is None
        assert results(client, done.error_file_id)[0]["response"]["status_code"] == 403


def milliseconds(told):
    """Of a time as OpenAI writes it; nothing else is taken."""
    minutes, seconds, thousandths = re.fullmatch(r"(?:(\d+)m(?=\d+s))?(?:(\d+)s)?(?:(\d+)ms)?", told).groups()
    assert not thousandths or not seconds, told
    return int(minutes or 0) * 60_000 + int(seconds or 0) * 1000 + int(thousandths or 0)


@pytest.mark.parametrize("per_minute, asked, shape", [
    (10_000_000, 1990, r"1\dms"), (60_000, 1990, r"2s"), (1000, 490, r"\d\ds")])
def test_tokens_are_told_with_the_time_until_all_are_back(start_upstream, start_gateway, client_of, per_minute, asked,
                                                          shape):
    upstream = start_upstream(lambda asked: chat())
    keys = {"test": {"secret": "env:SPILLWAY_TEST_KEY", "limits": {"tokens_per_minute": per_minute}}}
    house = start_gateway(configs.gateway({"up": configs.provider(upstream.base_url, "up")}, keys=keys))
    told = client_of(house).chat.completions.with_raw_response.create(model="up", messages=ASK, max_tokens=asked).headers
    assert told["x-ratelimit-limit-tokens"] == str(per_minute) and "x-ratelimit-limit-requests" not in told
    used = per_minute - int(told["x-ratelimit-remaining-tokens"])
    assert asked < used < asked + 40  # The prompt counts, too.
    assert re.fullmatch(shape, told["x-ratelimit-reset-tokens"]), told["x-ratelimit-reset-tokens"]
    step = 1 if "ms" in told["x-ratelimit-reset-tokens"] else 1000
    assert 0 <= milliseconds(told["x-ratelimit-reset-tokens"]) - used * 60_000 / per_minute <= step


def test_what_a_provider_counted_beyond_the_limit_is_waited_for(start_upstream, start_gateway, client_of):
    usage = {"prompt_tokens": 590, "completion_tokens": 10, "total_tokens": 600}
    upstream = start_upstream(lambda asked: {**chat(), "usage": usage})
    keys = {"test": {"secret": "env:SPILLWAY_TEST_KEY", "limits": {"tokens_per_minute": 100}}}
    client = client_of(start_gateway(configs.gateway({"up": configs.provider(upstream.base_url, "up")}, keys=keys)))
    client.chat.completions.create(model="up", messages=ASK, max_tokens=10)

    def refused():
        with pytest.raises(openai.RateLimitError, match="tokens a minute") as refused:
            client.chat.completions.create(model="up", messages=ASK, max_tokens=10)
        return refused.value.response.headers

    told = refused()
    assert re.fullmatch(r"6m0s|5m5\ds", told["x-ratelimit-reset-tokens"]) and told["x-ratelimit-remaining-tokens"] == "0"
    assert 300 < int(told["retry-after"]) <= 320  # Until there is room for this one.


def test_who_asks_too_often_is_told_so_before_anything_is_read(house):
    """What cannot be read does not count; and once the limit is reached nobody looks whether it can."""
    assert post(house, "/v1/chat/completions", "unread", {"model": 5})[0] == 400
    assert post(house, "/v1/chat/completions", "unread", COUNTED["/v1/chat/completions"])[0] == 200
    assert post(house, "/v1/chat/completions", "unread", {"model": 5})[0] == 429
    assert post(house, "/v1/responses", "unread", {"model": "cloud", "input": "x", "previous_response_id": "resp_none"})[0] == 429


@pytest.mark.parametrize("path, body", [
    ("/v1/messages", lambda text: {"max_tokens": 5, "messages": [{"role": "user", "content": text}]}),
    ("/v1/responses", lambda text: {"input": text}), ("/v1/responses/input_tokens", lambda text: {"input": text})],
    ids=["messages", "responses", "input_tokens"])
def test_what_is_large_holds_nobody_up(start_upstream, start_gateway, path, body):
    """While it is read, the only worker answers others."""
    upstream = start_upstream(lambda asked: chat())
    config = configs.gateway({"cloud": configs.provider(upstream.base_url, "cloud")}, classes={"all": {"spill": "always"}}, default_class="all")
    config["server"]["workers"] = 1
    root = start_gateway(config).root
    large = json.dumps({"model": "cloud", **body("word é " * 2_000_000)}, ensure_ascii=False).encode()
    took, longest = [], 0.0

    def ask():
        began = time.monotonic()
        took.append((send(root + path, "POST", large, as_client(), 60)[0], time.monotonic() - began))

    asking = threading.Thread(target=ask)
    asking.start()
    while asking.is_alive():
        began = time.monotonic()
        assert send(root + "/v1/models", headers=as_client(), timeout=60)[0] == 200
        longest = max(longest, time.monotonic() - began)
        time.sleep(0.01)
    (status, whole), = took
    assert status == 200 and longest < max(0.3, whole / 3), (whole, longest)
