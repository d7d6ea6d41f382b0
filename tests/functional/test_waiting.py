"""Work that may wait: held until the engine has room, sent to a provider in time for its deadline."""
import asyncio
import concurrent.futures
import contextlib
import statistics
import threading
import time

import openai

import configs
from processes import wait_until
from upstream import chat

WORDS = [{"role": "user", "content": "word " * 40}]


def house(start_provider, start_gateway, deadline="60s", limits=None, provider=None, **engine):
    cloud = start_provider("instant")
    targets = {"local": configs.synthetic_engine(**engine),
               "ai-hub": configs.provider(cloud.base_url, "ai-hub", forward_fields=["ignore_eos"], **(provider or {}))}
    classes = {"interactive": {"sla": {"ttft": "1s", "per_token": "500ms"}, "spill": "when_sla_at_risk"},
               "batch": {"match": {"service_tier": "flex"}, "sla": {"deadline": deadline},
                         "spill": "cheapest_before_deadline"}}
    return start_gateway(configs.gateway(targets, classes=classes, limits=limits or {})), cloud


def ask(client, tokens=20, **settings):
    """Sends one request; its target, its reason and when it was whole."""
    raw = client.chat.completions.with_raw_response.create(
        model="auto", messages=WORDS, max_tokens=tokens, stream=True, extra_body={"ignore_eos": True}, **settings)
    for _ in raw.parse():
        pass
    return raw.headers["x-spillway-target"], raw.headers["x-spillway-reason"], time.monotonic()


