"""Batches as the official client uses them: results, refusals, cancel, expiry, kills, tenants beside each other."""
import json
import resource
import signal
import sqlite3
import time

import openai
import pytest

import configs
from processes import Gateway, wait_until
from upstream import chat

OTHER = "sk-spillway-other"
KEYS = {"SPILLWAY_OTHER_KEY": OTHER}
ENDED = ("completed", "failed", "expired", "cancelled")


def settings(targets, **more):
    keys = {"test": {"secret": "env:SPILLWAY_TEST_KEY", "tenant": "acme"},
            "other": {"secret": "env:SPILLWAY_OTHER_KEY", "tenant": "rival"}}
    classes = {"interactive": {"sla": {"ttft": "1s", "per_token": "200ms"}, "spill": "when_sla_at_risk"},
               "batch": {"match": "by_name", "spill": "always"}}
    return configs.gateway(targets, classes=classes, keys=keys, **{"batch": {"class": "batch"}, **more})


def cloud(start_provider, profile="instant", *flags, **more):
    provider = start_provider(profile, *flags)
    return provider, {"ai-hub": configs.provider(provider.base_url, "ai-hub", **more)}


def slow_cloud(start_provider, slow):
    """Answers after 0.4 s times `slow`, in the mean."""
    provider = start_provider("ai-hub", "--slow", str(slow))
    return {"ai-hub": configs.provider(provider.base_url, "ai-hub")}


@pytest.fixture
def house(start_provider, start_gateway):
    return start_gateway(settings(cloud(start_provider)[1]), **KEYS)


@pytest.fixture
def client(house, client_of):
    return client_of(house)


def line(number, model="ai-hub", **body):
    asked = {"model": model, "max_tokens": 3, "messages": [{"role": "user", "content": f"Number {number}?"}], **body}
    return {"custom_id": f"line-{number}", "method": "POST", "url": "/v1/chat/completions", "body": asked}


def text_of(lines):
    return "\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines)


def begin(client, lines, **more):
    file = client.files.create(file=("input.jsonl", text_of(lines).encode()), purpose="batch")
    asked = {"endpoint": "/v1/chat/completions", "completion_window": "24h", **more}
    return client.batches.create(input_file_id=file.id, **asked)


def end_of(client, batch, seconds=30):
    def ended():
        now = client.batches.retrieve(batch.id)
        return now if now.status in ENDED else None
    return wait_until(ended, seconds, "the end of the batch")


def results(client, file_id):
    return [json.loads(one) for one in client.files.content(file_id).text.splitlines()] if file_id else []


def test_a_batch_from_input_to_results(client):
    batch = begin(client, [line(n) for n in range(20)], metadata={"night": "1"},
                  extra_body={"output_expires_after": {"anchor": "created_at", "seconds": 7200}})
    assert (batch.object, batch.status, batch.endpoint) == ("batch", "validating", "/v1/chat/completions")
    assert batch.expires_at - batch.created_at == 86400 and batch.output_file_id is None
    done = end_of(client, batch)
    assert done.status == "completed" and done.error_file_id is None and done.errors is None
    assert (done.request_counts.total, done.request_counts.completed, done.request_counts.failed) == (20, 20, 0)
    assert done.metadata == {"night": "1"} and done.model == "ai-hub"
    assert done.created_at <= done.in_progress_at <= done.finalizing_at <= done.completed_at
    out = results(client, done.output_file_id)
    assert sorted(one["custom_id"] for one in out) == sorted(f"line-{n}" for n in range(20))
    for one in out:
        assert one["error"] is None and one["response"]["status_code"] == 200
        assert one["response"]["request_id"].startswith("batchreq_") and one["id"].startswith("batch_req_")
        assert one["response"]["body"]["object"] == "chat.completion"
        assert one["response"]["body"]["choices"][0]["finish_reason"] in ("stop", "length")
    assert done.usage.output_tokens == sum(one["response"]["body"]["usage"]["completion_tokens"] for one in out)
    assert done.usage.total_tokens == done.usage.input_tokens + done.usage.output_tokens > 0
    about = client.files.retrieve(done.output_file_id)
    assert about.purpose == "batch_output" and about.expires_at == about.created_at + 7200


