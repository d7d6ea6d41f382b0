"""The order of policies on a recorded trace; tests/bench/routing.py --full prints all of them, on all traces."""
import subprocess
import sys

import pytest
from processes import BINARY, ROOT

sys.path.insert(0, str(ROOT / "tests/bench"))

import routing_cases as cases  # noqa: E402


@pytest.fixture(name="bench", scope="module")
def fixture_bench(tmp_path_factory):
    return cases.Bench(str(tmp_path_factory.mktemp("policies")))


@pytest.mark.parametrize("baseline", [cases.STATIC, cases.QUEUE, cases.ALL_CLOUD], ids=lambda policy: policy.file)
def test_ours_is_cheaper_and_keeps_more(bench, baseline):
    ours = bench.run(cases.OUR_POLICY, cases.AZURE, 0.8)
    theirs = bench.run(baseline, cases.AZURE, 0.8)
    assert ours["failed"] == 0 and ours["in_time"] >= 99.9
    assert ours["attainment"] >= theirs["attainment"]
    assert ours["usd"] < theirs["usd"]


@pytest.mark.parametrize("policy", [*cases.BASELINES, *cases.ABLATIONS], ids=lambda policy: policy.name)
def test_every_policy_is_a_sound_configuration(policy, tmp_path, monkeypatch):
    monkeypatch.setenv("SPILLWAY_DEMO_KEY", "not-needed-to-check")
    for values in policy.values:
        path = cases.write_policy(policy, values, cases.MOONCAKE.batch_ttft, tmp_path)
        checked = subprocess.run([BINARY, "check", path], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr


def test_the_articles_day_has_its_calls(tmp_path):
    day = cases.article_day(tmp_path)
    run = cases.Bench(str(tmp_path)).run(cases.OUR_POLICY, day, 1.0)
    assert run["requests"] == 100_000 and run["failed"] == 0
    assert run["mean"] <= 1.0 and run["usd"] <= (1 - 0.82) * cases.CHEAPEST_USD


@pytest.mark.parametrize("words, told", [(("--without", "luck"), "drift or worth"), (("--speed", "0"), "--speed wants")])
def test_a_wrong_option_is_told(words, told):
    run = subprocess.run([BINARY, "simulate", "--policy", cases.OURS, "--trace", ",".join(cases.AZURE.files), *words],
                         capture_output=True, text=True, check=False)
    assert run.returncode == 2 and told in run.stderr


def bound_of(tmp_path, arrivals_ms):
    """What the bound sends to providers, of prompts of 3,000 tokens: a tenth of a second of the node each."""
    path = tmp_path / "small.csv"
    rows = [f"{number},{at},3000,1,interactive," for number, at in enumerate(arrivals_ms)]
    path.write_text("\n".join(["id,t_ms,in_tokens,out_tokens,class,deadline_ms", *rows]) + "\n", encoding="utf-8")
    run = subprocess.run([cases.BOUND, "--load", "1", path], capture_output=True, text=True, check=True)
    return float(run.stdout.split("$")[1].split()[0])


def test_the_bound_sends_away_what_no_second_has_room_for(tmp_path):
    assert bound_of(tmp_path, range(0, 100_000, 1000)) == 0
    # A burst has its second and the quarter that this may touch, of which decoding steps would leave 86 %.
    burst = bound_of(tmp_path, [1000] * 1000)
    assert burst == pytest.approx((1000 - 10.75) * 3001 * cases.CHEAPEST_USD / 1e6, rel=0.01)
