"""Keys that operators make while it runs: shown once, scoped, rotated with overlap, revoked at once; and what they cost."""
import json
import subprocess
import threading
import time
import urllib.request

import openai
import pytest

import configs
import upstream
from processes import BINARY, get, send, wait_until
from test_money import book

HELLO = [{"role": "user", "content": "Hello there."}]
ADMIN = "operators-only"


@pytest.fixture
def house(start_provider, start_gateway, tmp_path):
    targets = {"cloud": configs.provider(start_provider("ai-hub", "--slow", "0.01").base_url, "cloud")}
    config = configs.gateway(targets, classes={"all": {"spill": "always"}}, default_class="all")
    config["server"] |= {"state": str(tmp_path / "state"), "admin_key": "env:SPILLWAY_TEST_ADMIN"}
    gateway = start_gateway(config, SPILLWAY_TEST_ADMIN=ADMIN)
    gateway.start_again = lambda: start_gateway(config, SPILLWAY_TEST_ADMIN=ADMIN)
    gateway.state = tmp_path / "state"
    return gateway


def run(*words, admin=ADMIN, status=0):
    """What it prints, both ways."""
    done = subprocess.run([BINARY, *words], capture_output=True, text=True, timeout=20, check=False,
                          env={"SPILLWAY_ADMIN": admin})
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout or done.stderr


def door(gateway):
    return "--admin", gateway.admin.removeprefix("http://"), "--admin-key", "env:SPILLWAY_ADMIN"


def keys(gateway, *words, status=0):
    return json.loads(run("keys", *words, *door(gateway), status=status))


def ask(client, model="auto"):
    return client.chat.completions.create(model=model, messages=HELLO, max_tokens=4)


def test_a_key_lives_from_its_making_to_its_end(house, client_of):
    made = keys(house, "create", "--name", "search", "--tenant", "acme", "--project", "crawler", "--models", "cloud,auto")
    assert made["key"].startswith(f"sk-spw-{made['id']}-") and len(made["key"].rsplit("-", 1)[1]) == 64
    assert ask(client_of(house, api_key=made["key"]))
    shown = keys(house, "show", made["id"])
    assert "key" not in shown and shown["tenant"] == "acme" and shown["revoked_at"] is None
    assert [each["name"] for each in keys(house, "list")["keys"]] == ["search"]
    stored = b"".join(path.read_bytes() for path in house.state.iterdir() if path.name.startswith("keys.sqlite"))
    assert made["key"].encode() not in stored and made["key"].rsplit("-", 1)[1].encode() not in stored

    assert house.metric("spillway_cost_usd_total", tenant="acme") > 0
    assert house.metric("spillway_cost_usd_total", tenant="_other") == 0

    began = time.monotonic()
    again = keys(house, "rotate", made["id"], "--overlap", "4s")
    assert ask(client_of(house, api_key=made["key"])) and ask(client_of(house, api_key=again["key"]))
    with pytest.raises(AssertionError, match="still valid"):
        keys(house, "rotate", made["id"], "--overlap", "1h")
    headers = {"authorization": f"Bearer {ADMIN}", "content-type": "application/json"}
    assert send(f"{house.admin}/keys/{made['id']}/rotate", "POST", {"overlap": "1h"}, headers)[0] == 409
    for none in ("models", "scopes"):
        status, _, text = send(f"{house.admin}/keys", "POST", {"name": "n", none: []}, headers)
        assert status == 400 and b"names none" in text

    def refused(key):
        try:
            ask(client_of(house, api_key=key))
        except openai.AuthenticationError as error:
            return str(error)
        return ""

    wait_until(lambda: refused(made["key"]), what="the end of the overlap")
    assert time.monotonic() - began >= 4
    keys(house, "revoke", made["id"])
    assert "revoked" in refused(again["key"])
    assert "crawler" in json.dumps(keys(house, "show", made["id"]))


