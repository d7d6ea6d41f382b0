"""The engine in a process of its own: the same answers; and when it dies, nobody's answer dies with it that another can
go on with, and it comes back."""
import concurrent.futures
import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import openai
import pytest

import configs
from processes import BINARY, get, wait_until

STORY = [{"role": "user", "content": "Tell me a long story about a river, and then tell me where it ends. " * 3}]
QUICK = {"isolation": "process", "restart_after": "10ms", "restart_after_max": "40ms"}
HERE = {"here": {"spill": "when_sla_at_risk", "prefer": "ordered"}}


def children_of(pid):
    """The processes that it started and has not buried."""
    listed = (Path("/proc") / str(pid) / "task").glob("*/children")
    return {int(child) for each in listed for child in each.read_text(encoding="utf-8").split()}


def state_of(pid):
    """R, S, Z …, or None if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return None


def engine_of(gateway):
    """The process id of the engine that serves."""
    wait_until(lambda: gateway.metric("spillway_backend_up", be="local") == 1, what="the engine")
    (pid,) = children_of(gateway.child.pid)
    return pid


def alone(start_gateway, drain="10s", **settings):
    """A gateway that has nothing but the engine."""
    config = configs.gateway({"local": configs.engine(**{**QUICK, **settings})}, classes=HERE, default_class="here")
    config["server"]["drain"] = drain
    return start_gateway(config)


def slow(**settings):
    return configs.synthetic_engine(**{"base": "20ms", "sequences_max": 32, **QUICK, **settings})


def with_provider(start_provider, start_gateway, **settings):
    """A slow engine, and a provider that can go on with what it began."""
    provider = configs.provider(start_provider("instant").base_url, "ai-hub", continues="prefix",
                                forward_fields=["ignore_eos"])
    targets = {"local": slow(**settings), "ai-hub": provider}
    rules = [{"name": "here-first", "if": "available(local)", "route": "local"}]
    return start_gateway(configs.gateway(targets, rules=rules))


def ask(client, **more):
    return client.chat.completions.create(
        model="smollm2", messages=STORY, temperature=0, max_tokens=40, extra_body={"ignore_eos": True}, **more)


def read(stream):
    """The text of a stream and how it ended."""
    text, finish = "", None
    for chunk in stream:
        if chunk.choices:
            text += chunk.choices[0].delta.content or ""
            finish = chunk.choices[0].finish_reason or finish
    return text, finish


def begun(client, count, model="auto", tokens=60):
    """So many streams that have said something."""
    def begin(_):
        stream = client.chat.completions.create(model=model, messages=STORY, max_tokens=tokens, temperature=0,
                                                stream=True, extra_body={"ignore_eos": True})
        first = next(stream)
        while not first.choices[0].delta.content:
            first = next(stream)
        return first.choices[0].delta.content, stream
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


def test_the_answers_are_the_same_to_the_byte(start_gateway, client_of):
    said = []
    for isolation in ("none", "process"):
        gateway = alone(start_gateway, isolation=isolation, prefix_cache=True)
        wait_until(lambda: gateway.metric("spillway_backend_up", be="local") == 1)
        client = client_of(gateway)
        whole = ask(client).choices[0].message.content
        again = ask(client)
        stopped = ask(client, stop=[whole[20:24]]).choices[0]
        sampled = client.chat.completions.create(
            model="smollm2", messages=STORY, temperature=1.0, seed=7, top_p=0.9, max_tokens=30, frequency_penalty=0.5)
        text, finish = read(ask(client, stream=True))
        said.append([whole, again.choices[0].message.content, again.usage.prompt_tokens,
                     again.usage.prompt_tokens_details.cached_tokens, stopped.message.content, stopped.finish_reason,
                     sampled.choices[0].message.content, text, finish])
        gateway.terminate()
    assert said[0] == said[1]
    assert said[1][0] == said[1][7] and said[1][3] > 0


def test_a_kill_amid_twenty_streams_ends_none(start_provider, start_gateway, client_of):
    gateway = with_provider(start_provider, start_gateway)
    first = engine_of(gateway)
    streams = begun(client_of(gateway), 20)
    assert gateway.metric("spillway_inflight_requests", be="local") == 20
    os.kill(first, signal.SIGKILL)
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        ends = list(pool.map(lambda each: read(each[1]), streams))
    assert all(finish for _, finish in ends)
    decisions = wait_until(lambda: len(found := gateway.decisions(20)) == 20 and found, what="the decisions")
    assert {tuple(attempt["target"] for attempt in each["attempts"]) for each in decisions} == {("local", "ai-hub")}
    assert get(gateway.admin + "/readyz")[0] == 200
    assert engine_of(gateway) != first and gateway.metric("spillway_engine_restarts_total") == 1
    (_, stream), = begun(client_of(gateway), 1)
    read(stream)
    assert wait_until(lambda: gateway.decisions(1), what="the decision")[0]["attempts"][0]["target"] == "local"
    causes = [line["cause"] for line in gateway.log() if "cause" in line and "process ended" in line["msg"]]
    assert causes == ["was killed by signal 9 (SIGKILL)"]


def test_who_serves_without_it_says_so(start_provider, start_gateway):
    gateway = with_provider(start_provider, start_gateway, restart_after="60s", restart_after_max="60s")
    pid = engine_of(gateway)
    assert json.loads(get(gateway.admin + "/readyz")[1])["impaired"] == []
    os.kill(pid, signal.SIGKILL)
    impaired = wait_until(lambda: json.loads(get(gateway.admin + "/readyz")[1])["impaired"], what="the engine's end")
    assert impaired == ["the local engine's process was killed by signal 9 (SIGKILL), and is started again"]
    assert get(gateway.admin + "/readyz")[0] == 200


@pytest.mark.parametrize("end", ["SIGSEGV", "SIGABRT"])
def test_alone_its_death_is_a_clean_error(start_gateway, client_of, end):
    own = {name: os.environ.get(name, "") + ":handle_segv=0" for name in ("ASAN_OPTIONS", "TSAN_OPTIONS")}
    gateway = start_gateway(configs.gateway(
        {"local": slow(restart_after="15s", restart_after_max="15s")}, classes=HERE, default_class="here"), **own)
    pid = engine_of(gateway)
    streams = begun(client_of(gateway), 4, "smollm2")
    os.kill(pid, getattr(signal, end))
    for _, stream in streams:
        with pytest.raises(openai.APIError, match=end):
            read(stream)
    status, text = get(gateway.admin + "/readyz")
    assert status == 503 and end in text
    with pytest.raises(openai.APIStatusError) as refused:
        ask(client_of(gateway))
    assert refused.value.status_code == 503
    wait_until(lambda: get(gateway.admin + "/readyz")[0] == 200, 60, "readiness")
    assert ask(client_of(gateway)).choices[0].finish_reason == "length"


def test_twenty_deaths_in_a_row_leave_nothing_behind(start_gateway, client_of):
    gateway = start_gateway(configs.gateway({"local": slow(base="0.5ms")}, classes=HERE, default_class="here"))

    def held():
        """Mappings of shared memory, and descriptors but for the sockets of who asks."""
        proc = Path("/proc") / str(gateway.child.pid)
        links = []
        for each in (proc / "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # It was closed meanwhile.
                links.append(os.readlink(each))
        mapped = (proc / "maps").read_text(encoding="utf-8").count("spillway-engine")
        return mapped, sorted(link.partition(":")[0] for link in links if not link.startswith("socket"))

    pid = engine_of(gateway)
    before = held()
    for number in range(20):
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda number=number: gateway.metric("spillway_engine_restarts_total") == number + 1)
        pid = engine_of(gateway)
    assert children_of(gateway.child.pid) == {pid}
    wait_until(lambda: held() == before, what="no more than before")
    assert ask(client_of(gateway)).choices[0].message.content


def test_one_that_hangs_is_killed_and_replaced(start_gateway, client_of):
    gateway = start_gateway(configs.gateway({"local": slow(hangs_after="500ms")}, classes=HERE, default_class="here"))
    pid = engine_of(gateway)
    (_, stream), = begun(client_of(gateway), 1, "smollm2", tokens=500)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(openai.APIError, match="no sign of life"):
        read(stream)
    assert engine_of(gateway) != pid


def test_who_reads_nothing_does_not_look_like_one_that_hangs(start_gateway, client_of):
    """The client's bridge is full, so that its sequence is parked and nothing is left to do."""
    gateway = start_gateway(configs.gateway(
        {"local": configs.synthetic_engine(base="0.1ms", per_sequence="0ms", context_max=200_000,
                                           kv_tokens_max=200_000, **{**QUICK, "hangs_after": "300ms"})},
        classes=HERE, default_class="here"))
    pid = engine_of(gateway)
    (_, stream), = begun(client_of(gateway), 1, "smollm2", tokens=100_000)

    def tokens():
        return gateway.metric("spillway_engine_tokens_total", kind="decode")

    def parked():
        before = tokens()
        return get(gateway.admin + "/healthz") and tokens() == before > 1_000
    wait_until(parked, what="the parking")
    since = time.monotonic()
    wait_until(lambda: time.monotonic() > since + 1.0, what="more than three times hangs_after")
    assert engine_of(gateway) == pid and gateway.metric("spillway_engine_restarts_total") == 0
    stream.close()


