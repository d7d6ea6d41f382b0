"""What a target is not told: the client hears of it, or such a target is not asked."""
import json

import pytest

import configs
from processes import as_client, send, wait_until
from upstream import USAGE, chat, chunk

HELLO = [{"role": "user", "content": "Hi"}]
MESSAGE = {"id": "m", "type": "message", "role": "assistant", "model": "x", "content": [{"type": "text", "text": "a"}],
           "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}


@pytest.fixture
def house(start_gateway, start_upstream):
    """A gateway before targets of these settings, and what each was asked."""
    def start(settings, **server):
        upstreams = {name: start_upstream(lambda asked: MESSAGE if asked.path.endswith("/messages") else chat())
                     for name in settings}
        targets = {name: configs.provider(upstreams[name].base_url, name, **one) for name, one in settings.items()}
        config = configs.gateway({"local": configs.synthetic_engine(serves=["local"]), **targets})
        config["server"].update(server)
        return start_gateway(config), upstreams
    return start


def ask(gateway, model, path="/v1/chat/completions", **fields):
    body = {"model": model, "messages": HELLO, "max_tokens": 8, **fields}
    status, headers, text = send(gateway.root + path, "POST", body, as_client())
    return status, headers.get("x-spillway-left-out"), json.loads(text)


def test_what_was_left_out_is_told_and_counted(house):
    gateway, upstreams = house({"openai": {}, "named": {"forward_fields": ["novelty"]}, "all": {"forward_fields": ["*"]},
                                "gemini": {"dialect": "gemini"}, "anthropic": {"dialect": "anthropic"}})
    news = {"novelty": 0, "enable_magic": False}
    both = "novelty, enable_magic"
    for model, expected in {"local": both, "openai": both, "named": "enable_magic", "all": None, "anthropic": both}.items():
        status, told, _ = ask(gateway, model, **news)
        assert (status, sorted((told or "").split(", "))) == (200, sorted((expected or "").split(", "))), model
        for field in news if model != "local" else ():
            assert (field in upstreams[model].asked[-1].json) == (field not in (expected or "")), (model, field)
    assert ask(gateway, "gemini", user="me", prompt_cache_key="k")[1] == "user, prompt_cache_key"
    assert ask(gateway, "openai", user="me", prompt_cache_key="k", store=False, top_k=-1, service_tier="auto")[1] is None
    wait_until(lambda: gateway.metric("spillway_left_out_fields_total", be="openai") == 2, what="the count")
    assert gateway.metric("spillway_left_out_fields_total", be="all") == 0


def test_the_operator_may_refuse_what_nobody_knows(house):
    gateway, upstreams = house({"openai": {}, "named": {"forward_fields": ["novelty"]}}, unknown_fields="refuse")
    for model in ("local", "openai"):
        status, told, answer = ask(gateway, model, novelty=1)
        error = answer["error"]
        assert (status, error["param"], error["code"], told) == (400, "novelty", "unsupported_parameter", None), model
    assert not upstreams["openai"].asked
    assert ask(gateway, "named", novelty=1)[0] == 200
    assert ask(gateway, "auto", novelty=1)[0] == 200 and len(upstreams["named"].asked) == 2
    assert ask(gateway, "openai", user="me")[0] == 200


def test_names_of_fields_are_no_headers(house):
    gateway, _ = house({"openai": {}})
    status, told, _ = ask(gateway, "openai", **{"a\r\nset-cookie: b": 1, "é": 1})
    assert status == 200 and sorted(told.split(", ")) == ["??", "a??set-cookie??b"]
    many = {f"field_{i}": 1 for i in range(200)}
    assert ask(gateway, "openai", **many)[1].endswith(", ...") and ask(gateway, "openai", **{"a" * 513: 1})[1] == "..."


def test_an_anthropic_target_is_told_names_and_details_of_nothing(house):
    gateway, upstreams = house({"anthropic": {"dialect": "anthropic", "forward_fields": ["container"]}})
    picture = {"type": "image_url", "image_url": {"url": "https://a.example/b.png", "detail": "low"}}
    told = ask(gateway, "anthropic", container="c", messages=[{"role": "user", "name": "ann", "content": [picture]}])[1]
    assert told == "messages.name, messages.image_url.detail" and upstreams["anthropic"].asked[0].json["container"] == "c"
    picture["image_url"]["detail"] = "auto"
    assert ask(gateway, "anthropic", messages=[{"role": "user", "content": [picture]}])[1] is None


def test_what_only_anthropic_knows_is_told_elsewhere(house):
    gateway, upstreams = house({"openai": {}, "anthropic": {"dialect": "anthropic"}})
    kept = {"cache_control": {"type": "ephemeral"}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "r", **kept}]}
    fields = {"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}, "thinking": {"type": "adaptive"},
              "system": [{"type": "text", "text": "Be brief.", **kept}],
              "tools": [{"name": "f", "input_schema": {"type": "object"}, **kept, "eager_input_streaming": True}],
              "messages": [*HELLO, {"role": "assistant", "content": [
                  {"type": "redacted_thinking", "data": "x"}, {"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
                           {"role": "user", "content": [result]}]}
    expected = ["context_management", "system.cache_control", "thinking.type", "tools.cache_control",
                "tools.eager_input_streaming", "messages.redacted_thinking", "messages.cache_control"]
    told = ask(gateway, "openai", "/v1/messages", **fields)[1]
    assert sorted(told.split(", ")) == sorted(expected)
    assert ask(gateway, "openai", "/v1/messages", cache_control={"type": "ephemeral"})[1] == "cache_control"
    for plain in ({}, {"cache_control": None, "thinking": {"type": "disabled"}}):
        assert ask(gateway, "openai", "/v1/messages", **plain)[1] is None
        assert ask(gateway, "local", "/v1/messages", **plain)[1] is None
    assert ask(gateway, "local", "/v1/messages", cache_control={"type": "ephemeral"})[1] == "cache_control"
    assert ask(gateway, "anthropic", "/v1/messages", **fields)[1] is None
    assert upstreams["anthropic"].asked[0].json["context_management"] == fields["context_management"]
    body = {"model": "openai", "messages": HELLO, "max_tokens": 8}
    headers = send(gateway.root + "/v1/messages", "POST", body, {**as_client(), "anthropic-beta": "files-api-2025-04-14"})[1]
    assert headers["x-spillway-left-out"] == "anthropic-beta"


def test_earlier_thoughts_do_not_vanish_untold(house):
    gateway, upstreams = house({"openai": {}, "gemini": {"dialect": "gemini"}, "anthropic": {"dialect": "anthropic"},
                                "named": {"dialect": "gemini", "forward_fields": ["reasoning_content"]}})
    thought = {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "a thought"}]}
    answered = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]}
    chat = {"messages": [*HELLO, {"role": "assistant", "content": "a", "reasoning_content": "a thought"}, *HELLO], "max_tokens": 8}
    turn = {"input": [*HELLO, thought, answered, *HELLO], "max_output_tokens": 16, "store": False}
    message = {"max_tokens": 8, "messages": [*HELLO, {"role": "assistant", "content": [
        {"type": "thinking", "thinking": "a thought", "signature": ""}, {"type": "text", "text": "a"}]}, *HELLO]}
    untold = {"chat/completions": {"anthropic"}, "responses": {"anthropic", "gemini"}, "messages": {"gemini"}}
    for path, fields in (("chat/completions", chat), ("responses", turn), ("messages", message)):
        for model in ("local", "openai", "gemini", "anthropic", "named"):
            status, headers, text = send(f"{gateway.root}/v1/{path}", "POST", {"model": model, **fields}, as_client())
            assert status == 200, text
            told = headers.get("x-spillway-left-out")
            unsigned = (path, model) == ("messages", "anthropic")
            expected = "messages.thinking" if unsigned else "messages.reasoning_content" if model in untold[path] else None
            assert told == expected, (path, model)
            if model != "local":
                assert (b"a thought" in upstreams[model].asked[-1].body) == (told is None), (path, model)