def test_answers_that_are_errors_have_a_file_of_their_own(client):
    asked = [line(0), line(1, temperature=9), line(2, messages=[]), line(3)]
    done = end_of(client, begin(client, asked))
    assert done.status == "completed"
    assert (done.request_counts.completed, done.request_counts.failed) == (2, 2)
    errors = {one["custom_id"]: one["response"] for one in results(client, done.error_file_id)}
    assert errors.keys() == {"line-1", "line-2"}
    assert errors["line-1"]["status_code"] == 400 and errors["line-1"]["body"]["error"]["param"] == "temperature"
    assert {one["custom_id"] for one in results(client, done.output_file_id)} == {"line-0", "line-3"}


FAULTS = [
    ("{not json", "invalid_json_line", None),
    ("[1]", "invalid_json_line", None),
    ({"method": "POST", "url": "/v1/chat/completions", "body": {}}, "missing_required_parameter", "custom_id"),
    ({**line(7), "method": "GET"}, "invalid_method", "method"),
    ({**line(7), "url": "/v1/embeddings"}, "invalid_url", "url"),
    ({**line(7), "body": "text"}, "missing_required_parameter", "body"),
    ({**line(7), "body": {"messages": []}}, "missing_required_parameter", "body.model"),
    (line(7, stream=True), "invalid_value", "body.stream"),
    (line(7, model="other"), "mismatched_model", "body.model"),
    (line(0), "duplicate_custom_id", "custom_id"),
]


def test_bad_lines_fail_the_batch_with_their_numbers(client):
    done = end_of(client, begin(client, [line(0), "", *[fault for fault, *_ in FAULTS], line(9)]))
    assert done.status == "failed" and done.failed_at and done.output_file_id is None
    told = [(error.code, error.param, error.line) for error in done.errors.data]
    assert told == [(code, param, number) for number, (_, code, param) in enumerate(FAULTS, 3)]
    empty = end_of(client, begin(client, ["", "  "]))
    assert [error.code for error in empty.errors.data] == ["empty_file"]


def test_lines_of_a_flood_of_values_hold_up_nobody_elses_disk(house, client_of):
    client, other = client_of(house), client_of(house, api_key=OTHER)
    other.responses.create(model="ai-hub", input="x", store=True)
    batch = begin(client, [line(n, x=[{}] * 4_000_000) for n in range(2)])
    slowest, done = 0.0, client.batches.retrieve(batch.id)
    while done.status == "validating":
        began = time.monotonic()
        other.responses.create(model="ai-hub", input="x", store=True)
        slowest = max(slowest, time.monotonic() - began)
        done = client.batches.retrieve(batch.id)
    assert slowest < 2
    assert [error.code for error in done.errors.data] == ["invalid_json_line"] * 2


def test_too_many_lines(client):
    done = end_of(client, begin(client, [json.dumps(line(n)) for n in range(50_001)]))
    assert [error.code for error in done.errors.data] == ["too_many_requests"]


