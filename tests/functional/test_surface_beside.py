"""What a provider says beside the answer reaches the client: further members of answers, choices, usage and errors."""
import json

import openai
import pytest

import configs
from processes import as_client, send
from upstream import chat, chunk

HELLO = [{"role": "user", "content": "Hi"}]
FILTERED = {"hate": {"filtered": False, "severity": "safe"}}
COUNTS = {"prompt_tokens": 9, "completion_tokens": 20, "total_tokens": 29, "cost": 0.25,
          "prompt_cache_hit_tokens": 3, "prompt_cache_miss_tokens": 6,
          "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 4},
          "completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 6, "accepted_prediction_tokens": 5,
                                        "rejected_prediction_tokens": 1}}


@pytest.fixture
def house(start_gateway, start_upstream):
    """Asks the provider's model through the gateway, and gives what came back as it came."""
    def start(answer, **settings):
        upstream = start_upstream(lambda asked: answer)
        target = configs.provider(upstream.base_url, "up", endpoints=["chat", "completions"], **settings)
        gateway = start_gateway(configs.gateway({"up": target}))

        def ask(path="/v1/chat/completions", **fields):
            status, _, text = send(gateway.root + path, "POST", {"model": "up", **fields}, as_client())
            return status, text
        return ask
    return start


def events_of(text):
    lines = [line.removeprefix(b"data: ") for line in text.split(b"\n\n") if line.startswith(b"data: ")]
    assert lines[-1] == b"[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_members_of_a_whole_answer(house):
    said = {**chat("Hello", stop_reason=128001, content_filter_results=FILTERED), "usage": COUNTS,
            "system_fingerprint": "fp_1", "citations": ["http://x"], "service_tier": "scale", "nothing": None}
    said["choices"][0]["message"]["annotations"] = [{"type": "url_citation"}]
    status, text = house(said)(messages=HELLO)
    answer = json.loads(text)
    assert status == 200 and answer["usage"] == COUNTS
    assert (answer["system_fingerprint"], answer["citations"]) == ("fp_1", ["http://x"])
    assert "service_tier" not in answer and "nothing" not in answer and answer["model"] == "up"
    [choice] = answer["choices"]
    assert (choice["stop_reason"], choice["content_filter_results"]) == (128001, FILTERED)
    assert choice["finish_reason"] == "stop" and choice["message"]["annotations"] == [{"type": "url_citation"}]


def test_members_of_a_stream_come_with_their_piece(house):
    print_ = {"system_fingerprint": "fp_1"}
    stream = [
        {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": [FILTERED]},
        {**chunk({"role": "assistant", "content": ""}), **print_, "obfuscation": "xxxx"},
        {**chunk({"content": "Hel"}, content_filter_results=FILTERED), **print_, "citations": ["http://x"]},
        chunk({"content": "lo"}),
        {**chunk({}, finish="stop", stop_reason=128001), **print_},
        {**chunk({}), "choices": [], "usage": COUNTS, "provider": "p"}]
    status, text = house(stream)(messages=HELLO, stream=True, stream_options={"include_usage": True})
    role, first, second, finish, usage = events_of(text)
    assert status == 200 and role["choices"][0]["delta"]["role"] == "assistant"
    assert first["prompt_filter_results"] == [FILTERED] and first["citations"] == ["http://x"]
    assert first["system_fingerprint"] == "fp_1" and first["choices"][0]["content_filter_results"] == FILTERED
    assert set(second) == set(role) and set(second["choices"][0]) == set(role["choices"][0])
    assert finish["system_fingerprint"] == "fp_1" and finish["choices"][0]["stop_reason"] == 128001
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert usage["usage"] == COUNTS and usage["choices"] == [] and usage["provider"] == "p"
    assert b"obfuscation" not in text and text.count(b"fp_1") == 2


def test_usage_with_the_last_word_and_several_choices(house):
    stream = [chunk({"content": "a"}), {**chunk({"content": "b"}, index=1, finish="length", matched_stop="x"), "x": 1},
              {**chunk({}, finish="stop", matched_stop="y"), "usage": COUNTS, "x": 2}]
    _, text = house(stream, dialect="deepseek", takes=["choices"])(messages=HELLO, n=2, stream=True, stream_options={"include_usage": True})
    *_, first, second, usage = events_of(text)
    assert [(one["x"], one["choices"][0]["matched_stop"]) for one in (first, second)] == [(2, "y"), (1, "x")]
    assert usage["usage"] == COUNTS


def test_completions_have_theirs_too(house):
    one = {"index": 0, "text": "a", "logprobs": None, "finish_reason": "stop", "stop_reason": "x"}
    said = {"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [one], "usage": COUNTS,
            "system_fingerprint": "fp_1"}
    _, text = house(said)("/v1/completions", prompt="Once")
    answer = json.loads(text)
    assert answer["system_fingerprint"] == "fp_1" and answer["usage"] == COUNTS
    assert answer["choices"][0]["stop_reason"] == "x"
    text = house([{**said, "choices": [{**one, "finish_reason": None, "stop_reason": None}], "usage": None},
                  {**said, "choices": [{**one, "text": ""}], "usage": None},
                  {**said, "choices": []}])(
                      "/v1/completions", prompt="Once", stream=True, stream_options={"include_usage": True})[1]
    word, finish, usage = events_of(text)
    assert word["system_fingerprint"] == "fp_1" and "stop_reason" not in word["choices"][0]
    assert finish["choices"][0]["stop_reason"] == "x" and usage["usage"] == COUNTS


@pytest.mark.parametrize("said, reason, native", [("stop", "stop", None), ("model_length", "length", None),
                                                  ("recitation", "stop", "recitation")])
def test_a_finish_reason_that_nobody_knows_is_told_beside(house, said, reason, native):
    for answer, stream in ((chat(finish_reason=said), False), ([chunk({"content": "a"}), chunk({}, finish=said)], True)):
        status, text = house(answer)(messages=HELLO, stream=stream)
        choice = (events_of(text)[-1] if stream else json.loads(text))["choices"][0]
        assert (status, choice["finish_reason"], choice.get("native_finish_reason")) == (200, reason, native)


@pytest.mark.parametrize("said", ["abort", "insufficient_system_resource", "error"])
def test_a_finish_reason_that_means_failure_is_one(house, said):
    assert house(chat(finish_reason=said))(messages=HELLO)[0] == 502


@pytest.mark.parametrize("param, code, expected", [
    ("messages[0].content", "string_above_max_length", ("messages[0].content", "string_above_max_length")),
    (None, None, (None, None)), ("", 400, (None, None)), ("a b", "c\nd", (None, None)), ("p" * 200, "c", (None, "c"))])
def test_what_a_provider_refuses_keeps_its_words(start_upstream, start_gateway, client_of, param, code, expected):
    error = {"message": "too long", "type": "invalid_request_error", "param": param, "code": code}
    upstream = start_upstream(lambda asked: (400, {"error": error}))
    client = client_of(start_gateway(configs.gateway({"up": configs.provider(upstream.base_url, "up")})))
    with pytest.raises(openai.BadRequestError, match="too long") as refused:
        client.chat.completions.create(model="up", messages=HELLO)
    assert (refused.value.param, refused.value.code) == expected
