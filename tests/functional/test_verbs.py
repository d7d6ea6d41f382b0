"""What operators run beside the gateway: `report` on when the machine pays for itself, `import` and then `check`."""
import json
import os
import re
import shutil
import sqlite3
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


def made_older(tmp_path, days):
    """Makes the book so many days older. What tells the report of these whole days alone, though it looks further back."""
    with sqlite3.connect(tmp_path / "state/ledger.sqlite") as database:
        [(hour,)] = database.execute("SELECT max(hour) FROM usage").fetchall()
        database.execute("UPDATE usage SET hour = hour - ?", (24 * days,))
    date = lambda day: time.strftime("%Y-%m-%d", time.gmtime(day * 86_400))
    return "--from", date(hour // 24 - days - 5), "--until", date(hour // 24)


def test_the_report_says_when_the_node_pays_for_itself(served, tmp_path):
    usages, hours = served("3.60usd", "1000usd")
    words = "report", "--state", str(tmp_path / "state"), *made_older(tmp_path, 3)
    row = json.loads(verb(*words, "--by", "target", "--format", "json")[0])
    avoided = sum(usage.total_tokens for usage in usages) * 1000 / 1e6  # What the cheaper of the two asks.
    assert row["target"] == "local" and row["avoided_nano_usd"] == round(avoided * 1e9)
    running = row["local_cost_nano_usd"] / 1e9
    assert 0 < running <= 3.60 * hours and row["cost_nano_usd"] == row["local_cost_nano_usd"]
    yearly = (avoided - running) / 3 * DAYS
    months = 5 / yearly * MONTHS
    assert months > 1
    text, _ = verb(*words, "--node", "5usd")
    assert told(text, "pays for itself in") == pytest.approx(months, abs=0.051)
    assert told(text, "saved in a year") == pytest.approx(yearly, abs=0.0051)
    assert f"{avoided:.6f} USD: what the cheapest provider" in text and "USD in 3.0 days" in text
    assert told(text, "all-cloud") == pytest.approx(avoided, abs=1e-6)
    assert f"of which {100 * (avoided - running) / avoided:.1f} % were saved" in text
    node = json.loads(verb(*words, "--node", "5usd", "--format", "json")[0].splitlines()[-1])["return_on_node"]
    assert node["hours"] == 72 and node["months"] == pytest.approx(months) and node["utilisation"] is None
    for option in ("--watts", "--idle-watts", "--per-kwh"):
        value = "1usd" if option == "--per-kwh" else "1"
        assert f"{option} needs --config" in verb(*words, "--node", "5usd", option, value, status=2)[1]
        assert "--node" in verb(*words, option, value, status=2)[1]


# Root may write what nobody may; without these it may not.
AS_ANYBODY = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


def test_a_book_that_may_not_be_written_is_reported_all_the_same(served, tmp_path):
    usages, _ = served("3.60usd", "1000usd")
    words = [BINARY, "report", "--state", str(tmp_path / "copy"), "--format", "json"]
    copy = shutil.copytree(tmp_path / "state", tmp_path / "copy")
    for path in (*copy.iterdir(), copy):
        path.chmod(path.stat().st_mode & ~0o222)
    refused = subprocess.run([*AS_ANYBODY, "touch", str(copy / "new")], capture_output=True, text=True, timeout=20)
    assert refused.returncode != 0
    done = subprocess.run([*AS_ANYBODY, *words], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout.splitlines()[0])
    assert row["input_tokens"] + row["output_tokens"] == sum(usage.total_tokens for usage in usages)
    copy.chmod(0o755)
    (copy / "ledger.sqlite").chmod(0o644)
    with sqlite3.connect(copy / "ledger.sqlite") as database:
        database.execute("PRAGMA user_version=0")
        database.execute("PRAGMA journal_mode=DELETE")
    database.close()
    (copy / "ledger.sqlite").chmod(0o444)
    copy.chmod(0o555)
    done = subprocess.run([*AS_ANYBODY, *words], capture_output=True, text=True, timeout=20)
    assert done.returncode == 2 and "is of an earlier version of Spillway" in done.stderr


@pytest.fixture
def counted(start_provider, start_gateway, client_of, tmp_path):
    """One answer of a node whose price and power are configured: its tokens, and its report's words."""
    node = {"price": "8760usd", "lifetime": "365d", "watts": 1000, "idle_watts": 200, "per_kwh": "0.10usd"}
    targets = {"local": configs.synthetic_engine(cost_per_hour="0.10usd", node=node),
               "cloud": configs.provider(start_provider("instant").base_url, "cloud")}
    targets["cloud"]["price_per_million"] = {"input": "10000usd", "output": "10000usd"}
    config = configs.gateway(targets)
    config["server"]["state"] = str(tmp_path / "state")
    gateway = start_gateway(config)
    long = [{"role": "user", "content": "word " * 2500}]
    usage = client_of(gateway).chat.completions.create(model="smollm2", messages=long, max_tokens=20).usage
    assert gateway.terminate() == 0
    return usage.total_tokens, ("report", "--config", str(gateway.config_path))


def test_the_return_counts_power_and_idle_days(counted, tmp_path):
    """Three days of which it worked a few seconds, the second and the third without a request."""
    tokens, words = counted
    words += made_older(tmp_path, 3)
    text, _ = verb(*words)
    row, node = [json.loads(line) for line in verb(*words, "--by", "target", "--format", "json")[0].splitlines()]
    node = node["return_on_node"]
    assert told(text, "an hour of full work") == pytest.approx(0.10 + 1.00 + 0.10) == node["hourly_usd"]
    worked = row["local_cost_nano_usd"] / 1e9 / 1.20
    assert 0 < worked < 0.01 and re.search(r"worked +0\.00 hours of 72\.0: utilisation 0\.\d %", text)
    assert node["worked_hours"] == pytest.approx(worked, abs=1e-8) and node["hours"] == 72
    assert node["utilisation"] == pytest.approx(worked / 72, abs=1e-8)
    energy, care = 72 * 0.2 + worked * 0.8, 72 * 0.10
    assert told(text, "power") == pytest.approx(energy * 0.10, abs=0.006) and told(text, "cost_per_hour") == pytest.approx(care)
    assert (node["energy_kwh"], node["power_usd"], node["care_usd"]) == pytest.approx((energy, energy * 0.10, care))
    yearly = (tokens / 100 - energy * 0.10 - care) / 3 * DAYS
    assert told(text, "saved in a year") == pytest.approx(yearly, rel=1e-4) and node["yearly_usd"] == pytest.approx(yearly)
    assert told(text, "pays for itself in") == pytest.approx(8760 / yearly * MONTHS, abs=0.06)
    assert node["months"] == pytest.approx(8760 / yearly * MONTHS) and node["avoided_usd"] == pytest.approx(tokens / 100)
    dearer, _ = verb(*words, "--per-kwh", "1usd", "--watts", "2000", "--idle-watts", "400", "--node", "100usd")
    assert told(dearer, "power") == pytest.approx(20 * energy * 0.10, abs=0.06) and told(dearer, "price of the node") == 100
    for option, value in (("--watts", "many"), ("--watts", "-1"), ("--idle-watts", "-0.5"), ("--node", "-1usd")):
        assert verb(*words, f"{option}={value}", status=2)[1].startswith(f"spillway report: {option}: ")


def test_a_period_that_goes_on_ends_with_this_hour(counted, tmp_path):
    _, words = counted
    start = made_older(tmp_path, 2)[:2]
    now = lambda: int(time.time()) // 3600
    before = now()
    [line] = [line for line in verb(*words, *start, "--format", "json")[0].splitlines() if "return_on_node" in line]
    hours = json.loads(line)["return_on_node"]["hours"]
    assert before - before // 24 * 24 + 49 <= hours <= now() - before // 24 * 24 + 49
    future, _ = verb(*words, *start, "--until", "2999-01-01", "--format", "json")
    assert hours <= json.loads(future.splitlines()[-1])["return_on_node"]["hours"] <= hours + 1
    _, error = verb(*words, "--from", "2026-12-01", "--until", "2026-11-01", status=2)
    assert "--from comes after --until" in error


def test_a_csv_has_one_table_unless_the_node_is_asked_for(counted):
    _, words = counted
    table, _ = verb(*words, "--format", "csv", "--by", "target")
    assert len(table.splitlines()) == 2
    both, _ = verb(*words, "--format", "csv", "--by", "target", "--node", "1usd")
    rows, node = both.split("\n\n")
    assert rows + "\n" == table
    header, values = [line.split(",") for line in node.splitlines()]
    assert len(header) == len(values) and float(dict(zip(header, values))["price_usd"]) == 1


def test_the_report_needs_a_place_for_its_book(start_provider, tmp_path):
    config = configs.gateway({"cloud": configs.provider(start_provider("instant").base_url, "cloud")})
    path = configs.write(tmp_path / "spillway.yaml", config)
    assert "sets no server.state" in verb("report", "--config", str(path), status=2)[1]
    (tmp_path / "empty").mkdir()
    assert f"no book at {tmp_path}/empty" in verb("report", "--config", str(path), "--state", str(tmp_path / "empty"),
                                                 status=2)[1]


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


def test_a_file_is_enough_to_import(tmp_path):
    theirs = tmp_path / "litellm.yaml"
    theirs.write_text(PROXY.replace("UPSTREAM", "http://127.0.0.1:1", 1), encoding="utf-8")
    assert verb("import", str(theirs)) == verb("import", "litellm", str(theirs))
    for words in [("litellm",), (), ("other", str(theirs))]:
        assert "litellm FILE" in verb("import", *words, status=2)[1]


def test_a_price_that_litellm_does_not_tell_is_asked_for(tmp_path):
    theirs, ours = tmp_path / "litellm.yaml", tmp_path / "spillway.yaml"
    unpriced = re.sub(r"(in|out)put_cost_per_token: (2.5e-06|0.00001)", "", PROXY)
    theirs.write_text(unpriced.replace("UPSTREAM", "http://127.0.0.1:1", 1), encoding="utf-8")
    yaml, notes = verb("import", "litellm", str(theirs))
    ours.write_text(yaml, encoding="utf-8")
    problems = "".join(verb("check", str(ours), status=1))
    assert "targets.gpt" in problems and "price" in problems and "price" in notes
    assert "targets.claude" not in problems


def checked(tmp_path, config, *words, status=0):
    done = subprocess.run([BINARY, "check", configs.write(tmp_path / "checked.yaml", config), *words], capture_output=True,
                          text=True, timeout=20, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stderr


@pytest.mark.parametrize("content", [None, b"", b"root:x:0:0\n", b"GGUF\x03\0\0\0"])
def test_check_says_of_a_model_that_it_is_none(tmp_path, content):
    model = tmp_path / "model.gguf"
    if content is None:
        model.mkdir()
    else:
        model.write_bytes(content)
    config = configs.gateway({"local": {"kind": "local", "model": str(model), "serves": ["smollm2"]}})
    assert "targets.local.model: " in checked(tmp_path, config, status=1)


def test_check_reads_the_shadows_policy_too(tmp_path):
    config = configs.gateway({"local": configs.synthetic_engine()}, shadow={"policy": "next.yaml"})
    assert "shadow.policy: " in checked(tmp_path, config) and "shadow.policy" in checked(tmp_path, config, "--strict", status=1)
    configs.write(tmp_path / "next.yaml", configs.gateway({"local": configs.synthetic_engine()}, colour="red"))
    assert "colour: unknown key" in checked(tmp_path, config)
    configs.write(tmp_path / "next.yaml", configs.gateway({"local": configs.synthetic_engine()}))
    assert "shadow.policy" not in checked(tmp_path, config)


def test_check_takes_its_file_as_others_do(tmp_path):
    path = str(configs.write(tmp_path / "spillway.yaml", configs.gateway({"local": configs.synthetic_engine()})))
    for words in ([path], ["--config", path]):
        assert f"{path}: good" in verb("check", *words)[0]
    assert "--strict takes no value" in verb("check", "--strict=no", path, status=2)[1]


@pytest.mark.parametrize("words, told", [
    (["--article", "--audit"], "one at a time"), (["--target", "x"], "--by target"),
    (["--audit", "--format", "json"], "as text alone")])
def test_a_report_says_which_options_do_not_go_together(words, told):
    assert told in verb("report", "--state", "nowhere", *words, status=2)[1]


def test_a_providers_script_is_told_what_there_is():
    for script, told in (('{"nope": 1}', "no member 'nope'; there are slow, response_mean_seconds, dead, faults"),
                         ('{"faults": [{"kind": "silent"}]}', "of kind 'silent'; there are error, silence, silence_after_headers"),
                         ('{"faults": [{"kind": "cut", "after": 1}]}', "no member 'after'; there are kind, share")):
        assert told in verb("provider", "--script", script, status=2)[1]
    for option, value in (("--fail-share", "2"), ("--slow", "-1")):
        assert f"{option} wants a number from 0 to" in verb("provider", option, value, status=2)[1]


@pytest.mark.parametrize("words, wanted", [
    (("simulate", "--policy", "good.yaml", "--trace", "nothing.csv"), 2), (("simulate", "--policy", "bad.yaml", "--trace", "one.csv"), 2),
    (("diff", "good.yaml", "bad.yaml", "--trace", "one.csv"), 2), (("diff", "good.yaml", "good.yaml", "--trace", "nothing.csv"), 2),
    (("replay", "--policy", "good.yaml", "--trace", "nothing.csv"), 2), (("replay", "--policy", "bad.yaml", "--trace", "one.csv"), 2),
    (("report", "--config", "nothing.yaml"), 2), (("report", "--config", "bad.yaml"), 2), (("config", "show", "bad.yaml"), 2),
    (("check", "bad.yaml"), 1), (("check", "nothing.yaml"), 1), (("check", "good.yaml", "--config", "bad.yaml", "--log", "one.csv"), 2),
    (("check", "good.yaml", "--config", "good.yaml", "--log", "nothing.csv"), 2), (("keys", "list", "--config", "nothing.yaml"), 2),
    (("rollout", "show", "--config", "nothing.yaml"), 2), (("keys", "list", "--admin-key", "file:nothing"), 2),
    (("explain", "--config", "bad.yaml", "--request", "one.csv"), 2), (("explain", "--config", "good.yaml", "--request", "nothing.json"), 2),
    (("import", "litellm", "nothing.yaml"), 2), (("serve", "--config", "bad.yaml"), 2),
    (("keys", "list", "--admin", "127.0.0.1:1"), 1), (("rollout", "show", "--admin", "127.0.0.1:1"), 1)])
def test_a_wrong_file_is_told_apart_from_a_bad_result(tmp_path, monkeypatch, words, wanted):
    monkeypatch.chdir(tmp_path)
    configs.write(tmp_path / "good.yaml", configs.gateway({"local": configs.synthetic_engine()}))
    (tmp_path / "bad.yaml").write_text("targets: [", encoding="utf-8")
    (tmp_path / "one.csv").write_text("id,t_ms,in_tokens,out_tokens,class,deadline_ms\n0,0,9,9,interactive,\n", encoding="utf-8")
    verb(*words, status=wanted)


@pytest.mark.parametrize("name", ["simulate", "diff", "replay", "report", "check", "serve", "keys", "rollout", "explain", "import"])
def test_each_verb_says_how_it_ends(name):
    assert re.search(r"^Exit status: 0 done; 1 .+; 2 the command line is wrong, or a file that it names\.$", verb(name, "--help")[0], re.M)


@pytest.mark.parametrize("words", [
    ("simulate", "--policy", "good.yaml"), ("simulate", "--policy", "p", "--trace", "one.csv", "--seed", "luck"),
    ("diff", "one", "--trace", "one.csv"), ("replay", "--policy", "p", "--trace", "t", "--from", "noon"),
    ("report", "--state", ".", "--watts", "many"), ("report", "--audit", "--article"), ("check",), ("keys", "sell"), ("keys", "list", "--admin", "here"),
    ("keys", "list", "--admin-key", "secret"), ("rollout", "show", "--admin", ":"), ("explain", "--nothing")])
def test_a_wrong_command_line_has_its_own_exit_status(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.csv").write_text("id,t_ms,in_tokens,out_tokens,class,deadline_ms\n0,0,9,9,interactive,\n", encoding="utf-8")
    verb(*words, status=2)
