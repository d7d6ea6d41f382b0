"""What is simulated is what happens: parts of traces in real time through a whole gateway, at simulated providers over HTTP.

One provider fails 18 % and is slow for a fifth of the time, all keep rate limits; the node has two fifths of what it can do,
four, or half again as much as it can. More parts, and the other traces: `spillway replay --help`.
"""
import os
import re
import subprocess
from pathlib import Path

import pytest

from processes import BINARY

ROOT = Path(__file__).resolve().parents[2]
TRACES = ROOT / "tests/data/traces"
AZURE = ",".join(str(TRACES / f"azure_llm_2023_{kind}.csv.gz") for kind in ("conv", "code"))


def replay(*words, seconds=300):
    done = subprocess.run([BINARY, "replay", "--policy", ROOT / "config/policies/gpu-node.yaml", *words], capture_output=True,
                          text=True, timeout=seconds, env={**os.environ, "SPILLWAY_DEMO_KEY": "unused"}, check=False)
    return done.returncode, done.stdout, done.stderr


def both(told, name):
    """The figures of one line: simulated, live."""
    return [float(figure) for figure in re.search(rf"^{name} +\$?([\d.]+)(?: [%s])? +\$?([\d.]+)", told, re.M).groups()]


# A provider that comes to be too slow for a while, or just not, is worth 5 % of what is paid in two minutes: where much leaves,
# several parts are judged together.
WHOLE = pytest.mark.skipif(os.environ.get("SPILLWAY_WHOLE") != "1", reason="takes seven minutes: tests/run.sh --whole")


@pytest.mark.parametrize("load, parts", [("0.4", ["1200"]), ("0.8", ["1200"]),
                                         pytest.param("1.5", ["600", "1200", "2000"], marks=WHOLE)])
def test_live_and_simulated_agree(load, parts):
    apart, most = 0.0, 0.0
    for begins in parts:
        _, told, _ = replay("--trace", AZURE, "--saturation", "azure1h", "--load", load, "--from", begins)
        print(told)
        assert "agree: " in told and ", 0 errors seen by clients" in told
        for kept in ("interactive, promises kept", "batch in time"):
            simulated, live = both(told, kept)
            assert abs(simulated - live) <= 2
        simulated, live = both(told, "paid to providers")
        apart += live - simulated
        most += float(re.search(r"of spend \(at most \$([\d.]+)\)", told).group(1))  # 5 %, or five requests' worth.
    assert abs(apart) <= most


def test_part_of_nothing_is_refused():
    for words, why in ((["--from", "1e6"], "nobody asks in"), (["--for", "0"], "--for wants a number"), (["--from", "x"], "--from wants")):
        status, _, error = replay("--trace", AZURE, *words)
        assert status == 2 and why in error
    assert replay()[0] == 2


@pytest.mark.parametrize("policy", ["nowhere.yaml"])
def test_a_policy_that_is_none_is_refused(policy):
    done = subprocess.run([BINARY, "replay", "--policy", policy, "--trace", AZURE], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2 and policy in done.stderr
