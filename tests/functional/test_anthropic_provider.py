"""A provider that speaks Anthropic's messages, asked by clients of either protocol."""
import json
import urllib.request

import anthropic
import openai
import pytest

import configs
from processes import KEY, as_client, send, wait_until
from test_money import book
from upstream import chat

ASK = [{"role": "user", "content": "one two three four five"}]
LOOK = {"name": "look", "description": "looks", "input_schema": {"type": "object", "properties": {"text": {}}}}


@pytest.fixture
def provider(start_provider, monkeypatch):
    monkeypatch.setenv("UPSTREAM_KEY", "sk-upstream")
    return start_provider("instant", "--key-env", "UPSTREAM_KEY")


@pytest.fixture
def other(start_provider):
    """Reads what it is asked, as every provider does that a script could make fail."""
    made = start_provider("instant")
    made.script(faults=[{"kind": "error", "share": 0.0}])
    return made


@pytest.fixture
def house(provider, start_gateway, other):
    """claude speaks messages; cloudbrain, a dearer one, chat completions."""
    settings = {"dialect": "anthropic", "key": "env:UPSTREAM_KEY", "serves": {"claude": "claude-upstream", "any": "x"}}
    targets = {"claude": configs.provider(provider.base_url, "claude", **settings),
               "cloudbrain": configs.provider(other.base_url, "cloudbrain", serves=["cloudbrain", "any"])}
    targets["claude"]["price_per_million"] = {"input": "1usd", "output": "1usd"}
    return start_gateway(configs.gateway(targets))


@pytest.fixture
def messages(house):
    with anthropic.Anthropic(base_url=house.root, api_key=KEY, max_retries=0) as client:
        yield client.messages


def post(url, body, key):
    request = urllib.request.Request(url, json.dumps(body).encode(),
                                     {"content-type": "application/json", "x-api-key": key})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read()


def test_chat_whole_and_streamed(house, client_of):
    chat = client_of(house).chat.completions
    whole = chat.create(model="claude", max_tokens=6, messages=[{"role": "system", "content": "be kind"}, *ASK])
    assert whole.choices[0].finish_reason == "length" and whole.choices[0].message.content == "one two three four five one"
    assert whole.usage.completion_tokens == 6 and whole.usage.prompt_tokens > 9
    stream = chat.create(model="claude", max_tokens=6, messages=ASK, stream=True,
                         stream_options={"include_usage": True})
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "one two three four five one"
    assert chunks[-1].usage.completion_tokens == 6


@pytest.mark.parametrize("stream", [False, True])
def test_chat_calls_tools_and_sends_results(house, client_of, stream):
    chat = client_of(house).chat.completions
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    asked = {"model": "claude", "max_tokens": 5, "messages": ASK, "tools": tools, "tool_choice": "required"}
    if stream:
        with chat.stream(**asked) as events:
            list(events)
            choice = events.get_final_completion().choices[0]
    else:
        choice = chat.create(**asked).choices[0]
    call = choice.message.tool_calls[0]
    assert choice.finish_reason == "tool_calls" and call.function.name == "look" and call.id == "toolu_1"
    assert json.loads(call.function.arguments) == {"text": "one two three four five"}
    turns = [*ASK, choice.message.model_dump(exclude_none=True),
             {"role": "tool", "tool_call_id": call.id, "content": "seen"}]
    assert chat.create(**{**asked, "messages": turns}).choices[0].message.content


