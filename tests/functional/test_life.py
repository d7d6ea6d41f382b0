"""Start, reload, stop."""
import concurrent.futures
import json
import signal
import socket
import subprocess
import time

import openai
import pytest

import configs
from processes import BINARY, KEY, Process, get, send, wait_until

HELLO = [{"role": "user", "content": "Hello there."}]


def simple(base_url):
    return configs.gateway({"local": configs.synthetic_engine(base="20ms"),
                            "ai-hub": configs.provider(base_url, "ai-hub", forward_fields=["ignore_eos"])})


def test_term_under_load_lets_streams_finish_and_exits_0(start_provider, start_gateway, client_of):
    gateway = start_gateway(simple(start_provider("ai-hub").base_url))
    client = client_of(gateway)
    first_tokens = []

    def ask(number):
        model = "smollm2" if number % 2 else "ai-hub"
        chunks = iter(client.chat.completions.create(model=model, messages=HELLO, max_tokens=60, stream=True,
                                                     extra_body={"ignore_eos": True}))
        next(chunks)
        first_tokens.append(number)
        return [c.choices[0].finish_reason for c in chunks][-1]

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = [pool.submit(ask, number) for number in range(16)]
        wait_until(lambda: len(first_tokens) >= 12, what="streams under way")
        status = gateway.terminate(30)
        finished = [a.result() for a in answers if not a.exception()]
    assert status == 0
    assert len(finished) >= len(first_tokens) and set(finished) <= {"stop", "length"}


def test_a_second_term_shortens_the_drain(start_gateway, client_of):
    gateway = start_gateway(configs.gateway({"local": configs.synthetic_engine(base="100ms")}))
    stream = iter(client_of(gateway).chat.completions.create(
        model="smollm2", messages=HELLO, max_tokens=2000, stream=True, extra_body={"ignore_eos": True}))
    next(stream)
    began = time.monotonic()
    gateway.child.terminate()
    wait_until(lambda: any("drain" in line for line in gateway.output), what="the drain")
    assert gateway.terminate(20) == 0
    assert time.monotonic() - began < 8


@pytest.mark.parametrize("model", ["smollm2", "ai-hub"])
def test_whom_the_end_of_the_drain_cuts_is_told_so(start_provider, start_gateway, client_of, model):
    """A stream ends with an error event, a whole answer with an error: none is left without a word."""
    provider = start_provider("ai-hub")
    provider.script(slow=20)
    config = simple(provider.base_url)
    config["server"]["drain"] = "300ms"
    gateway = start_gateway(config)
    client = client_of(gateway)
    ask = lambda stream: client.chat.completions.create(model=model, messages=HELLO, max_tokens=2000, stream=stream,
                                                        extra_body={"ignore_eos": True})

    def read(stream):
        for _ in stream:
            pass

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        whole = pool.submit(ask, False)
        stream = iter(ask(True))
        next(stream)
        began = time.monotonic()
        status = gateway.terminate(20)
        assert status == 0 and time.monotonic() - began < 5
        assert isinstance(whole.exception(), openai.InternalServerError)
        with pytest.raises(openai.APIError):
            read(stream)
    told = [line for line in gateway.log() if "drain is over" in line["msg"]]
    assert [(line["level"], line["requests"]) for line in told] == [("warn", 2)]
    assert {line["error_type"] for line in gateway.log() if line["msg"] == "request"} == {"backend_unavailable"}


def test_reload_takes_over_and_a_bad_file_does_not(start_provider, start_gateway, client_of):
    cloud = start_provider("instant")
    config = simple(cloud.base_url)
    gateway = start_gateway(config)
    client = client_of(gateway)

    config["models"]["fast"] = "policy"
    configs.write(gateway.config_path, config)
    wait_until(lambda: "fast" in [m.id for m in client.models.list()], what="the file watcher")

    gateway.config_path.write_text(json.dumps({**config, "clases": {}}), encoding="utf-8")
    wait_until(lambda: gateway.metric("spillway_config_reloads_total", result="refused") >= 1, what="the refusal")
    assert "fast" in [m.id for m in client.models.list()]
    wait_until(lambda: any("clases" in line and "`classes`" in line for line in gateway.output), what="the sentence")

    del config["models"]["fast"]
    configs.write(gateway.config_path, config)
    wait_until(lambda: "fast" not in [m.id for m in client.models.list()], what="the mended file")