def test_a_stream_outlives_its_key(start_upstream, start_gateway, client_of, tmp_path):
    """Rotated without an overlap and revoked while it runs: who was let in is served and billed to the end."""
    go_on = threading.Event()

    def answer(handler):
        upstream.begin(handler)
        said = [upstream.chunk({"role": "assistant", "content": "One "}), upstream.chunk({"content": "two."}),
                upstream.chunk({}, finish="stop"), upstream.USAGE]
        for at, piece in enumerate(said):
            assert at != 1 or go_on.wait(20)
            handler.wfile.write(f"data: {json.dumps(piece)}\n\n".encode())
        handler.wfile.write(b"data: [DONE]\n\n")
    provider = start_upstream(lambda asked: answer)
    config = configs.gateway({"cloud": configs.provider(provider.base_url, "cloud")}, classes={"all": {"spill": "always"}},
                             default_class="all")
    config["server"] |= {"state": str(tmp_path / "state"), "admin_key": "env:SPILLWAY_TEST_ADMIN"}
    gateway = start_gateway(config, SPILLWAY_TEST_ADMIN=ADMIN)
    made = keys(gateway, "create", "--name", "search", "--tenant", "acme")
    stream = iter(client_of(gateway, api_key=made["key"]).chat.completions.create(
        model="auto", messages=HELLO, max_tokens=40, stream=True))
    assert any(chunk.choices[0].delta.content == "One " for chunk in stream)
    again = keys(gateway, "rotate", made["id"], "--overlap", "0s")
    with pytest.raises(openai.AuthenticationError):
        ask(client_of(gateway, api_key=made["key"]))
    keys(gateway, "revoke", made["id"])
    with pytest.raises(openai.AuthenticationError):
        ask(client_of(gateway, api_key=again["key"]))
    go_on.set()
    rest = [chunk.choices[0] for chunk in stream if chunk.choices]
    assert rest[0].delta.content == "two." and rest[-1].finish_reason == "stop"
    rows = wait_until(lambda: book(tmp_path, "SELECT tenant, prompt, completion FROM entries"), what="the entry")
    assert rows == [("acme", upstream.USAGE["usage"]["prompt_tokens"], upstream.USAGE["usage"]["completion_tokens"])]


def test_it_outlives_a_restart_and_expires(house, client_of):
    made = keys(house, "create", "--name", "short", "--expires-in", "3s")
    born = time.time()
    assert house.terminate() == 0
    gateway = house.start_again()
    if time.time() < born + 2:
        assert ask(client_of(gateway, api_key=made["key"]))

    def expired():
        with pytest.raises(openai.AuthenticationError) as refused:
            ask(client_of(gateway, api_key=made["key"]))
        return "expired" in str(refused.value)

    wait_until(lambda: time.time() > born + 3.5, what="its end")
    assert expired()


@pytest.mark.parametrize("key", ["sk-spw-000000000000-" + "0" * 64, "sk-spw-", "sk-spw-x", "sk-spw-a-b-c", "nonsense"])
def test_no_other_key_opens(house, client_of, key):
    keys(house, "create", "--name", "only")
    with pytest.raises(openai.AuthenticationError, match="not known"):
        ask(client_of(house, api_key=key))


def test_the_last_key_that_goes_leaves_the_door_shut(start_provider, start_gateway, client_of, tmp_path):
    config = configs.gateway({"cloud": configs.provider(start_provider("instant").base_url, "cloud")})
    del config["keys"]
    config["server"] |= {"state": str(tmp_path / "state"), "admin_key": "env:SPILLWAY_TEST_ADMIN"}
    gateway = start_gateway(config, SPILLWAY_TEST_ADMIN=ADMIN)
    assert ask(client_of(gateway, api_key="nobody in particular"))
    made = keys(gateway, "create", "--name", "one", "--tenant", "acme")
    keys(gateway, "revoke", made["id"])
    for key in (made["key"], "nobody in particular"):
        with pytest.raises(openai.AuthenticationError):
            ask(client_of(gateway, api_key=key))
    assert "another tenant" in keys(gateway, "create", "--name", "one", "--tenant", "rival", status=1)["error"]
    again = keys(gateway, "create", "--name", "one", "--tenant", "acme")
    assert ask(client_of(gateway, api_key=again["key"]))


def test_models_scopes_limits_and_budget_hold(house, client_of):
    narrow = keys(house, "create", "--name", "narrow", "--models", "cloud", "--scopes", "chat",
                  "--requests-per-minute", "3", "--month", "1usd", "--hard")
    client = client_of(house, api_key=narrow["key"])
    with pytest.raises(openai.PermissionDeniedError, match="model 'auto'"):
        ask(client)
    with pytest.raises(openai.PermissionDeniedError, match="scopes"):
        client.files.list()
    with pytest.raises(openai.RateLimitError):
        for _ in range(5):
            ask(client, "cloud")
    poor = keys(house, "create", "--name", "poor", "--day", "0.000001usd")
    with pytest.raises(openai.RateLimitError, match="budget of key 'poor'"):
        ask(client_of(house, api_key=poor["key"]))