def test_messages_come_back_byte_for_byte(provider, house):
    body = {"model": "claude", "max_tokens": 5, "messages": ASK, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    body["max_tokens"] = 2000
    body["stream"] = True
    direct = post(provider.base_url + "/messages", {**body, "model": "claude-upstream"}, "sk-upstream")
    through = post(house.api + "/messages", body, KEY)

    def without_id(text):
        return [line for line in text.split(b"\n") if b"message_start" not in line]
    assert without_id(through) == without_id(direct) and b"signature_delta" in through
    assert b'"model":"claude-upstream"' in through


def test_messages_whole_tools_and_cache_usage(house, messages):
    answer = messages.create(model="claude", max_tokens=5, messages=ASK * 4, tools=[LOOK], tool_choice={"type": "any"})
    assert answer.stop_reason == "tool_use" and answer.content[0].input == {"text": "one two three four five"}
    assert answer.usage.cache_read_input_tokens > 0
    with messages.stream(model="claude", max_tokens=5, messages=ASK, tools=[LOOK], tool_choice={"type": "any"}) as stream:
        assert stream.get_final_message().content[0].input == {"text": "one two three four five"}


def test_thinking_is_reasoning_for_chat(house, client_of):
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    whole = client_of(house).chat.completions.create(model="claude", max_tokens=6, messages=ASK, extra_body=thinking)
    assert whole.choices[0].message.reasoning_content == "one two"
    assert whole.choices[0].message.content == " three four five one"


def test_what_only_messages_can_say_goes_there(house, messages):
    document = [{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"}}]
    asked = {"max_tokens": 5, "messages": [{"role": "user", "content": [*document, *[{"type": "text", "text": "hi"}]]}]}
    assert messages.create(model="any", **asked).model == "x"
    with pytest.raises(anthropic.BadRequestError, match="document"):
        messages.create(model="cloudbrain", **asked)


def test_what_messages_cannot_say_goes_elsewhere(house, client_of):
    chat = client_of(house).chat.completions
    assert chat.with_raw_response.create(model="any", messages=ASK, max_tokens=4).headers["x-spillway-target"] == "claude"
    raw = chat.with_raw_response.create(model="any", messages=ASK, max_tokens=4, presence_penalty=1)
    assert raw.headers["x-spillway-target"] == "cloudbrain"
    with pytest.raises(openai.BadRequestError, match="presence_penalty"):
        chat.create(model="claude", messages=ASK, max_tokens=4, presence_penalty=1)


@pytest.mark.parametrize("fault", [{"kind": "error", "status": 529}, {"kind": "rate_limited"},
                                   {"kind": "error", "status": 500}, {"kind": "malformed"}, {"kind": "garbage"}])
def test_another_target_answers_for_one_that_fails(provider, house, client_of, fault):
    provider.script(faults=[{"share": 1.0, **fault}])
    raw = client_of(house).chat.completions.with_raw_response.create(model="any", messages=ASK, max_tokens=4)
    assert raw.headers["x-spillway-target"] == "cloudbrain" and raw.parse().choices[0].message.content


@pytest.mark.parametrize("kind", ["cut", "error_event"])
def test_a_broken_stream_is_no_whole_message(provider, house, messages, kind):
    provider.script(faults=[{"kind": kind, "share": 1.0, "after_tokens": 2}])
    with pytest.raises((anthropic.APIStatusError, anthropic.APIConnectionError)):
        with messages.stream(model="claude", max_tokens=6, messages=ASK) as stream:
            stream.get_final_message()


def written(tokens, **message):
    """A message of so many tokens."""
    return {"id": "m", "type": "message", "role": "assistant", "model": "x", "stop_reason": "max_tokens", "stop_sequence": None,
            "content": [{"type": "text", "text": "a"}], "usage": {"input_tokens": 9, "output_tokens": tokens}, **message}


@pytest.fixture
def own(start_upstream, start_gateway, tmp_path):
    """A gateway before an upstream that writes as many tokens as it may, and where its books are."""
    def start(budget, **settings):
        upstream = start_upstream(lambda asked: written(asked.json["max_tokens"]))
        target = configs.provider(upstream.base_url, "claude", dialect="anthropic", **settings)
        config = configs.gateway({"claude": target}, tenants={"test": {"budget": {"month": budget, "hard": True}}})
        config["server"]["state"] = str(tmp_path / "state")
        return start_gateway(config), upstream
    return start


CACHED = [{"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]}]


TOOL_PROMPT, OWN_TOOL = 804, 2_000  # Tokens that are held for what Claude is told of tools, and of one of Anthropic's.


@pytest.mark.parametrize("more, beside", [({}, 0), ({"container": "c"}, 0), ({"unheard_of": 1}, 0),
                                          ({"tools": [{"type": "memory_20250818", "name": "memory"}]}, TOOL_PROMPT + OWN_TOOL),
                                          ({"messages": [{"role": "user", "content": [
                                              {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"}}]}]}, 0)],
                         ids=str)
def test_a_hard_budget_holds_whatever_is_asked_for(own, tmp_path, more, beside):
    gateway, upstream = own(f"{0.002 + beside * 2e-6:.6f}usd")
    said = {"model": "claude", "messages": CACHED, "max_tokens": 100_000, **more}
    # The last of a key given twice counts, however it is written.
    body = json.dumps(said)[:-1] + ', "max_tokens": 99999, "m\\u0061x_tokens": 100000}'
    status, _, text = send(gateway.root + "/v1/messages", "POST", body.encode(), as_client())
    assert status == 200, text
    asked = upstream.asked[0]
    assert asked.json["max_tokens"] < 1000 and asked.body.count(b"_tokens") == 1
    assert {**asked.json, "max_tokens": 0} == {**said, "max_tokens": 0}, "all else as it was said"
    (amount,), = wait_until(lambda: book(tmp_path, "SELECT amount FROM entries"), what="the entry")
    assert 500_000 < amount <= 2_000_000


SEARCHING = {"model": "claude", "messages": ASK, "max_tokens": 8}
FUNCTION = {"name": "f", "input_schema": {"type": "object"}}


@pytest.mark.parametrize("tools, beside", [([], 0), ([FUNCTION], TOOL_PROMPT), ([{"type": "bash_20250124", "name": "bash"}], TOOL_PROMPT + OWN_TOOL),
                                           ([{"type": "browser_toolset_20260801"}], TOOL_PROMPT + 8_000)], ids=["none", "function", "bash", "browser"])
def test_what_claude_is_told_of_tools_is_held(own, tools, beside):
    """It is in no request, and billed: https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview#pricing"""
    body = {**SEARCHING, "max_tokens": 1, **({"tools": tools} if tools else {})}
    tokens = len(json.dumps(body)) + 1 + beside
    gateway, upstream = own(f"{(tokens + 60) * 2e-6:.6f}usd")
    assert send(gateway.root + "/v1/messages", "POST", {**body, "messages": [{"role": "user", "content": "x" * 400}]}, as_client())[0] == 402
    assert not upstream.asked
    assert send(gateway.root + "/v1/messages", "POST", body, as_client())[0] == 200


@pytest.mark.parametrize("hard", [True, False])
@pytest.mark.parametrize("model, served", [("anthropic/claude-x", False), ("other", True)])
def test_whoever_sells_claude_counts_what_it_is_told_of_tools(start_upstream, start_gateway, client_of, model, served, hard):
    upstream = start_upstream(lambda asked: chat())
    target = configs.provider(upstream.base_url, "m", serves={"m": model})
    gateway = start_gateway(configs.gateway({"up": target}, tenants={"test": {"budget": {"day": "0.001usd", "hard": hard}}}))
    ask = dict(model="m", messages=ASK, max_tokens=1, tools=[{"type": "function", "function": {"name": "f"}}])
    if served:
        client_of(gateway).chat.completions.create(**ask)
    else:
        with pytest.raises(openai.RateLimitError, match="budget"):
            client_of(gateway).chat.completions.create(**ask)
    assert len(upstream.asked) == served


def search(**more):
    return {**SEARCHING, "tools": [{"type": "web_search_20250305", "name": "web_search", **more}]}


def test_a_hard_budget_reckons_with_searches(own):
    """Each is paid for, and what it finds is read: 50,000 tokens are held for that."""
    gateway, upstream = own("0.5usd", price_per_search="0.01usd")
    url = gateway.root + "/v1/messages"
    status, _, text = send(url, "POST", search(), as_client())
    assert status == 400 and b"max_uses" in text
    status, _, text = send(url, "POST", search(max_uses=5), as_client())
    assert status == 429 and b"insufficient_quota" in text or b"budget" in text
    assert send(url, "POST", search(max_uses=100_000), as_client())[0] == 402, "more tokens than an int has"
    assert not upstream.asked
    assert send(url, "POST", search(max_uses=4), as_client())[0] == 200


def asking_for(source):
    return {**SEARCHING, "messages": [{"role": "user", "content": [{"type": "document", "source": source}]}]}


FETCH = {"type": "web_fetch_20250910", "name": "web_fetch"}
UNSENT = [(asking_for({"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}), b"no plain text"),
          (asking_for({"type": "url", "url": "https://a.example/long.pdf"}), b"documents by their address or id"),
          (asking_for({"type": "file", "file_id": "file_1"}), b"documents by their address or id"),
          ({**SEARCHING, "tools": [{**FETCH, "max_content_tokens": 9}]}, b"max_content_tokens"),
          ({**SEARCHING, "tools": [{**FETCH, "max_uses": 2}]}, b"max_uses"),
          ({**SEARCHING, "tools": [{"type": "advisor_20260301", "name": "advisor", "model": "claude-x"}]}, b"an advisor"),
          ({**SEARCHING, "tools": [{"type": "code_execution_20250825", "name": "code_execution"}]}, b"what code prints"),
          ({**SEARCHING, "thread": {"type": "continue", "previous_message_id": "msg_1"}}, b"earlier turns of a thread"),
          ({**SEARCHING, "mcp_servers": [{"type": "url", "url": "https://a.example", "name": "a"}]}, b"MCP servers"),
          ({**SEARCHING, "fallbacks": [{"model": "claude-x"}]}, b"models of 'fallbacks'"),
          ({**SEARCHING, "context_management": {"edits": [{"type": "compact_20260112"}]}}, b"its compaction")]


@pytest.mark.parametrize("body, why", UNSENT, ids=["pdf", "address", "id", "fetch", "length", "advisor", "code", "thread", "mcp", "fallback", "compaction"])
def test_a_hard_budget_refuses_what_nobody_has_measured(own, body, why):
    gateway, upstream = own("0.5usd")
    status, _, text = send(gateway.root + "/v1/messages", "POST", body, as_client())
    assert status == 400 and why in text and not upstream.asked
    fetches = [{**FETCH, "max_content_tokens": 9, "max_uses": 2}]
    assert send(gateway.root + "/v1/messages", "POST", {**SEARCHING, "tools": fetches}, as_client())[0] == 200


def test_a_hard_budget_holds_what_may_be_fetched(own):
    gateway, upstream = own("0.5usd")
    fetches = [{**FETCH, "max_content_tokens": 1_000_000, "max_uses": 5}]
    status, _, text = send(gateway.root + "/v1/messages", "POST", {**SEARCHING, "tools": fetches}, as_client())
    assert status == 402 and b"budget" in text and not upstream.asked


def test_a_hard_budget_that_does_not_pay_for_thinking_says_so(own):
    gateway, upstream = own("0.002usd")
    body = {"model": "claude", "messages": ASK, "max_tokens": 100_000,
            "thinking": {"type": "enabled", "budget_tokens": 50_000}}
    status, _, text = send(gateway.root + "/v1/messages", "POST", body, as_client())
    assert status == 400 and b"left of the budget" in text and not upstream.asked


@pytest.mark.parametrize("settings, sent", [({}, {}), ({"forward_fields": ["*"]}, {}),
                                            ({"forward_fields": ["speed"]}, {"speed": "fast"})], ids=str)
def test_tiers_are_bought_where_the_operator_says_so(own, settings, sent):
    body = {"model": "claude", "messages": ASK, "max_tokens": 8, "service_tier": "auto", "speed": "fast"}
    gateway, upstream = own("1usd", **settings)
    assert send(gateway.root + "/v1/messages", "POST", body, as_client())[0] == 200
    asked = upstream.asked[0].json
    assert {name: asked[name] for name in ("service_tier", "speed") if name in asked} == sent
    status, _, text = send(gateway.root + "/v1/messages", "POST", {**body, "inference_geo": "us"}, as_client())
    assert status == 400 and b"inference_geo" in text and len(upstream.asked) == 1


def test_a_stream_that_ends_without_its_last_event_gets_it_here(provider, house, messages):
    provider.script(faults=[{"kind": "no_done", "share": 1.0}])
    with messages.stream(model="claude", max_tokens=6, messages=ASK) as stream:
        kinds = [event.type for event in stream]
    assert kinds[-2:] == ["message_delta", "message_stop"] and kinds.count("message_stop") == 1


def test_another_goes_on_in_the_same_block(provider, house, messages):
    provider.script(faults=[{"kind": "cut", "share": 1.0, "after_tokens": 2}])
    with messages.stream(model="any", max_tokens=6, messages=ASK,
                         extra_body={"temperature": 0.0}) as stream:
        final = stream.get_final_message()
    assert [block.text for block in final.content] == ["one two three four five one"]
    assert final.stop_reason == "max_tokens"


def test_what_its_client_says_of_the_body_goes_with_it(own):
    """Claude's own programs name betas, their version, hundreds of tools, and how their context is to be managed."""
    gateway, upstream = own("1usd")
    tools = [{"name": f"t{at}", "input_schema": {"type": "object"}} for at in range(300)]
    body = {**SEARCHING, "tools": tools, "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}
    headers = {"anthropic-version": "2024-01-01", "anthropic-beta": "context-management-2025-06-27, b;c, fine-grained-1"}
    for more, told in ((headers, ("2024-01-01", "context-management-2025-06-27,fine-grained-1")), ({}, ("2023-06-01", None))):
        assert send(gateway.root + "/v1/messages", "POST", body, {**as_client(), **more})[0] == 200
        asked = upstream.asked[-1]
        sent = {name.lower(): value for name, value in asked.headers.items()}
        assert (sent["anthropic-version"], sent.get("anthropic-beta")) == told
        assert asked.json == {**body, "model": "claude"}
    status, _, text = send(gateway.root + "/v1/messages/count_tokens", "POST", body, as_client())
    assert status == 200 and json.loads(text)["input_tokens"] > 0


def test_what_manages_anthropics_context_is_a_hint_elsewhere(house):
    body = {**SEARCHING, "model": "cloudbrain", "context_management": {"edits": []}}
    assert send(house.root + "/v1/messages", "POST", body, as_client())[0] == 200
    tools = [{"name": f"t{at}", "input_schema": {"type": "object"}} for at in range(129)]
    status, _, text = send(house.root + "/v1/messages", "POST", {**body, "tools": tools}, as_client())
    assert status == 400 and b"more than 128 tools" in text
