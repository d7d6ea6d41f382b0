"""The official Python client against the whole house."""
import asyncio
import concurrent.futures
import json
import os
import threading

import openai
import pytest

import configs
from processes import Gateway, as_client, free_port, get, send, wait_until

HELLO = [{"role": "user", "content": "Say hello."}]


def test_whole_answer(gateway, client_of):
    answer = client_of(gateway).chat.completions.with_raw_response.create(
        model="smollm2", messages=HELLO, max_tokens=12, temperature=0)
    assert answer.headers["x-spillway-target"] == "local"
    assert answer.headers["x-spillway-reason"] == "model_fixed"
    assert answer.headers["x-request-id"].startswith("req_")
    completion = answer.parse()
    assert completion.object == "chat.completion" and completion.model == "smollm2"
    assert completion.choices[0].message.content.strip()
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
    assert completion.usage.completion_tokens <= 12


def test_streamed_answer_equals_the_whole_one(gateway, client_of):
    client = client_of(gateway)
    ask = dict(model="smollm2", messages=[{"role": "user", "content": "Write ‘naïve café’ and 日本語 and 🙂."}],
               max_tokens=40, temperature=0)
    whole = client.chat.completions.create(**ask)
    chunks = list(client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert len({c.id for c in chunks}) == 1 and len({c.created for c in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == [
        whole.choices[0].finish_reason]
    counts = [(usage.prompt_tokens, usage.completion_tokens) for usage in (chunks[-1].usage, whole.usage)]
    assert chunks[-1].choices == [] and counts[0] == counts[1]
    assert all(c.usage is None for c in chunks[:-1])


def test_without_include_usage_every_chunk_has_a_choice(gateway, client_of):
    chunks = client_of(gateway).chat.completions.create(model="smollm2", messages=HELLO, max_tokens=4, stream=True)
    assert all(chunk.choices for chunk in chunks)


def test_a_provider_answers_by_name(gateway, client_of):
    raw = client_of(gateway).chat.completions.with_raw_response.create(model="ai-hub", messages=HELLO, max_tokens=8)
    assert raw.headers["x-spillway-target"] == "ai-hub"
    assert raw.parse().usage.completion_tokens > 0


def test_stop_string_is_not_returned(gateway, client_of):
    client = client_of(gateway)
    ask = dict(model="smollm2", messages=[{"role": "user", "content": "Count from one to ten."}], temperature=0)
    plain = client.chat.completions.create(**ask, max_tokens=30).choices[0].message.content
    stop = plain[len(plain) // 2:][:4]
    stopped = client.chat.completions.create(**ask, max_tokens=30, stop=[stop]).choices[0]
    assert stopped.finish_reason == "stop"
    assert stop not in stopped.message.content
    assert plain.startswith(stopped.message.content)


def test_seed_makes_sampling_repeatable(gateway, client_of):
    client = client_of(gateway)
    ask = dict(model="smollm2", messages=HELLO, max_tokens=16, temperature=1.0, seed=7)
    first, second = (client.chat.completions.create(**ask).choices[0].message.content for _ in range(2))
    assert first == second


@pytest.mark.parametrize("change, raised, param", [
    ({"model": "no-such-model"}, openai.NotFoundError, None),
    ({"messages": []}, openai.BadRequestError, "messages"),
    ({"temperature": 3}, openai.BadRequestError, "temperature"),
    ({"max_tokens": 10_000_000}, openai.BadRequestError, None),
    ({"stream_options": {"include_usage": True}}, openai.BadRequestError, "stream_options"),
])
def test_errors_raise_the_right_class(gateway, client_of, change, raised, param):
    with pytest.raises(raised) as caught:
        client_of(gateway).chat.completions.create(**{"model": "smollm2", "messages": HELLO, **change})
    assert caught.value.request_id.startswith("req_")
    assert set(caught.value.body) == {"message", "type", "param", "code"}
    if param:
        assert caught.value.body["param"] == param


def test_wrong_key(gateway, client_of):
    with pytest.raises(openai.AuthenticationError) as caught:
        client_of(gateway, api_key="sk-wrong-secret").chat.completions.create(model="smollm2", messages=HELLO)
    assert "wrong-secret" not in str(caught.value)
    assert caught.value.body["code"] == "invalid_api_key"


def test_models(gateway, client_of):
    client = client_of(gateway)
    assert {"auto", "smollm2", "cloudbrain", "ai-hub", "openmodel"} == {m.id for m in client.models.list()}
    assert client.models.retrieve("ai-hub").id == "ai-hub"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody")


def test_thirty_two_streams_at_once(gateway, client_of):
    client = client_of(gateway)

    def ask(number):
        chunks = client.chat.completions.create(
            model="auto", messages=[{"role": "user", "content": f"Tell me about the number {number}."}],
            max_tokens=16, stream=True)
        return "".join(c.choices[0].delta.content or "" for c in chunks)

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(ask, range(32)))
    assert all(answers)


def test_cancelling_frees_the_engine_within_two_steps(gateway, client_of):
    client = client_of(gateway)
    for _ in range(3):
        stream = client.chat.completions.create(model="smollm2", messages=HELLO, max_tokens=2000, stream=True,
                                                extra_body={"ignore_eos": True})
        next(iter(stream))
        stream.close()
        wait_until(lambda: gateway.metric("spillway_engine_running_sequences") == 0, what="an idle engine")
    assert gateway.metric("spillway_engine_cancel_steps_max") <= 2


async def ask_and_leave(gateway, provider, stream):
    """Cancels the request once the provider works on it, as a user does who closes the page."""
    async with openai.AsyncOpenAI(base_url=gateway.api, api_key=gateway.key, max_retries=0) as client:
        work = asyncio.create_task(client.chat.completions.create(
            model="ai-hub", messages=HELLO, max_tokens=2000, stream=stream))
        while provider.stats()["open_streams"] == 0:
            await asyncio.sleep(0.02)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


@pytest.mark.parametrize("stream", [True, False])
def test_hanging_up_closes_the_connection_to_the_provider(start_provider, start_gateway, stream):
    provider = start_provider("ai-hub")
    gateway = start_gateway(configs.gateway({"ai-hub": configs.provider(provider.base_url, "ai-hub")}))
    asyncio.run(ask_and_leave(gateway, provider, stream))
    wait_until(lambda: provider.stats()["disconnects"] == 1 and provider.stats()["open_streams"] == 0,
               what="the provider seeing the client go")
    wait_until(lambda: [d["status"] for d in gateway.decisions()] == [499], what="the log of it")


def test_the_clients_own_timeout_is_the_deadline(start_provider, start_gateway, client_of):
    provider = start_provider("ai-hub", "--slow", "20")
    gateway = start_gateway(configs.gateway({"ai-hub": configs.provider(provider.base_url, "ai-hub")}))
    with pytest.raises((openai.APITimeoutError, openai.InternalServerError)):
        client_of(gateway, timeout=0.3).chat.completions.create(model="ai-hub", messages=HELLO)
    wait_until(lambda: provider.stats()["open_streams"] == 0, what="the provider being left alone")


def test_health_needs_no_key(gateway):
    assert get(gateway.root + "/health")[0] == 200
    assert get(gateway.admin + "/livez")[0] == 200
    assert get(gateway.admin + "/readyz")[0] == 200


@pytest.mark.skipif(os.environ.get("SPILLWAY_TEST_ENGINE") == "synthetic", reason="it has nothing to load")
def test_while_the_model_loads_it_says_so(processes, tmp_path, model):
    port = free_port()
    config = configs.gateway({"local": configs.engine()})
    config["server"]["listen"] = f"127.0.0.1:{port}"
    path = configs.write(tmp_path / "spillway.yaml", config)
    starting = threading.Thread(target=lambda: processes.append(Gateway(path)))
    starting.start()
    told = set()

    def is_up():
        try:
            health = get(f"http://127.0.0.1:{port}/health")
            told.add(health)
            if health[0] == 503:
                told.add(send(f"http://127.0.0.1:{port}/v1/models", "GET", None, as_client())[0])
            return health[0] == 200
        except OSError:
            return False
    wait_until(is_up, what="the model")
    starting.join()
    assert (503, '{"status":"loading"}') in told and 503 in told


def test_every_refusal_is_json(gateway):
    for path in ("/", "/v1/nothing", "/v1/embeddings"):
        status, body = get(gateway.root + path)
        assert status in (404, 405)
        assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}
