"""/v1/responses as openai-python sees it: turns, events, tools, chains, what is kept, answers in the background."""
import json
import socket
import urllib.error
import urllib.request

import openai
import pydantic
import pytest
from openai.types.responses import Response, ResponseStreamEvent

import configs
from processes import KEY, Gateway, Provider, wait_until
from test_batches import begin, end_of, results
from test_money import book
from upstream import USAGE, chat, chunk

# The SDK itself lets pass what lacks a field; read strictly, its types are OpenAI's specification.
EVENT = pydantic.TypeAdapter(ResponseStreamEvent)
ASK = "one two three four five"
LOOK = {"type": "function", "name": "look", "description": "looks",
        "parameters": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}}
FORCED = {"tools": [LOOK], "tool_choice": "required"}


def config(provider, **settings):
    targets = {"local": configs.synthetic_engine(),
               "cloudbrain": configs.provider(provider.base_url, "cloudbrain"),
               "claude": configs.provider(provider.base_url, "claude", dialect="anthropic")}
    return configs.gateway(targets, **settings)


def attentive_provider():
    provider = Provider("instant")
    provider.script(faults=[{"kind": "error", "share": 0.0}])  # It reads what it is asked.
    return provider


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """For all tests that leave it as they found it."""
    folder = tmp_path_factory.mktemp("house")
    provider = attentive_provider()
    try:
        settings = config(provider)
        settings["server"]["state"] = str(folder / "state")
        gateway = Gateway(configs.write(folder / "spillway.yaml", settings))
        yield gateway
        gateway.end()
    finally:
        provider.end()


@pytest.fixture
def provider(processes):
    """For those that change what it does."""
    processes.append(attentive_provider())
    return processes[-1]


@pytest.fixture
def responses(house, client_of):
    return client_of(house).responses


