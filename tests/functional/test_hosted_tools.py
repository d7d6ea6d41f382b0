"""Tools that run at the provider, and models that it asks besides: paid for, bounded, and no way past what a key may ask for."""
import re

import openai
import pytest

import configs
from processes import as_client, send, wait_until
from test_money import HELLO, book
from upstream import chat

HOSTED = [{"type": "web_search"}, {"type": "builtin_function", "function": {"name": "$web_search"}}, {"type": "browser_search"}]


@pytest.mark.parametrize("tool", HOSTED, ids=["openrouter", "moonshot", "groq"])
def test_a_search_tool_costs_a_search_and_is_refused_without_an_end(start_upstream, start_gateway, client_of, tmp_path, tool):
    upstream = start_upstream(lambda asked: chat())
    config = configs.gateway({"cloud": configs.provider(upstream.base_url, "cloud", price_per_search="0.01usd")},
                             keys={"test": {"secret": "env:SPILLWAY_TEST_KEY"},
                                   "hard": {"secret": "env:SPILLWAY_HARD_KEY", "budget": {"day": "0.01usd", "hard": True}}})
    config["server"]["state"] = str(tmp_path / "state")
    gateway = start_gateway(config, SPILLWAY_HARD_KEY="sk-hard")
    ask = {"model": "cloud", "messages": HELLO, "max_tokens": 8, "tools": [tool]}
    client_of(gateway).chat.completions.create(**ask)
    assert wait_until(lambda: book(tmp_path, "SELECT amount, estimated FROM entries"), what="the entry") == [(10_022_000, 1)]
    with pytest.raises(openai.BadRequestError, match=re.escape(tool["type"])):
        client_of(gateway, api_key="sk-hard").chat.completions.create(**ask)
    assert len(upstream.asked) == 1


ADVISED = {"tools": [{"type": "advisor_20260301", "name": "advisor", "model": "dear"}]}
OTHERS = [("/v1/messages", ADVISED), ("/v1/messages", {"fallbacks": [{"model": "dear"}]}), ("/v1/messages", {"fallbacks": "dear"}), ("/v1/chat/completions", {"models": ["dear"]}),
          ("/v1/chat/completions", {"tools": [{"type": "openrouter:advisor", "parameters": {"model": "dear"}}]}),
          ("/v1/chat/completions", {"tools": [{"type": "openrouter:fusion", "parameters": {"analysis_models": ["cheap", "dear"]}}]}),
          ("/v1/chat/completions", {"plugins": [{"id": "fusion", "model": "dear"}]}), ("/v1/completions", {"fallbacks": ["dear"]}),
          ("/v1/embeddings", {"models": ["dear"], "input": "a"}), ("/v1/messages", {"models": ["dear"]}),
          ("/v1/chat/completions", {"fallbacks": [{"cheap": ["dear"]}]}),
          ("/v1/chat/completions", {"fallbacks": [{"model": "dear", "messages": [{"role": "user", "content": "Hi"}]}]}),
          ("/v1/chat/completions", {"context_window_fallbacks": [{"cheap": ["cheap", "dear"]}]}),
          ("/v1/chat/completions", {"content_policy_fallbacks": [{"*": ["dear"]}]}),
          ("/v1/chat/completions", {"context_window_fallback_dict": {"cheap": "dear"}}),
          ("/v1/chat/completions", {"compound_custom": {"models": {"answering_model": "cheap", "reasoning_model": "dear"}}}),
          ("/v1/messages", {"fallbacks": [{"cheap": ["dear"]}]}), ("/v1/messages", {"context_window_fallbacks": [{"cheap": ["dear"]}]}),
          ("/v1/messages", {"plugins": [{"id": "fusion", "model": "dear"}]})]


@pytest.mark.parametrize("path, more", OTHERS, ids=["advisor", "fallbacks", "one fallback", "models", "chat's advisor", "fusion", "plugin", "completions", "embeddings",
                                                    "messages' models", "LiteLLM's", "with a prompt", "longer", "stricter", "dictionary", "compound",
                                                    "LiteLLM's of messages", "its longer ones", "messages' plugin"])
def test_a_key_reaches_no_other_model_by_asking_for_it_beside(start_upstream, start_gateway, path, more):
    upstream = start_upstream(lambda asked: chat())
    target = configs.provider(upstream.base_url, "cheap", dialect="anthropic" if path == "/v1/messages" else "openai",
                              endpoints=["chat", "completions", "embeddings"])
    gateway = start_gateway(configs.gateway({"up": target}, keys={"test": {"secret": "env:SPILLWAY_TEST_KEY", "models": ["cheap"]}}))
    body = {"model": "cheap", "max_tokens": 8, **({"prompt": "a"} if path == "/v1/completions" else {"messages": HELLO}), **more}
    status, _, text = send(gateway.root + path, "POST", body, as_client())
    assert status == 403 and b"'dear'" in text and not upstream.asked


def part(kind, **said):
    return {"messages": [{"role": "user", "content": [{"type": kind, kind: said}]}]}