def test_no_key_has_a_budget_that_nobody_keeps(start_provider, start_gateway, client_of, tmp_path):
    config = configs.gateway({"cloud": configs.provider(start_provider("instant").base_url, "cloud")})
    config["server"] |= {"state": str(tmp_path / "state"), "admin_key": "env:SPILLWAY_TEST_ADMIN"}
    kept = start_gateway(config, SPILLWAY_TEST_ADMIN=ADMIN)
    keys(kept, "create", "--name", "early", "--month", "1usd")
    gone = keys(kept, "create", "--name", "gone", "--month", "1usd")
    keys(kept, "revoke", gone["id"])
    kept.terminate()
    config["ledger"] = {"enabled": False}
    house = start_gateway(config, SPILLWAY_TEST_ADMIN=ADMIN)
    said = [line for line in house.log() if line["msg"] == "a key's budget is kept by nobody: it needs ledger.enabled"]
    assert [line["key"] for line in said] == ["early"]
    refused = keys(house, "create", "--name", "late", "--month", "0.00001usd", "--hard", status=1)
    assert refused["error"] == "budget: nobody keeps it: it needs ledger.enabled: true"
    assert ask(client_of(house, api_key=keys(house, "create", "--name", "late")["key"]), "cloud")


def test_no_configured_key_takes_the_purse_of_one_that_was_made(house, start_gateway, client_of):
    made = keys(house, "create", "--name", "search", "--tenant", "acme", "--month", "1usd")
    config = json.loads(house.config_path.read_text())
    for tenant, taken in [("other", True), ("acme", False)]:
        config["keys"]["search"] = {"secret": "env:SPILLWAY_TEST_ADMIN", "tenant": tenant}
        configs.write(house.config_path, config)
        status, _, text = send(house.admin + "/reload", "POST", {}, {"authorization": f"Bearer {ADMIN}"})
        wrong = f"keys.search: is the name of a key that was made, {made['id']} of tenant 'acme'"
        assert (status == 200) != taken and (wrong in json.loads(text).get("error", "")) == taken, text
    config["keys"]["search"]["tenant"] = "other"
    configs.write(house.config_path, config)
    house.terminate()
    done = subprocess.run([BINARY, "serve", "--config", str(house.config_path)], capture_output=True, text=True, timeout=20,
                          check=False, env={"SPILLWAY_TEST_ADMIN": ADMIN, "SPILLWAY_TEST_KEY": "sk-test"})
    assert done.returncode == 1 and wrong in done.stderr, done.stderr


def test_without_the_admin_key_nothing_is_told_or_changed(house, start_gateway, start_provider):
    told = run("keys", "create", "--name", "mine", *door(house), admin="wrong", status=1)
    assert told == "spillway keys: this needs the admin key: the one that was given is another\n"
    for verb in (["keys", "list"], ["explain", "req_x"], ["rollout", "show"]):
        told = run(*verb, *door(house)[:2], status=1)
        assert told == f"spillway {verb[0]}: this needs the admin key: give --admin-key SOURCE, or --config FILE\n"
    told = run("explain", "req_x", "--admin", house.api.split("/")[2], status=1)
    assert "is no admin listener (server.admin)" in told
    assert "env:NAME or file:PATH, and not what it is" in run("keys", "list", "--admin-key", ADMIN, status=2)
    for path in ("/keys", "/config", "/decisions", "/v1/organization/costs?start_time=0", "/audit"):
        assert get(house.admin + path)[0] == 401, path
    for path in ("/livez", "/readyz", "/metrics"):
        assert get(house.admin + path)[0] == 200, path
    open_house = start_gateway(configs.gateway({"cloud": configs.provider(start_provider("instant").base_url, "cloud")}))
    assert "server.admin_key" in keys(open_house, "create", "--name", "mine", status=1)["error"]


