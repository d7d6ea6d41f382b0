"""What providers say that they count, in their own dialects, whole and broken: each is booked to the nano-dollar."""
import math

import openai
import pytest

import configs
from played import PlayedProvider, chunk, events
from processes import wait_until
from test_money import book

INPUT, CACHED, OUTPUT = 300, 75, 1200  # Nano-USD a token.
PRICE = {"input": "0.30usd", "cached_input": "0.075usd", "output": "1.20usd"}


def usage(prompt, completion, cached=0, **more):
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
            **({"prompt_tokens_details": {"cached_tokens": cached}} if cached else {}), **more}


WORDS = [chunk(word) for word in ("One ", "two ", "three.")]
END = chunk(finish="stop")

# name: what the provider sends, and the prompt, cached and completion tokens that it bills.
TOLD = {
    "openai: usage in a chunk of its own": (events(*WORDS, END, chunk(choices=False, usage=usage(1000, 7))), (1000, 0, 7)),
    "openai: from its cache": (events(*WORDS, END, chunk(choices=False, usage=usage(2048, 7, 1920))), (2048, 1920, 7)),
    "openai: hidden reasoning": (
        events(*WORDS, END, chunk(choices=False, usage=usage(
            50, 907, completion_tokens_details={"reasoning_tokens": 900}))), (50, 0, 907)),
    "deepseek: with the last word, hits and misses": (
        events(*WORDS, chunk(finish="stop", usage=usage(
            700, 3, prompt_cache_hit_tokens=640, prompt_cache_miss_tokens=60))), (700, 640, 3)),
    "mistral: with the finish, no details": (events(*WORDS, chunk(finish="stop", usage=usage(12, 5))), (12, 0, 5)),
    "vllm: usage in every chunk, growing": (
        events(*[chunk(word, usage=usage(40, i + 1)) for i, word in enumerate(("a ", "b ", "c"))],
               chunk(finish="stop", usage=usage(40, 3))), (40, 0, 3)),
    "null usage until the end": (
        events(*[{**each, "usage": None} for each in WORDS], END, chunk(choices=False, usage=usage(9, 3))), (9, 0, 3)),
    "one token, one word": (events(chunk("Yes"), chunk(finish="stop", usage=usage(1, 1))), (1, 0, 1)),
    "cut off, but it had told until then": (
        events(*[chunk(word, usage=usage(40, i + 1)) for i, word in enumerate(("a ", "b "))], done=False), (40, 0, 2)),
    "no [DONE] at the end": (events(*WORDS, END, chunk(choices=False, usage=usage(33, 4)), done=False), (33, 0, 4)),
}
# What breaks off or lies is booked by what came: three words, and no fewer tokens than pieces.
BROKEN = {
    "cut in the middle": events(*WORDS, done=False),
    "half an event": events(*WORDS, done=False) + b'data: {"id":"c","choi',
    "an error event": events(*WORDS, {"error": {"message": "out of memory", "type": "server_error"}}, done=False),
    "a count that cannot be": events(*WORDS, END, chunk(choices=False, usage=usage(10**12, 7))),
    "no usage at all": events(*WORDS, END),
}


def ask(start_gateway, client_of, processes, tmp_path, played, stream=True):
    processes.append(PlayedProvider(played))
    target = configs.provider(processes[-1].base_url, "cloud", price_per_million=PRICE)
    config = configs.gateway({"cloud": target}, classes={"all": {"spill": "always"}}, default_class="all")
    config["server"]["state"] = str(tmp_path / "state")
    gateway = start_gateway(config)
    try:
        list(client_of(gateway).chat.completions.create(
            model="auto", stream=stream, messages=[{"role": "user", "content": "Count to three, please."}]))
    except openai.APIError:
        pass
    return wait_until(lambda: book(tmp_path, "SELECT prompt, cached, completion, amount, estimated FROM entries"),
                      what="the entry")


@pytest.mark.parametrize("name", TOLD)
def test_a_stream_costs_what_the_provider_counts(start_gateway, client_of, processes, tmp_path, name):
    played, (prompt, cached, completion) = TOLD[name]
    amount = (prompt - cached) * INPUT + cached * CACHED + completion * OUTPUT
    assert ask(start_gateway, client_of, processes, tmp_path, played) == [(prompt, cached, completion, amount, 0)]


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_stream_costs_what_came_of_it(start_gateway, client_of, processes, tmp_path, name):
    [(prompt, cached, completion, amount, estimated)] = ask(start_gateway, client_of, processes, tmp_path, BROKEN[name])
    assert estimated == 1 and cached == 0
    assert 3 <= completion <= math.ceil(len("One two three.") / 4) + 1
    assert amount == prompt * INPUT + completion * OUTPUT and prompt > 0
