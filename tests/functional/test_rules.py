"""A policy's rules and tests, and the verbs that explain and compare policies."""
import contextlib
import copy
import http.client
import json
import re
import subprocess

import openai
import pytest

import configs
from processes import BINARY, KEY, ROOT, get, wait_until

MESSAGES = [{"role": "user", "content": "Why here?"}]
RULES = [
    {"name": "restricted", "if": "label == 'restricted'", "route": "local_only"},
    {"name": "never", "if": "label == 'no' and not streaming", "route": "refuse", "message": "Not from here."},
    {"name": "long", "if": "max_tokens > 500 and predicted_ttft(local) < 1h", "route": "cheapest", "among": ["ai-hub"]},
]
TESTS = [
    {"given": {"label": "restricted"}, "expect": {"route": "local", "rule": "restricted"}},
    {"given": {"max_tokens": 501}, "expect": {"route": "ai-hub", "reason": "rule"}},
    {"given": {"max_tokens": 64, "predicted_ttft(local)": "5s"},
     "expect": {"route": "ai-hub", "reason": "spill_ttft", "rule": "none"}},
]


def spillway(*words):
    """Runs a verb; its status, stdout and stderr."""
    done = subprocess.run([str(BINARY), *map(str, words)], capture_output=True, text=True, timeout=60, check=False,
                          env={"SPILLWAY_TEST_KEY": "key", "SPILLWAY_DEMO_KEY": "key"})
    return done.returncode, done.stdout, done.stderr


def ruled(base_url="http://127.0.0.1:9/v1", **settings):
    targets = {"local": configs.synthetic_engine(), "ai-hub": configs.provider(base_url, "ai-hub")}
    return configs.gateway(targets, **{"rules": RULES, "tests": copy.deepcopy(TESTS), **settings})


@pytest.fixture
def house(start_provider, start_gateway):
    return start_gateway(ruled(start_provider("instant").base_url))


def ask(client, label="", **settings):
    raw = client.chat.completions.with_raw_response.create(
        model="auto", messages=MESSAGES, extra_headers={"x-spillway-label": label}, **{"max_tokens": 5, **settings})
    return raw.headers


def test_rules_decide_and_say_so(house, client_of):
    client = client_of(house)
    long = ask(client, max_tokens=501)
    assert (long["x-spillway-target"], long["x-spillway-reason"], long["x-spillway-rule"]) == ("ai-hub", "rule", "long")
    assert ask(client, "restricted", max_tokens=501)["x-spillway-target"] == "local"
    usual = ask(client)
    assert usual["x-spillway-reason"] == "local_meets_sla" and "x-spillway-rule" not in usual
    with pytest.raises(openai.PermissionDeniedError, match="Not from here.") as refused:
        ask(client, "no")
    assert refused.value.code == "refused_by_policy"
    assert refused.value.response.headers["x-spillway-rule"] == "never"
    assert house.metric("spillway_route_decisions_total", reason="rule") == 2
    assert [house.metric("spillway_rule_decisions_total", rule=rule["name"]) for rule in RULES] == [1, 1, 1]
    logged = wait_until(lambda: [line for line in house.log() if line.get("rule")], what="the rule in the log")
    assert logged[0]["rule"] == "long"


def test_a_second_label_is_refused(house):
    """Whatever stands in front may add headers of its own: which one counts is nobody's guess."""
    for labels, status in ((("restricted",), 200), (("open", "restricted"), 400)):
        with contextlib.closing(http.client.HTTPConnection(house.api.split("/")[2], timeout=20)) as connection:
            connection.putrequest("GET", "/v1/models")
            connection.putheader("authorization", "Bearer " + KEY)
            for label in labels:
                connection.putheader("x-spillway-label", label)
            connection.endheaders()
            answer = connection.getresponse()
            assert answer.status == status
            assert (b"an x-spillway-* header is given twice" in answer.read()) == (status == 400)


def test_a_rule_that_never_decides_is_seen(house):
    assert {series: value for series, value in house.metrics().items() if "rule_decisions" in series} == {
        f'spillway_rule_decisions_total{{rule="{rule["name"]}"}}': 0 for rule in RULES}