def test_a_changed_catalogue_is_taken_over_and_a_bad_one_is_named(start_provider, start_gateway, tmp_path):
    config = simple(start_provider("instant").base_url)
    price = config["targets"]["ai-hub"].pop("price_per_million")
    prices = tmp_path / "prices.yaml"

    def ask(output):
        model = {"price_per_million": {**price, "output": output}, "since": "2025-01-01"}
        prices.write_text(json.dumps({"version": "2026-11-26", "providers": {"ai-hub": {"ai-hub": model}}}), encoding="utf-8")
    ask("5usd")
    gateway = start_gateway({**config, "catalogue": "prices.yaml"})
    ask("7usd")
    wait_until(lambda: "7.00usd" in get(gateway.admin + "/config")[1], what="the file watcher")
    prices.write_text("broken: [", encoding="utf-8")
    wait_until(lambda: gateway.metric("spillway_config_reloads_total", result="refused") >= 1, what="the refusal")
    status, _, body = send(gateway.admin + "/reload", "POST", b"")
    assert status == 422 and "catalogue: " in json.loads(body)["error"] and "prices.yaml" in json.loads(body)["error"]
    ask("nine")
    wait_until(lambda: any("'nine'" in line and "prices.yaml" in line for line in gateway.output), what="its price named")
    assert "7.00usd" in get(gateway.admin + "/config")[1]
    ask("9usd")
    wait_until(lambda: "9.00usd" in get(gateway.admin + "/config")[1], what="the mended catalogue")


