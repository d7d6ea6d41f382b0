"""What clients may ask of the local model's sampler, by the official client: logprobs, several choices, ends of their own."""
import openai
import pytest

import configs
from processes import wait_until

HELLO = [{"role": "user", "content": "Say hello."}]


@pytest.fixture(params=["none", "process"])
def house(request, start_gateway, client_of):
    engine = configs.engine(isolation=request.param, prefix_cache=True)
    gateway = start_gateway(configs.gateway({"local": engine}))
    wait_until(lambda: gateway.metric("spillway_backend_up", be="local") == 1, what="the engine")
    return gateway, client_of(gateway)


def test_logprobs_are_told_of_each_token_streamed_and_whole(house):
    _, client = house
    ask = dict(model="smollm2", messages=HELLO, max_tokens=8, temperature=0, logprobs=True, top_logprobs=3)
    choice = client.chat.completions.create(**ask).choices[0]
    told = choice.logprobs.content
    assert len(told) == 8 and "".join(one.token for one in told) == choice.message.content
    for one in told:
        assert bytes(one.bytes).decode() == one.token and len(one.top_logprobs) == 3
        assert one.top_logprobs[0].token == one.token and one.top_logprobs[0].logprob == one.logprob <= 0
        assert [top.logprob for top in one.top_logprobs] == sorted((top.logprob for top in one.top_logprobs), reverse=True)
    chunks = client.chat.completions.create(**ask, stream=True)
    streamed = [one for c in chunks if c.choices[0].logprobs for one in c.choices[0].logprobs.content]
    assert streamed == told
    plain = client.chat.completions.create(**{**ask, "logprobs": None, "top_logprobs": None}).choices[0]
    assert plain.logprobs is None and plain.message.content == choice.message.content


def test_logprobs_of_a_completion_with_its_prompt(house):
    _, client = house
    ask = dict(model="smollm2", prompt="The dam does not hold what the rivers bring. " * 8, temperature=0, logprobs=2)
    said = client.completions.create(**ask, max_tokens=4).choices[0]
    assert said.logprobs.text_offset[0] == 0 and "".join(said.logprobs.tokens) == said.text
    whole = client.completions.create(**ask, max_tokens=4, echo=True)
    repeated = whole.choices[0]
    count = whole.usage.prompt_tokens
    assert whole.usage.completion_tokens == 4 and len(repeated.logprobs.tokens) == count + 4
    assert repeated.logprobs.token_logprobs[0] is None and repeated.logprobs.top_logprobs[0] is None
    assert repeated.logprobs.token_logprobs[count:] == pytest.approx(said.logprobs.token_logprobs, abs=1e-3)
    assert all(2 <= len(top) <= 3 for top in repeated.logprobs.top_logprobs[1:])
    scored = client.completions.create(**ask, max_tokens=0, echo=True)
    assert scored.usage.completion_tokens == 0 and repeated.text == scored.choices[0].text + said.text
    assert len(scored.choices[0].logprobs.tokens) == count


def test_several_prompts_are_answered_as_each_alone(house):
    _, client = house
    prompts = ["The dam does not hold what the rivers bring. " * 8, "One, two, three,"]
    ask = dict(model="smollm2", max_tokens=6, n=2, seed=5, logprobs=1)
    whole = client.completions.create(**ask, prompt=prompts)
    alone = [client.completions.create(**ask, prompt=prompt) for prompt in prompts]
    assert [one.index for one in whole.choices] == [0, 1, 2, 3]
    assert [one.text for one in whole.choices] == [one.text for answer in alone for one in answer.choices]
    assert [one.logprobs.tokens for one in whole.choices] == [one.logprobs.tokens for answer in alone for one in answer.choices]
    assert whole.usage.prompt_tokens == sum(answer.usage.prompt_tokens for answer in alone)
    assert whole.usage.completion_tokens == sum(answer.usage.completion_tokens for answer in alone) == 24
    streamed = dict.fromkeys(range(4), "")
    for chunk in client.completions.create(**{**ask, "logprobs": None}, prompt=prompts, stream=True):
        for one in chunk.choices:
            streamed[one.index] += one.text
    assert list(streamed.values()) == [one.text for one in whole.choices]
    silent = {**ask, "n": 1, "max_tokens": 0, "echo": True}
    scored = client.completions.create(**silent, prompt=prompts)
    assert [one.text for one in scored.choices] == [client.completions.create(**silent, prompt=one).choices[0].text for one in prompts]
    assert scored.usage.completion_tokens == 0


def test_choices_are_streamed_by_index_and_counted_once(house):
    _, client = house
    ask = dict(model="smollm2", messages=[{"role": "user", "content": "Say what rises. " * 12}], max_tokens=6, n=3, seed=11)
    whole = client.chat.completions.create(**ask)
    texts = [choice.message.content for choice in whole.choices]
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    alone = [client.chat.completions.create(**{**ask, "n": 1, "seed": 11 + i}) for i in range(3)]
    assert texts == [one.choices[0].message.content for one in alone], "each choice has the seed behind that of the one before"
    assert whole.usage.prompt_tokens == alone[0].usage.prompt_tokens
    assert whole.usage.completion_tokens == sum(one.usage.completion_tokens for one in alone)
    streamed = {}
    for chunk in client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}):
        for choice in chunk.choices:
            streamed[choice.index] = streamed.get(choice.index, "") + (choice.delta.content or "")
    assert [streamed[i] for i in range(3)] == texts
    assert (chunk.usage.prompt_tokens, chunk.usage.completion_tokens) == (
        whole.usage.prompt_tokens, whole.usage.completion_tokens)
    both = client.completions.create(model="smollm2", prompt="The dam", max_tokens=3, n=2, best_of=2)
    assert len(both.choices) == 2 and both.usage.completion_tokens == 6


def test_who_leaves_stops_all_choices(house):
    gateway, client = house
    stream = client.chat.completions.create(model="smollm2", messages=HELLO, max_tokens=2000, n=4, stream=True,
                                            extra_body={"ignore_eos": True})
    next(iter(stream))
    stream.close()
    wait_until(lambda: gateway.metric("spillway_engine_running_sequences") == 0, what="an idle engine")


def test_ends_that_the_client_names(house):
    _, client = house
    ask = dict(model="smollm2", messages=HELLO, max_tokens=12, temperature=0)
    told = client.chat.completions.create(**ask, logprobs=True).choices[0].logprobs.content
    stop = told[4].token
    before = "".join(one.token for one in told[:[one.token for one in told].index(stop)])
    cut = client.chat.completions.create(**ask, stop=[stop]).choices[0]
    kept = client.chat.completions.create(**ask, stop=[stop], extra_body={"include_stop_str_in_output": True}).choices[0]
    assert cut.finish_reason == kept.finish_reason == "stop"
    assert (cut.message.content, kept.message.content) == (before, before + stop)
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**ask, extra_body={"stop_token_ids": [10**8]})
    assert refused.value.param == "stop_token_ids"
