"""Answers that were paid for, and that cannot be stored: they are given all the same."""
import json
import sqlite3
import time

import openai
import pytest

import configs
from processes import wait_until
from upstream import USAGE, chat, chunk

HELLO = [{"role": "user", "content": "Hello there."}]


def answer(asked):
    if asked.json.get("stream"):
        return [chunk({"role": "assistant", "content": "Hel"}), chunk({"content": "lo"}), chunk({}, finish="stop"), USAGE]
    return chat("Hello")


class House:
    def __init__(self, upstream, gateway, client, state):
        self.upstream, self.gateway, self.client, self.state = upstream, gateway, client, state

    def lock(self, name):
        """Somebody else writes into that file, and does not come to an end."""
        other = sqlite3.connect(self.state / name, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        return other

    def told(self, count):
        """It is in the log and counted."""
        wait_until(lambda: self.gateway.metric("spillway_unkept_answers_total") == count, what="the count")
        lines = wait_until(lambda: [line for line in self.gateway.log() if line.get("unkept")], what="the line")
        return lines[-1]["status"] == 200


@pytest.fixture
def house(start_upstream, start_gateway, client_of, tmp_path):
    upstream = start_upstream(answer)
    config = configs.gateway({"up": configs.provider(upstream.base_url, "up")}, default_class="batch")
    config["server"]["state"] = str(tmp_path / "state")
    gateway = start_gateway(config)
    return House(upstream, gateway, client_of(gateway, max_retries=2, timeout=30), tmp_path / "state")


def test_a_response_is_given_unkept(house):
    other = house.lock("responses.sqlite")
    whole = house.client.responses.create(model="up", input="Hi")
    assert whole.output_text == "Hello" and whole.status == "completed" and whole.store is False
    events = list(house.client.responses.create(model="up", input="Hi", stream=True))
    assert events[-1].type == "response.completed" and events[-1].response.to_dict()["store"] is False
    assert len(house.upstream.asked) == 2, "each is paid for once"
    assert house.told(2)
    other.rollback()
    with pytest.raises(openai.NotFoundError):
        house.client.responses.retrieve(whole.id)
    again = house.client.responses.create(model="up", input="Hi")
    assert again.store is True and house.client.responses.retrieve(again.id).output_text == "Hello"


@pytest.mark.parametrize("stream", [False, True])
def test_a_stored_chat_is_given_unkept(house, stream):
    other = house.lock("chats.db")
    given = house.client.chat.completions.create(model="up", messages=HELLO, store=True, stream=stream)
    text = "".join(one.choices[0].delta.content or "" for one in given if one.choices) if stream else given.choices[0].message.content
    assert text == "Hello" and len(house.upstream.asked) == 1 and house.told(1)
    other.rollback()


def test_what_fails_here_is_told_in_no_words_of_ours(house):
    """What nobody waits for must be stored; and a lookup needs what was."""
    kept = house.client.responses.create(model="up", input="Hi")
    other = house.lock("responses.sqlite")
    with pytest.raises(openai.InternalServerError) as raised:
        house.client.with_options(max_retries=0).responses.create(model="up", input="Hi", background=True)
    assert "state directory" not in json.dumps(raised.value.body) and "locked" not in json.dumps(raised.value.body)
    other.rollback()
    assert house.client.responses.retrieve(kept.id).id == kept.id
    begun = time.monotonic()
    assert house.client.responses.create(model="up", input="Hi").store and time.monotonic() - begun < 5
