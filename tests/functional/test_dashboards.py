"""Every query of every dashboard, asked of a real Prometheus that scrapes the running gateway."""
import json
import math
import re
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

from processes import ROOT, Process, get, wait_until

BOARDS = ("overview.json", "cost.json")
VARIABLES = {"$job": ".*", "$instance": ".*", "$__rate_interval": "15s", "$__range": "1m"}

needs_prometheus = pytest.mark.skipif(not shutil.which("prometheus"), reason="Debian's package prometheus is missing")


def queries():
    """(dashboard: panel, PromQL as Grafana would send it)."""
    for name in BOARDS:
        board = json.loads((ROOT / "dashboards" / name).read_text(encoding="utf-8"))
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                expression = target["expr"]
                for variable, value in VARIABLES.items():
                    expression = expression.replace(variable, value)
                yield f"{name}: {panel['title']} {target['refId']}", expression


class Prometheus(Process):
    """Debian's Prometheus, scraping one gateway once a second."""

    def __init__(self, folder, gateway):
        config = {"global": {"scrape_interval": "1s"},
                  "scrape_configs": [{"job_name": "spillway",
                                      "static_configs": [{"targets": [gateway.admin.removeprefix("http://")]}]}]}
        path = folder / "prometheus.yml"
        path.write_text(json.dumps(config), encoding="utf-8")
        super().__init__(["prometheus", f"--config.file={path}", f"--storage.tsdb.path={folder / 'data'}",
                          "--web.listen-address=127.0.0.1:0", "--log.level=info"])
        self.url = "http://" + self.wait_for(r'msg="Listening on" address=(127\.0\.0\.1:\d+)').group(1)
        wait_until(lambda: get(self.url + "/-/ready")[0] == 200, what="Prometheus being ready")

    def series(self, expression):
        """The last minute of `expression`: a list of numbers for each series."""
        now = time.time()
        asked = urllib.parse.urlencode({"query": expression, "start": now - 60, "end": now, "step": 1})
        status, text = get(f"{self.url}/api/v1/query_range?{asked}")
        assert status == 200, f"{expression}: {text}"
        return [[float(value) for _, value in one["values"]] for one in json.loads(text)["data"]["result"]]

    def answers(self, expression):
        return any(math.isfinite(value) for values in self.series(expression) for value in values)


class Traffic:
    """Streams, whole answers, batch work and mistakes, until it is told to stop."""

    MODELS = ("smollm2", "auto", "cloudbrain", "ai-hub", "openmodel")

    def __init__(self, gateway):
        self.gateway, self.stopping, self.sent = gateway, threading.Event(), 0
        self.threads = [threading.Thread(target=self._run, args=(start,)) for start in range(3)]
        for thread in self.threads:
            thread.start()

    def _run(self, number):
        while not self.stopping.is_set():
            number += 1
            self._ask(number)

    def _ask(self, number):
        mistake = number % 7 == 0
        body = {"model": "no-such-model" if mistake else self.MODELS[number % len(self.MODELS)],
                "messages": [{"role": "user", "content": f"Count to {number}."}], "max_tokens": 12,
                "stream": number % 2 == 0, "service_tier": "flex" if number % 3 == 0 else "auto"}
        request = urllib.request.Request(f"{self.gateway.api}/chat/completions", data=json.dumps(body).encode(),
                                         headers={"content-type": "application/json",
                                                  "authorization": f"Bearer {self.gateway.key}"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                answer.read()
                self.sent += 1
        except urllib.error.HTTPError as error:
            assert mistake, error.read()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


@pytest.fixture
def traffic(gateway):
    running = Traffic(gateway)
    yield running
    running.stop()


@pytest.fixture
def prometheus(processes, gateway, tmp_path):
    processes.append(Prometheus(tmp_path, gateway))
    return processes[-1]


@pytest.mark.skipif(not shutil.which("promtool"), reason="Debian's package prometheus is missing")
def test_every_query_is_promql(tmp_path):
    rules = [{"record": f"q{i}", "expr": expression} for i, (_, expression) in enumerate(queries())]
    path = tmp_path / "rules.yml"
    path.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8")
    run = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


@needs_prometheus
def test_every_panel_shows_data(prometheus, traffic):
    waiting = dict(queries())
    total, end = len(waiting), time.monotonic() + 60
    while waiting and time.monotonic() < end:
        waiting = {panel: expression for panel, expression in waiting.items() if not prometheus.answers(expression)}
        time.sleep(0.2)
    assert not waiting, f"{len(waiting)} of {total} queries without data: {json.dumps(waiting, indent=1)}"
    print(f"{total} of {total} queries answered, after {traffic.sent} requests")


@needs_prometheus
def test_the_page_is_clean_and_exports_only_what_is_listed(gateway, traffic):
    wait_until(lambda: traffic.sent >= 10, what="some traffic")
    page = get(gateway.admin + "/metrics")[1]
    run = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    listed = {line.split()[0] for line in (ROOT / "tests/golden/series.txt").read_text(encoding="utf-8").splitlines()}
    assert set(re.findall(r"^# TYPE (\S+)", page, re.MULTILINE)) <= listed
    assert "vllm:num_requests_running" in get(gateway.admin + "/metrics/vllm")[1]
