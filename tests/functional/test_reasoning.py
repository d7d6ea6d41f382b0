"""What a model thought before it called a tool comes back to it with the tool's result, whichever protocol its client
speaks: DeepSeek's refuses a turn without, others lose their thread."""
import anthropic
import pytest

import configs
from processes import KEY, Gateway
from upstream import USAGE, Upstream, chat, chunk

THOUGHT = "It asks for a place; I look."
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}}
PARAMETERS = {"type": "object", "properties": {"a": {"type": "integer"}}}
ASK = [{"role": "user", "content": "Where?"}]


def answer(asked):
    """A thought and a call first, then a thought and a text."""
    seen = any(message["role"] == "tool" for message in asked.json["messages"])
    if asked.json.get("stream"):
        rest = [chunk({"content": "There."}), chunk({}, finish="stop")] if seen else [
            chunk({"tool_calls": [{"index": 0, **CALL}]}), chunk({}, finish="tool_calls")]
        return [chunk({"role": "assistant", "reasoning_content": piece}) for piece in (THOUGHT[:9], THOUGHT[9:])] + [
            *rest, USAGE]
    whole = chat("There.") if seen else chat(None, finish_reason="tool_calls")
    message = whole["choices"][0]["message"]
    message["reasoning_content"] = THOUGHT
    if not seen:
        message["tool_calls"] = [CALL]
    return whole


@pytest.fixture(scope="module", params=["openai", "deepseek"])
def upstream(request):
    made = Upstream(answer)
    made.dialect = request.param
    yield made
    made.end()


@pytest.fixture(scope="module")
def house(upstream, tmp_path_factory):
    config = configs.gateway({"up": configs.provider(upstream.base_url, "up", dialect=upstream.dialect)})
    gateway = Gateway(configs.write(tmp_path_factory.mktemp("house") / "spillway.yaml", config))
    yield gateway
    gateway.end()


def check_last(upstream):
    """The provider was told its own thought and call again, and the tool's result."""
    called, result = upstream.asked[-1].json["messages"][1:3]
    assert called["reasoning_content"] == THOUGHT and called["role"] == "assistant"
    assert [call["function"] for call in called["tool_calls"]] == [CALL["function"]]
    assert result == {"role": "tool", "tool_call_id": called["tool_calls"][0]["id"], "content": "seen"}


@pytest.mark.parametrize("summary", [None, "auto"])
@pytest.mark.parametrize("stream", [False, True])
def test_through_a_chain_of_responses(house, upstream, client_of, stream, summary):
    responses = client_of(house).responses
    ask = dict(model="up", tools=[{"type": "function", "name": "look", "parameters": PARAMETERS, "strict": False}],
               reasoning={"effort": "low", "summary": summary})

    def turn(**more):
        answer = responses.create(**ask, **more, stream=stream)
        return list(answer)[-1].response if stream else answer

    first = turn(input="Where?")
    thought, call = first.output
    assert (thought.type, call.type) == ("reasoning", "function_call")
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "seen"}
    second = turn(input=[result], previous_response_id=first.id)
    assert second.output_text == "There."
    check_last(upstream)
    turn(input=[{"role": "user", "content": "Where?"}, *(item.to_dict() for item in first.output), result])
    check_last(upstream)
    third = turn(input="And then?", previous_response_id=second.id)
    check_last(upstream)  # Two turns ago, still.
    assert third.output_text == "There."
    assert [message["role"] for message in upstream.asked[-1].json["messages"]] == [
        "user", "assistant", "tool", "assistant", "user"]


TOOLS = [{"type": "function", "name": "look", "parameters": PARAMETERS, "strict": False}]


@pytest.mark.parametrize("summary", [None, "auto"])
@pytest.mark.parametrize("stream", [False, True])
def test_where_nothing_is_kept_a_thought_goes_with_its_client(house, upstream, client_of, stream, summary):
    """Who asks for `encrypted_content` sends back nothing else of a thought."""
    ask = dict(model="up", tools=TOOLS, reasoning={"summary": summary}, store=False, include=["reasoning.encrypted_content"])

    def turn(**more):
        answer = client_of(house).responses.create(**ask, **more, stream=stream)
        if not stream:
            return answer.output
        events = list(answer)
        done = [event.item for event in events if event.type == "response.output_item.done"]
        assert events[-1].response.output == done
        return done

    thought, call = turn(input="Where?")
    assert THOUGHT in thought.encrypted_content
    alone = {"type": "reasoning", "id": thought.id, "summary": [], "encrypted_content": thought.encrypted_content}
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "seen"}
    assert turn(input=[{"role": "user", "content": "Where?"}, alone, call.to_dict(), result])[-1].content[0].text == "There."
    check_last(upstream)
    foreign = {**alone, "encrypted_content": "gAAAAA", "summary": [{"type": "summary_text", "text": THOUGHT}]}
    turn(input=[{"role": "user", "content": "Where?"}, foreign, call.to_dict(), result])
    check_last(upstream)


