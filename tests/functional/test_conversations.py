"""/v1/conversations as openai-python sees it, and responses that go on from one and add to it."""
import os

import openai
import pydantic
import pytest
from openai.types.conversations import Conversation, ConversationItem

import configs
import upstream
from processes import KEY, wait_until

ITEM = pydantic.TypeAdapter(ConversationItem)
HELLO = {"type": "message", "role": "user", "content": "Hello there."}
CALL = {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"}
SEEN = {"type": "function_call_output", "call_id": "call_1", "output": "a cat"}


@pytest.fixture
def house(start_upstream, start_gateway, tmp_path):
    """A gateway in front of one provider, which says something else each time; again: on the same state."""
    provider = start_upstream(lambda asked: answer(len(provider.asked), asked))

    def start(body_max="32MiB", **settings):
        config = configs.gateway({"cloud": configs.provider(provider.base_url, "cloud")}, **settings)
        config["server"].update(state=str(tmp_path / "state"), body_max=body_max)
        return start_gateway(config, ONE="sk-one", TWO="sk-two"), provider
    return start


def answer(number, asked):
    text = asked.json["messages"][-1]["content"]
    if text == "Fail.":
        return 400, {"error": {"message": "no", "type": "x", "code": None}}
    if asked.json.get("stream"):
        return [upstream.chunk({"role": "assistant", "content": f"Answer {number}"}), upstream.chunk({}, finish="stop"), upstream.USAGE]
    return upstream.chat(f"Answer {number}")


@pytest.fixture
def started(house, client_of):
    gateway, provider = house()
    return client_of(gateway), provider


def texts(items):
    """Of a page in the order of the conversation."""
    return [item.content[0].text for item in items if item.type == "message"]


def test_a_conversation_is_made_read_changed_and_deleted(started):
    client, _ = started
    made = client.conversations.create(metadata={"topic": "cats"}, items=[HELLO])
    Conversation.model_validate(made.to_dict(), strict=True)
    assert made.id.startswith("conv_") and made.metadata == {"topic": "cats"}
    assert client.conversations.retrieve(made.id) == made
    changed = client.conversations.update(made.id, metadata={"topic": "dogs"})
    assert changed.metadata == {"topic": "dogs"} and changed.created_at == made.created_at
    with pytest.raises(openai.BadRequestError, match="metadata"):
        client.post(f"/conversations/{made.id}", body={}, cast_to=object)
    assert client.conversations.retrieve(made.id).metadata == {"topic": "dogs"}
    gone = client.conversations.delete(made.id)
    assert gone.deleted and gone.id == made.id and gone.object == "conversation.deleted"
    for look in (client.conversations.retrieve, client.conversations.items.list, client.conversations.delete):
        with pytest.raises(openai.NotFoundError):
            look(made.id)
    assert client.conversations.create().metadata == {}


def test_items_are_added_listed_read_and_deleted(started):
    client, _ = started
    made = client.conversations.create(items=[HELLO])
    added = client.conversations.items.create(made.id, items=[CALL, SEEN, {"role": "assistant", "content": "A cat."}])
    assert [item.type for item in added.data] == ["function_call", "function_call_output", "message"]
    assert not added.has_more and added.first_id == added.data[0].id and added.last_id == added.data[2].id
    listed = list(client.conversations.items.list(made.id, order="asc", limit=2))
    assert [item.id for item in listed][1:] == [item.id for item in added.data] and len({item.id for item in listed}) == 4
    for item in listed:
        ITEM.validate_python(item.to_dict())
        assert client.conversations.items.retrieve(item.id, conversation_id=made.id) == item
    assert [item.id for item in client.conversations.items.list(made.id)] == [item.id for item in reversed(listed)]
    assert texts(listed) == ["Hello there.", "A cat."]
    assert listed[0].content[0].type == "input_text" and listed[3].content[0].type == "output_text"


def test_items_can_be_deleted_while_they_are_listed(started):
    client, _ = started
    made = client.conversations.create(items=[HELLO] * 7)
    for item in client.conversations.items.list(made.id, limit=2):
        assert client.conversations.items.delete(item.id, conversation_id=made.id).id == made.id
        with pytest.raises(openai.NotFoundError):
            client.conversations.items.retrieve(item.id, conversation_id=made.id)
    assert list(client.conversations.items.list(made.id)) == []


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_goes_on_from_a_conversation_and_adds_to_it(started, stream):
    client, provider = started
    made = client.conversations.create(items=[HELLO])

    def ask(text, conversation):
        answer = client.responses.create(model="cloud", input=text, conversation=conversation, stream=stream)
        return [event for event in answer][-1].response if stream else answer
    first = ask("Who are you?", made.id)
    assert first.conversation.id == made.id and first.output_text == "Answer 1"
    ask("And I?", {"id": made.id})
    assert [message["content"] for message in provider.asked[-1].json["messages"]] == \
        ["Hello there.", "Who are you?", "Answer 1", "And I?"]
    listed = list(client.conversations.items.list(made.id, order="asc"))
    assert texts(listed) == ["Hello there.", "Who are you?", "Answer 1", "And I?", "Answer 2"]
    assert listed[2].id == first.output[0].id
    client.conversations.items.delete(listed[0].id, conversation_id=made.id)
    ask([{**HELLO, "id": listed[1].id, "content": "Once more."}], made.id)
    assert [message["content"] for message in provider.asked[-1].json["messages"]][0] == "Who are you?"
    assert len(list(client.conversations.items.list(made.id))) == 6


def told(provider):
    return [message["content"] for message in provider.asked[-1].json["messages"]]


def test_a_turn_of_a_conversation_can_be_gone_on_from(started):
    client, provider = started
    made = client.conversations.create(items=[HELLO, CALL])
    first = client.responses.create(model="cloud", input=[SEEN], conversation=made.id)
    whole = ["Hello there.", None, "a cat", "Answer 1"]
    client.responses.create(model="cloud", input="Later.", conversation=made.id)
    second = client.responses.create(model="cloud", input="And?", previous_response_id=first.id)
    assert told(provider) == whole + ["And?"] and second.conversation is None
    assert provider.asked[-1].json["messages"][1]["tool_calls"][0]["id"] == "call_1"
    client.responses.create(model="cloud", input="On.", previous_response_id=second.id)
    assert told(provider) == whole + ["And?", "Answer 3", "On."]
    assert [item.type for item in client.responses.input_items.list(first.id, order="asc")] == \
        ["message", "function_call", "function_call_output"]
    assert len(list(client.responses.input_items.list(second.id))) == 5
    client.responses.compact(model="cloud", previous_response_id=first.id)
    assert told(provider)[:-1] == whole
    item = next(iter(client.conversations.items.list(made.id, order="asc")))
    client.conversations.items.delete(item.id, conversation_id=made.id)
    client.responses.create(model="cloud", input="And?", previous_response_id=first.id)
    assert told(provider) == whole[1:] + ["And?"]
    client.conversations.delete(made.id)
    with pytest.raises(openai.BadRequestError, match="not found") as refused:
        client.responses.create(model="cloud", input="And?", previous_response_id=first.id)
    assert refused.value.code == "previous_response_not_found"


@pytest.mark.filterwarnings("ignore:connect\\(\\) must be used:DeprecationWarning")
@pytest.mark.parametrize("store", [False, True])
def test_a_connection_goes_on_from_a_turn_of_a_conversation(started, store):
    client, provider = started
    made = client.conversations.create(items=[HELLO])
    with client.responses.connect() as connection:
        connection.response.create(model="cloud", input="Who are you?", conversation=made.id, store=store)
        first = next(event.response for event in connection if event.type == "response.completed")
        connection.response.create(model="cloud", input="And I?", previous_response_id=first.id, store=store)
        next(event for event in connection if event.type == "response.completed")
    assert told(provider) == ["Hello there.", "Who are you?", "Answer 1", "And I?"]


def test_what_is_not_stored_is_in_its_conversation_all_the_same(started):
    client, _ = started
    made = client.conversations.create()
    answer = client.responses.create(model="cloud", input="Hello.", conversation=made.id, store=False)
    assert texts(client.conversations.items.list(made.id, order="asc")) == ["Hello.", "Answer 1"]
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(answer.id)


def test_an_answer_in_the_background_is_added(started):
    client, _ = started
    made = client.conversations.create()
    begun = client.responses.create(model="cloud", input="Hello.", conversation=made.id, background=True)
    wait_until(lambda: client.responses.retrieve(begun.id).status == "completed", what="the answer")
    assert texts(client.conversations.items.list(made.id, order="asc")) == ["Hello.", "Answer 1"]


def test_what_failed_adds_nothing(started):
    client, _ = started
    made = client.conversations.create(items=[HELLO])
    with pytest.raises(openai.APIError):
        client.responses.create(model="cloud", input="Fail.", conversation=made.id)
    assert texts(client.conversations.items.list(made.id)) == ["Hello there."]


def test_a_conversation_that_goes_while_it_is_answered_costs_its_answer_nothing(start_upstream, start_gateway, client_of):
    def delete_it(asked):
        client.conversations.delete(made.id)
        return upstream.chat("Here I am.")
    provider = start_upstream(delete_it)
    client = client_of(start_gateway(configs.gateway({"cloud": configs.provider(provider.base_url, "cloud")})))
    made = client.conversations.create()
    assert client.responses.create(model="cloud", input="Hello.", conversation=made.id).output_text == "Here I am."


def test_conversations_outlive_the_gateway(house, client_of):
    gateway, _ = house()
    client = client_of(gateway)
    made = client.conversations.create(metadata={"topic": "cats"})
    client.responses.create(model="cloud", input="Hello.", conversation=made.id)
    gateway.child.kill()
    gateway.child.wait(20)
    gateway, provider = house()
    client = client_of(gateway)
    assert client.conversations.retrieve(made.id) == made
    client.responses.create(model="cloud", input="Again.", conversation=made.id)
    assert [message["content"] for message in provider.asked[-1].json["messages"]] == ["Hello.", "Answer 1", "Again."]


def test_a_conversation_is_its_tenants(house):
    keys = {"one": {"secret": "env:ONE", "tenant": "a", "scopes": ["responses"]}, "two": {"secret": "env:TWO", "tenant": "b"}}
    gateway, _ = house(keys=keys)
    mine, other = (openai.OpenAI(base_url=gateway.api, api_key=secret, max_retries=0) for secret in ("sk-one", "sk-two"))
    made = mine.conversations.create(items=[HELLO])
    item = mine.conversations.items.list(made.id).data[0].id
    for attempt in (lambda: other.conversations.retrieve(made.id), lambda: other.conversations.update(made.id, metadata={}),
                    lambda: other.conversations.delete(made.id), lambda: other.conversations.items.list(made.id),
                    lambda: other.conversations.items.create(made.id, items=[HELLO]),
                    lambda: other.conversations.items.retrieve(item, conversation_id=made.id),
                    lambda: other.conversations.items.delete(item, conversation_id=made.id),
                    lambda: other.responses.create(model="cloud", input="Hello.", conversation=made.id)):
        with pytest.raises(openai.NotFoundError):
            attempt()
    assert texts(mine.conversations.items.list(made.id)) == ["Hello there."]


@pytest.mark.parametrize("said, param", [
    ({"items": [HELLO] * 21}, "items"), ({"items": "x"}, "items"), ({"items": ["x"]}, "items[0]"),
    ({"items": [{"type": "hologram"}]}, "items[0].type"), ({"items": [{"role": "user"}]}, "items[0].content"),
    ({"metadata": {"a": 1}}, "metadata.a")])
def test_what_is_wrong_with_a_conversation_is_named(started, said, param):
    client, _ = started
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/conversations", body=said, cast_to=object)
    assert caught.value.param == param


@pytest.mark.parametrize("said, status, param", [
    ({"conversation": "conv_x"}, 404, "conversation"), ({"conversation": 7}, 400, "conversation"),
    ({"conversation": {"id": ""}}, 400, "conversation"),
    ({"conversation": "MADE", "previous_response_id": "resp_x"}, 400, "conversation"),
    ({"conversation": "MADE", "input": [{"type": "item_reference", "id": "msg_1"}]}, 400, "input")])
def test_what_a_response_may_not_say_of_one(started, said, status, param):
    client, provider = started
    made = client.conversations.create()
    said = {name: made.id if value == "MADE" else value for name, value in said.items()}
    with pytest.raises(openai.APIStatusError) as caught:
        client.post("/responses", body={"model": "cloud", "input": "Hello.", **said}, cast_to=object)
    assert (caught.value.status_code, caught.value.param) == (status, param)
    assert not provider.asked


def test_a_conversation_has_an_end(house):
    gateway, provider = house(body_max="16KiB")
    with openai.OpenAI(base_url=gateway.api, api_key=KEY, max_retries=0) as client:
        made = client.conversations.create(items=[{**HELLO, "content": "x" * 9_000}])
        client.conversations.items.create(made.id, items=[{**HELLO, "content": "x" * 9_000}])
        for attempt in (lambda: client.conversations.items.create(made.id, items=[HELLO]),
                        lambda: client.responses.create(model="cloud", input="Hello.", conversation=made.id)):
            with pytest.raises(openai.BadRequestError) as caught:
                attempt()
            assert caught.value.code == "context_length_exceeded"
        assert not provider.asked and len(client.conversations.items.list(made.id).data) == 2


def test_a_request_and_what_it_goes_on_from_are_no_larger_than_a_body(house):
    gateway, provider = house(body_max="16KiB")
    with openai.OpenAI(base_url=gateway.api, api_key=KEY, max_retries=0) as client:
        def ask(size, **past):
            return client.responses.create(model="cloud", input="x" * size, **past)
        conversation = client.conversations.create(items=[{**HELLO, "content": "x" * 9_000}]).id
        turn = ask(9_000).id
        for param, past in (("conversation", conversation), ("previous_response_id", turn)):
            assert ask(100, **{param: past}).status == "completed"
            with pytest.raises(openai.BadRequestError, match="16384 bytes") as caught:
                ask(9_000, **{param: past})
            assert (caught.value.code, caught.value.param) == ("context_length_exceeded", param)
    assert len(provider.asked) == 3


def test_a_page_costs_what_is_on_it(house, client_of):
    """However long the conversation is: what it takes, other tenants wait for."""
    gateway, _ = house()
    client = client_of(gateway)
    made = client.conversations.create()
    for _ in range(20):
        client.conversations.items.create(made.id, items=[{**HELLO, "content": "x" * 20_000}] * 20)
    turn = client.responses.create(model="cloud", input="q", conversation=made.id)
    began = seconds_worked(gateway)
    for _ in range(20):
        page = client.responses.input_items.list(turn.id, limit=1)
        assert page.has_more and page.data[0].content[0].text == "q"
    assert seconds_worked(gateway) - began < 0.5


def seconds_worked(gateway):
    """By all its threads."""
    with open(f"/proc/{gateway.child.pid}/stat") as stat:
        user, system = stat.read().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
