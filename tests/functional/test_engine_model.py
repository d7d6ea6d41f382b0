"""`spillway simulate --engine-model fitted`: the engine under the policy is the one that a running gateway has measured."""
import concurrent.futures
import re
import subprocess

import configs
from processes import BINARY, wait_until

PRIOR = {"base": "4ms", "per_sequence": "0.5ms", "per_prefill_token": "0.05ms"}


def simulate(policy, trace, *words):
    done = subprocess.run([BINARY, "simulate", "--policy", policy, "--trace", trace, *words], capture_output=True, text=True,
                          check=False, timeout=60)
    return done.returncode, done.stdout, done.stderr


def write_trace(tmp_path):
    """One request at a time: 200 tokens to read, then 49 steps of one sequence."""
    trace = tmp_path / "trace.csv"
    rows = [f"{i},{i * 2000},200,50,interactive," for i in range(50)]
    trace.write_text("id,t_ms,in_tokens,out_tokens,class,deadline_ms\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return trace


def test_steps_take_what_the_gateway_measured(start_gateway, client_of, tmp_path):
    gateway = start_gateway(configs.gateway({"local": configs.synthetic_engine(**PRIOR, synthetic_slowdown=2)}))
    client = client_of(gateway)

    def ask(number):
        client.chat.completions.create(model="smollm2", max_tokens=40, messages=[
            {"role": "user", "content": "river " * (20 + 60 * (number % 5))}])
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(60)))
    wait_until(lambda: gateway.metric("spillway_engine_step_model_seconds", term="base") > 0.006, what="the fit")
    admin = gateway.admin.removeprefix("http://")
    policy, trace = gateway.config_path, write_trace(tmp_path)
    status, told, error = simulate(policy, trace, "--engine-model", "fitted", "--admin", admin)
    assert status == 0, error
    pace = [float(figure) for figure in re.search(
        r"^engine +([\d.]+) ms a step, ([\d.]+) us a sequence, [-\d.]+ ns a token of context, ([\d.]+) us", told, re.M).groups()]
    print(told)
    alone = pace[0] + pace[1] / 1e3
    assert 9 <= alone <= 12  # 2 × (4 + 0.5) ms, and what the machine adds.
    mean = float(re.search(r"response +mean ([\d.]+)", told).group(1))
    assert abs(mean - (49 * alone + 200 * pace[2] / 1e3) / 1e3) < 0.03
    slower = simulate(policy, trace, "--engine-model", "fitted", "--admin", admin, "--slowdown", "2")[1]
    assert 1.8 * mean < float(re.search(r"response +mean ([\d.]+)", slower).group(1)) < 2.2 * mean
    reference = simulate(policy, trace)[1]
    assert "engine " not in reference and float(re.search(r"response +mean ([\d.]+)", reference).group(1)) < mean


def test_who_cannot_be_asked_is_named(start_gateway, tmp_path):
    trace = write_trace(tmp_path)
    gateway = start_gateway(configs.gateway({"local": configs.synthetic_engine()}))
    for words, said in ((["--engine-model", "fit"], "reference or fitted, not 'fit'"),
                        (["--engine-model", "fitted", "--admin", "127.0.0.1:1"], "no gateway answers at 127.0.0.1:1"),
                        (["--engine-model", "fitted", "--admin", "nowhere"], "--admin")):
        status, _, error = simulate(gateway.config_path, trace, *words)
        assert status in (1, 2) and said in error, error