@pytest.mark.parametrize("words, wrong", [
    (["--tenant", "acme"], "name"), (["--name", "a b"], "name"), (["--name", "x", "--month", "lots"], "budget.month"),
    (["--name", "x", "--expires-in", "soon"], "expires_in"), (["--name", "x", "--warn-at", "7"], "budget.warn_at"),
    (["--name", "test"], "name"), (["--name", "x", "--class", "nosuch"], "class"),
    (["--name", "x", "--models", "cloud,nosuch"], "models"), (["--name", "x", "--scopes", "chat,nosuch"], "scopes")])
def test_what_is_wrong_is_named(house, words, wrong):
    assert keys(house, "create", *words, status=1)["error"].startswith(wrong + ":")


def test_usage_and_costs_as_openai_tells_them(house, client_of):
    made = keys(house, "create", "--name", "search", "--tenant", "acme", "--project", "crawler")
    client = client_of(house, api_key=made["key"])
    usages = [ask(client).usage for _ in range(3)]
    admin = openai.OpenAI(base_url=house.admin + "/v1", api_key=ADMIN, max_retries=0)
    start = int(time.time()) - 3600

    def told(path, **query):
        return admin.get(path, cast_to=object, options={"params": {"start_time": start, **query}})

    def all_there():
        page = told("/organization/usage/completions", bucket_width="1h", group_by=["project_id", "model"])
        results = [result for bucket in page["data"] for result in bucket["results"]]
        return results if sum(result["num_model_requests"] for result in results) == 3 else None

    results = wait_until(all_there, what="three requests in the usage")
    assert {result["project_id"] for result in results} == {"crawler"} and results[0]["model"] == "auto"
    assert sum(result["input_tokens"] for result in results) == sum(usage.prompt_tokens for usage in usages)
    assert sum(result["output_tokens"] for result in results) == sum(usage.completion_tokens for usage in usages)
    costs = told("/organization/costs", group_by=["api_key_id"])
    results = [result for bucket in costs["data"] for result in bucket["results"]]
    tokens = sum(usage.total_tokens for usage in usages)
    assert [result["api_key_id"] for result in results] == ["search"]
    assert sum(result["amount"]["value"] for result in results) == pytest.approx(tokens * 2e-6)
    for wanted, requests in ((["crawler", "other"], 3), (["other"], 0)):
        usage = told("/organization/usage/completions", project_ids=wanted, models=["auto"])
        results = [result for bucket in usage["data"] for result in bucket["results"]]
        assert sum(result["num_model_requests"] for result in results) == requests
    for query in ({"group_by": ["colour"]}, {"group_by": ["user_id"]}, {"user_ids": ["somebody"]}):
        with pytest.raises(openai.BadRequestError) as refused:
            told("/organization/costs", **query)
        assert refused.value.param == next(iter(query))
    assert json.loads(get_with_key(house.admin + "/audit"))["sound"]