def test_a_kept_thought_may_be_named_by_its_id_alone(house, upstream, client_of):
    responses = client_of(house).responses
    first = responses.create(model="up", input="Where?", tools=TOOLS)
    assert not hasattr(first.output[0], "encrypted_content") or first.output[0].encrypted_content is None
    thought, call = first.output
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "seen"}

    def turn(thought_id):
        named = {"type": "reasoning", "id": thought_id, "summary": []}
        return responses.create(model="up", tools=TOOLS, input=[{"role": "user", "content": "Where?"}, named, call.to_dict(), result])
    second = turn(thought.id)
    check_last(upstream)
    assert [item.type for item in responses.input_items.list(second.id, order="asc")][1] == "reasoning"
    responses.create(model="up", input="On.", tools=TOOLS, previous_response_id=second.id)
    check_last(upstream)
    turn("rs_nobody_0")
    assert "reasoning_content" not in upstream.asked[-1].json["messages"][1]


def test_thoughts_beyond_what_may_be_built_on_are_left_out(start_gateway, upstream, client_of):
    """Who sends all of its history anew, thoughts by their ids, is answered however long that has become: of the turns
    that these are in, each with a long input, the latest are looked at."""
    config = configs.gateway({"up": configs.provider(upstream.base_url, "up", dialect=upstream.dialect)})
    config["server"]["body_max"] = "64KiB"
    responses = client_of(start_gateway(config)).responses
    turns = [responses.create(model="up", input="Where? " + "x" * 20_000, tools=TOOLS).output for _ in range(6)]
    history = [{"role": "user", "content": "Where?"}]
    for thought, call in turns:
        history += [{"type": "reasoning", "id": thought.id, "summary": []}, call.to_dict(),
                    {"type": "function_call_output", "call_id": call.call_id, "output": "seen"}]
    responses.create(model="up", tools=TOOLS, input=history)
    said = [message for message in upstream.asked[-1].json["messages"] if message["role"] == "assistant"]
    assert ["reasoning_content" in message for message in said] == [False] * 3 + [True] * 3


@pytest.mark.parametrize("stream", [False, True])
def test_through_messages(house, upstream, stream):
    ask = dict(model="up", max_tokens=2000, tools=[{"name": "look", "input_schema": PARAMETERS}],
               thinking={"type": "enabled", "budget_tokens": 1024})

    with anthropic.Anthropic(base_url=house.root, api_key=KEY, max_retries=0) as client:
        def turn(messages):
            if not stream:
                return client.messages.create(**ask, messages=messages)
            with client.messages.stream(**ask, messages=messages) as streaming:
                return streaming.get_final_message()

        first = turn(ASK)
        assert [block.type for block in first.content] == ["thinking", "tool_use"]
        assert first.content[0].thinking == THOUGHT and first.stop_reason == "tool_use"
        result = {"type": "tool_result", "tool_use_id": first.content[1].id, "content": "seen"}
        second = turn([*ASK, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}])
    assert [block.type for block in second.content] == ["thinking", "text"] and second.content[1].text == "There."
    check_last(upstream)


def test_through_chat(house, upstream, client_of):
    create = client_of(house).chat.completions.create
    tools = [{"type": "function", "function": {"name": "look", "parameters": PARAMETERS}}]
    called = create(model="up", messages=ASK, tools=tools).choices[0].message
    assert called.reasoning_content == THOUGHT
    create(model="up", tools=tools, messages=[
        *ASK, called.to_dict(), {"role": "tool", "tool_call_id": called.tool_calls[0].id, "content": "seen"}])
    check_last(upstream)