def test_who_leaves_frees_its_place(start_gateway, client_of):
    gateway = start_gateway(configs.gateway({"local": slow()}, classes=HERE, default_class="here"))
    engine_of(gateway)
    (_, stream), = begun(client_of(gateway), 1, "smollm2", tokens=2_000)
    stream.close()
    wait_until(lambda: gateway.metric("spillway_engine_sequences_total", outcome="cancelled") == 1)
    assert gateway.metric("spillway_engine_running_sequences") == 0


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_the_engine_ends_with_its_gateway(start_gateway, end):
    gateway = alone(start_gateway)
    pid = engine_of(gateway)
    gateway.child.send_signal(end)
    gateway.child.wait(timeout=10)
    wait_until(lambda: state_of(pid) in (None, "Z"), what="the engine's end")
    if end == signal.SIGTERM:
        assert gateway.child.returncode == 0


def test_a_stop_lets_running_answers_finish(start_gateway, client_of):
    gateway = start_gateway(configs.gateway({"local": slow()}, classes=HERE, default_class="here"))
    pid = engine_of(gateway)
    (_, stream), = begun(client_of(gateway), 1, "smollm2")
    os.kill(pid, signal.SIGTERM)  # As a service manager says it to all.
    gateway.child.send_signal(signal.SIGTERM)
    assert read(stream)[1] == "length"
    assert gateway.child.wait(timeout=10) == 0


def test_a_stop_does_not_wait_for_one_that_loads(start_gateway):
    gateway = alone(start_gateway)
    pid = engine_of(gateway)
    os.kill(pid, signal.SIGKILL)
    assert gateway.terminate(seconds=5) == 0


def test_the_program_itself_says_who_starts_it():
    run = subprocess.run([BINARY, "engine-child"], capture_output=True, text=True, check=False, timeout=10)
    assert run.returncode == 6 and "isolation" in run.stderr
