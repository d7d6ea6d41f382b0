"""`spillway simulate` and `diff` with a configuration's own providers, and traces that say who asks for what."""
import csv
import re

import pytest

import configs
from test_rules import spillway

HEAD = "id,t_ms,in_tokens,out_tokens,class,deadline_ms"
MEASURED = {"ttft_p50": "400ms", "ttft_p99": "1200ms", "tokens_per_second": 80}


def elsewhere(url, price, **settings):
    return {"kind": "provider", "base_url": url, "serves": ["m"], "measured": MEASURED,
            "price_per_million": {"input": price, "output": price}, **settings}


def own(**settings):
    """The engine, a target of two servers, and two real providers: none is a simulator's profile."""
    targets = {"node": configs.synthetic_engine(serves=["m"]),
               "vllm": elsewhere(["http://10.0.0.1:8000/v1", "http://10.0.0.2:8000/v1"], "0.9usd", dialect="vllm", concurrency_max=2),
               "deepseek": elsewhere("https://api.deepseek.com/v1", "1usd"),
               "openai": elsewhere("https://api.openai.com/v1", "2usd")}
    classes = {"chat": {"sla": {"ttft": "2s"}, "spill": "always"},
               "nightly": {"match": "by_name", "sla": {"deadline": "10m"}, "spill": "cheapest_before_deadline"}}
    return configs.gateway(targets, **{"classes": classes, "default_class": "chat", **settings})


@pytest.fixture(name="files")
def fixture_files(tmp_path):
    """A policy, and a trace of fifty chats and ten nightly jobs."""
    rows = [f"{i},{i * 1000},500,50,chat,,{'web' if i % 2 else 'app'},{'restricted' if i % 5 == 0 else ''}" for i in range(50)]
    rows += [f"{100 + i},{i * 3000},500,50,nightly,,," for i in range(10)]
    trace = tmp_path / "trace.csv"
    trace.write_text(f"{HEAD},key,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return configs.write(tmp_path / "own.yaml", own()), trace, tmp_path


def simulate(policy, trace, *words, status=0):
    ended, out, error = spillway("simulate", "--policy", policy, "--trace", trace, *words)
    assert ended == status, out + error
    return out if status == 0 else error


def answered_by(told):
    block = told[told.index("  target  "):told.index("  reason  ")]
    return {name: int(count) for name, count in re.findall(r"^  (\S+) +(\d+) +\d+$", block, re.M)}


def test_any_provider_is_simulated_and_named_as_in_the_file(files):
    policy, trace, folder = files
    out = simulate(policy, trace, "--no-overload", "--decisions", folder / "decisions.csv")
    assert answered_by(out) == {"vllm": 50, "local": 10}
    with open(folder / "decisions.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["target"] for row in rows} == {"vllm", "deepseek", "openai", "local", "local-batch"}
    assert re.search(r"^  chat +50 ", out, re.M) and re.search(r"^  nightly +10 +0 ", out, re.M)


def test_who_fails_is_said_by_name(files):
    policy, trace, _ = files
    out = simulate(policy, trace, "--no-overload", "--failing", "vllm=1")
    assert answered_by(out)["deepseek"] >= 45 and "vllm" not in answered_by(out)
    out = simulate(policy, trace, "--no-overload", "--failing", "vllm=1,deepseek=1")
    assert answered_by(out)["openai"] >= 45
    for words, told in ((["--failing", "azure"], "no provider 'azure'"), (["--failing", "vllm=2"], "--failing wants a number from 0 to 1"),
                        (["--overload", "azure"], "no provider 'azure'"), (["--promises", "mine"], "trace or policy")):
        assert told in simulate(policy, trace, *words, status=2)


@pytest.mark.parametrize("condition, moved", [("label == 'restricted'", 10), ("key == 'web'", 25), ("key == 'web' and label == 'restricted'", 5)])
def test_a_rule_on_who_asks_moves_those_who_do(files, condition, moved):
    policy, trace, folder = files
    new = configs.write(folder / "new.yaml", own(rules=[{"name": "dear", "if": condition, "route": "openai"}]))
    status, out, error = spillway("diff", policy, new, "--trace", trace, "--no-overload", "--failing", "all=0")
    assert status == 0, error
    assert f"moved        {moved} of 60 requests" in out and ": dear)" in out


def test_a_name_that_the_policy_does_not_have_is_told(files):
    policy, _, folder = files
    wrong = folder / "wrong.csv"
    for head, row, told in (("", "7,0,9,9,weekly,", "request 7 of the trace: x-spillway-class names no class"),
                            (",model", "8,0,9,9,chat,,gpt-9", "request 8 of the trace: There is no model `gpt-9`")):
        wrong.write_text(f"{HEAD}{head}\n{row}\n", encoding="utf-8")
        assert told in simulate(policy, wrong, status=2)


def test_a_classs_own_deadline_counts_where_the_trace_gives_none(files):
    policy, trace, folder = files
    hurried = own()
    hurried["classes"]["nightly"]["sla"]["deadline"] = "1ms"
    hurried = configs.write(folder / "hurried.yaml", hurried)
    assert "0.00 % batch in time" in simulate(hurried, trace)
    assert "100.00 % batch in time" in simulate(policy, trace)
    public = folder / "public.csv"  # Without classes: the rules of such traces say when its work is due.
    public.write_text("t_ms,in_tokens,out_tokens,client\n" + "".join(f"{i * 1000},500,50,c\n" for i in range(60)), encoding="utf-8")
    words = ("--batch-class", "nightly")
    assert "100.00 % batch in time" in simulate(hurried, public, *words)
    assert ", 0.00 % batch in time" in simulate(hurried, public, *words, "--promises", "policy")


def test_both_sides_are_held_to_what_the_policy_in_force_promises(files):
    policy, trace, folder = files
    strict = own()
    strict["classes"]["chat"]["sla"]["ttft"] = "1ms"
    strict = configs.write(folder / "strict.yaml", strict)
    _, out, _ = spillway("diff", policy, strict, "--trace", trace, "--no-overload")
    before, after = re.search(r"attainment, interactive +([\d.]+) +([\d.]+)", out).groups()
    assert float(before) > 95 and float(after) > 95
    _, out, _ = spillway("diff", strict, policy, "--trace", trace, "--no-overload")
    before, after = re.search(r"attainment, interactive +([\d.]+) +([\d.]+)", out).groups()
    assert float(before) == 0 and float(after) == 0


def test_a_node_is_priced_as_the_file_says(files):
    _, trace, folder = files
    priced = own()
    priced["targets"]["node"]["cost_per_hour"] = "10usd"
    out = simulate(configs.write(folder / "priced.yaml", priced), trace)
    assert re.search(r"^node +\$[\d.]+ by the policy's own price of it: \$[\d.]+ per M tokens$", out, re.M)


def test_help_tells_what_is_assumed():
    _, out, _ = spillway("simulate", "--help")
    for word in ("--failing", "--overload", "--providers-from", "--promises", "[,key]", "Exit status: 0 done; 1 "):
        assert word in out
