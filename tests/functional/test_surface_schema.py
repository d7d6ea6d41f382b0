"""Every answer of the API against OpenAI's own schemas (tests/data/openapi): whole ones, chunks, lists, errors."""
import json
import time

import jsonschema
import pytest

import configs
from processes import ROOT, as_client, get, send, wait_until
from upstream import USAGE, chat, chunk

DOCUMENT = json.loads((ROOT / "tests/data/openapi/openai.json").read_text(encoding="utf-8"))
HELLO = [{"role": "user", "content": "Hi"}]
TOP = [{"token": "a", "logprob": -0.1, "bytes": [97]}]
LOGPROBS = {"content": [{"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": TOP}], "refusal": None}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]


def expect(name, value):
    """`value` is what the document calls `name`; says all that is not."""
    schema = {"$ref": f"#/components/schemas/{name}", **DOCUMENT}
    faults = [f"{'.'.join(map(str, fault.absolute_path))}: {fault.message}"
              for fault in jsonschema.Draft202012Validator(schema).iter_errors(value)]
    assert not faults, f"no {name}: " + "; ".join(faults)[:2000]


def answer(asked):
    """What a provider says of everything, as briefly as it may."""
    if asked.path.endswith("/embeddings"):
        return {"object": "list", "model": "up", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
                "usage": {"prompt_tokens": 3, "total_tokens": 3}}
    if asked.path.endswith("/moderations"):
        return moderation()
    if asked.path.endswith("/v1/completions"):
        return {"choices": [{"index": 0, "text": "a", "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}
    wants = {"logprobs": LOGPROBS} if asked.json.get("logprobs") else {}
    tools = asked.json.get("tools")
    choices = range(asked.json.get("n", 1))
    if asked.json.get("stream"):
        said = {"tool_calls": [{"index": 0, **CALL}]} if tools else {"content": "a"}
        return [chunk({"role": "assistant", **said}, i, **wants) for i in choices] + \
            [chunk({}, i, finish="tool_calls" if tools else "stop") for i in choices] + [USAGE]
    if tools:
        whole = chat(None, finish_reason="tool_calls")
        whole["choices"][0]["message"]["tool_calls"] = [CALL]
        return whole
    return {**chat(), "choices": [chat("a", i, **wants)["choices"][0] for i in choices]}


def moderation():
    categories = DOCUMENT["components"]["schemas"]["CreateModerationResponse"]["properties"]["results"]["items"][
        "properties"]["categories"]["required"]
    return {"id": "modr-1", "model": "m", "results": [{
        "flagged": False, "categories": {name: False for name in categories},
        "category_scores": {name: 0.1 for name in categories},
        "category_applied_input_types": {name: ["text"] for name in categories}}]}


@pytest.fixture
def gateway(start_upstream, start_gateway):
    upstream = start_upstream(answer)
    targets = {"local": configs.synthetic_engine(),
               "up": configs.provider(upstream.base_url, "up",
                                      endpoints=["chat", "completions", "embeddings", "moderations"])}
    return start_gateway(configs.gateway(targets))


def ask(gateway, method, path, body=None, content_type="application/json"):
    """Status and text."""
    status, _, answer = send(gateway.api + path, method, body, as_client(content_type))
    return status, answer.decode()


def told(gateway, method, path, name, body=None, **more):
    """The answer, which the document calls `name`."""
    status, text = ask(gateway, method, path, body, **more)
    assert status == 200, text
    value = json.loads(text)
    expect(name, value)
    return value


@pytest.mark.parametrize("model", ["smollm2", "up"])
@pytest.mark.parametrize("settings", [{}, {"logprobs": True, "top_logprobs": 1}, {"n": 2}, {"service_tier": "flex"},
                                      {"tools": TOOLS}, {"max_completion_tokens": 1}], ids=str)
def test_chat_completions(gateway, model, settings):
    body = {"model": model, "messages": HELLO, "max_tokens": 3, **settings}
    if "max_completion_tokens" in settings:
        del body["max_tokens"]
    whole = told(gateway, "POST", "/chat/completions", "CreateChatCompletionResponse", body)
    assert whole["usage"]["prompt_tokens_details"]["cached_tokens"] >= 0
    assert whole["usage"]["completion_tokens_details"]["reasoning_tokens"] >= 0
    for options in ({}, {"include_usage": True}):
        streamed(gateway, "/chat/completions", "CreateChatCompletionStreamResponse",
                 {**body, "stream": True, "stream_options": options}, usage=bool(options))


def streamed(gateway, path, name, body, usage):
    """Every chunk is of the document; ids and times are one; the usage comes when asked for, and only then."""
    status, text = ask(gateway, "POST", path, body)
    assert status == 200, text
    events = [event.removeprefix("data: ") for event in text.split("\n\n") if event]
    assert events.pop() == "[DONE]"
    chunks = [json.loads(event) for event in events]
    for one in chunks:
        expect(name, one)
    assert len({(one["id"], one["created"]) for one in chunks}) == 1
    assert [not one["choices"] for one in chunks] == [False] * (len(chunks) - usage) + [True] * usage
    assert all(("usage" in one) == usage for one in chunks)
    return chunks


@pytest.mark.parametrize("model", ["smollm2", "up"])
def test_completions(gateway, model):
    body = {"model": model, "prompt": "a", "max_tokens": 3}
    told(gateway, "POST", "/completions", "CreateCompletionResponse", body)
    for options in ({}, {"include_usage": True}):
        streamed(gateway, "/completions", "CreateCompletionResponse",
                 {**body, "stream": True, "stream_options": options}, usage=bool(options))


def test_embeddings_and_moderations(gateway):
    for more in ({}, {"encoding_format": "base64"}):
        told(gateway, "POST", "/embeddings", "CreateEmbeddingResponse", {"model": "up", "input": "a", **more})
    told(gateway, "POST", "/moderations", "CreateModerationResponse", {"model": "up", "input": "a"})


def test_models(gateway):
    models = told(gateway, "GET", "/models", "ListModelsResponse")["data"]
    for model in models:
        assert told(gateway, "GET", f"/models/{model['id']}", "Model") == model


def test_stored_completions(gateway):
    told(gateway, "GET", "/chat/completions", "ChatCompletionList")
    kept = told(gateway, "POST", "/chat/completions", "CreateChatCompletionResponse",
                {"model": "up", "messages": HELLO, "store": True, "metadata": {"a": "b"}})
    path = f"/chat/completions/{kept['id']}"
    assert told(gateway, "GET", "/chat/completions", "ChatCompletionList")["data"]
    told(gateway, "GET", path, "CreateChatCompletionResponse")
    told(gateway, "POST", path, "CreateChatCompletionResponse", {"metadata": {"a": "c"}})
    told(gateway, "GET", path + "/messages", "ChatCompletionMessageList")
    told(gateway, "DELETE", path, "ChatCompletionDeleted")


def form(content, **fields):
    parts = "".join(f'--b\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
                    for name, value in fields.items())
    return (f'{parts}--b\r\ncontent-disposition: form-data; name="FILE"; filename="in.jsonl"\r\n\r\n{content}\r\n'
            '--b--\r\n')


def upload_file(gateway, content, purpose):
    body = form(content, purpose=purpose).replace("FILE", "file").encode()
    return told(gateway, "POST", "/files", "OpenAIFile", body, content_type="multipart/form-data; boundary=b")


def test_files_and_uploads(gateway):
    told(gateway, "GET", "/files", "ListFilesResponse")
    file = upload_file(gateway, "content", "user_data")
    assert told(gateway, "GET", f"/files/{file['id']}", "OpenAIFile") == file
    assert told(gateway, "GET", "/files", "ListFilesResponse")["data"] == [file]
    told(gateway, "DELETE", f"/files/{file['id']}", "DeleteFileResponse")
    begin = {"filename": "a", "purpose": "user_data", "bytes": 3, "mime_type": "text/plain"}
    upload = told(gateway, "POST", "/uploads", "Upload", begin)
    part = told(gateway, "POST", f"/uploads/{upload['id']}/parts", "UploadPart",
                form("abc").replace("FILE", "data").encode(), content_type="multipart/form-data; boundary=b")
    done = told(gateway, "POST", f"/uploads/{upload['id']}/complete", "Upload", {"part_ids": [part["id"]]})
    expect("OpenAIFile", done["file"])
    other = told(gateway, "POST", "/uploads", "Upload", begin)
    told(gateway, "POST", f"/uploads/{other['id']}/cancel", "Upload", {})


def test_batches(gateway):
    told(gateway, "GET", "/batches", "ListBatchesResponse")
    body = {"model": "up", "messages": HELLO}
    good = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": body}
    bad = {**good, "custom_id": "2", "body": {**body, "temperature": 3}}
    for lines, end in ([good], "completed"), ([good, "{"], "failed"), ([good, bad], "completed"):
        text = "\n".join(json.dumps(one) if isinstance(one, dict) else one for one in lines)
        file = upload_file(gateway, text, "batch")
        batch = told(gateway, "POST", "/batches", "Batch", {
            "input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"})
        path = f"/batches/{batch['id']}"
        wait_until(lambda: told(gateway, "GET", path, "Batch")["status"] == end, what=f"a batch that has {end}")
        if end == "completed":
            results(gateway, told(gateway, "GET", path, "Batch"), len(lines))
    told(gateway, "GET", "/batches", "ListBatchesResponse")
    assert ask(gateway, "POST", path + "/cancel", {})[0] == 400


def results(gateway, batch, count):
    """The lines of both files; what was answered is what the endpoint answers."""
    ids = [batch[name] for name in ("output_file_id", "error_file_id") if batch[name]]
    lines = [json.loads(line) for one in ids for line in ask(gateway, "GET", f"/files/{one}/content")[1].splitlines()]
    assert len(lines) == count
    for line in lines:
        status = line["response"]["status_code"]
        if status == 200:
            expect("CreateChatCompletionResponse", line["response"]["body"])
        else:
            expect("Error", line["response"]["body"]["error"])


def test_usage_and_costs(gateway):
    told(gateway, "POST", "/chat/completions", "CreateChatCompletionResponse", {"model": "up", "messages": HELLO})
    ask(gateway, "POST", "/embeddings", {"model": "up", "input": "Hi"})
    ask(gateway, "POST", "/moderations", {"model": "up", "input": "Hi"})
    today = int(time.time()) // 86_400 * 86_400
    for page in ("usage/completions", "usage/embeddings", "usage/moderations", "costs"):
        def counted():
            status, text = get(f"{gateway.admin}/v1/organization/{page}?start_time={today}")
            assert status == 200, text
            expect("UsageResponse", json.loads(text))
            return [result for bucket in json.loads(text)["data"] for result in bucket["results"]]
        [result] = wait_until(counted, what="its usage")
        assert page == "costs" or (result["num_model_requests"] == 1 and result["object"] ==
                                   f"organization.{page.replace('/', '.')}.result")


@pytest.mark.parametrize("method, path, body, status", [
    ("POST", "/chat/completions", b"{", 400), ("POST", "/chat/completions", {"model": "up"}, 400),
    ("POST", "/chat/completions", {"model": "no", "messages": HELLO}, 404), ("PUT", "/chat/completions", {}, 405),
    ("GET", "/nothing", None, 404), ("GET", "/models/nothing", None, 404), ("POST", "/images/generations", {}, 404),
    ("POST", "/audio/speech", {}, 404), ("GET", "/realtime", None, 404), ("POST", "/fine_tuning/jobs", {}, 404),
    ("POST", "/embeddings", {"model": "up", "input": []}, 400), ("GET", "/files/file-no", None, 404),
    ("GET", "/batches/batch_no", None, 404), ("GET", "/chat/completions/chatcmpl-no", None, 404)])
def test_errors(gateway, method, path, body, status):
    found, text = ask(gateway, method, path, body)
    assert found == status, text
    assert json.loads(text).keys() == {"error"}
    expect("Error", json.loads(text)["error"])


def test_the_schemas_can_refuse():
    good = chat()
    expect("CreateChatCompletionResponse", good)
    for name in ("id", "choices", "created", "model", "object"):
        with pytest.raises(AssertionError, match="no CreateChatCompletionResponse"):
            expect("CreateChatCompletionResponse", {key: value for key, value in good.items() if key != name})