def test_explains_what_it_decided(house, client_of):
    client = client_of(house)
    identity = ask(client, max_tokens=501)["x-request-id"]
    wait_until(lambda: house.decisions(1), what="the decision")
    admin = house.admin.removeprefix("http://")
    status, told, _ = spillway("explain", identity, "--admin", admin)
    assert status == 0
    assert re.search(r"went to +ai-hub, reason rule, by rule `long` \(status 200\)", told)
    assert re.search(r"last token +predicted [\d.]+ s, came after [\d.]+ s", told)
    assert re.search(r"local .* not among the rule's targets", told)
    with pytest.raises(openai.PermissionDeniedError) as refused:
        ask(client, "no")
    _, told, _ = spillway("explain", refused.value.response.headers["x-request-id"], "--admin", admin)
    assert "nobody, by rule `never` (status 403)" in told and "Not from here." in told
    assert "label = 'no'" in told and "streaming = false" in told
    status, _, error = spillway("explain", "req_unknown", "--admin", admin)
    assert status == 1 and "not among the last" in error
    status, _, error = spillway("explain", "req_unknown", "--admin", "127.0.0.1:1")
    assert status == 1 and "no gateway answers" in error


def test_a_reload_whose_tests_fail_is_refused(house, client_of):
    client = client_of(house)
    config = ruled(house_provider(house))
    config["rules"] = [{"name": "all-away", "route": "cloud"}]
    configs.write(house.config_path, config)
    wait_until(lambda: house.metric("spillway_config_reloads_total", result="refused") == 1, what="the refusal")
    assert ask(client)["x-spillway-target"] == "local"
    problem = wait_until(lambda: [line for line in house.log() if "problem" in line], what="the reason")[0]["problem"]
    assert re.match(r"\d+:\d+: tests\[0\]: test `test-1` fails: expected route local, rule restricted, but it is "
                    r"route ai-hub, rule all-away", problem)
    config["tests"] = []
    configs.write(house.config_path, config)
    wait_until(lambda: ask(client)["x-spillway-target"] == "ai-hub", what="the mended policy")
    assert get(house.admin + "/config")[1].count("route: cloud  # line") == 1


def test_a_reload_is_tried_on_the_last_decisions(house, client_of):
    client = client_of(house)
    for _ in range(3):
        assert ask(client)["x-spillway-target"] == "local"
    config = ruled(house_provider(house))
    config["tests"] = []
    config["rules"] = [{"name": "away", "if": "label == 'restricted'", "route": "local_only"},
                       {"name": "all-away", "route": "cloud"}]
    configs.write(house.config_path, config)
    told = wait_until(lambda: [one for one in house.log() if "rehearsed" in one], what="the reload")[0]
    assert told["rehearsed"] >= 1 and told["moved"] == told["rehearsed"]
    assert told["nano_usd_before"] == 0 and told["nano_usd_after"] > 0
    assert not [one for one in house.log() if "example" in one]


def test_a_reload_that_strands_requests_is_refused_unless_forced(house, client_of):
    client = client_of(house)
    assert ask(client)["x-spillway-target"] == "local"
    config = ruled(house_provider(house))
    config["tests"] = []
    config["rules"] = [{"name": "nobody", "route": "refuse", "message": "Closed today."}]
    configs.write(house.config_path, config)
    told = wait_until(lambda: [one for one in house.log() if "objections" in one], what="the guard")[0]["objections"]
    assert re.match(r"1 of the last 1 decisions went somewhere and could go nowhere \(guard\.stranded_max: 0\); model "
                    r"`auto`, class `\w+`: Closed today\. \(rule `nobody`, line \d+\)$", told)
    assert ask(client)["x-spillway-target"] == "local"
    assert house.metric("spillway_config_reloads_total", result="guarded") == 1

    admin = house.admin.removeprefix("http://")
    status, _, error = spillway("rollout", "reload", "--admin", admin)
    assert status == 1 and "guard.stranded_max" in error and "--force" in error
    status, out, _ = spillway("rollout", "reload", "--force", "--admin", admin)
    assert status == 0 and json.loads(out)["rehearsal"]["stranded"] >= 1
    with pytest.raises(openai.PermissionDeniedError, match="Closed today."):
        ask(client)
    warned = wait_until(lambda: [one for one in house.log() if "example" in one], what="the warning")[0]
    assert warned["requests"] >= 1 and "rule `nobody`" in warned["example"]


