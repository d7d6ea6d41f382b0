"""What operators run beside the gateway: `report` on when the machine pays for itself, `import` and then `check`."""
import json
import re
import subprocess
import time

import pytest

import configs
from processes import BINARY, Gateway
from upstream import chat

HELLO = [{"role": "user", "content": "Hello there."}]
DAYS, MONTHS = 365, 12


def verb(*words, status=0):
    """What it prints, both ways."""
    done = subprocess.run([BINARY, *words], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout, done.stderr


@pytest.fixture
def served(start_provider, start_gateway, client_of, tmp_path):
    """Three answers of the local engine at so much an hour, where the cheapest provider asks so much for a million
    tokens; their usages, and how long it all took, in hours."""
    def serve(cost_per_hour, cheapest):
        targets = {"local": configs.synthetic_engine(cost_per_hour=cost_per_hour)}
        for name, price in (("dear", "3000usd"), ("cheap", cheapest)):
            targets[name] = configs.provider(start_provider("instant").base_url, name)
            targets[name]["price_per_million"] = {"input": price, "output": price}
        config = configs.gateway(targets)
        config["server"]["state"] = str(tmp_path / "state")
        began = time.monotonic()
        gateway = start_gateway(config)
        create = client_of(gateway).chat.completions.create
        usages = [create(model="smollm2", messages=HELLO, max_tokens=tokens).usage for tokens in (5, 10, 20)]
        hours = (time.monotonic() - began) / 3600
        assert gateway.terminate() == 0
        return usages, hours
    return serve


def told(text, line):
    return float(re.search(rf"{line}\s+(-?[\d.]+)", text).group(1))


def test_the_report_says_when_the_node_pays_for_itself(served, tmp_path):
    usages, hours = served("3.60usd", "1000usd")
    state = str(tmp_path / "state")
    row = json.loads(verb("report", "--state", state, "--by", "target", "--format", "json")[0])
    avoided = sum(usage.total_tokens for usage in usages) * 1000 / 1e6  # What the cheaper of the two asks.
    assert row["target"] == "local" and row["avoided_nano_usd"] == round(avoided * 1e9)
    running = row["local_cost_nano_usd"] / 1e9
    assert 0 < running <= 3.60 * hours and row["cost_nano_usd"] == row["local_cost_nano_usd"]
    months = 50 / ((avoided - running) * DAYS) * MONTHS
    assert months > 10
    text, _ = verb("report", "--state", state, "--node", "50usd")
    assert told(text, "pays for itself in") == pytest.approx(months, abs=0.051)
    assert told(text, "saved in a year") == pytest.approx((avoided - running) * DAYS, abs=0.0051)
    assert f"{avoided:.6f} USD: what the cheapest provider" in text
    assert told(text, "all-cloud") == pytest.approx(avoided, abs=1e-6)
    assert f"of which {100 * (avoided - running) / avoided:.1f} % were saved" in text


def test_the_return_counts_power_and_idle_hours(start_provider, start_gateway, client_of, tmp_path):
    """By the configuration's node: 24 hours of a day's book, of which it worked a few seconds."""
    node = {"price": "8760usd", "lifetime": "365d", "watts": 1000, "idle_watts": 400, "per_kwh": "0.25usd"}
    targets = {"local": configs.synthetic_engine(cost_per_hour="0.50usd", node=node),
               "cloud": configs.provider(start_provider("instant").base_url, "cloud")}
    targets["cloud"]["price_per_million"] = {"input": "10000usd", "output": "10000usd"}
    config = configs.gateway(targets)
    config["server"]["state"] = str(tmp_path / "state")
    gateway = start_gateway(config)
    long = [{"role": "user", "content": "word " * 2500}]
    usage = client_of(gateway).chat.completions.create(model="smollm2", messages=long, max_tokens=20).usage
    assert gateway.terminate() == 0
    words = "report", "--config", str(gateway.config_path)
    text, _ = verb(*words)
    booked = json.loads(verb(*words, "--by", "target", "--format", "json")[0])["local_cost_nano_usd"] / 1e9
    assert told(text, "an hour of full work") == pytest.approx(0.50 + 1.00 + 0.25)
    worked = booked / 1.75
    assert 0 < worked < 0.01 and re.search(r"worked +0\.00 hours of 24\.0: utilisation 0\.\d %", text)
    power, care = (24 * 0.4 + worked * 0.6) * 0.25, 24 * 0.50
    assert told(text, "power") == pytest.approx(power, abs=0.006) and told(text, "cost_per_hour") == pytest.approx(care)
    yearly = (usage.total_tokens / 100 - power - care) * DAYS
    assert told(text, "saved in a year") == pytest.approx(yearly, rel=1e-4)
    assert told(text, "pays for itself in") == pytest.approx(8760 / yearly * MONTHS, abs=0.06)
    dearer, _ = verb(*words, "--per-kwh", "2.50usd", "--watts", "2000", "--idle-watts", "800", "--node", "100usd")
    assert told(dearer, "power") == pytest.approx(20 * power, abs=0.06) and told(dearer, "price of the node") == 100
    _, mistake = verb(*words, "--watts", "many", status=2)
    assert mistake.startswith("spillway report: --watts: ")


def test_a_node_that_costs_more_than_it_avoids_never_does(served, tmp_path):
    served("3.60usd", "0.01usd")
    text, _ = verb("report", "--state", str(tmp_path / "state"), "--node", "50usd")
    assert "never, at this pace" in text and told(text, "saved in a year") < 0


PROXY = """
model_list:
  - model_name: gpt
    litellm_params:
      model: openai/gpt-upstream
      api_base: UPSTREAM
      api_key: os.environ/UPSTREAM_KEY
      rpm: 100
      input_cost_per_token: 2.5e-06
      output_cost_per_token: 0.00001
  - model_name: claude
    litellm_params: {model: anthropic/claude-x, api_key: sk-ant-0123456789abcdef0123456789}
    model_info: {input_cost_per_token: 3e-06, output_cost_per_token: 1.5e-05}
litellm_settings: {max_budget: 100, budget_duration: 30d}
general_settings: {master_key: os.environ/LITELLM_MASTER_KEY}
"""


def test_what_was_litellms_is_imported_checked_and_served(start_upstream, processes, client_of, tmp_path):
    upstream = start_upstream(lambda asked: chat())
    theirs, ours = tmp_path / "litellm.yaml", tmp_path / "spillway.yaml"
    theirs.write_text(PROXY.replace("UPSTREAM", upstream.base_url, 1), encoding="utf-8")
    yaml, notes = verb("import", "litellm", str(theirs))
    assert "sk-ant" not in yaml and "CLAUDE_KEY" in notes
    ours.write_text(yaml + "server: {listen: '127.0.0.1:0', admin: '127.0.0.1:0'}\n", encoding="utf-8")
    verb("check", str(ours))
    processes.append(Gateway(ours, {"UPSTREAM_KEY": "sk-upstream", "CLAUDE_KEY": "sk-claude",
                                    "LITELLM_MASTER_KEY": "sk-their-clients-have-it"}))
    client = client_of(processes[-1], api_key="sk-their-clients-have-it")
    assert client.chat.completions.create(model="gpt", messages=HELLO).choices[0].message.content == "Hello"
    assert upstream.asked[0].json["model"] == "gpt-upstream"
    assert upstream.asked[0].headers["Authorization"] == "Bearer sk-upstream"
    assert {model.id for model in client.models.list()} == {"gpt", "claude"}


def test_a_price_that_litellm_does_not_tell_is_asked_for(tmp_path):
    theirs, ours = tmp_path / "litellm.yaml", tmp_path / "spillway.yaml"
    unpriced = re.sub(r"(in|out)put_cost_per_token: (2.5e-06|0.00001)", "", PROXY)
    theirs.write_text(unpriced.replace("UPSTREAM", "http://127.0.0.1:1", 1), encoding="utf-8")
    yaml, notes = verb("import", "litellm", str(theirs))
    ours.write_text(yaml, encoding="utf-8")
    problems = "".join(verb("check", str(ours), status=1))
    assert "targets.gpt" in problems and "price" in problems and "price" in notes
    assert "targets.claude" not in problems
