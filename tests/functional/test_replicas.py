"""Several engines behind one queue."""
import concurrent.futures
import statistics
import subprocess
import time

import pytest

import configs
from processes import BINARY, get, wait_until

HERE = {"here": {"spill": "never"}}
REQUESTS, TOKENS = 24, 40


in_either_process = pytest.mark.parametrize("isolation", ["none", "process"])


def house(start_gateway, replicas, **settings):
    engine = configs.synthetic_engine(base="10ms", per_sequence="0ms", sequences_max=2, replicas=replicas, **settings)
    gateway = start_gateway(configs.gateway({"local": engine}, classes=HERE, default_class="here"))
    wait_until(lambda: gateway.metric("spillway_engine_replicas", state="serving") == replicas, what="the engines")
    return gateway


def ask(client, number):
    return client.chat.completions.create(model="smollm2", max_tokens=TOKENS, extra_body={"ignore_eos": True}, messages=[
        {"role": "user", "content": f"Story {number} of a river."}])


def seconds_of_all(client):
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(REQUESTS) as pool:
        answers = list(pool.map(lambda number: ask(client, number), range(REQUESTS)))
    assert all(answer.usage.completion_tokens == TOKENS for answer in answers)
    return time.monotonic() - begun


@in_either_process
def test_two_do_twice_the_work_of_one(start_gateway, client_of, isolation):
    clients = {replicas: client_of(house(start_gateway, replicas, isolation=isolation)) for replicas in (1, 2)}
    rounds = [(seconds_of_all(clients[1]), seconds_of_all(clients[2])) for _ in range(3)]
    ratio = statistics.median(one / two for one, two in rounds)
    print(f"{REQUESTS} answers of {TOKENS} tokens: {ratio:.2f} times the tokens per second of one engine")
    assert 1.7 < ratio < 2.2


@in_either_process
def test_the_queue_is_one(start_gateway, client_of, isolation):
    """Four begin at once; of those behind them as many may wait as one queue takes, not as two."""
    gateway = house(start_gateway, 2, waiting_max=3, isolation=isolation)
    client = client_of(gateway)
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(ask, client, number) for number in range(12)]
        done = [future.exception() for future in asked]
    assert sum(error is None for error in done) == 7 and {type(error).__name__ for error in done if error} <= {
        "InternalServerError", "RateLimitError"}
    assert gateway.metric("spillway_engine_tokens_total", kind="decode") >= 7 * (TOKENS - 1)
    assert get(gateway.admin + "/readyz")[0] == 200


def test_what_takes_one_engine_says_so(tmp_path):
    policy = configs.write(tmp_path / "policy.yaml", configs.gateway({"local": configs.synthetic_engine(replicas=2)}))
    trace = tmp_path / "trace.csv"
    trace.write_text("id,t_ms,in_tokens,out_tokens,class,deadline_ms\n1,0,200,50,interactive,\n", encoding="utf-8")
    told = subprocess.run([BINARY, "simulate", "--policy", policy, "--trace", trace], capture_output=True, text=True,
                          check=False, timeout=20)
    assert told.returncode == 2 and "targets.local has replicas: 2" in told.stderr, told.stderr
