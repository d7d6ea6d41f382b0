#!/usr/bin/env python3
"""The promises of docs/money.md as figures.

money.py kills    kill -9 again and again under load: acknowledged answers lost or doubled, and whether the book adds up
money.py bursts   many tenants in bursts: how far past its budget the worst one came, with and without `hard`; with --litellm beside LiteLLM
money.py cpu      CPU a request with keys, limits, budgets and ledger on, by that with all of it off (needs wrk)
money.py posts    posts a second in group commit: into SQLite, and into a PostgreSQL of its own
"""
import argparse
import collections
import concurrent.futures
import http.client
import json
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "functional"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import configs  # noqa: E402
from postgres import Postgres  # noqa: E402
from processes import BINARY, KEY, Gateway, Provider  # noqa: E402

ADMIN = "operators-only"
TOKEN_NANO_USD = 2000  # What configs.provider() asks.
BODY = json.dumps({"model": "auto", "max_tokens": 16, "messages": [{"role": "user", "content": "Hello there, ledger."}]})


class Caller:
    """One connection that is kept, and made again where it broke."""

    def __init__(self, gateway, key=KEY):
        self.address = gateway.root.removeprefix("http://")
        self.headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
        self.connection = None

    def ask(self):
        """Status, request id and answer; raises OSError or HTTPException where the gateway is gone."""
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.address, timeout=120)
        try:
            self.connection.request("POST", "/v1/chat/completions", BODY, self.headers)
            answer = self.connection.getresponse()
            body = answer.read()
            return answer.status, answer.headers["x-request-id"], body
        except (OSError, http.client.HTTPException):
            self.connection.close()
            self.connection = None
            raise


def configuration(folder, provider, **settings):
    target = configs.provider(provider.base_url, "cloud")
    config = configs.gateway({"cloud": target}, classes={"all": {"spill": "always"}}, default_class="all", **settings)
    config["server"] |= {"state": str(Path(folder) / "state"), "admin_key": "env:SPILLWAY_TEST_ADMIN"}
    return configs.write(Path(folder) / "spillway.yaml", config)


def start(path):
    return Gateway(path, {"SPILLWAY_TEST_ADMIN": ADMIN})


def book(folder, query):
    with sqlite3.connect(f"file:{folder}/state/ledger.sqlite?mode=ro", uri=True) as database:
        return database.execute(query).fetchall()


def kills(options):
    acknowledged, stop = [], threading.Event()

    def work(caller, every):
        due = time.monotonic()
        while not stop.is_set():
            try:
                status, request, _ = caller.ask()
            except (OSError, http.client.HTTPException):
                return
            if status == 200:
                acknowledged.append(request)
            due += every
            time.sleep(max(0.0, due - time.monotonic()))

    with tempfile.TemporaryDirectory() as folder:
        provider = Provider("instant")
        path = configuration(folder, provider)
        workers, restarts = 16, []
        for number in range(options.kills):
            began = time.monotonic()
            gateway = start(path)
            restarts.append(time.monotonic() - began)
            threads = [threading.Thread(target=work, args=(Caller(gateway), workers / options.rate)) for _ in range(workers)]
            for thread in threads:
                thread.start()
            time.sleep(0.3 + 0.7 * (number * 0.618 % 1))
            gateway.child.send_signal(signal.SIGKILL)
            gateway.child.wait()
            for thread in threads:
                thread.join()
        gateway = start(path)
        gateway.terminate()
        provider.terminate()
        booked = [row[0] for row in book(folder, "SELECT id FROM entries WHERE phase = 1 AND leg = 0")]
        doubt = book(folder, "SELECT count(*) FROM entries WHERE phase = 2")[0][0]
        debits, credits = book(folder, "SELECT sum(debits), sum(credits) FROM balances")[0]
        amount = book(folder, "SELECT sum(amount) FROM entries")[0][0]
    lost, doubled = len(set(acknowledged) - set(booked)), len(booked) - len(set(booked))
    print(f"{options.kills} x kill -9 under {options.rate}/s: {len(acknowledged)} acknowledged, {len(booked)} booked, "
          f"{lost} lost, {doubled} doubled, {doubt} in doubt; debits {debits} = credits {credits} = entries {amount}: "
          f"{debits == credits == amount}; restart to serving {statistics.median(restarts):.2f} s")
    return 0 if lost == 0 and doubled == 0 and debits == credits == amount else 1