def test_a_changed_secret_is_taken_over_and_a_bad_one_is_not(start_provider, start_gateway, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("first-secret-of-the-key\n", encoding="utf-8")
    config = simple(start_provider("instant").base_url)
    gateway = start_gateway({**config, "keys": {"test": {"secret": f"file:{secret}"}}})

    def answers(key):
        return send(gateway.api + "/models", headers={"authorization": "Bearer " + key})[0]
    assert answers("first-secret-of-the-key") == 200
    secret.write_text("second-secret-of-the-key\n", encoding="utf-8")
    wait_until(lambda: answers("second-secret-of-the-key") == 200, what="the file watcher")
    assert answers("first-secret-of-the-key") == 401
    secret.write_text("\n", encoding="utf-8")
    wait_until(lambda: any("secret: file " in line and "is empty" in line for line in gateway.output), what="the refusal")
    assert answers("second-secret-of-the-key") == 200


def test_a_reload_tells_what_is_hardly_meant_once(start_provider, start_gateway, tmp_path):
    """As that a price of the catalogue has ended, by the date of the day."""
    config = simple(start_provider("instant").base_url)
    gateway = start_gateway(config)
    price = config["targets"]["ai-hub"].pop("price_per_million")
    catalogue = {"version": "1999-12-31", "providers": {"ai-hub": {"ai-hub": {"price_per_million": price, "until": "2000-01-01"}}}}
    (tmp_path / "prices.yaml").write_text(json.dumps(catalogue), encoding="utf-8")
    config["catalogue"] = "prices.yaml"
    configs.write(gateway.config_path, config)

    def told():
        return [line for line in gateway.output if "hardly meant" in line and "ended on 2000-01-01" in line]
    wait_until(told, what="the warning")
    gateway.child.send_signal(signal.SIGHUP)
    config["models"]["fast"] = "policy"
    configs.write(gateway.config_path, config)
    wait_until(lambda: gateway.metric("spillway_config_reloads_total", result="ok") >= 2, what="the second reload")
    assert len(told()) == 1


def test_sighup_reads_a_rotated_key(start_provider, start_gateway, client_of, tmp_path):
    """The YAML stays as it is, so the file watcher has nothing to tell."""
    secret = tmp_path / "key"
    secret.write_text("sk-first", encoding="utf-8")
    config = simple(start_provider("instant").base_url)
    config["keys"] = {"rotated": {"secret": f"file:{secret}"}}
    gateway = start_gateway(config)
    assert client_of(gateway, api_key="sk-first").models.list().data
    secret.write_text("sk-second", encoding="utf-8")
    gateway.child.send_signal(signal.SIGHUP)

    def second_works():
        try:
            return client_of(gateway, api_key="sk-second").models.list().data
        except openai.AuthenticationError:
            return False
    wait_until(second_works, what="the second key")
    with pytest.raises(openai.AuthenticationError):
        client_of(gateway, api_key="sk-first").models.list()


def test_a_steady_stream_may_outlast_the_clients_read_timeout(start_gateway, client_of):
    gateway = start_gateway(configs.gateway({"local": configs.synthetic_engine(base="40ms")}))
    chunks = client_of(gateway, timeout=1).chat.completions.create(
        model="smollm2", messages=HELLO, max_tokens=50, stream=True, extra_body={"ignore_eos": True})
    assert [c.choices[0].finish_reason for c in chunks][-1] == "length"


def test_a_running_answer_keeps_its_edition(start_provider, start_gateway, client_of):
    cloud = start_provider("ai-hub")
    config = configs.gateway({"ai-hub": configs.provider(cloud.base_url, "ai-hub"),
                              "openmodel": configs.provider(cloud.base_url, "openmodel")}, guard={"stranded_max": 1})
    gateway = start_gateway(config)
    client = client_of(gateway)
    stream = iter(client.chat.completions.create(model="openmodel", messages=HELLO, max_tokens=40, stream=True))
    next(stream)
    del config["targets"]["openmodel"]
    configs.write(gateway.config_path, config)
    wait_until(lambda: "openmodel" not in [m.id for m in client.models.list()], what="the reload")
    assert [c.choices[0].finish_reason for c in stream][-1] in ("stop", "length")


def test_check_reports_every_problem_at_once(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("server:\n  listn: 127.0.0.1:8080\n  drain: 30\nclasses: 7\n", encoding="utf-8")
    run = subprocess.run([BINARY, "check", path], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    said = run.stdout + run.stderr
    assert ":2:3:" in said and "listen" in said and ":3:" in said and "30s" in said and ":4:" in said


def test_the_shipped_configurations_are_good():
    for name in ("config/spillway.yaml", "config/policies/article.yaml", "config/policies/gpu-node.yaml"):
        run = subprocess.run([BINARY, "check", name], capture_output=True, text=True, check=False,
                             cwd=BINARY.parents[2], env={"SPILLWAY_DEMO_KEY": "sk-spillway-demo"})
        assert run.returncode == 0, run.stdout + run.stderr


def test_an_address_in_use_is_said(start_gateway, start_provider, tmp_path):
    gateway = start_gateway(simple(start_provider("instant").base_url))
    config = simple("http://127.0.0.1:1/v1")
    config["server"]["listen"] = gateway.root.removeprefix("http://")
    path = configs.write(tmp_path / "second.yaml", config)
    run = subprocess.run([BINARY, "serve", "--config", path], capture_output=True, text=True, check=False, timeout=30,
                         env={"SPILLWAY_TEST_KEY": "x"})
    assert run.returncode == 1
    assert "another program uses this address" in run.stderr


def test_config_is_shown_without_secrets(start_gateway, start_provider):
    gateway = start_gateway(simple(start_provider("instant").base_url))
    status, text = get(gateway.admin + "/config")
    assert status == 200 and "interactive" in text
    assert gateway.key not in text


def test_version_and_help():
    assert subprocess.run([BINARY, "--version"], capture_output=True, text=True, check=True).stdout.startswith("spillway ")
    assert "serve" in subprocess.run([BINARY, "--help"], capture_output=True, text=True, check=True).stdout
    assert subprocess.run([BINARY, "srve"], capture_output=True, check=False).returncode == 2


def test_too_many_at_once_is_503_with_retry_after(start_gateway, client_of):
    config = configs.gateway({"local": configs.synthetic_engine(base="50ms")}, limits={"in_flight_max": 2})
    gateway = start_gateway(config)
    client = client_of(gateway)
    held = [iter(client.chat.completions.create(model="smollm2", messages=HELLO, max_tokens=500, stream=True,
                                                extra_body={"ignore_eos": True})) for _ in range(2)]
    for stream in held:
        next(stream)
    try:
        client.chat.completions.create(model="smollm2", messages=HELLO)
        raise AssertionError("a third request was let in")
    except openai.InternalServerError as error:
        assert error.status_code == 503
        assert float(error.response.headers["retry-after"]) > 0


def test_a_term_before_it_serves_ends_it_at_once(processes, tmp_path):
    """Whatever it waits for, a large model or, here, a database that takes a connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = configs.gateway({"local": configs.synthetic_engine()}, ledger={"postgres": "env:BOOK"})
        gateway = Process([BINARY, "serve", "--config", configs.write(tmp_path / "spillway.yaml", config)],
                          {"SPILLWAY_TEST_KEY": KEY, "BOOK": f"postgresql://127.0.0.1:{silent.getsockname()[1]}/book"})
        processes.append(gateway)
        silent.settimeout(20)
        silent.accept()[0].recv(1)  # It is asked, and stays silent.
        began = time.monotonic()
        assert gateway.terminate(20) == 0 and time.monotonic() - began < 2
    assert any("before it had started" in line for line in gateway.output)


def test_a_state_that_is_taken_away_is_told(start_provider, start_gateway, client_of, tmp_path):
    config = simple(start_provider("ai-hub").base_url)
    config["server"]["state"] = str(tmp_path / "state")
    gateway = start_gateway(config)
    (tmp_path / "state").rename(tmp_path / "elsewhere")
    gateway.wait_for(r"server.state was removed or moved.*\"path\":\"" + str(tmp_path / "state"))
    assert client_of(gateway).chat.completions.create(model="auto", messages=HELLO, max_tokens=4)
