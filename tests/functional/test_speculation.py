"""Guessed tokens change no answer of a real model: alone or together, found in the prefix cache, preempted or not."""
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

import configs
from processes import wait_until

pytestmark = pytest.mark.skipif(os.environ.get("SPILLWAY_TEST_ENGINE") == "synthetic", reason="of a real model")

LINES = "\n".join(f"    total_{name} = price_{name} * count_{name}" for name in ("bread", "salt", "paper", "water", "stone"))
PROMPTS = [f"Repeat these lines exactly:\n{LINES}", f"Repeat these lines, with `count` in place of `price`:\n{LINES}",
           "Write down the months, each with its number of days, twice.", "Tell me why the dam was built."]


def said_by(client, prompt, **fields):
    chunks = client.chat.completions.create(model="smollm2", messages=[{"role": "user", "content": prompt}], max_tokens=64,
                                            stream=True, stream_options={"include_usage": True},
                                            extra_body={"ignore_eos": True}, **fields)
    text, usage = "", None
    for chunk in chunks:
        text += "".join(choice.delta.content or "" for choice in chunk.choices)
        usage = chunk.usage or usage
    return text, usage.completion_tokens


def answers(gateway, client):
    """Some alone, then all together, who have too little room and find beginnings of their prompts."""
    wait_until(lambda: gateway.metric("spillway_backend_up", be="local") == 1, seconds=60, what="the engine")
    alone = [said_by(client, prompt, temperature=0) for prompt in PROMPTS[1:3]]
    drawn = said_by(client, PROMPTS[0], temperature=0.7, seed=5, frequency_penalty=0.2)
    with ThreadPoolExecutor(len(PROMPTS)) as together:
        batch = list(together.map(lambda prompt: said_by(client, prompt, temperature=0), PROMPTS))
    assert batch[1:3] == alone
    assert gateway.metric("spillway_engine_preemptions_total") > 0
    assert gateway.metric("spillway_engine_prefix_hits_total") > 0
    return [drawn, *batch]


@pytest.mark.parametrize(("precision", "isolation"), [("fp32", "none"), ("auto", "process")])
def test_answers_are_those_without_guesses(start_gateway, client_of, precision, isolation):
    told = []
    for drafts in (0, 6):
        engine = configs.engine(precision=precision, sequences_max=4, kv_tokens_max=448, prefix_cache=True,
                                isolation=isolation, speculation={"drafts": drafts})
        gateway = start_gateway(configs.gateway({"local": engine}))
        told.append(answers(gateway, client_of(gateway)))
        assert (gateway.metric("spillway_engine_drafts_total", outcome="right") > 0) == (drafts > 0)
        gateway.end()
    assert told[0] == told[1]
