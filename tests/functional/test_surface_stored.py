"""Chat completions that were asked to be stored: found, listed, changed, deleted; each tenant's own; after a restart."""
import sqlite3

import openai
import pytest

import configs
from processes import KEY, wait_until
from upstream import USAGE, chat, chunk


def answer(asked):
    if asked.json.get("stream"):
        return [chunk({"role": "assistant", "content": "Hel"}), chunk({"content": "lo"}), chunk({}, finish="stop"), USAGE]
    return chat("Hello")


@pytest.fixture
def config(start_upstream, tmp_path):
    upstream = start_upstream(answer)
    config = configs.gateway({"up": configs.provider(upstream.base_url, "up")})
    config["server"]["state"] = str(tmp_path / "state")
    config["keys"]["other"] = {"secret": "env:OTHER_KEY", "tenant": "other"}
    return config


def ask(client, text="Hi", **settings):
    return client.chat.completions.create(model="up", messages=[{"role": "user", "content": text}], **settings)


def test_what_was_stored_is_found_again_after_a_restart(config, start_gateway, client_of):
    gateway = start_gateway(config, OTHER_KEY="sk-other")
    client = client_of(gateway)
    kept = ask(client, store=True, metadata={"a": "1"})
    assert client.chat.completions.retrieve(kept.id).choices[0].message.content == "Hello"
    list(ask(client, store=True, stream=True))
    unkept = ask(client)
    assert gateway.terminate() == 0
    client = client_of(start_gateway(config, OTHER_KEY="sk-other"))
    both = list(client.chat.completions.list())
    assert [one.choices[0].message.content for one in both] == ["Hello", "Hello"] and both[0].id == kept.id
    assert both[0].usage == kept.usage and both[0].created == kept.created and both[0].metadata == {"a": "1"}
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.retrieve(unkept.id)


def test_what_is_older_than_30_days_is_gone(config, start_gateway, client_of, tmp_path):
    client = client_of(start_gateway(config, OTHER_KEY="sk-other"))
    client.responses.create(model="up", input="Hi")
    old, young = ask(client, store=True), ask(client, store=True)
    chats = sqlite3.connect(tmp_path / "state/chats.db")
    with chats:
        chats.execute("UPDATE chats SET created = created - 31 * 86400 WHERE id = ?", [old.id])
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.retrieve(old.id)
    assert [one.id for one in client.chat.completions.list()] == [young.id]
    assert [one.id for one in client.chat.completions.list(metadata={}, model="up")] == [young.id]
    responses = sqlite3.connect(tmp_path / "state/responses.sqlite")
    with responses:
        responses.execute("UPDATE responses SET created = created - 31 * 86400")
    wait_until(lambda: chats.execute("SELECT count(*) FROM chats").fetchone() == (1,), what="the chat's end on the disk")
    wait_until(lambda: responses.execute("SELECT count(*) FROM responses").fetchone() == (0,), what="the response's end")


def test_who_deletes_while_paging_reaches_the_end(config, start_gateway, client_of):
    client = client_of(start_gateway(config, OTHER_KEY="sk-other"))
    for _ in range(7):
        ask(client, store=True)
    for order in ("asc", "desc"):
        for one in client.chat.completions.list(limit=3, order=order):
            client.chat.completions.delete(one.id)
        assert not list(client.chat.completions.list())
        for _ in range(7):
            ask(client, store=True)
    last = list(client.chat.completions.list())[-1]
    client.chat.completions.delete(last.id)
    new = ask(client, store=True)
    assert [one.id for one in client.chat.completions.list(after=last.id, order="asc")] == [new.id]
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.list(after="chatcmpl-none")
    assert refused.value.param == "after"


def test_messages_go_on_from_one_of_them(config, start_gateway, client_of):
    client = client_of(start_gateway(config, OTHER_KEY="sk-other"))
    told = [{"role": "user", "content": str(i)} for i in range(5)]
    kept = client.chat.completions.create(model="up", messages=told, store=True)
    messages = client.chat.completions.messages
    assert [one.content for one in messages.list(kept.id, limit=2)] == ["0", "1", "2", "3", "4"]
    assert [one.content for one in messages.list(kept.id, after=f"{kept.id}-2", order="desc")] == ["1", "0"]
    assert not list(messages.list(kept.id, after=f"{kept.id}-4"))
    for unknown in ("nope", f"{kept.id}-5"):
        with pytest.raises(openai.BadRequestError) as refused:
            messages.list(kept.id, after=unknown)
        assert refused.value.param == "after"


def test_lists_messages_metadata_and_deletion(config, start_gateway, client_of):
    gateway = start_gateway(config, OTHER_KEY="sk-other")
    client, other = client_of(gateway), client_of(gateway, api_key="sk-other")
    ids = [ask(client, f"question {i}", store=True, metadata={"i": str(i), "all": "yes"}).id for i in range(5)]
    completions = client.chat.completions
    assert [one.id for one in completions.list(limit=2)] == ids  # Page by page.
    assert [one.id for one in completions.list(order="desc", limit=3)] == ids[::-1]
    assert [one.id for one in completions.list(metadata={"i": "3", "all": "yes"})] == [ids[3]]
    assert not list(completions.list(metadata={"i": "' OR 1"})) and not list(completions.list(model="else"))
    assert not list(completions.list(metadata={'all"x': "yes"}))
    changed = completions.update(ids[0], metadata={"new": "x"})
    assert changed.id == ids[0] and changed.metadata == completions.retrieve(ids[0]).metadata == {"new": "x"}
    asked = list(completions.messages.list(ids[1]))
    assert [(one.role, one.content, one.id) for one in asked] == [("user", "question 1", f"{ids[1]}-0")]
    assert completions.delete(ids[1]).deleted
    for call in (completions.retrieve, completions.delete, completions.messages.list):
        with pytest.raises(openai.NotFoundError):
            call(ids[1])
    for call in (other.chat.completions.retrieve, other.chat.completions.delete):
        with pytest.raises(openai.NotFoundError):
            call(ids[0])
    assert not list(other.chat.completions.list())
    for wrong in ({"limit": 0}, {"limit": 101}, {"extra_query": {"order": "up"}}):
        with pytest.raises(openai.BadRequestError):
            completions.list(**wrong)
    with pytest.raises(openai.BadRequestError):
        completions.update(ids[0], metadata={"a": "x" * 513})
    assert KEY not in "".join(gateway.output)