def test_what_is_refused_at_once(client, client_of, house):
    file = client.files.create(file=("x", text_of([line(0)]).encode()), purpose="batch")
    other_purpose = client.files.create(file=("x", b"{}"), purpose="evals")
    good = {"input_file_id": file.id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    for change, param in (({"completion_window": "1h"}, "completion_window"), ({"endpoint": "/v1/models"}, "endpoint"),
                          ({"input_file_id": other_purpose.id}, "input_file_id"),
                          ({"metadata": {"k" * 65: "v"}}, "metadata")):
        with pytest.raises(openai.BadRequestError) as error:
            client.batches.create(**{**good, **change})
        assert error.value.param == param
    rival = client_of(house, api_key=OTHER)
    with pytest.raises(openai.NotFoundError) as error:
        rival.batches.create(**good)
    assert error.value.param == "input_file_id"
    batch = client.batches.create(**good)
    for ask in (rival.batches.retrieve, rival.batches.cancel):
        with pytest.raises(openai.NotFoundError):
            ask(batch.id)
    assert list(rival.batches.list()) == []
    done = end_of(client, batch)
    with pytest.raises(openai.NotFoundError):
        rival.files.content(done.output_file_id)
    with pytest.raises(openai.BadRequestError) as error:
        client.batches.cancel(batch.id)
    assert "completed" in error.value.message


def test_lists_are_pages_that_iterators_walk(client):
    ids = [begin(client, [line(n)]).id for n in range(5)]
    assert [batch.id for batch in client.batches.list(limit=2)] == ids[::-1]
    page = client.batches.list(limit=2, after=ids[3])
    assert [one.id for one in page.data] == [ids[2], ids[1]] and page.has_more
    for bad in ({"limit": 0}, {"limit": 101}, {"after": "batch_none"}):
        with pytest.raises(openai.BadRequestError):
            client.batches.list(**bad)


def test_the_input_may_be_deleted_while_it_runs(start_provider, start_gateway, client_of):
    targets = slow_cloud(start_provider, 0.1)
    client = client_of(start_gateway(settings(targets, batch={"class": "batch", "concurrency": 2}), **KEYS))
    batch = begin(client, [line(n) for n in range(12)])
    client.files.delete(batch.input_file_id)
    assert end_of(client, batch).request_counts.completed == 12


def test_a_deleted_input_takes_its_tenants_room_until_the_batch_has_ended(start_provider, start_gateway, client_of):
    gateway = start_gateway(settings(slow_cloud(start_provider, 20), files={"tenant_max": "100KiB"}), **KEYS)
    client = client_of(gateway)
    batch = begin(client, [line(1, messages=[{"role": "user", "content": "x" * 60_000}])])
    client.files.delete(batch.input_file_id)
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(batch.input_file_id)
    with pytest.raises(openai.APIStatusError) as error:
        client.files.create(file=("x", b"x" * 60_000), purpose="evals")
    assert error.value.status_code == 413
    client.batches.cancel(batch.id)
    end_of(client, batch)
    assert client.files.create(file=("x", b"x" * 60_000), purpose="evals")


def test_a_tenant_has_so_many_batches_at_once(start_provider, start_gateway, client_of):
    config = settings(slow_cloud(start_provider, 20), batch={"class": "batch", "pending_max": 2})
    gateway = start_gateway(config, **KEYS)
    client = client_of(gateway)
    first, _ = begin(client, [line(1)]), begin(client, [line(2)])
    with pytest.raises(openai.RateLimitError) as error:
        begin(client, [line(3)])
    assert "2 batches" in error.value.message
    assert begin(client_of(gateway, api_key=OTHER), [line(3)])
    client.batches.cancel(first.id)
    end_of(client, first)
    assert begin(client, [line(3)])


def test_a_batch_leaves_its_keys_limit_to_who_waits(start_provider, start_gateway, client_of):
    config = settings(cloud(start_provider)[1])
    config["keys"]["test"]["limits"] = {"requests_per_minute": 12}
    client = client_of(start_gateway(config, **KEYS))
    batch = begin(client, [line(number) for number in range(10)])
    assert end_of(client, batch).request_counts.completed == 10
    for number in range(10):  # Beside two for the file and the batch.
        assert client.chat.completions.create(**line(number)["body"])
    with pytest.raises(openai.RateLimitError):
        client.chat.completions.create(**line(11)["body"])


def test_cancel_keeps_what_is_done(start_provider, start_gateway, client_of):
    targets = slow_cloud(start_provider, 0.3)
    gateway = start_gateway(settings(targets, batch={"class": "batch", "concurrency": 4}), **KEYS)
    client = client_of(gateway)
    batch = begin(client, [line(n) for n in range(200)])
    wait_until(lambda: client.batches.retrieve(batch.id).request_counts.completed >= 8, what="some results")
    assert client.batches.cancel(batch.id).status in ("cancelling", "cancelled")
    done = end_of(client, batch)
    assert done.status == "cancelled" and done.cancelled_at >= done.cancelling_at
    assert 8 <= done.request_counts.completed < 200
    assert len(results(client, done.output_file_id)) == done.request_counts.completed
    wait_until(lambda: gateway.metric("spillway_inflight_requests") == 0, what="nothing at the provider")
    assert gateway.metric("spillway_batch_lines_waiting") == 0
    assert gateway.metric("spillway_batches", state="cancelled") == 1
    assert client.batches.retrieve(batch.id).request_counts == done.request_counts


def test_what_is_late_expires(start_provider, start_gateway, client_of):
    targets = slow_cloud(start_provider, 0.3)
    batches = {"class": "batch", "concurrency": 2, "window": "2s"}
    client = client_of(start_gateway(settings(targets, batch=batches), **KEYS))
    done = end_of(client, begin(client, [line(n) for n in range(300)]))
    assert done.status == "expired" and done.expired_at >= done.expires_at
    counts = done.request_counts
    assert counts.completed > 0 and counts.failed > 0 and counts.completed + counts.failed == 300
    out, errors = results(client, done.output_file_id), results(client, done.error_file_id)
    assert len(out) == counts.completed and len(errors) == counts.failed
    assert len({one["custom_id"] for one in out + errors}) == 300
    assert all(one["response"] is None and one["error"]["code"] == "batch_expired" for one in errors)


def test_failures_that_may_pass_are_tried_again(start_provider, start_gateway, client_of):
    breaker = {"failures_min": 1000}
    provider, targets = cloud(start_provider, "instant", "--fail-share", "0.25", breaker=breaker)
    limits = {"attempts_max": 1}
    client = client_of(start_gateway(settings(targets, limits=limits), **KEYS))
    done = end_of(client, begin(client, [line(n) for n in range(10)]))
    assert done.request_counts.completed == 10
    assert provider.stats()["requests"] > 10


def test_a_lack_of_capacity_is_borne(start_provider, start_gateway, client_of):
    """Whatever is asked is refused with 429, until it is not: more often than a failure would be tried again."""
    provider, targets = cloud(start_provider, breaker={"failures_min": 1000, "open_for": "10ms"})
    provider.script(faults=[{"kind": "rate_limited", "share": 1.0, "retry_after_seconds": 0.01}])
    client = client_of(start_gateway(settings(targets), **KEYS))
    batch = begin(client, [line(n) for n in range(2)])
    wait_until(lambda: provider.stats()["requests"] >= 4, what="some refusals")
    assert client.batches.retrieve(batch.id).status == "in_progress"
    provider.script()
    assert end_of(client, batch).request_counts.completed == 2


@pytest.mark.parametrize("says", [429, 503, 529])
def test_who_is_overloaded_is_asked_again_when_it_said(start_upstream, start_gateway, client_of, says):
    asked_at = []

    def answer(_):
        asked_at.append(time.monotonic())

        def busy(handler):
            handler.send_response(says)
            handler.send_header("retry-after", "2")
            handler.send_header("content-length", "0")
            handler.end_headers()
        return busy if len(asked_at) == 1 else chat()
    upstream = start_upstream(answer)
    client = client_of(start_gateway(settings({"cloud": configs.provider(upstream.base_url, "ai-hub")}), **KEYS))
    assert end_of(client, begin(client, [line(1)])).request_counts.completed == 1
    first, second = asked_at
    assert second - first >= 2


def test_a_huge_batch_does_not_hold_up_another_tenants(start_provider, start_gateway, client_of):
    targets = slow_cloud(start_provider, 0.3)
    gateway = start_gateway(settings(targets, batch={"class": "batch", "concurrency": 4}), **KEYS)
    acme, rival = client_of(gateway), client_of(gateway, api_key=OTHER)
    huge = begin(acme, [line(n) for n in range(400)])
    wait_until(lambda: acme.batches.retrieve(huge.id).request_counts.completed >= 4, what="the huge batch under way")
    small = end_of(rival, begin(rival, [line(n) for n in range(8)]))
    assert small.request_counts.completed == 8
    assert acme.batches.retrieve(huge.id).request_counts.completed < 100


def test_who_comes_to_be_served_finds_a_place(start_provider, start_gateway, client_of):
    """Sixteen lines at once would take all eight places; they leave two of them free."""
    targets = slow_cloud(start_provider, 0.3)
    limits = {"in_flight_max": 8}
    gateway = start_gateway(settings(targets, limits=limits, batch={"class": "batch", "concurrency": 16}), **KEYS)
    client = client_of(gateway)
    batch = begin(client, [line(n) for n in range(300)])
    wait_until(lambda: gateway.metric("spillway_admitted_requests") >= 5, what="a busy gateway")
    for n in range(10):
        client.chat.completions.create(model="ai-hub", max_tokens=3, messages=[{"role": "user", "content": str(n)}])
    assert client.batches.retrieve(batch.id).request_counts.failed == 0


def test_batches_fill_the_engines_idle_time(start_provider, start_gateway, client_of):
    provider, targets = cloud(start_provider)
    targets["local"] = configs.synthetic_engine()
    config = settings(targets)
    config["classes"]["batch"] = {"match": "by_name", "sla": {"deadline": "24h"}, "spill": "cheapest_before_deadline"}
    client = client_of(start_gateway(config, **KEYS))
    done = end_of(client, begin(client, [line(n, model="auto") for n in range(40)]))
    assert done.request_counts.completed == 40
    assert provider.stats()["requests"] == 0


def state_config(tmp_path, targets, drain="30s", **batch):
    config = settings(targets, batch={"class": "batch", **batch})
    config["server"]["drain"] = drain
    config["server"]["state"] = str(tmp_path / "state")
    return configs.write(tmp_path / "spillway.yaml", config)


def booked(tmp_path):
    """The ids under which lines were posted in the ledger."""
    book = sqlite3.connect(tmp_path / "state" / "ledger.sqlite")
    ids = [row[0] for row in book.execute("SELECT id FROM entries WHERE phase = 1 AND id LIKE 'batchreq_%'")]
    book.close()
    return ids


@pytest.mark.parametrize("lines, kills", [(300, 3)])
def test_killed_and_started_again_each_line_is_there_once(start_provider, processes, client_of, tmp_path, lines, kills):
    path = state_config(tmp_path, slow_cloud(start_provider, 0.2), concurrency=16)
    processes.append(Gateway(path, KEYS))
    batch = begin(client_of(processes[-1]), [line(n) for n in range(lines)])
    for kill in range(1, kills + 1):
        client = client_of(processes[-1])
        wait_until(lambda: client.batches.retrieve(batch.id).request_counts.completed >= kill * lines // (kills + 2),
                   60, "progress")
        processes[-1].child.send_signal(signal.SIGKILL)
        processes[-1].child.wait()
        processes.append(Gateway(path, KEYS))
    client = client_of(processes[-1])
    done = end_of(client, batch, 120)
    assert done.status == "completed" and done.request_counts.completed == lines
    out = results(client, done.output_file_id)
    assert sorted(one["custom_id"] for one in out) == sorted(f"line-{n}" for n in range(lines))
    assert done.usage.output_tokens == sum(one["response"]["body"]["usage"]["completion_tokens"] for one in out)
    assert [one.name for one in (tmp_path / "state" / "batches").iterdir()] == []
    wait_until(lambda: len(booked(tmp_path)) >= lines, what="the ledger")
    assert lines <= len(set(booked(tmp_path))) == len(booked(tmp_path)) <= lines + 16 * kills


def test_an_answer_that_a_kill_took_from_a_batch_is_booked_and_so_is_the_next(start_upstream, processes, client_of, tmp_path):
    upstream = start_upstream(lambda asked: time.sleep(0.5) or chat())
    path = state_config(tmp_path, {"ai-hub": configs.provider(upstream.base_url, "ai-hub")}, concurrency=4)
    processes.append(Gateway(path, KEYS))
    batch = begin(client_of(processes[-1]), [line(n) for n in range(3)])
    in_the_way = tmp_path / "state" / "batches" / (batch.id + ".output")
    in_the_way.mkdir()  # Where results belong.
    processes[-1].wait_for("batches are held up", 30)
    wait_until(lambda: len(booked(tmp_path)) == 3, what="the first bills")
    processes[-1].child.send_signal(signal.SIGKILL)
    processes[-1].child.wait()
    in_the_way.rmdir()
    processes.append(Gateway(path, KEYS))
    done = end_of(client_of(processes[-1]), batch)
    assert done.request_counts.completed == 3 and len(upstream.asked) == 6
    wait_until(lambda: len(booked(tmp_path)) == 6, what="both bills of each")
    assert len(set(booked(tmp_path))) == 6


def test_a_term_lets_lines_end_and_the_next_start_goes_on(start_provider, processes, client_of, tmp_path):
    path = state_config(tmp_path, slow_cloud(start_provider, 0.3), concurrency=4)
    processes.append(Gateway(path, KEYS))
    client = client_of(processes[-1])
    batch = begin(client, [line(n) for n in range(60)])
    wait_until(lambda: client.batches.retrieve(batch.id).request_counts.completed >= 8, what="progress")
    assert processes[-1].terminate() == 0
    processes.append(Gateway(path, KEYS))
    client = client_of(processes[-1])
    done = end_of(client, batch)
    assert done.request_counts.completed == 60
    assert len({one["custom_id"] for one in results(client, done.output_file_id)}) == 60


def test_a_line_that_the_drain_cuts_is_another_bill_when_it_is_asked_again(start_upstream, processes, client_of, tmp_path):
    """What the first attempt may owe is booked, and so is all of the second."""
    silent = [True]
    upstream = start_upstream(lambda asked: (lambda handler: handler.wait_until_left()) if silent[0] else chat())
    path = state_config(tmp_path, {"ai-hub": configs.provider(upstream.base_url, "ai-hub")}, drain="200ms", concurrency=4)
    processes.append(Gateway(path, KEYS))
    batch = begin(client_of(processes[-1]), [line(n) for n in range(3)])
    wait_until(lambda: len(upstream.asked) == 3, what="their first attempts")
    assert processes[-1].terminate() == 0
    silent[0] = False
    processes.append(Gateway(path, KEYS))
    done = end_of(client_of(processes[-1]), batch)
    assert done.request_counts.completed == 3 and len(upstream.asked) == 6
    wait_until(lambda: len(booked(tmp_path)) == 6, what="both bills of each")
    assert len(set(booked(tmp_path))) == 6


def test_a_full_disk_holds_batches_up_and_loses_nothing(start_provider, processes, client_of, tmp_path):
    path = state_config(tmp_path, slow_cloud(start_provider, 0.05), concurrency=8)
    processes.append(Gateway(path, KEYS))
    gateway = processes[-1]
    client = client_of(gateway)
    batch = begin(client, [line(n) for n in range(200)])
    wait_until(lambda: client.batches.retrieve(batch.id).request_counts.completed >= 20, what="progress")
    output = next((tmp_path / "state" / "batches").glob("*.output"))
    resource.prlimit(gateway.child.pid, resource.RLIMIT_FSIZE, (output.stat().st_size + 1000, resource.RLIM_INFINITY))
    gateway.wait_for("batches are held up", 30)
    held = client.batches.retrieve(batch.id)
    assert held.status == "in_progress" and held.request_counts.completed < 200
    resource.prlimit(gateway.child.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    done = end_of(client, batch, 60)
    assert done.request_counts.completed == 200
    assert len({one["custom_id"] for one in results(client, done.output_file_id)}) == 200
