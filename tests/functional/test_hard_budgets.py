"""Hard budgets: what keeps to them passes whole, and what nobody can hold is refused."""
import json

import pytest

import configs
from processes import as_client, send, wait_until
from test_money import HELLO, book
from upstream import USAGE, chunk

PRICES = {"input": "1usd", "output": "4usd"}  # A thousand and four thousand nano-USD a token.


@pytest.fixture
def ask_of(start_upstream, start_gateway, tmp_path):
    """A function that starts a provider and a gateway with a hard budget, and asks that once: the status, the answer,
    and who was asked."""
    def ask(answer, path, body, month="500usd", hard=True, **target):
        upstream = start_upstream(answer)
        targets = {"m": configs.provider(upstream.base_url, "m", price_per_million=PRICES, **target)}
        config = configs.gateway(targets, classes={"all": {"spill": "always"}}, default_class="all",
                                 tenants={"test": {"budget": {"month": month, "hard": hard}}})
        config["server"]["state"] = str(tmp_path / "state")
        raw = json.dumps({"model": "m", **body}, ensure_ascii=False, separators=(",", ":")).encode()
        status, _, text = send(start_gateway(config).root + path, "POST", raw, as_client())
        return status, text.decode(), upstream
    return ask


def entry(tmp_path, columns="completion, amount, estimated"):
    return wait_until(lambda: book(tmp_path, f"SELECT {columns} FROM entries"), what="the entry")[0]


def chunks_of(text):
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]


def told(prompt, completion):
    return {**USAGE, "usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}}


@pytest.mark.parametrize("hard", [True, False], ids=["hard", "soft"])
def test_long_tokens_are_not_cut(ask_of, tmp_path, hard):
    """Bengali has thirteen bytes in a token of Gemma's."""
    pieces = ["স্বাধ"] * 35
    answer = [*(chunk({"content": piece}) for piece in pieces), chunk({}, finish="stop"), told(9, 35)]
    body = {"messages": HELLO, "max_tokens": 40, "stream": True}
    status, text, upstream = ask_of(lambda asked: answer, "/v1/chat/completions", body, hard=hard)
    choices = [each["choices"][0] for each in chunks_of(text) if each["choices"]]
    assert status == 200 and "".join(one["delta"].get("content") or "" for one in choices) == "".join(pieces)
    assert choices[-1]["finish_reason"] == "stop"
    assert entry(tmp_path) == (35, 9 * 1000 + 35 * 4000, 0)