@contextlib.contextmanager
def busy_engine(gateway, client, tokens=60):
    """While one interactive answer of so many tokens runs, which is whole at the end; its ask() as a future."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        work = pool.submit(ask, client, tokens)
        wait_until(lambda: gateway.metric("spillway_engine_running_sequences") == 1, what="a busy engine")
        yield work
        work.result()


def held(gateway):
    return gateway.metric("spillway_held_requests")


def test_an_idle_engine_takes_it_at_once(start_provider, start_gateway, client_of):
    gateway, cloud = house(start_provider, start_gateway)
    began = time.monotonic()
    target, reason, ended = ask(client_of(gateway), service_tier="flex")
    assert (target, reason) == ("local", "engine_has_room")
    assert ended - began < 5
    assert cloud.stats()["requests"] == 0


def test_it_waits_while_somebody_is_served_and_costs_nothing(start_provider, start_gateway, client_of):
    """Steps of 60 ms are more than a quarter of 200 ms promised: no room until the interactive answers are through."""
    cloud = start_provider("instant")
    targets = {"local": configs.synthetic_engine(base="60ms"),
               "ai-hub": configs.provider(cloud.base_url, "ai-hub", forward_fields=["ignore_eos"])}
    classes = {"interactive": {"sla": {"ttft": "5s", "per_token": "200ms"}, "spill": "when_sla_at_risk"},
               "batch": {"match": {"service_tier": "flex"}, "sla": {"deadline": "120s"},
                         "spill": "cheapest_before_deadline"}}
    gateway = start_gateway(configs.gateway(targets, classes=classes))
    client = client_of(gateway)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        served = [pool.submit(ask, client, 40) for _ in range(2)]
        wait_until(lambda: gateway.metric("spillway_engine_running_sequences") == 2, what="two running answers")
        batch = [pool.submit(ask, client, 5, service_tier="flex") for _ in range(3)]
        wait_until(lambda: held(gateway) == 3, what="three held requests")
        first_served = min(one.result()[2] for one in served)
        done = [one.result() for one in batch]
    assert {(target, reason) for target, reason, _ in done} == {("local", "engine_has_room")}
    assert min(ended for *_, ended in done) > first_served
    assert cloud.stats()["requests"] == 0


def test_what_must_leave_to_be_in_time_leaves(start_provider, start_gateway, client_of):
    gateway, _ = house(start_provider, start_gateway, deadline="4s", base="150ms", sequences_max=1)
    client = client_of(gateway)
    with busy_engine(gateway, client):
        began = time.monotonic()
        target, reason, ended = ask(client, 5, service_tier="flex")
    assert (target, reason) == ("ai-hub", "spill_due")
    assert 1.5 < ended - began < 4


def test_a_deadline_of_its_own_is_kept(start_provider, start_gateway, client_of):
    gateway, _ = house(start_provider, start_gateway, base="150ms", sequences_max=1)
    client = client_of(gateway)
    with busy_engine(gateway, client):
        began = time.monotonic()
        target, _, ended = ask(client, 5, service_tier="flex", extra_headers={"x-spillway-deadline-ms": "3000"})
    assert target == "ai-hub" and ended - began < 3


async def ask_and_leave(gateway):
    async with openai.AsyncOpenAI(base_url=gateway.api, api_key=gateway.key, max_retries=0) as client:
        work = asyncio.create_task(client.chat.completions.create(model="auto", messages=WORDS, service_tier="flex"))
        while held(gateway) == 0:
            await asyncio.sleep(0.02)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


def test_a_client_that_leaves_is_held_no_longer(start_provider, start_gateway, client_of):
    gateway, cloud = house(start_provider, start_gateway, base="150ms", sequences_max=1)
    with busy_engine(gateway, client_of(gateway)):
        asyncio.run(ask_and_leave(gateway))
        wait_until(lambda: held(gateway) == 0, what="an empty waiting room")
    assert cloud.stats()["requests"] == 0
    wait_until(lambda: 499 in [d["status"] for d in gateway.decisions()], what="the log of it")


def test_a_term_sends_everybody_who_waits_to_a_provider(start_provider, start_gateway, client_of):
    gateway, _ = house(start_provider, start_gateway, base="150ms", sequences_max=1)
    client = client_of(gateway)
    with busy_engine(gateway, client, 30) as busy, concurrent.futures.ThreadPoolExecutor(4) as pool:
        batch = [pool.submit(ask, client, 5, service_tier="flex") for _ in range(4)]
        wait_until(lambda: held(gateway) == 4, what="four held requests")
        assert gateway.terminate(30) == 0
        assert {one.result()[:2] for one in batch} == {("ai-hub", "spill_due")}
        assert busy.result()[0] == "local"


def test_what_finds_no_place_leaves_at_once(start_provider, start_gateway, client_of):
    """Held requests never take all places of in_flight_max: who comes to be served is still let in."""
    gateway, _ = house(start_provider, start_gateway, limits={"held_max": 2}, base="150ms", sequences_max=1)
    client = client_of(gateway)
    with busy_engine(gateway, client) as busy, concurrent.futures.ThreadPoolExecutor(4) as pool:
        batch = [pool.submit(ask, client, 5, service_tier="flex") for _ in range(2)]
        wait_until(lambda: held(gateway) == 2, what="two held requests")
        assert ask(client, 5, service_tier="flex")[:2] == ("ai-hub", "held_full")
        assert busy.result()[0] == "local"
        assert {one.result()[0] for one in batch} == {"local"}


def test_each_tenant_has_a_share_of_the_places(start_provider, start_gateway, client_of):
    """One fills all four; the other's two find places all the same, which two of the first's make, and a third none."""
    cloud = start_provider("instant")
    targets = {"local": configs.synthetic_engine(base="150ms", sequences_max=1),
               "ai-hub": configs.provider(cloud.base_url, "ai-hub", forward_fields=["ignore_eos"])}
    classes = {"interactive": {"sla": {"ttft": "1s", "per_token": "500ms"}, "spill": "when_sla_at_risk"},
               "batch": {"match": {"service_tier": "flex"}, "sla": {"deadline": "60s"},
                         "spill": "cheapest_before_deadline"}}
    config = configs.gateway(targets, classes=classes, limits={"held_max": 4})
    config["keys"] = {"a": {"secret": "env:KEY_A"}, "b": {"secret": "env:KEY_B"}}
    gateway = start_gateway(config, KEY_A="sk-aaaa-1", KEY_B="sk-bbbb-1")
    first = openai.OpenAI(base_url=gateway.api, api_key="sk-aaaa-1", max_retries=0)
    second = openai.OpenAI(base_url=gateway.api, api_key="sk-bbbb-1", max_retries=0)
    with busy_engine(gateway, first), concurrent.futures.ThreadPoolExecutor(8) as pool:
        of_first = [pool.submit(ask, first, 5, service_tier="flex") for _ in range(4)]
        wait_until(lambda: held(gateway) == 4, what="a full waiting room")
        assert ask(first, 5, service_tier="flex")[:2] == ("ai-hub", "held_full")
        of_second = [pool.submit(ask, second, 5, service_tier="flex") for _ in range(2)]
        wait_until(lambda: sum(one.done() for one in of_first) == 2, what="room for the other tenant")
        assert held(gateway) == 4
        assert ask(second, 5, service_tier="flex")[:2] == ("ai-hub", "held_full")
        assert ask(first, 5, service_tier="flex")[:2] == ("ai-hub", "held_full")
    assert sorted(one.result()[:2] for one in of_first) == [("ai-hub", "held_full")] * 2 + [("local", "engine_has_room")] * 2
    assert {one.result()[:2] for one in of_second} == {("local", "engine_has_room")}


def test_a_burst_that_is_due_together_is_in_time(start_provider, start_gateway, client_of):
    gateway, cloud = house(start_provider, start_gateway, deadline="4s", base="150ms", sequences_max=1)
    client = client_of(gateway)
    with busy_engine(gateway, client, 40), concurrent.futures.ThreadPoolExecutor(60) as pool:
        batch = list(pool.map(lambda _: ask(client, 5, service_tier="flex"), range(60)))
    assert {one[0] for one in batch} == {"ai-hub"}
    assert cloud.stats()["requests"] == 60


def test_busy_providers_are_asked_again_while_there_is_time(start_provider, start_gateway, client_of):
    gateway, _ = house(start_provider, start_gateway, deadline="8s", provider={"concurrency_max": 1}, base="150ms",
                       sequences_max=1, waiting_max=0)
    client = client_of(gateway)
    with busy_engine(gateway, client), concurrent.futures.ThreadPoolExecutor(8) as pool:
        batch = list(pool.map(lambda _: ask(client, 5, service_tier="flex"), range(8)))
    assert {one[0] for one in batch} == {"ai-hub"}


def all_in_time(client, count, **settings):
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        batch = [pool.submit(ask, client, 20, service_tier="flex", **settings) for _ in range(count)]
        return [one.result()[0] for one in batch]


def test_a_full_engine_gets_nothing_that_a_busy_provider_will_have_room_for(start_provider, start_gateway, client_of):
    """Ten answers of three seconds within ten: the engine has time for two or three."""
    gateway, _ = house(start_provider, start_gateway, deadline="10s", provider={"concurrency_max": 2}, base="150ms",
                       sequences_max=1)
    targets = all_in_time(client_of(gateway), 10)
    assert targets.count("local") <= 3
    assert {d["status"] for d in gateway.decisions()} == {200}


def test_nor_what_a_provider_wants_to_be_asked_later(start_upstream, start_gateway, client_of):
    refused = []

    def answer(_):
        refused.append(None)
        if len(refused) <= 2:
            return lambda handler: limited(handler, 1)
        return chat()
    targets = {"local": configs.synthetic_engine(base="150ms", sequences_max=1),
               "ai-hub": configs.provider(start_upstream(answer).base_url, "ai-hub")}
    classes = {"interactive": {"sla": {"ttft": "1s", "per_token": "500ms"}, "spill": "when_sla_at_risk"},
               "batch": {"match": {"service_tier": "flex"}, "sla": {"deadline": "8s"},
                         "spill": "cheapest_before_deadline"}}
    gateway = start_gateway(configs.gateway(targets, classes=classes))
    client = client_of(gateway)
    with busy_engine(gateway, client, 60):
        raw = client.chat.completions.with_raw_response.create(
            model="auto", messages=WORDS, max_tokens=20, service_tier="flex")
    assert (raw.status_code, raw.headers["x-spillway-target"]) == (200, "ai-hub")


def limited(handler, seconds):
    handler.send_response(429)
    handler.send_header("retry-after", str(seconds))
    handler.send_header("content-length", "0")
    handler.end_headers()


def test_who_waits_for_a_busy_provider_comes_back_when_the_engine_drains(start_upstream, start_gateway, client_of):
    """It has to leave after eight seconds, and the only provider is busy for a minute; the engine is after ten."""
    done = threading.Event()

    def answer(_):
        done.wait(60)
        return chat()
    targets = {"local": configs.synthetic_engine(base="150ms", sequences_max=1, waiting_max=0),
               "ai-hub": configs.provider(start_upstream(answer).base_url, "ai-hub", concurrency_max=1)}
    classes = {"interactive": {"sla": {"ttft": "1s", "per_token": "500ms"}, "spill": "when_sla_at_risk"},
               "batch": {"match": {"service_tier": "flex"}, "sla": {"deadline": "16s"},
                         "spill": "cheapest_before_deadline"}}
    gateway = start_gateway(configs.gateway(targets, classes=classes))
    client = client_of(gateway)
    with concurrent.futures.ThreadPoolExecutor(1) as pool, busy_engine(gateway, client, 66) as busy:
        away = pool.submit(client.chat.completions.create, model="ai-hub", messages=WORDS)
        wait_until(lambda: gateway.metric("spillway_inflight_requests", be="ai-hub") == 1, what="a busy provider")
        target, reason, ended = ask(client, 5, service_tier="flex")
        assert (target, reason) == ("local", "engine_has_room")
        assert busy.result()[2] < ended
        done.set()
        assert away.result().choices


def test_work_that_the_engine_cannot_end_in_time_goes_to_a_provider(start_provider, start_gateway, client_of):
    gateway, _ = house(start_provider, start_gateway, deadline="4s", base="100ms")
    assert ask(client_of(gateway), 100, service_tier="flex")[:2] == ("ai-hub", "spill_deadline")


def test_a_stream_is_not_held_longer_than_its_client_bears_silence(start_provider, start_gateway, client_of):
    gateway, _ = house(start_provider, start_gateway, base="150ms", sequences_max=1)
    client = client_of(gateway)
    with busy_engine(gateway, client):
        began = time.monotonic()
        target, _, ended = ask(client_of(gateway, timeout=6), 5, service_tier="flex")
        assert target == "ai-hub" and ended - began < 6


def timed(client, tier, until):
    """Asks again and again until `until()`; the seconds of each answer."""
    took = []
    while not until():
        began = time.monotonic()
        ask(client, 5, service_tier=tier)
        took.append(time.monotonic() - began)
    return took


def test_who_pays_for_priority_does_not_notice_who_waits(start_provider, start_gateway, client_of):
    """Eight clients of flex would fill a slow engine four times over; those of priority are as quick as if alone."""
    classes = {"fast": {"match": {"service_tier": "priority"}, "sla": {"ttft": "2s", "per_token": "120ms"}, "spill": "never"},
               "slow": {"match": {"service_tier": "flex"}, "sla": {"deadline": "120s"}, "spill": "cheapest_before_deadline"}}
    targets = {"local": configs.synthetic_engine(base="20ms", sequences_max=2),
               "ai-hub": configs.provider(start_provider("instant").base_url, "ai-hub", serves=["ai-hub"])}
    gateway = start_gateway(configs.gateway(targets, classes=classes, default_class="fast"))
    client = client_of(gateway)
    alone = statistics.median(timed(client, "priority", iter([False] * 5 + [True]).__next__))
    done = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        flex = [pool.submit(timed, client, "flex", done.is_set) for _ in range(8)]
        wait_until(lambda: held(gateway) >= 6, what="clients of flex that wait")
        began = time.monotonic()
        loaded = timed(client, "priority", lambda: time.monotonic() > began + 2)
        wait_until(lambda: held(gateway) >= 4, what="clients of flex that still wait")
        done.set()
        served = sum((one.result() for one in flex), [])
    p95 = statistics.quantiles(loaded, n=20)[-1]
    print(f"priority alone {alone:.2f} s, p95 loaded {p95:.2f} s of {len(loaded)}; flex {max(served):.2f} s at most")
    assert len(served) >= 8
    assert p95 < 2 * alone + 0.1 < max(served)


def test_flex_does_not_take_a_providers_last_places(start_upstream, start_gateway, client_of):
    def answer(_):
        time.sleep(0.1)
        return chat()
    classes = {"fast": {"match": {"service_tier": "priority"}, "spill": "always"},
               "slow": {"match": {"service_tier": "flex"}, "sla": {"deadline": "60s"}, "spill": "always"}}
    up = configs.provider(start_upstream(answer).base_url, "up", concurrency_max=4)
    client = client_of(start_gateway(configs.gateway({"up": up}, classes=classes, default_class="fast")))
    done = threading.Event()

    def ask(tier, until):
        refused = []
        while not until():
            try:
                client.chat.completions.create(model="up", messages=WORDS, service_tier=tier)
            except openai.APIStatusError as error:
                refused.append(error.status_code)
        return refused

    with concurrent.futures.ThreadPoolExecutor(13) as pool:
        flex = [pool.submit(ask, "flex", done.is_set) for _ in range(12)]
        priority = pool.submit(ask, "priority", iter([False] * 20 + [True]).__next__).result()
        done.set()
    assert {status for one in flex for status in one.result()} <= {429}
    assert priority == []