def test_a_file_is_rehearsed_on_the_last_decisions_before_it_is_put_in_place(house, client_of, tmp_path):
    client = client_of(house)
    for _ in range(3):
        assert ask(client)["x-spillway-target"] == "local"
    admin = house.admin.removeprefix("http://")
    config = ruled(house_provider(house))
    config["tests"] = []
    config["rules"] = [{"name": "away", "route": "cloud"}]
    path = configs.write(tmp_path / "next.yaml", config)
    status, out, error = spillway("check", path, "--rehearse", "--admin", admin)
    assert status == 0, error
    told = json.loads(out[out.index("{"):])
    assert told["objections"] is None
    count = told["rehearsal"]["decisions"]
    assert 1 <= count <= 3 and told["rehearsal"]["moved"] == count
    move = told["rehearsal"]["moves"][0]
    assert (move["from"], move["to"], move["requests"]) == ("local", "ai-hub", count) and move["cost_change_usd"] > 0
    assert ask(client)["x-spillway-target"] == "local", "nothing has come of it"

    config["rules"] = [{"name": "nobody", "route": "refuse", "message": "Closed today."}]
    status, _, error = spillway("check", configs.write(path, config), "--rehearse", "--admin", admin)
    assert status == 1 and "guard.stranded_max" in error and "rule `nobody`, line" in error
    assert house.metric("spillway_config_reloads_total", result="guarded") == 0


def test_a_reload_that_costs_too_much_is_refused_by_the_limits_in_force(start_provider, start_gateway, client_of):
    config = ruled(start_provider("instant").base_url, guard={"decisions_min": 3}, tests=[])
    house = start_gateway(config)
    for _ in range(4):
        assert ask(client_of(house))["x-spillway-target"] == "local"
    config["rules"] = [{"name": "all-away", "route": "cloud"}]
    config["guard"]["spend_growth_max"] = 1000  # Too late: the limits in force count.
    configs.write(house.config_path, config)
    told = wait_until(lambda: [one for one in house.log() if "objections" in one], what="the guard")[0]["objections"]
    assert "and cost 0.000000usd now (guard.spend_growth_max: 0.5)" in told
    config["rules"] = RULES
    configs.write(house.config_path, config)
    wait_until(lambda: house.metric("spillway_config_reloads_total", result="ok") == 2, what="the limit by itself")
    config["rules"] = [{"name": "all-away", "route": "cloud"}]
    configs.write(house.config_path, config)
    wait_until(lambda: ask(client_of(house))["x-spillway-target"] == "ai-hub", what="the policy within its limit")


def house_provider(house):
    return json.loads(house.config_path.read_text(encoding="utf-8"))["targets"]["ai-hub"]["base_url"]


def test_check_runs_the_tests(tmp_path):
    path = configs.write(tmp_path / "good.yaml", ruled())
    status, out, _ = spillway("check", path)
    assert status == 0 and "3 rules; 3 tests hold" in out
    config = ruled()
    config["tests"][1]["expect"]["route"] = "local"
    path = configs.write(tmp_path / "bad.yaml", config)
    before = path.read_text(encoding="utf-8").split('"expect"')[:2]
    line = '"expect"'.join(before).count("\n") + 1
    status, _, error = spillway("check", path)
    assert status == 1
    assert re.search(rf"bad.yaml:{line}:\d+: tests\[1\]: test `test-2` fails: expected route local, but it is route "
                     r"ai-hub \(class interactive", error)