def asked_hard(start_upstream, start_gateway, more, **settings):
    """The status and text of what is told of a chat with these fields, and how often its provider was asked."""
    upstream = start_upstream(lambda asked: chat())
    target = configs.provider(upstream.base_url, "up", **settings)
    gateway = start_gateway(configs.gateway({"up": target}, tenants={"test": {"budget": {"day": "1usd", "hard": True}}}))
    status, _, text = send(gateway.root + "/v1/chat/completions", "POST", {"model": "up", "messages": HELLO, "max_tokens": 8, **more}, as_client())
    return status, text, len(upstream.asked)


UNMEASURED = [part("input_audio", data="https://a.example/long.mp3", format="mp3"), part("video", frames=["a"] * 9),
              {"extra_body": {"google": {"cached_content": "cachedContents/1"}}},
              {"enable_search": True}, {"search_options": {"forced_search": True}}, {"web_search": {"enable": True}},
              {"search_parameters": {"mode": "auto"}}, {"plugins": [{"id": "response-healing"}, {"id": "web"}]},
              {"compound_custom": {"tools": {"enabled_tools": ["web_search"]}}},
              {"models": ["up", "dear"]}, {"fallbacks": [{"up": ["dear"]}]},
              {"preset": "mine"}, {"provider": {"sort": "throughput"}}]


@pytest.mark.parametrize("more", UNMEASURED, ids=["sound at an address", "a part unheard of", "a cache by its name", "qwen", "qwen's options", "baidu",
                                                     "xai", "a plugin", "groq", "models", "fallbacks", "a preset", "other hosts"])
def test_a_hard_budget_refuses_what_nobody_can_measure(start_upstream, start_gateway, more):
    status, text, asked = asked_hard(start_upstream, start_gateway, more, dialect="gemini")
    assert status == 400 and b"hard end" in text and not asked


IDLE = [{"plugins": [{"id": "response-healing"}, {"id": "context-compression"}]}, {"plugins": [{"id": "web", "enabled": False}]}, {"plugins": []},
        {"search_parameters": {"mode": "off"}}, {"enable_search": False, "search_options": {"forced_search": True}}, {"web_search": {"enable": False}},
        {"web_search_options": None}, {"web_search_options": False}, {"compound_custom": {"tools": {"enabled_tools": []}}},
        {"models": ["up"]}, {"fallbacks": [{"up": ["up"]}]}, {"provider": {}}]


@pytest.mark.parametrize("more", IDLE, ids=["free", "switched off", "none", "xai", "qwen", "baidu", "null", "false", "groq", "itself", "itself again", "no host"])
def test_what_is_off_or_free_is_no_matter_to_a_hard_budget(start_upstream, start_gateway, more):
    status, text, asked = asked_hard(start_upstream, start_gateway, more, forward_fields=["*"])
    assert status == 200 and asked == 1, text


def test_searches_that_a_field_asks_for_are_booked_as_told(start_upstream, start_gateway, client_of, tmp_path):
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11, "plugins": {"search": {"count": 3, "strategy": "agent"}}}
    upstream = start_upstream(lambda asked: {**chat(), "usage": usage})
    config = configs.gateway({"qwen": configs.provider(upstream.base_url, "qwen", price_per_search="0.01usd", forward_fields=["enable_search"])})
    config["server"]["state"] = str(tmp_path / "state")
    told = client_of(start_gateway(config)).chat.completions.create(model="qwen", messages=HELLO, extra_body={"enable_search": True}).usage
    assert upstream.asked[0].json["enable_search"] is True and told.model_extra["plugins"]["search"]["count"] == 3
    assert wait_until(lambda: book(tmp_path, "SELECT amount, estimated FROM entries"), what="the entry") == [(30_022_000, 0)]


@pytest.mark.parametrize("model", ["sonar-pro", "groq/compound", "gpt-4o-mini-search-preview", "openai/gpt-5:online"])
def test_what_searches_unasked_is_no_matter_of_a_hard_budget(start_upstream, start_gateway, client_of, tmp_path, model):
    """How often it searches nobody can say before: held as usual searches, booked as told, refused where the end is hard."""
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11, "num_search_queries": 3}
    upstream = start_upstream(lambda asked: {**chat(), "usage": usage})
    target = configs.provider(upstream.base_url, "up", serves={"finder": model}, price_per_search="0.01usd")
    config = configs.gateway({"up": target}, keys={"test": {"secret": "env:SPILLWAY_TEST_KEY"},
                                                   "hard": {"secret": "env:SPILLWAY_HARD_KEY", "budget": {"day": "1usd", "hard": True}}})
    config["server"]["state"] = str(tmp_path / "state")
    gateway = start_gateway(config, SPILLWAY_HARD_KEY="sk-hard")
    with pytest.raises(openai.BadRequestError, match="searches the web unasked"):
        client_of(gateway, api_key="sk-hard").chat.completions.create(model="finder", messages=HELLO, max_tokens=8)
    assert not upstream.asked
    client_of(gateway).chat.completions.create(model="finder", messages=HELLO, max_tokens=8)
    assert wait_until(lambda: book(tmp_path, "SELECT amount FROM entries WHERE amount > 0"), what="the entry") == [(30_022_000,)]
