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
          ("/v1/embeddings", {"models": ["dear"], "input": "a"})]


@pytest.mark.parametrize("path, more", OTHERS, ids=["advisor", "fallbacks", "one fallback", "models", "chat's advisor", "fusion", "plugin", "completions", "embeddings"])
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


UNMEASURED = [part("input_audio", data="https://a.example/long.mp3", format="mp3"), part("video", frames=["a"] * 9),
              {"extra_body": {"google": {"cached_content": "cachedContents/1"}}}]


@pytest.mark.parametrize("more", UNMEASURED, ids=["sound at an address", "a part unheard of", "a cache by its name"])
def test_a_hard_budget_refuses_what_nobody_can_measure(start_upstream, start_gateway, client_of, more):
    upstream = start_upstream(lambda asked: chat())
    gateway = start_gateway(configs.gateway({"up": configs.provider(upstream.base_url, "up", dialect="gemini")},
                                            tenants={"test": {"budget": {"day": "1usd", "hard": True}}}))
    body = {"model": "up", "messages": HELLO, "max_tokens": 8, **more}
    status, _, text = send(gateway.root + "/v1/chat/completions", "POST", body, as_client())
    assert status == 400 and b"hard end" in text and not upstream.asked