def new_key(gateway, name):
    connection = http.client.HTTPConnection(gateway.admin.removeprefix("http://"), timeout=20)
    connection.request("POST", "/keys", json.dumps({"name": name, "tenant": name}), {"authorization": f"Bearer {ADMIN}"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer["key"]


def ask_in_bursts(gateway, keys, bursts):
    """What each key was answered, as statuses, and what it was served for, by the provider's count of tokens."""
    local, spent = threading.local(), collections.Counter()

    def ask(key):
        if not hasattr(local, "caller"):
            local.caller = Caller(gateway)
        local.caller.headers["authorization"] = f"Bearer {key}"
        status, _, body = local.caller.ask()
        return key, status, json.loads(body)["usage"]["total_tokens"] * TOKEN_NANO_USD if status == 200 else 0

    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        asked = list(pool.map(ask, [key for _ in range(bursts) for key in keys for _ in range(20)]))
    for key, _, cost in asked:
        spent[key] += cost
    return collections.Counter(status for _, status, _ in asked), [spent[key] for key in keys]


def burst_report(what, options, statuses, spent, seconds):
    worst = max(0.0, max(spent) / options.budget - 1)
    over = sum(max(0, amount - options.budget) for amount in spent) / (options.budget * len(spent))
    refused = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()) if status != 200)
    print(f"{what}: {options.tenants} tenants, {options.bursts} bursts of 20, budget {options.budget / 1e9:.6f} USD: "
          f"{statuses[200]} answered, refused {refused}; used {statistics.mean(spent) / options.budget:.1%}, worst overshoot "
          f"{worst:.2%}, all together {over:.2%}; {sum(statuses.values()) / seconds:.0f} requests/s", flush=True)
    return worst


def burst_provider():
    return Provider("instant", "--script", json.dumps({"faults": [{"kind": "error", "share": 0.0}]}))  # Reads what it is asked.


def our_bursts(options, hard):
    names = [f"tenant-{number}" for number in range(options.tenants)]
    with tempfile.TemporaryDirectory() as folder:
        provider = burst_provider()
        budget = {"month": f"{options.budget / 1e9:.9f}usd", "hard": hard}
        gateway = start(configuration(folder, provider, tenants={name: {"budget": budget} for name in names}))
        keys, began = [new_key(gateway, name) for name in names], time.monotonic()
        statuses, spent = ask_in_bursts(gateway, keys, options.bursts)
        seconds = time.monotonic() - began
        gateway.terminate()
        provider.terminate()
        booked = dict(book(folder, "SELECT account, debits FROM balances WHERE account LIKE 'tenant:tenant-%'"))
        served = {f"tenant:{name}": amount for name, amount in zip(names, spent) if amount}  # Who had nothing has no account.
        assert booked == served, "what is booked is not what was served"
    return burst_report(f"Spillway, hard {hard}", options, statuses, spent, seconds)


def litellm_bursts(options, proxy, strict):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        keys, began = list(pool.map(proxy.new_key, [options.budget] * options.tenants)), time.monotonic()
    statuses, spent = ask_in_bursts(proxy, keys, options.bursts)
    return burst_report(f"LiteLLM {proxy.version()}, strict {strict}", options, statuses, spent, time.monotonic() - began)