def post(gateway, body, path="/responses"):
    request = urllib.request.Request(gateway.api + path, json.dumps(body).encode(),
                                     {"content-type": "application/json", "authorization": f"Bearer {KEY}"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read().decode()


def raw_events(text):
    blocks = text.split("\n\n")
    assert blocks.pop() == ""
    events = []
    for kind, data in (block.split("\n") for block in blocks):
        event = json.loads(data.removeprefix("data: "))
        assert kind == "event: " + event["type"]
        events.append(event)
        EVENT.validate_python(event)
    assert [event["sequence_number"] for event in events] == list(range(events[0]["sequence_number"],
                                                                        events[0]["sequence_number"] + len(events)))
    return events


@pytest.mark.parametrize("model", ["smollm2", "cloudbrain", "claude"])
def test_a_whole_response(responses, model):
    answer = responses.create(model=model, input=ASK, instructions="be kind", max_output_tokens=16)
    Response.model_validate(answer.to_dict())
    assert answer.object == "response" and answer.model == model and answer.id.startswith("resp_")
    assert answer.output_text.strip() and answer.output[0].role == "assistant"
    assert answer.status == "incomplete" and answer.incomplete_details.reason == "max_output_tokens"
    assert answer.usage.output_tokens == 16 and answer.usage.total_tokens == answer.usage.input_tokens + 16
    assert answer.instructions == "be kind" and answer.max_output_tokens == 16 and answer.store is True


def test_every_setting_is_repeated(responses):
    given = {"metadata": {"a": "b"}, "temperature": 0.5, "top_p": 0.9, "truncation": "auto", "user": "u",
             "prompt_cache_key": "k", "safety_identifier": "s", "reasoning": {"effort": "low"}, "store": False,
             "text": {"format": {"type": "text"}, "verbosity": "low"}, "service_tier": "default",
             "parallel_tool_calls": False, "tools": [LOOK], "tool_choice": "auto", "max_tool_calls": 3}
    answer = responses.create(model="cloudbrain", input=ASK, **given).to_dict()
    assert {key: answer[key] for key in given if key not in ("tools", "reasoning")} == {
        key: value for key, value in given.items() if key not in ("tools", "reasoning")}
    assert answer["reasoning"] == {"effort": "low", "summary": None}
    assert {**LOOK, "strict": None} == answer["tools"][0]
    wanted = {"error", "incomplete_details", "completed_at", "previous_response_id", "presence_penalty",
              "frequency_penalty", "top_logprobs", "max_tool_calls", "background", "instructions", "usage"}
    assert wanted <= answer.keys()


def test_logprobs_of_a_text(responses, house):
    asked = {"model": "smollm2", "input": ASK, "max_output_tokens": 16, "top_logprobs": 2}
    answer = responses.create(**asked)
    part = answer.output[0].content[0]
    assert answer.top_logprobs == 2 and len(part.logprobs) == 16 and {len(one.top_logprobs) for one in part.logprobs} == {2}
    assert b"".join(bytes(one.bytes) for one in part.logprobs).decode(errors="replace") == part.text
    plain = responses.create(model="smollm2", input=ASK, max_output_tokens=16, include=["message.output_text.logprobs"])
    assert len(plain.output[0].content[0].logprobs) == 16 and not plain.output[0].content[0].logprobs[0].top_logprobs
    events = raw_events(post(house, {**asked, "stream": True}))
    told = [one for event in events if event["type"] == "response.output_text.delta" for one in event["logprobs"]]
    done = next(event for event in events if event["type"] == "response.output_text.done")
    assert told and told == done["logprobs"] == events[-1]["response"]["output"][0]["content"][0]["logprobs"]


def test_logprobs_of_a_text_behind_thoughts(start_upstream, start_gateway, client_of):
    scored = [{"content": [{"token": text, "logprob": -0.5, "bytes": list(text.encode()), "top_logprobs": []}], "refusal": None}
              for text in ("a", "b")]
    said = [chunk({"reasoning_content": "hm"}), chunk({"content": "a"}, logprobs=scored[0]), chunk({"content": "b"}, logprobs=scored[1]),
            chunk({}, finish="stop"), USAGE]
    upstream = start_upstream(lambda asked: said)
    client = client_of(start_gateway(configs.gateway({"up": configs.provider(upstream.base_url, "up")})))
    *_, end = client.responses.create(model="up", input=ASK, include=["message.output_text.logprobs"], stream=True)
    assert [one.token for one in end.response.output[-1].content[0].logprobs] == ["a", "b"]


@pytest.mark.parametrize("model", ["smollm2", "cloudbrain", "claude"])
def test_events_of_a_text_turn(house, model):
    events = raw_events(post(house, {"model": model, "input": ASK, "max_output_tokens": 16, "stream": True}))
    kinds = [event["type"].removeprefix("response.") for event in events]
    deltas = [event for event in events if event["type"].endswith("text.delta")]
    assert kinds == ["created", "in_progress", "output_item.added", "content_part.added",
                     *["output_text.delta"] * len(deltas), "output_text.done", "content_part.done",
                     "output_item.done", "incomplete"]
    item = events[-2]["item"]
    assert all(e["item_id"] == item["id"] and e["output_index"] == 0 and e["content_index"] == 0 and e["logprobs"] == []
               for e in deltas)
    text = "".join(event["delta"] for event in deltas)
    done = next(event for event in events if event["type"] == "response.output_text.done")
    assert text == done["text"] == item["content"][0]["text"] == events[-1]["response"]["output"][0]["content"][0]["text"]
    assert events[0]["response"]["status"] == "in_progress" and events[0]["response"]["output"] == []
    assert "[DONE]" not in str(events)


@pytest.mark.parametrize("model", ["cloudbrain", "claude"])
def test_events_of_a_reasoning_and_a_call_turn(house, model):
    asked = {"model": model, "input": ASK, "stream": True, "reasoning": {"effort": "high"}, **FORCED}
    asked["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    events = raw_events(post(house, asked))
    kinds = list(dict.fromkeys(event["type"].removeprefix("response.") for event in events))
    assert kinds == ["created", "in_progress", "output_item.added", "content_part.added", "reasoning_text.delta",
                     "reasoning_text.done", "content_part.done", "output_item.done", "function_call_arguments.delta",
                     "function_call_arguments.done", "completed"]
    reasoning, call = events[-1]["response"]["output"]
    assert reasoning["type"] == "reasoning" and reasoning["content"][0]["text"] == "one two"
    assert call["type"] == "function_call" and call["name"] == "look" and json.loads(call["arguments"])["text"]
    done = next(event for event in events if event["type"].endswith("arguments.done"))
    assert done["name"] == "look" and done["item_id"] == call["id"] and done["output_index"] == 1


def test_reasoning_can_be_a_summary(responses):
    with responses.stream(model="cloudbrain", input=ASK, reasoning={"effort": "low", "summary": "auto"}) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_response()
    assert {"response.reasoning_summary_part.added", "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.done", "response.reasoning_summary_part.done"} <= kinds
    assert final.output[0].summary[0].text == "one two"


def test_the_stream_helper_gathers_what_was_told(responses):
    with responses.stream(model="cloudbrain", input=ASK) as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()
    assert final.output_text == text and text


@pytest.mark.parametrize("model", ["cloudbrain", "claude"])
def test_a_tool_is_called_and_its_result_answered(responses, model):
    first = responses.create(model=model, input=ASK, **FORCED)
    call = first.output[0]
    assert call.type == "function_call" and first.status == "completed"
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "seen"}
    second = responses.create(model=model, previous_response_id=first.id, input=[result], **FORCED)
    assert second.output_text and second.previous_response_id == first.id
    by_hand = responses.create(model=model, input=[{"role": "user", "content": ASK}, call.to_dict(), result], **FORCED)
    assert by_hand.output_text and by_hand.usage.input_tokens == second.usage.input_tokens


def test_a_chain_survives_a_change_of_target(responses):
    first = responses.create(model="cloudbrain", input="remember: " + ASK, max_output_tokens=16)
    second = responses.create(model="claude", input="go on", previous_response_id=first.id, max_output_tokens=16)
    third = responses.create(model="smollm2", input="and on", previous_response_id=second.id, max_output_tokens=16)
    alone = responses.create(model="smollm2", input="and on", max_output_tokens=16)
    assert third.previous_response_id == second.id
    assert third.usage.input_tokens > alone.usage.input_tokens + 20
    items = list(responses.input_items.list(third.id, order="asc"))
    assert [item.role for item in items] == ["user", "assistant", "user", "assistant", "user"]
    assert items[0].content[0].text == "remember: " + ASK


def test_items_may_be_named_by_their_ids(responses):
    first = responses.create(model="cloudbrain", input=ASK, max_output_tokens=16)
    named = responses.create(model="cloudbrain", max_output_tokens=16, input=[
        {"type": "item_reference", "id": first.output[0].id}, {"role": "user", "content": "again"}])
    assert named.usage.input_tokens > 16
    with pytest.raises(openai.BadRequestError, match="not found"):
        responses.create(model="cloudbrain", input=[{"type": "item_reference", "id": "msg_x_0"}])
    on = responses.create(model="cloudbrain", input="on", max_output_tokens=16, previous_response_id=named.id)
    listed = list(responses.input_items.list(on.id, order="asc"))
    assert [item.type for item in listed] == ["message"] * 4 and listed[0].id == first.output[0].id


def test_structured_output_is_parsed(start_upstream, start_gateway, client_of):
    class Place(pydantic.BaseModel):
        name: str
    upstream = start_upstream(lambda asked: chat('{"name": "Ulm"}'))
    gateway = start_gateway(configs.gateway({"up": configs.provider(upstream.base_url, "up")}))
    answer = client_of(gateway).responses.parse(model="up", input="Where?", text_format=Place)
    assert answer.output_parsed == Place(name="Ulm")
    asked = upstream.asked[0].json
    assert asked["response_format"]["type"] == "json_schema" and "text" not in asked
    assert asked["response_format"]["json_schema"]["name"] == "Place"
    assert asked["response_format"]["json_schema"]["schema"]["required"] == ["name"]


def test_what_is_stored_is_found_deleted_and_a_tenants_own(provider, start_gateway, client_of, monkeypatch):
    monkeypatch.setenv("OTHER_KEY", "sk-other")
    keys = {"test": {"secret": "env:SPILLWAY_TEST_KEY", "tenant": "a"}, "other": {"secret": "env:OTHER_KEY", "tenant": "b"}}
    gateway = start_gateway(config(provider, keys=keys))
    mine, theirs = client_of(gateway).responses, client_of(gateway, api_key="sk-other").responses
    made = mine.create(model="cloudbrain", input=ASK, max_output_tokens=16)
    assert mine.retrieve(made.id).to_dict() == made.to_dict()
    for ask in (theirs.retrieve, theirs.delete):
        with pytest.raises(openai.NotFoundError):
            ask(made.id)
    with pytest.raises(openai.BadRequestError) as raised:
        theirs.create(model="cloudbrain", input="x", previous_response_id=made.id)
    assert raised.value.param == "previous_response_id" and raised.value.code == "previous_response_not_found"
    mine.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        mine.retrieve(made.id)
    unkept = mine.create(model="cloudbrain", input=ASK, store=False)
    with pytest.raises(openai.NotFoundError):
        mine.retrieve(unkept.id)


def test_a_stored_response_is_told_again_as_a_stream(responses, house):
    made = responses.create(model="cloudbrain", input=ASK, reasoning={"effort": "low"}, max_output_tokens=16)
    events = list(responses.retrieve(made.id, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].response.to_dict() == made.to_dict()
    assert [e.item.to_dict() for e in events if e.type == "response.output_item.done"] == [
        item.to_dict() for item in made.output[:-1]] + [{**made.output[-1].to_dict()}]
    rest = list(responses.retrieve(made.id, stream=True, starting_after=3))
    assert [event.sequence_number for event in rest] == list(range(4, len(events)))


def test_pages_of_input_items(responses):
    items = [{"role": "user", "content": str(i)} for i in range(5)]
    made = responses.create(model="cloudbrain", input=items, max_output_tokens=16)
    page = responses.input_items.list(made.id, limit=2)
    assert page.has_more and [item.content for item in page.data] == ["4", "3"]
    assert [item.content for item in responses.input_items.list(made.id, limit=2)] == ["4", "3", "2", "1", "0"]
    with pytest.raises(openai.BadRequestError, match="'after' names no item"):
        responses.input_items.list(made.id, after="msg_nobody")


def test_input_tokens(responses):
    short = responses.input_tokens.count(model="smollm2", input=ASK).input_tokens
    assert 0 < short < responses.input_tokens.count(model="smollm2", input=ASK, instructions="x " * 50).input_tokens
    assert responses.create(model="smollm2", input=ASK, max_output_tokens=16).usage.input_tokens == short


WRONG = [
    ({"max_output_tokens": 15}, "max_output_tokens"), ({"input": []}, "input"), ({"input": None}, "input"),
    ({"input": [{"type": "web_search_call"}]}, "input[0].type"), ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
    ({"conversation": {"name": "c"}}, "conversation"), ({"prompt": {"id": "pmpt_1"}}, "prompt"),
    ({"include": ["file_search_call.results"]}, "include[0]"),
    ({"background": True, "store": False}, "background"), ({"previous_response_id": "resp_x"}, "previous_response_id"),
    ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name"),
    ({"extra_body": {"logprobs": True}}, "logprobs"), ({"extra_body": {"modalities": ["text", "audio"]}}, "modalities"),
    ({"stream_options": {"include_obfuscation": False}}, "stream_options"), ({"metadata": {"a": "x" * 513}}, "metadata.a"),
    ({"input": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "input[0].content[0]"),
    ({"extra_body": {"n": 2}}, "n"), ({"extra_body": {"functions": []}}, "functions"),
    ({"extra_body": {"messages": []}}, "messages"),
    ({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": ["f"]}}, "tool_choice.tools"),
]


def test_what_is_wrong_is_named(responses):
    for change, param in WRONG:
        with pytest.raises(openai.BadRequestError) as raised:
            responses.create(**{"model": "cloudbrain", "input": ASK, **change})
        assert (raised.value.param, raised.value.type) == (param, "invalid_request_error")


@pytest.mark.parametrize("method, path, key, status, code", [
    ("POST", "/responses", "sk-wrong", 401, "invalid_api_key"), ("POST", "/responses", KEY, 400, None),
    ("GET", "/responses/resp_x", "sk-wrong", 401, "invalid_api_key"), ("GET", "/responses/resp_x", KEY, 404, None),
    ("GET", "/responses/resp_x/input_items", KEY, 404, None), ("POST", "/responses/resp_x/cancel", KEY, 404, None),
    ("PUT", "/responses", KEY, 405, "method_not_allowed"),
])
def test_errors_are_whole_objects(house, method, path, key, status, code):
    asked = urllib.request.Request(house.api + path, b"{" if method == "POST" else None, method=method,
                                   headers={"content-type": "application/json", "authorization": f"Bearer {key}"})
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(asked, timeout=10)
    error = json.loads(raised.value.read())["error"]
    assert raised.value.code == status and set(error) == {"message", "type", "param", "code"} and error["code"] == code
    assert raised.value.headers["x-request-id"].startswith("req_")


def test_an_unknown_model_is_404(responses):
    with pytest.raises(openai.NotFoundError):
        responses.create(model="nobody", input=ASK)


def test_obfuscation_may_be_declined(responses):
    events = list(responses.create(model="cloudbrain", input=ASK, stream=True, stream_options={"include_obfuscation": False}))
    assert events[-1].type == "response.completed"


def test_a_turn_is_booked_once(provider, start_gateway, client_of, tmp_path):
    settings = config(provider)
    settings["server"]["state"] = str(tmp_path / "state")
    responses = client_of(start_gateway(settings)).responses
    whole = responses.create(model="cloudbrain", input=ASK, max_output_tokens=16)
    streamed = list(responses.create(model="cloudbrain", input=ASK, max_output_tokens=17, stream=True))[-1].response
    behind = responses.create(model="cloudbrain", input=ASK, max_output_tokens=18, background=True)
    wait_until(lambda: responses.retrieve(behind.id).status == "incomplete", what="its end")
    wanted = [(turn.usage.input_tokens, turn.usage.output_tokens, turn.usage.total_tokens * 2750)
              for turn in (whole, streamed, responses.retrieve(behind.id))]
    entries = "SELECT prompt, completion, amount FROM entries ORDER BY completion"
    assert wait_until(lambda: len(rows := book(tmp_path, entries)) == 3 and rows, what="the entries") == wanted


def test_responses_in_a_batch(house, client_of):
    client = client_of(house)
    lines = [{"custom_id": f"line-{i}", "method": "POST", "url": "/v1/responses",
              "body": {"model": "cloudbrain", "input": f"number {i}", "max_output_tokens": 16}} for i in range(3)]
    done = end_of(client, begin(client, lines, endpoint="/v1/responses"))
    assert done.status == "completed" and done.request_counts.completed == 3
    answers = {one["custom_id"]: one["response"]["body"] for one in results(client, done.output_file_id)}
    assert {body["object"] for body in answers.values()} == {"response"} and len(answers) == 3
    assert client.responses.retrieve(answers["line-1"]["id"]).output_text


def test_a_broken_stream_ends_in_response_failed(provider, start_gateway):
    house = start_gateway(config(provider))
    provider.script(faults=[{"kind": "cut", "share": 1.0, "after_tokens": 2}])
    events = raw_events(post(house, {"model": "cloudbrain", "input": ASK, "stream": True}))
    assert events[-1]["type"] == "response.failed" and events[-1]["response"]["status"] == "failed"
    assert events[-1]["response"]["error"]["code"] == "server_error"
    assert "response.completed" not in [event["type"] for event in events]


# Before the first token of a whole answer and of a stream, and in its middle.
@pytest.mark.parametrize("stream, read", [(False, b""), (True, b""), (True, b"output_text.delta")])
def test_a_client_that_leaves_stops_the_work(start_provider, start_gateway, stream, read):
    slow = start_provider("openmodel", *([] if read else ["--slow", "30"]))
    gateway = start_gateway(configs.gateway({"openmodel": configs.provider(slow.base_url, "openmodel")}))
    body = json.dumps({"model": "openmodel", "max_output_tokens": 5000, "input": ASK, "stream": stream})
    host, port = gateway.root.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)))
    client.sendall((f"POST /v1/responses HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {KEY}\r\n"
                    f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}").encode())
    wait_until(lambda: slow.stats()["open_streams"] == 1, what="the request's arrival")
    got = b""
    while read not in got:
        got += client.recv(65536)
    client.close()
    wait_until(lambda: slow.stats()["disconnects"] == 1, what="the provider's client leaving")
    wait_until(lambda: [r["status"] for r in gateway.decisions()] == [499], what="the account of it")


def test_a_compacted_conversation_goes_on(start_upstream, start_gateway, client_of, tmp_path):
    upstream = start_upstream(lambda asked: chat("They want a red bicycle."))
    settings = configs.gateway({"up": configs.provider(upstream.base_url, "up")})
    settings["server"]["state"] = str(tmp_path / "state")
    client = client_of(start_gateway(settings)).responses
    first = client.create(model="up", input="I want a bicycle.")
    compacted = client.compact(model="up", previous_response_id=first.id, input=[{"role": "user", "content": "A red one."}])
    told = upstream.asked[-1].json["messages"]
    assert [message["content"] for message in told[:3]] == ["I want a bicycle.", "They want a red bicycle.", "A red one."]
    assert told[3]["role"] == "user" and told[3]["content"].startswith("Summarise") and len(told) == 4
    *mine, summary = compacted.output
    assert compacted.object == "response.compaction" and compacted.usage.total_tokens == 11
    assert [item.content[0].text if not isinstance(item.content, str) else item.content for item in mine] == \
        ["I want a bicycle.", "A red one."]
    assert summary.type == "compaction" and "red bicycle" in summary.encrypted_content
    kept = [item.model_dump(exclude_none=True) for item in compacted.output]
    client.create(model="up", input=kept + [{"role": "user", "content": "How much?"}])
    told = [message["content"] for message in upstream.asked[-1].json["messages"]]
    assert told[:2] == ["I want a bicycle.", "A red one."] and "They want a red bicycle." in told[2] and told[3] == "How much?"
    booked = wait_until(lambda: len(found := book(tmp_path, "SELECT endpoint FROM entries")) == 3 and found, what="three entries")
    assert ("/v1/responses/compact",) in booked
    whole = client.compact(model="up", previous_response_id=first.id)
    assert [item.type for item in whole.output] == ["message", "compaction"]


@pytest.mark.parametrize("path, body, param", [
    ("/responses", {"input": [{"type": "compaction", "encrypted_content": "gAAAAB"}]}, "input[0].encrypted_content"),
    ("/responses/compact", {"input": "Hi", "stream": True}, "stream"),
    ("/responses/compact", {"input": 7}, "input"), ("/responses/compact", {"previous_response_id": "resp_no"}, "previous_response_id"),
    ("/responses/compact", {"input": "Hi", "background": True}, "background")])
def test_what_cannot_be_compacted_is_refused_by_name(house, path, body, param):
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(house, {"model": "cloudbrain", **body}, path)
    assert refused.value.code == 400 and json.loads(refused.value.read())["error"]["param"] == param


def call_piece(index, arguments, **named):
    function = {"arguments": arguments, **({"name": named.pop("name")} if named else {})}
    return chunk({"tool_calls": [{"index": index, "function": function, **named}]})


def test_calls_told_at_the_same_time_stay_apart(start_upstream, start_gateway):
    first, second = {"id": "c1", "name": "f", "type": "function"}, {"id": "c2", "name": "g", "type": "function"}
    pieces = [call_piece(0, "", **first), call_piece(1, "", **second), call_piece(0, '{"a":'), call_piece(1, "{}"),
              call_piece(0, "1}"), chunk({}, finish="tool_calls"), USAGE]
    upstream = start_upstream(lambda asked: pieces)
    house = start_gateway(configs.gateway({"up": configs.provider(upstream.base_url, "up")}))
    tools = [{**LOOK, "name": name} for name in "fg"]
    events = raw_events(post(house, {"model": "up", "input": ASK, "stream": True, "tools": tools}))
    calls = [(item["call_id"], item["name"], item["arguments"], item["status"]) for item in events[-1]["response"]["output"]]
    assert calls == [("c1", "f", '{"a":1}', "completed"), ("c2", "g", "{}", "completed")]
    gathered = {}
    for event in events:
        if event["type"] == "response.function_call_arguments.delta":
            gathered[event["output_index"]] = gathered.get(event["output_index"], "") + event["delta"]
    assert gathered == {0: '{"a":1}', 1: "{}"}
    done = [event["output_index"] for event in events if event["type"] == "response.output_item.done"]
    assert done == [0, 1]


@pytest.mark.parametrize("stream", [False, True])
def test_citations_are_kept(start_upstream, start_gateway, stream):
    cited = {"url": "https://example.com/", "title": "Dams", "start_index": 0, "end_index": 3}
    notes = [{"type": "url_citation", "url_citation": cited}]
    whole = chat("Dam")
    whole["choices"][0]["message"]["annotations"] = notes
    pieces = [chunk({"content": "Dam"}), chunk({"annotations": notes}), chunk({}, finish="stop"), USAGE]
    upstream = start_upstream(lambda asked: pieces if asked.json.get("stream") else whole)
    house = start_gateway(configs.gateway({"up": configs.provider(upstream.base_url, "up")}))
    answer = post(house, {"model": "up", "input": ASK, "stream": stream})
    if stream:
        events = raw_events(answer)
        assert [event["annotation"] for event in events if event["type"] == "response.output_text.annotation.added"] == \
            [{"type": "url_citation", **cited}]
    body = events[-1]["response"] if stream else json.loads(answer)
    assert body["output"][0]["content"][0]["annotations"] == [{"type": "url_citation", **cited}]


def test_a_word_within_a_call_leaves_it_whole(start_upstream, start_gateway):
    pieces = [call_piece(0, '{"a":', id="c1", name="f", type="function"), chunk({"content": "Hm"}), call_piece(0, "1}"),
              chunk({}, finish="tool_calls"), USAGE]
    house = start_gateway(configs.gateway({"up": configs.provider(start_upstream(lambda asked: pieces).base_url, "up")}))
    events = raw_events(post(house, {"model": "up", "input": ASK, "stream": True, "tools": [{**LOOK, "name": "f"}]}))
    call, message = events[-1]["response"]["output"]
    assert (call["name"], call["arguments"], message["content"][0]["text"]) == ("f", '{"a":1}', "Hm")


NAMES_LATE = {
    "behind the first piece": [{"id": "c1", "type": "function"}, {"function": {"name": "look"}}],
    "with the arguments": [{"id": "c1", "type": "function", "function": {"arguments": ""}}, {"function": {"name": "look", "arguments": ""}}],
    "in pieces": [{"id": "c1", "type": "function", "function": {"name": "lo"}}, {"function": {"name": "ok"}}],
    "again and again": [{"id": "c1", "type": "function", "function": {"name": "look"}}, {"function": {"name": "look"}}]}


@pytest.mark.parametrize("without_arguments", [False, True])
@pytest.mark.parametrize("how", NAMES_LATE)
def test_a_call_opens_with_its_whole_name(start_upstream, start_gateway, how, without_arguments):
    said = [] if without_arguments else [{"function": {"arguments": '{"a":'}}, {"function": {"name": "look", "arguments": "1}"}}]
    pieces = [chunk({"tool_calls": [{"index": 0, **piece}]}) for piece in [*NAMES_LATE[how], *said]]
    pieces += [call_piece(1, "{}", id="c2", name="look", type="function"), chunk({}, finish="tool_calls"), USAGE]
    house = start_gateway(configs.gateway({"up": configs.provider(start_upstream(lambda asked: pieces).base_url, "up")}))
    events = raw_events(post(house, {"model": "up", "input": ASK, "stream": True, "tools": [{**LOOK, "name": "look"}]}))
    opened = [event["item"] for event in events if event["type"] == "response.output_item.added"]
    assert [(item["call_id"], item["name"]) for item in opened] == [("c1", "look"), ("c2", "look")]
    calls = [(item["call_id"], item["name"], item["arguments"]) for item in events[-1]["response"]["output"]]
    assert calls == [("c1", "look", "" if without_arguments else '{"a":1}'), ("c2", "look", "{}")]


def test_calls_without_an_index_are_told_apart_by_late_names(start_upstream, start_gateway):
    said = [{"type": "function"}, {"function": {"name": "f", "arguments": "{}"}}, {"function": {"name": "g", "arguments": "{}"}}]
    pieces = [*(chunk({"tool_calls": [piece]}) for piece in said), chunk({}, finish="tool_calls"), USAGE]
    house = start_gateway(configs.gateway({"up": configs.provider(start_upstream(lambda asked: pieces).base_url, "up")}))
    events = raw_events(post(house, {"model": "up", "input": ASK, "stream": True, "tools": [{**LOOK, "name": name} for name in "fg"]}))
    assert [(item["name"], item["arguments"]) for item in events[-1]["response"]["output"]] == [("f", "{}"), ("g", "{}")]