def test_check_names_place_and_nearest_fact(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("targets: {local: {kind: local, executor: synthetic, serves: m}}\nrules:\n"
                    "  - if: queue.tokns > 9000\n    route: local\n", encoding="utf-8")
    status, _, error = spillway("check", path)
    assert status == 1
    assert error.endswith("bad.yaml:3:9: rules[0].if: there is no fact 'queue.tokns', did you mean `queue.tokens`?\n")


def test_only_serving_needs_the_keys(tmp_path):
    path = configs.write(tmp_path / "good.yaml", ruled())
    for words in (("check", path), ("config", "show", path)):
        done = subprocess.run([str(BINARY), *map(str, words)], capture_output=True, text=True, timeout=60, check=False,
                              env={})
        assert done.returncode == 0 and done.stdout, done.stderr
        assert f"{path}: environment variable SPILLWAY_TEST_KEY is not set" in done.stderr
    done = subprocess.run([str(BINARY), "check", "--strict", str(path)], capture_output=True, timeout=60, check=False,
                          env={})
    assert done.returncode == 1
    assert spillway("check", tmp_path / "none.yaml")[2].startswith(f"{tmp_path}/none.yaml: cannot read")


def test_check_warns_of_rules_that_nothing_reaches(tmp_path):
    rules = [{"name": "all", "route": "class"}, {"name": "late", "if": "streaming", "route": "local"}]
    path = configs.write(tmp_path / "late.yaml", ruled(rules=rules, tests=[]))
    status, _, error = spillway("check", path)
    assert status == 0 and re.search(r"rules\[1\]: nothing reaches it: rule `all` \(line \d+\) always decides", error)
    assert spillway("check", "--strict", path)[0] == 1


def test_explains_a_request_in_a_file(tmp_path):
    path = configs.write(tmp_path / "policy.yaml", ruled())
    request = tmp_path / "request.json"
    request.write_text(json.dumps({"model": "auto", "messages": MESSAGES, "max_tokens": 600}), encoding="utf-8")
    words = ("explain", "--config", path, "--request", request)
    status, told, _ = spillway(*words)
    assert status == 0
    assert re.search(r"goes to +ai-hub, reason rule, by rule `long`", told)
    assert re.search(r"restricted +does not hold", told) and re.search(r"long +decides", told)
    _, told, _ = spillway(*words, "--given", "label: restricted, available(local): false")
    assert re.search(r"refused +no_route", told) and re.search(r"label +'restricted'", told)
    assert re.search(r"long +does not hold", told)
    _, told, _ = spillway(*words, "--given", "max_tokens: 9, predicted_ttft(local): 7s")
    assert re.search(r"local +7.000 s .* first token too late", told)
    status, _, error = spillway(*words, "--given", "qeue.tokens: 9")
    assert status == 2 and "did you mean `queue.tokens`?" in error


def test_explains_a_request_of_embeddings_in_a_file(tmp_path):
    targets = {name: configs.provider(f"https://{name}.example", "embedder", endpoints=endpoints)
               for name, endpoints in (("chat", ["chat"]), ("vectors", ["embeddings"]))}
    path, request = configs.write(tmp_path / "policy.yaml", configs.gateway(targets)), tmp_path / "request.json"
    words = ("explain", "--config", path, "--request", request)
    request.write_text(json.dumps({"model": "embedder", "input": ["a", "b"]}), encoding="utf-8")
    status, told, error = spillway(*words)
    assert status == 0 and re.search(r"goes to +vectors", told), error
    request.write_text(json.dumps({"model": "embedder", "input": ["a", ""]}), encoding="utf-8")
    status, _, error = spillway(*words)
    assert status == 1 and "input[1]" in error


def test_explains_without_the_secrets_of_its_keys(tmp_path):
    keys = {name: {"secret": f"env:NOT_SET_{name.upper()}"} for name in ("one", "two")}
    path = configs.write(tmp_path / "policy.yaml", ruled(keys=keys))
    request = tmp_path / "request.json"
    request.write_text(json.dumps({"model": "auto", "messages": MESSAGES}), encoding="utf-8")
    status, told, error = spillway("explain", "--config", path, "--request", request)
    assert status == 0 and "goes to" in told, error


def test_an_explanation_names_who_was_considered_when_nobody_is_left(tmp_path):
    request = tmp_path / "request.json"
    request.write_text(json.dumps({"model": "auto", "messages": [{"role": "user", "content": "Why?"}]}), encoding="utf-8")

    def told(late, **terms):
        path = configs.write(tmp_path / "policy.yaml", ruled(rules=[], tests=[], classes={
            "interactive": {"sla": {"ttft": "1s"}, **terms}}))
        status, out, error = spillway("explain", "--config", path, "--request", request,
                                      "--given", f"prompt_tokens: 2000, predicted_ttft(local): {late}")
        assert status == 0, error
        return out
    forgone = told("2s", promise_price_max="0.000001usd")
    assert "reason promise_forgone" in forgone and "promise≤$0.000001" in forgone
    assert "ai-hub: dearer than promise_price_max, ttft p90" in forgone
    assert re.search(r"^ai-hub .*usd  dearer than promise_price_max$", forgone, flags=re.M)
    refused = told("2s", price_max="0.000001usd", spill="always", local_as_last_resort=False)
    assert "refused     no_route" in refused
    assert re.search(r"^ai-hub .*usd  dearer than class or rule pay$", refused, flags=re.M)


def test_diff_says_what_moves(tmp_path):
    """Requests of 2,000 prompt tokens and more move from the engine to a provider."""
    trace = tmp_path / "trace.csv"
    rows = [f"{i},{i * 500},{3000 if i % 4 == 0 else 200},50,interactive," for i in range(200)]
    trace.write_text("id,t_ms,in_tokens,out_tokens,class,deadline_ms\n" + "\n".join(rows) + "\n", encoding="utf-8")
    old = ROOT / "config/policies/gpu-node.yaml"
    new = tmp_path / "new.yaml"
    new.write_text(old.read_text(encoding="utf-8") + "rules: [{name: long, if: prompt_tokens >= 2000, route: ai-hub}]\n",
                   encoding="utf-8")
    status, out, error = spillway("diff", old, new, "--trace", trace, "--examples", "2", "--no-overload")
    assert status == 0, error
    moved = int(re.search(r"moved +(\d+) of 200 requests", out).group(1))
    assert 25 <= moved <= 50
    assert sum(int(count) for count in re.findall(r"^  local +\S+ +(\d+) ", out, flags=re.M)) == moved
    assert len(re.findall(r"local \(local_meets_sla\) → \S+ \(rule: long\)", out)) == 2
    assert re.search(r"spend at providers +0.0000 +0\.\d+ +\+0\.\d+ usd", out)
    status, out, _ = spillway("diff", old, old, "--trace", trace)
    assert status == 0 and "moved        0 of 200 requests" in out


def test_diff_says_who_refuses(tmp_path):
    trace = tmp_path / "trace.csv"
    trace.write_text("id,t_ms,in_tokens,out_tokens,class,deadline_ms\n1,0,200,50,interactive,\n", encoding="utf-8")
    old = ROOT / "config/policies/gpu-node.yaml"
    new = tmp_path / "new.yaml"
    new.write_text(old.read_text(encoding="utf-8") + "rules: [{name: never, route: refuse}]\n", encoding="utf-8")
    status, out, error = spillway("diff", old, new, "--trace", trace, "--no-overload")
    assert status == 0, error
    assert "local (local_meets_sla) → nobody (forbidden: never)" in out


def test_diff_at_the_hour_that_a_rule_asks_for(tmp_path):
    trace = tmp_path / "trace.csv"
    trace.write_text("id,t_ms,in_tokens,out_tokens,class,deadline_ms\n" +
                     "".join(f"{i},{i * 60000},200,50,interactive,\n" for i in range(60)), encoding="utf-8")
    old = ROOT / "config/policies/gpu-node.yaml"
    new = tmp_path / "new.yaml"
    new.write_text(old.read_text(encoding="utf-8") + """rules:
  - {name: night, if: "time >= 22:00 and weekday in ['sat', 'sun']", route: cloud}
""", encoding="utf-8")
    words = ("diff", old, new, "--trace", trace, "--no-overload")
    for starts, moved in (("mon 21:30", 0), ("sat 21:30", 30), ("fri 23:30", 0), ("sun 23:30", 30)):
        status, out, error = spillway(*words, "--starts", starts)
        assert status == 0 and f"moved        {moved} of 60 requests" in out, (starts, out, error)
    assert spillway(*words, "--starts", "someday")[0] == 2


def test_the_effective_configuration_says_where_it_came_from(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text("targets:\n  local: {kind: local, executor: synthetic, serves: m}\nrules:\n"
                    "  - if: streaming\n    route: local\n", encoding="utf-8")
    status, out, _ = spillway("config", "show", path, "--effective")
    assert status == 0
    for line in ("executor: synthetic  # line 2", "drain: 30s  # default", "if: streaming  # line 4",
                 "route: local  # line 5"):
        assert line in out


def test_every_verb_explains_itself():
    _, out, _ = spillway("--help")
    for verb in ("serve", "check", "config", "provider", "simulate", "diff", "explain"):
        assert f"spillway {verb}" in out
        status, told, _ = spillway(verb, "--help")
        assert status == 0 and told.startswith(f"Usage: spillway {verb}") and told.count("OLD NEW") <= 1


def test_the_shipped_policies_hold():
    for path in [ROOT / "config/spillway.yaml", *sorted((ROOT / "config/policies").glob("*.yaml"))]:
        status, _, error = spillway("check", path)
        assert status == 0, error


def test_the_guides_rules_hold(tmp_path):
    guide = (ROOT / "docs/policy.md").read_text(encoding="utf-8")
    rules = re.search(r"```yaml\n(rules:\n.*?)```", guide, flags=re.S).group(1)
    path = tmp_path / "guide.yaml"
    path.write_text((ROOT / "config/spillway.yaml").read_text(encoding="utf-8") + "\n" + rules, encoding="utf-8")
    status, out, error = spillway("check", path)
    assert status == 0 and "4 rules; 1 tests hold" in out, error
