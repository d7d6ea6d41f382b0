"""Fields that not all targets know: each reaches one that does, or is refused by its name; none is dropped in silence."""
import json

import pytest

import configs
from processes import as_client, send
from upstream import chat

HELLO = [{"role": "user", "content": "Hi"}]
PREFIX = [*HELLO, {"role": "assistant", "content": "Once upon", "prefix": True}]
MESSAGE = {"id": "m", "type": "message", "role": "assistant", "model": "x", "content": [{"type": "text", "text": "a"}],
           "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}

# Behind the dialects: what an operator says of a target of the plain one.
SETTINGS = {name: {"dialect": name} for name in
            ("openai", "azure", "deepseek", "gemini", "mistral", "ollama", "sglang", "vllm", "anthropic")}
SETTINGS["openai"]["price_per_search"] = "0.01usd"  # Else it would seem to look things up for free.
SETTINGS["tools"] = {"dialect": "vllm", "takes": ["tools"]}
SETTINGS["told"] = {"takes": ["guided", "sampling", "search", "prefix", "thinking", "server", "moderation"]}
SETTINGS["all"] = {"forward_fields": ["*"]}
EVERYBODY = {*SETTINGS, "local"}

SERVERS = {"sglang", "vllm", "told", "all"}
# field: a value, and who takes it.
FIELDS = {
    "guided_json": ({"type": "object"}, SERVERS | {"local"}),
    "guided_regex": ("[ab]", SERVERS | {"local"}),
    "guided_choice": (["a", "b"], SERVERS | {"local"}),
    "guided_grammar": ('root ::= "a"', SERVERS | {"local"}),
    "structured_outputs": ({"choice": ["a"]}, SERVERS | {"local"}),
    "regex": ("[ab]", SERVERS | {"local"}),
    "ebnf": ('root ::= "a"', SERVERS | {"local"}),
    "top_k": (5, SERVERS | {"local", "anthropic"}),
    "min_p": (0.1, SERVERS | {"local"}),
    "repetition_penalty": (1.2, SERVERS | {"local"}),
    "min_tokens": (2, SERVERS | {"local"}),
    "ignore_eos": (True, SERVERS | {"local"}),
    "stop_token_ids": ([7], SERVERS | {"local"}),
    "length_penalty": (0.8, SERVERS),
    "skip_special_tokens": (False, SERVERS | {"local"}),
    "include_stop_str_in_output": (True, SERVERS | {"local"}),
    "separate_reasoning": (False, SERVERS),
    "allowed_token_ids": ([5], SERVERS),
    "bad_words": (["dam"], SERVERS),
    "documents": ([{"text": "A dam."}], SERVERS),
    "echo": (True, SERVERS),
    "include_reasoning": (False, SERVERS),
    "mm_processor_kwargs": ({"num_crops": 4}, SERVERS),
    "no_stop_trim": (True, SERVERS),
    "prompt_logprobs": (1, SERVERS | {"local"}),
    "return_hidden_states": (True, SERVERS),
    "return_token_ids": (True, SERVERS),
    "return_tokens_as_token_ids": (True, SERVERS),
    "spaces_between_special_tokens": (False, SERVERS),
    "thinking_token_budget": (9, SERVERS),
    "truncate_prompt_tokens": (9, SERVERS),
    "chat_template": ("{{ messages }}", {"told", "all"}),
    "custom_logit_processor": ("x", {"told", "all"}),
    "logits_processors": (["x"], {"told", "all"}),
    "lora_path": ("x", {"told", "all"}),
    "use_beam_search": (True, SERVERS),
    "best_of": (2, SERVERS),
    "chat_template_kwargs": ({"enable_thinking": False}, SERVERS),
    "continue_final_message": (True, SERVERS),
    "add_generation_prompt": (False, SERVERS),
    "web_search_options": ({}, {"openai", "told", "all"}),
    "moderation": ({"model": "omni-moderation-latest"}, {"openai", "azure", "told", "all"}),
    "thinking": ({"type": "enabled", "budget_tokens": 1024}, EVERYBODY - {"local", "tools"}),
    "messages": (PREFIX, {"anthropic", "deepseek", "mistral", "told"}),
}
# Says nothing that its absence would not: everybody answers.
IDLE = {"top_k": -1, "min_p": 0, "repetition_penalty": 1.0, "min_tokens": 0, "ignore_eos": False,
        "stop_token_ids": [], "length_penalty": 1.0, "use_beam_search": False, "best_of": 1, "chat_template_kwargs": {},
        "continue_final_message": False, "skip_special_tokens": True, "include_stop_str_in_output": False,
        "separate_reasoning": True, "echo": False, "include_reasoning": True, "bad_words": [], "documents": [],
        "return_token_ids": False, "spaces_between_special_tokens": True, "add_generation_prompt": True, "thinking": {"type": "disabled"}, "guided_json": None,
        "modalities": ["text"], "messages": [*PREFIX, *HELLO]}


@pytest.fixture
def house(start_gateway, start_upstream):
    """The gateway, and what each of its targets was asked."""
    upstreams = {name: start_upstream(lambda asked: MESSAGE if asked.path.endswith("/messages") else chat())
                 for name in SETTINGS}
    targets = {name: configs.provider(upstreams[name].base_url, name, **settings) for name, settings in SETTINGS.items()}
    return start_gateway(configs.gateway({"local": configs.synthetic_engine(serves=["local"]), **targets})), upstreams


def ask(gateway, model, **fields):
    body = {"model": model, "messages": HELLO, "max_tokens": 8, **fields}
    status, headers, text = send(gateway.root + "/v1/chat/completions", "POST", body, as_client())
    return status, headers, json.loads(text)


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_reaches_who_takes_it_or_is_refused(house, field):
    gateway, upstreams = house
    value, able = FIELDS[field]
    for model in sorted(EVERYBODY):
        status, _, answer = ask(gateway, model, **{field: value})
        if model not in able:
            assert (status, answer["error"]["param"]) == (400, field), (model, answer)
            assert model == "local" or not upstreams[model].asked
        elif model != "local":
            assert status == 200 and field in upstreams[model].asked[-1].json, (model, answer)
            assert model == "anthropic" or upstreams[model].asked[-1].json[field] == value
        else:
            assert status == 200, answer
    status, headers, answer = ask(gateway, "auto", **{field: value})
    assert status == 200 and headers["x-spillway-target"] in able, answer


def test_a_field_that_asks_for_nothing_is_no_matter(house):
    gateway, _ = house
    for field, value in IDLE.items():
        for model in sorted(EVERYBODY):
            status, _, answer = ask(gateway, model, **{field: value})
            assert status == 200, (field, model, answer)


@pytest.mark.parametrize("dialect", ["deepseek", "gemini"])
def test_tools_one_at_a_time_is_no_hint(start_gateway, start_upstream, dialect):
    lacks, knows = start_upstream(lambda asked: chat()), start_upstream(lambda asked: chat())
    dearer = {"price_per_million": {"input": "9usd", "output": "9usd"}}
    gateway = start_gateway(configs.gateway({
        "lacks": configs.provider(lacks.base_url, "lacks", dialect=dialect),
        "named": configs.provider(lacks.base_url, "named", dialect=dialect, forward_fields=["parallel_tool_calls"], **dearer),
        "knows": configs.provider(knows.base_url, "knows", **dearer)}))
    tools = [{"type": "function", "function": {"name": "f"}}]
    status, _, answer = ask(gateway, "lacks", tools=tools, parallel_tool_calls=False)
    assert (status, answer["error"]["param"]) == (400, "parallel_tool_calls") and not lacks.asked
    assert ask(gateway, "named", tools=tools, parallel_tool_calls=False)[0] == 200
    assert lacks.asked[0].json["parallel_tool_calls"] is False
    assert ask(gateway, "knows", tools=tools, parallel_tool_calls=False)[0] == 200
    assert knows.asked[0].json["parallel_tool_calls"] is False
    assert ask(gateway, "lacks", tools=tools, parallel_tool_calls=True)[0] == 200
    assert ask(gateway, "lacks", parallel_tool_calls=False)[0] == 200, "there is nothing to call"
    assert "parallel_tool_calls" not in lacks.asked[-1].json


def test_a_cache_is_kept_for_as_long_as_openai_knows(house):
    gateway, upstreams = house
    for value, expected in (("in_memory", 200), ("24h", 200), (None, 200), ("7d", 400), (24, 400)):
        status, _, answer = ask(gateway, "openai", prompt_cache_retention=value)
        assert status == expected, (value, answer)
        assert status == 200 or answer["error"]["param"] == "prompt_cache_retention"
    assert [one.json.get("prompt_cache_retention") for one in upstreams["openai"].asked] == ["in_memory", "24h", None]


def test_what_nobody_takes_is_named_among_what_somebody_does(house):
    gateway, _ = house
    tools = [{"type": "function", "function": {"name": "f"}}]
    status, _, answer = ask(gateway, "tools", tools=tools, min_p=0.1)
    assert status == 400 and answer["error"]["param"] == "min_p" and "sampling" in answer["error"]["message"]
    assert ask(gateway, "tools", tools=tools)[0] == 200


@pytest.mark.parametrize("field", ["guided_json", "top_k", "min_p"])
def test_completions_are_no_other(start_gateway, start_upstream, field):
    value, _ = FIELDS[field]
    upstream = start_upstream(lambda asked: {"id": "c", "object": "text_completion", "created": 1, "model": "m",
                                             "choices": [{"index": 0, "text": "a", "finish_reason": "stop"}]})
    targets = {name: configs.provider(upstream.base_url, name, dialect=name, endpoints=["completions"])
               for name in ("openai", "vllm")}
    gateway = start_gateway(configs.gateway(targets))
    for model, expected in (("openai", 400), ("vllm", 200)):
        body = {"model": model, "prompt": "Once", "max_tokens": 8, field: value}
        status, _, text = send(gateway.root + "/v1/completions", "POST", body, as_client())
        assert status == expected and (status == 200 or json.loads(text)["error"]["param"] == field), text
    assert [one.json[field] for one in upstream.asked] == [value]
