"""Answers of a real model that are held to a form: each that is finished fits, whatever else is in its batch.

A few of the schemas that clients send (tests/data/forms); SPILLWAY_FORMS_ASKED=57 for all of them.
"""
import concurrent.futures
import datetime
import json
import os
import re

import jsonschema
import pytest

import configs
from processes import ROOT, wait_until

pytestmark = pytest.mark.skipif(os.environ.get("SPILLWAY_TEST_ENGINE") == "synthetic", reason="of a real model")

ASKED = int(os.environ.get("SPILLWAY_FORMS_ASKED", "12"))
FORMS = [json.loads(line) for line in (ROOT / "tests/data/forms/asked.jsonl").read_text(encoding="utf-8").splitlines()]
CHOICES = ["yes", "no", "it depends", 'a "quote"', "naïve", "日本語"]
# What an answer is held to, and how others read it.
OTHERS = [
    ({"guided_choice": CHOICES}, CHOICES.__contains__),
    ({"guided_regex": r"20[0-9]{2}-(0[1-9]|1[0-2])-([0-2][0-9]|3[01])"}, datetime.date.fromisoformat),
    ({"guided_regex": r"[a-z]+( [a-z]+){0,5}\."}, re.compile(r"[a-z]+( [a-z]+){0,5}\.").fullmatch),
    ({"guided_grammar": 'root ::= [0-9]{1,3} ("+" [0-9]{1,3}){1,4}'}, re.compile(r"[0-9]{1,3}([+][0-9]{1,3}){1,4}").fullmatch),
]


@pytest.fixture
def client(start_gateway, client_of):
    gateway = start_gateway(configs.gateway({"local": configs.engine(threads=2)}, {"interactive": {"spill": "never"}}))
    wait_until(lambda: gateway.metric("spillway_backend_up", be="local") == 1, what="the engine")
    return client_of(gateway, timeout=300)


def say(client, question, **asked):
    answer = client.chat.completions.create(model="smollm2", messages=[{"role": "user", "content": question}], **asked)
    return answer.choices[0]


def test_every_answer_that_is_finished_fits_its_schema(client):
    forms = FORMS[::max(1, len(FORMS) // ASKED)]

    def fits(form):
        held = {"type": "json_schema", "json_schema": {"name": "answer", "schema": form["schema"]}}
        choice = say(client, f"Give me an example of: {form['name']}. Be brief.", response_format=held, max_tokens=160, seed=7,
                     temperature=0.8)
        if choice.finish_reason == "stop":
            jsonschema.Draft202012Validator(form["schema"]).validate(json.loads(choice.message.content))
        return choice.finish_reason == "stop"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        finished = sum(pool.map(fits, forms))
    print(f"{len(forms)} schemas, {finished} answers finished within 160 tokens, all of them fit")
    assert finished >= len(forms) / 4


@pytest.mark.parametrize("held, fits", OTHERS, ids=["choice", "date", "words", "sum"])
def test_every_answer_that_is_finished_fits_what_else_holds_it(client, held, fits):
    def one(seed):
        choice = say(client, "When did it rain?", extra_body=held, max_tokens=60, seed=seed, temperature=1.2)
        assert choice.finish_reason == "length" or fits(choice.message.content), choice.message.content
        return choice.finish_reason == "stop"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(one, range(16))) >= 8