PARTS = [{"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]}, {"type": "text", "text": "There."}]


@pytest.mark.parametrize("stream", [True, False])
def test_parts_of_thinking_and_text(start_upstream, start_gateway, client_of, stream):
    streamed = [chunk({"role": "assistant", "content": PARTS[:1]}), chunk({"content": PARTS[1:]}), chunk({}, finish="stop"), USAGE]
    mistral = start_upstream(lambda asked: streamed if stream else chat(PARTS))
    gateway = start_gateway(configs.gateway({"up": configs.provider(mistral.base_url, "up", dialect="mistral")}))
    answer = client_of(gateway).chat.completions.create(model="up", messages=ASK, stream=stream)
    said = [part.choices[0].delta for part in answer if part.choices] if stream else [answer.choices[0].message]
    assert "".join(getattr(one, "reasoning_content", None) or "" for one in said) == THOUGHT
    assert "".join(one.content or "" for one in said) == "There."


def test_what_another_thought_is_not_sent_to_anthropic(upstream, start_upstream, start_gateway):
    claude = start_upstream(lambda asked: {
        "id": "m", "type": "message", "role": "assistant", "model": "x", "stop_reason": "end_turn", "stop_sequence": None,
        "content": [{"type": "text", "text": "Yes."}], "usage": {"input_tokens": 9, "output_tokens": 2}})
    gateway = start_gateway(configs.gateway({
        "up": configs.provider(upstream.base_url, "up", dialect=upstream.dialect),
        "claude": configs.provider(claude.base_url, "claude", dialect="anthropic")}))
    with anthropic.Anthropic(base_url=gateway.root, api_key=KEY, max_retries=0) as client:
        first = client.messages.create(model="up", max_tokens=50, messages=ASK)
        assert [block.type for block in first.content] == ["thinking", "tool_use"] and not first.content[0].signature
        said = [block.to_dict() for block in first.content]
        own = {"type": "thinking", "thinking": "mine", "signature": "S"}
        result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": said[1]["id"], "content": "seen"}]}
        client.messages.create(model="claude", max_tokens=50, messages=[
            *ASK, {"role": "assistant", "content": [*said, own]}, result, {"role": "assistant", "content": said[:1]}, *ASK])
    assert claude.asked[0].json["messages"] == [*ASK, {"role": "assistant", "content": [said[1], own]}, result, *ASK]


SIGNED = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"},
          "extra_content": {"google": {"thought_signature": "SIG"}}}


def signing(asked):
    """Gemini 3, which refuses a call that comes back without its signature."""
    if any("tool_calls" in message for message in asked.json["messages"]):
        call = next(m for m in asked.json["messages"] if "tool_calls" in m)["tool_calls"][0]
        return chat("done") if call.get("extra_content") == SIGNED["extra_content"] else (400, {"error": {"message": "unsigned"}})
    if asked.json.get("stream"):
        return [chunk({"role": "assistant", "tool_calls": [SIGNED]}), chunk({}, finish="tool_calls"), USAGE]
    answer = chat(None, finish_reason="tool_calls")
    answer["choices"][0]["message"]["tool_calls"] = [SIGNED]
    return answer


@pytest.fixture
def gemini(start_upstream, start_gateway):
    upstream = start_upstream(signing)
    gateway = start_gateway(configs.gateway({"up": configs.provider(upstream.base_url, "up", dialect="gemini")}))
    return upstream, gateway


FUNCTION = {"name": "f", "parameters": {"type": "object", "properties": {}}}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kept", [False, True])
def test_a_calls_signature_comes_back_in_the_next_turn(gemini, client_of, stream, kept):
    upstream, gateway = gemini
    responses = client_of(gateway).responses
    asked = {"model": "up", "tools": [{"type": "function", **FUNCTION}]}
    first = responses.create(input="go", stream=stream, **asked)
    if stream:
        first = list(first)[-1].response
    result = {"type": "function_call_output", "call_id": "call_1", "output": "ok"}
    before = {"previous_response_id": first.id, "input": [result]} if kept else \
        {"input": [*ASK, *(item.to_dict() for item in first.output), result]}
    assert responses.create(**before, **asked).output_text == "done", upstream.asked[-1].json


@pytest.mark.parametrize("stream", [False, True])
def test_a_calls_signature_is_remembered_for_who_cannot_say_it(gemini, stream):
    _, gateway = gemini
    asked = {"model": "up", "max_tokens": 50, "tools": [{"name": "f", "input_schema": FUNCTION["parameters"]}]}
    with anthropic.Anthropic(base_url=gateway.root, api_key=KEY, max_retries=0) as client:
        if stream:
            with client.messages.stream(messages=ASK, **asked) as events:
                first = events.get_final_message()
        else:
            first = client.messages.create(messages=ASK, **asked)
        call = first.content[0]
        result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "ok"}]}
        turns = [*ASK, {"role": "assistant", "content": [call.to_dict()]}, result]
        assert client.messages.create(messages=turns, **asked).content[0].text == "done"