def bursts_beside_litellm(options):
    from litellm_proxy import LitellmProxy
    provider, runs = burst_provider(), []
    proxies = {strict: LitellmProxy(options.litellm, provider.base_url, TOKEN_NANO_USD, strict) for strict in (False, True)}
    try:
        for _ in range(options.repeat):
            runs.append([run for hard in (False, True)
                         for run in (our_bursts(options, hard), litellm_bursts(options, proxies[hard], hard))])
    finally:
        for proxy in proxies.values():
            proxy.end()
        provider.terminate()
    soft, theirs, hard, strict = (statistics.median(column) for column in zip(*runs))
    print(f"worst overshoot, median of {options.repeat} runs: Spillway {soft:.2%}, LiteLLM {theirs:.2%}; "
          f"Spillway with hard budgets {hard:.2%}, LiteLLM with strict ones {strict:.2%}")
    return soft, hard


def bursts(options):
    soft, hard = bursts_beside_litellm(options) if options.litellm else (our_bursts(options, False), our_bursts(options, True))
    return 0 if soft <= 0.01 and hard == 0 else 1


def cpu_run(overhead, folder, provider, lua, seconds, on):
    settings = {"keys": {"test": {"secret": "env:SPILLWAY_TEST_KEY"}}, "ledger": {"enabled": False}}
    if on:
        limits = {"requests_per_minute": 100_000_000, "tokens_per_minute": 2_000_000_000, "concurrency": 10_000}
        budget = {"day": "1000000usd", "month": "1000000usd", "hard": True}
        settings = {"keys": {"test": {"secret": "env:SPILLWAY_TEST_KEY", "limits": limits, "budget": budget}},
                    "tenants": {"test": {"limits": limits, "budget": budget}}, "model_limits": {"instant": limits}}
    target = configs.provider(provider.base_url, "instant")
    config = configs.gateway({"instant": target}, **settings)
    config["server"] |= {"workers": 1, "state": str(Path(folder) / ("on" if on else "off"))}
    gateway = Gateway(configs.write(Path(folder) / "cpu.yaml", config))
    try:
        return overhead.measure(gateway, int(gateway.root.rsplit(":", 1)[1]), lua, seconds, 0)
    finally:
        gateway.terminate()


def cpu(options):
    import overhead
    with tempfile.TemporaryDirectory() as folder:
        lua, provider = overhead.write_lua(folder), Provider("instant")
        rows = {True: [], False: []}
        for _ in range(options.repeat):
            for on in (False, True):
                rows[on].append(cpu_run(overhead, folder, provider, lua, options.seconds, on))
        provider.terminate()
    off, on = (statistics.median(row["cpu_us"] for row in rows[which]) for which in (False, True))
    rate_off, rate_on = (statistics.median(row["rate"] for row in rows[which]) for which in (False, True))
    print(f"CPU a request: {off:.1f} us off ({rate_off:.0f}/s), {on:.1f} us with keys, limits, budgets and ledger "
          f"({rate_on:.0f}/s): {on / off:.2f} times")
    return 0 if on / off <= 1.3 else 1


def posts(_):
    program = Path(BINARY).parent / "tests/bench/ledger_posts"
    server, slow = Postgres(), 0
    try:
        for name, address in (("SQLite", ""), ("PostgreSQL", server.database())):
            print(f"{name}: ", end="", flush=True)
            slow += subprocess.run([program, "50000", address], check=False).returncode
    finally:
        server.end()
    return 1 if slow else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["kills", "bursts", "cpu", "posts"])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--rate", type=int, default=200, help="requests a second, kills")
    parser.add_argument("--tenants", type=int, default=250)
    parser.add_argument("--bursts", type=int, default=3, help="of 20 requests, for each tenant")
    parser.add_argument("--budget", type=int, default=2_030_000, help="nano-USD a tenant; an answer costs about 50,000")
    parser.add_argument("--litellm", metavar="FOLDER", help="bursts: LiteLLM's virtual environment (litellm/fetch.sh), in turn with ours")
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement, cpu")
    parser.add_argument("--repeat", type=int, default=3, help="cpu, and bursts with LiteLLM; medians are printed")
    options = parser.parse_args()
    return {"kills": kills, "bursts": bursts, "cpu": cpu, "posts": posts}[options.what](options)


if __name__ == "__main__":
    sys.exit(main())
