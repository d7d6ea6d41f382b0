"""Several engines in one process of their own: served, lost, and back together."""
import concurrent.futures
import json
import os
import signal

import pytest

import configs
from processes import get, wait_until
from test_isolation import HERE, alone, ask, begun, engine_of, read, slow, with_provider


def replicas(gateway, state):
    return gateway.metric("spillway_engine_replicas", be="local", state=state)


def impaired(gateway):
    return json.loads(get(gateway.admin + "/readyz")[1])["impaired"]


def test_their_answers_are_those_of_engines_in_the_gateway(start_gateway, client_of):
    said = []
    for isolation in ("none", "process"):
        gateway = alone(start_gateway, isolation=isolation, replicas=2, prefix_cache=True)
        wait_until(lambda: replicas(gateway, "serving") == 2, what="both")
        client = client_of(gateway)
        whole = ask(client).choices[0].message.content
        again = ask(client)
        choices = client.chat.completions.create(model="smollm2", messages=[{"role": "user", "content": "A river."}],
                                                 max_tokens=20, n=3, temperature=1.0, seed=5)
        text, finish = read(ask(client, stream=True))
        said.append([whole, again.choices[0].message.content, again.usage.prompt_tokens_details.cached_tokens,
                     [choice.message.content for choice in choices.choices], choices.usage.completion_tokens, text, finish])
        gateway.terminate()
    assert said[0] == said[1]
    assert said[1][0] == said[1][5] and said[1][2] > 0


def test_a_kill_under_load_ends_no_stream_and_both_are_back(start_provider, start_gateway, client_of):
    gateway = with_provider(start_provider, start_gateway, replicas=2, sequences_max=8)
    first = engine_of(gateway)
    assert replicas(gateway, "serving") == 2
    streams = begun(client_of(gateway), 16)
    assert gateway.metric("spillway_engine_running_sequences") == 16
    os.kill(first, signal.SIGKILL)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        ends = list(pool.map(lambda each: read(each[1]), streams))
    assert all(finish for _, finish in ends)
    decisions = wait_until(lambda: len(found := gateway.decisions(16)) == 16 and found, what="the decisions")
    assert {tuple(attempt["target"] for attempt in each["attempts"]) for each in decisions} == {("local", "ai-hub")}
    assert engine_of(gateway) != first and gateway.metric("spillway_engine_restarts_total") == 1
    assert replicas(gateway, "serving") == 2 and replicas(gateway, "down") == 0
    for _, stream in begun(client_of(gateway), 16):
        read(stream)
    again = wait_until(lambda: len(found := gateway.decisions(16)) == 16 and found, what="the decisions")
    assert {each["attempts"][0]["target"] for each in again} == {"local"}


def test_both_are_down_while_their_process_is(start_provider, start_gateway):
    gateway = with_provider(start_provider, start_gateway, replicas=2, restart_after="60s", restart_after_max="60s")
    pid = engine_of(gateway)
    assert impaired(gateway) == []
    os.kill(pid, signal.SIGKILL)
    told = wait_until(lambda: impaired(gateway), what="the engines' end")
    assert told == ["the local engine's process was killed by signal 9 (SIGKILL), and is started again"]
    assert replicas(gateway, "serving") == 0 and replicas(gateway, "down") == 2
    assert get(gateway.admin + "/readyz")[0] == 200


def test_a_process_that_hangs_is_replaced(start_gateway, client_of):
    gateway = start_gateway(configs.gateway({"local": slow(replicas=2, hangs_after="500ms")}, classes=HERE,
                                            default_class="here"))
    pid = engine_of(gateway)
    streams = begun(client_of(gateway), 1, "smollm2", tokens=100)
    assert read(streams[0][1])[1] == "length", "the other replica had nothing to say meanwhile, and was asked"
    assert engine_of(gateway) == pid
    (_, stream), = begun(client_of(gateway), 1, "smollm2", tokens=500)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(Exception, match="replica [01] gave no sign of life"):
        read(stream)
    assert engine_of(gateway) != pid and replicas(gateway, "serving") == 2


def test_a_stop_lets_the_answers_of_both_finish(start_gateway, client_of):
    gateway = start_gateway(configs.gateway({"local": slow(replicas=2, sequences_max=1)}, classes=HERE,
                                            default_class="here"))
    engine_of(gateway)
    streams = begun(client_of(gateway), 2, "smollm2")
    gateway.child.send_signal(signal.SIGTERM)
    assert [read(stream)[1] for _, stream in streams] == ["length", "length"]
    assert gateway.child.wait(timeout=10) == 0
    assert not [line for line in gateway.log() if "replica" in line["msg"]], "none of them failed"