EMBEDDINGS = {"object": "list", "model": "m", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
              "usage": {"prompt_tokens": 1, "total_tokens": 1}}


@pytest.mark.parametrize("field", ["images", "inputs", "messages", "texts"])
def test_what_is_to_be_embedded_beside_the_input_is_no_hint(start_gateway, start_upstream, field):
    upstreams = {name: start_upstream(lambda asked: EMBEDDINGS) for name in ("plain", "named")}
    settings = {"plain": {}, "named": {"forward_fields": [field]}}
    targets = {name: configs.provider(upstreams[name].base_url, name, endpoints=["embeddings"], **one) for name, one in settings.items()}
    broke = {"test": {"budget": {"month": "500usd", "hard": True}}}
    for tenants, expected in (({}, {"plain": 400, "named": 200, "auto": 200}), (broke, {"plain": 400, "named": 400, "auto": 400})):
        gateway = start_gateway(configs.gateway(targets, tenants=tenants))
        for model, status in expected.items():
            got, headers, text = send(gateway.root + "/v1/embeddings", "POST", {"model": model, "input": "a", field: ["b"]}, as_client())
            assert got == status, (model, text)
            assert got == 200 or field in json.loads(text)["error"]["message"]
    assert not upstreams["plain"].asked and [asked.json[field] for asked in upstreams["named"].asked] == [["b"]] * 2