def get_with_key(url):
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {ADMIN}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def test_the_report_tells_and_reconciles(house, client_of, tmp_path):
    usage = ask(client_of(house)).usage
    assert house.terminate() == 0

    def report(*words):
        done = subprocess.run([BINARY, "report", "--state", str(house.state), *words], capture_output=True, text=True, timeout=20)
        return done.returncode, done.stdout + done.stderr

    status, text = report("--by", "tenant,target", "--node", "15000usd")
    assert status == 0 and "spent" in text and "test" in text and "never, at this pace" in text
    row = json.loads(report("--format", "json", "--by", "model")[1])
    assert row["model"] == "auto" and row["input_tokens"] == usage.prompt_tokens and row["requests"] == 1
    assert report("--format", "csv", "--by", "day")[1].splitlines()[0].startswith("day,requests,")
    assert report("--audit") == (0, report("--audit")[1]) and "adds up" in report("--audit")[1]
    export = tmp_path / "export.csv"
    day = time.strftime("%Y-%m-%d", time.gmtime())
    line = f"{day},cloud,{usage.prompt_tokens},{usage.completion_tokens}\n"
    export.write_text("date,model,input_tokens,output_tokens\n" + line)
    assert report("--reconcile", str(export), "--target", "cloud") == (0, "1 days and models at cloud, 0 differ\n")
    export.write_text("date,model,input_tokens,output_tokens\n" + line + line)
    status, text = report("--reconcile", str(export), "--target", "cloud")
    assert status == 1 and "1 differ" in text
    seconds = str(int(time.time()))
    for written in (time.strftime("%m/%d/%Y", time.gmtime()), day.replace("-", ""), day + "T10:00:00Z", seconds, seconds + "000"):
        export.write_text("\ufeffdate,model,input_tokens,output_tokens\n" + line.replace(day, written), encoding="utf-8")
        assert report("--reconcile", str(export), "--target", "cloud")[0] == 0, written
    for written in ("26/11/2026", "yesterday", "2026-13-01", "7", "2026-11-26x"):
        export.write_text("date,model,input_tokens,output_tokens\n" + line.replace(day, written))
        status, text = report("--reconcile", str(export), "--target", "cloud")
        assert status == 2 and "a day that is none" in text and "in line 2" in text, written
    export.write_text("date,model,input_tokens,output_tokens\n2020-01-01,cloud,7,7\n" + line)
    assert "2 days" in report("--reconcile", str(export), "--target", "cloud")[1]
    assert report("--reconcile", str(export), "--target", "cloud", "--from", "2020-01-02")[0] == 0
    assert report("--reconcile", str(export), "--target", "cloud", "--until", day)[1].endswith("1 days and models at cloud, 1 differ\n")
    assert report("--reconcile", str(export), "--target", "cloud", "--from", "soon")[0] == 2
    usd = row["cost_nano_usd"] * 1e-9
    export.write_text(f"start_time,amount_value,line_item\n{seconds},{usd / 2:.9f},input\n{seconds},{usd / 2:.9f},output\n")
    assert report("--reconcile", str(export), "--target", "cloud") == (0, "1 days and models at cloud, 0 differ\n"), "an invoice"
    export.write_text(f"start_time,amount_value,line_item\n{seconds},{usd + 1:.9f},all\n")
    assert report("--reconcile", str(export), "--target", "cloud")[0] == 1
    export.write_text("date,model,input_tokens,output_tokens\n2020-01-01,cloud,0,0\n")
    assert report("--reconcile", str(export), "--target", "cloud")[0] == 0, "the book's other days are no matter"
    for dated in ("cloud-2024-07-18", "cloud-20240718"):
        export.write_text("date,model,input_tokens,output_tokens\n" + line.replace("cloud", dated))
        assert report("--reconcile", str(export), "--target", "cloud") == (0, "1 days and models at cloud, 0 differ\n"), dated
    cost = usage.total_tokens * 2e-6
    assert cost < 0.001
    for amount, same in ((f"{cost:.6f}", True), (f"{cost:.9f}", True), (f"{cost:.4f}", True),
                         (f"{cost + 0.000_002:.6f}", False), (f"{cost + 0.009:.4f}", False), ("0", False)):
        export.write_text(f"date,model,input_tokens,output_tokens,cost_usd\n{line.strip()},{amount}\n")
        status, text = report("--reconcile", str(export), "--target", "cloud")
        assert (status == 0) == same and ("0 differ" in text) == same, (amount, text)
    status, text = report("--article")
    assert status == 0 and "6.43 months" in text and "does not add up" in text


@pytest.mark.parametrize("option, value, wrong", [
    ("--warn-at", "80%", "'80%' is not a number such as 0.9"), ("--requests-per-minute", "abc", "'abc' is not a whole number"),
    ("--concurrency", "1.5", "'1.5' is not a whole number")])
def test_what_is_no_number_is_not_asked(option, value, wrong):
    assert run("keys", "create", "--name", "x", option, value, status=2) == f"spillway keys: {option}: {wrong}\n"


def test_a_broken_file_does_not_lock_its_operator_out(house, tmp_path):
    admin = house.admin.removeprefix("http://")
    broken = tmp_path / "broken.yaml"
    broken.write_text(f"server: {{admin: '{admin}', admin_key: 'env:SPILLWAY_ADMIN', colour: red}}\ntargets: {{a: {{kind: no}}}}\n")
    assert json.loads(run("keys", "list", "--config", str(broken))) == {"keys": []}
    assert "canary" in run("rollout", "show", "--config", str(broken))
    broken.write_text("targets: {a: [}\n")
    told = run("keys", "list", "--config", str(broken), status=2)
    assert "not YAML" in told and "give --admin HOST:PORT and --admin-key SOURCE instead" in told
    assert json.loads(run("keys", "list", "--config", str(broken), *door(house))) == {"keys": []}
    broken.write_text(f"sever: {{admin: '{admin}'}}\n")
    assert "did you mean `server`?" in run("keys", "list", "--config", str(broken), status=2)