def test_what_no_target_is_told_is_told(house):
    gateway, _ = house({"openai": {}})
    options = {"include_usage": True, "continuous_usage_stats": True, "other": False}
    for model in ("local", "openai"):
        body = {"model": model, "messages": HELLO, "max_tokens": 2, "stream": True, "stream_options": options}
        headers = send(gateway.root + "/v1/chat/completions", "POST", body, as_client())[1]
        assert headers["x-spillway-left-out"] == "stream_options.continuous_usage_stats"
        commented = {"type": "message", "role": "assistant", "phase": "commentary", "content": [{"type": "output_text", "text": "a"}]}
        sealed = {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "AAAA"}
        body = {"model": model, "input": [*HELLO, sealed, commented, commented, *HELLO], "max_output_tokens": 16}
        headers = send(gateway.root + "/v1/responses", "POST", body, as_client())[1]
        assert headers["x-spillway-left-out"] == "input.encrypted_content, input.phase"


# openai-python opens a WebSocket in a way that websockets will not have for ever.
@pytest.mark.filterwarnings("ignore:connect\\(\\) must be used:DeprecationWarning")
def test_who_sees_no_headers_is_told_in_the_answer(start_upstream, start_gateway, client_of, tmp_path):
    said = [chunk({"content": "Hello"}), chunk({}, finish="stop"), USAGE]
    upstream = start_upstream(lambda asked: said if asked.json.get("stream") else chat())
    config = configs.gateway({"up": configs.provider(upstream.base_url, "up", dialect="deepseek")})
    config["server"]["state"] = str(tmp_path / "state")
    client = client_of(start_gateway(config))
    hints = {"prompt_cache_key": "k", "novelty": 1}
    both = ["novelty", "prompt_cache_key"]

    def told(answer):
        return sorted((answer.to_dict().get("x_spillway_left_out") or "").split(", "))

    def ask(**more):
        return client.responses.create(model="up", input="Hi", extra_body=hints, **more)

    assert told(ask()) == both
    assert told(client.responses.create(model="up", input="Hi")) == [""]
    events = list(ask(stream=True))
    assert [told(event.response) for event in events if hasattr(event, "response")] == [both] * 3
    made = ask(background=True)
    done = wait_until(lambda: (now := client.responses.retrieve(made.id)).status == "completed" and now, what="its end")
    assert told(done) == both
    with client.responses.connect() as connection:
        connection.send({"type": "response.create", "model": "up", "input": "Hi", **hints})
        assert told(next(iter(connection)).response) == both
    lines = [{"custom_id": name, "method": "POST", "url": "/v1/chat/completions",
              "body": {"model": "up", "messages": HELLO, **more}} for name, more in {"a": hints, "b": {}}.items()]
    file = client.files.create(file=("a", "\n".join(json.dumps(line) for line in lines).encode()), purpose="batch")
    batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    done = wait_until(lambda: (now := client.batches.retrieve(batch.id)).status == "completed" and now, what="its end")
    results = [json.loads(line) for line in client.files.content(done.output_file_id).text.splitlines()]
    left_out = {one["custom_id"]: one["response"].get("x_spillway_left_out") for one in results}
    assert left_out["b"] is None and sorted(left_out["a"].split(", ")) == both


def test_an_instruction_stays_where_it_was_told(house):
    gateway, upstreams = house({"anthropic": {"dialect": "anthropic"}})
    be_brief = {"role": "developer", "content": "Be brief."}
    answered = [*HELLO, {"role": "assistant", "content": "Yes?"}]
    assert ask(gateway, "anthropic", messages=[be_brief, *answered, *HELLO, be_brief])[0] == 200
    asked = upstreams["anthropic"].asked[0].json
    assert asked["system"] == [{"type": "text", "text": "Be brief."}]
    assert [turn["role"] for turn in asked["messages"]] == ["user", "assistant", "user", "system"]
    for messages in ([*answered, be_brief, *HELLO], [*HELLO, be_brief, *HELLO]):
        status, _, answer = ask(gateway, "anthropic", messages=messages)
        assert status == 400 and "system" in answer["error"]["message"], answer
    assert len(upstreams["anthropic"].asked) == 1


@pytest.mark.parametrize("settings, kept", [
    ({}, False), ({"dialect": "gemini"}, True), ({"forward_fields": ["extra_content"]}, True), ({"dialect": "vllm"}, False)])
def test_signatures_go_to_who_wrote_them(house, settings, kept):
    gateway, upstreams = house({"up": settings})
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"extra_content": 1}'},
            "extra_content": {"google": {"thought_signature": "SIG"}}}
    history = [*HELLO, {"role": "assistant", "content": None, "tool_calls": [call]},
               {"role": "tool", "tool_call_id": "c", "content": "seen"}]
    assert ask(gateway, "up", messages=history)[0] == 200
    sent = upstreams["up"].asked[0].json["messages"][1]["tool_calls"]
    assert sent == [call if kept else {name: value for name, value in call.items() if name != "extra_content"}]
