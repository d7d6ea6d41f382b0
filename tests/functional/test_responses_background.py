"""Responses in the background: polled, followed, cancelled, and what a restart leaves of them."""
import json
import socket
import sqlite3
import time

import openai
import pytest

import configs
from processes import KEY, as_client, send, wait_until
from upstream import Upstream, chat

ASK = "one two three four five"


@pytest.fixture
def slow(start_provider):
    return start_provider("openmodel")


@pytest.fixture
def house(slow, start_gateway, tmp_path):
    targets = {"openmodel": configs.provider(slow.base_url, "openmodel")}
    settings = configs.gateway(targets)
    settings["server"]["state"] = str(tmp_path / "state")
    return start_gateway(settings)


@pytest.fixture
def responses(house, client_of):
    return client_of(house).responses


def ended(responses, made):
    return wait_until(lambda: (now := responses.retrieve(made.id)).status not in ("queued", "in_progress") and now,
                      what="its end")


def test_it_is_polled_until_it_has_ended(responses):
    made = responses.create(model="openmodel", input=ASK, max_output_tokens=20, background=True)
    assert made.status == "queued" and made.background is True and made.output == []
    done = ended(responses, made)
    assert done.status == "incomplete" and done.usage.output_tokens == 20 and done.output_text
    assert done.id == made.id and done.created_at == made.created_at
    follow_up = responses.create(model="openmodel", input="on", max_output_tokens=16, previous_response_id=made.id)
    assert follow_up.usage.input_tokens > 20


def test_it_was_created_once_however_late_it_begins(start_upstream, start_gateway, client_of, tmp_path):
    def late(handler):
        time.sleep(1.1)  # The clock shows another second.
        Upstream.say(handler, chat())

    settings = configs.gateway({"openmodel": configs.provider(start_upstream(lambda asked: late).base_url, "openmodel")})
    settings["server"]["state"] = str(tmp_path / "state")
    client = client_of(start_gateway(settings)).responses
    made = client.create(model="openmodel", input=ASK, max_output_tokens=20, background=True)
    with pytest.raises(openai.BadRequestError, match="still at work") as raised:
        client.create(model="openmodel", input="on", previous_response_id=made.id)
    assert raised.value.param == "previous_response_id"
    assert ended(client, made).created_at == made.created_at


def test_it_survives_its_client(house, slow, responses):
    body = json.dumps({"model": "openmodel", "input": ASK, "max_output_tokens": 60, "background": True, "stream": True})
    host, port = house.root.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)))
    client.sendall((f"POST /v1/responses HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {KEY}\r\n"
                    f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}").encode())
    read = b""
    while b"output_text.delta" not in read:
        read += client.recv(65536)
    client.close()
    first = json.loads(next(line for line in read.decode().split("\n") if line.startswith("data: "))[6:])
    name = first["response"]["id"]
    events = list(responses.retrieve(name, stream=True, starting_after=1))
    assert [event.sequence_number for event in events] == list(range(2, 2 + len(events)))
    assert events[-1].type == "response.incomplete"
    assert slow.stats()["disconnects"] == 0
    done = responses.retrieve(name)
    assert done.usage.output_tokens == 60
    assert done.output_text == "".join(e.delta for e in events if e.type == "response.output_text.delta")


def test_a_cancelled_one_stops_the_work(slow, house, responses):
    made = responses.create(model="openmodel", input=ASK, max_output_tokens=5000, background=True)
    wait_until(lambda: slow.stats()["open_streams"] == 1, what="its start")
    assert responses.retrieve(made.id).status == "in_progress"
    assert responses.cancel(made.id).status == "cancelled"
    wait_until(lambda: slow.stats()["disconnects"] == 1, what="the provider's client leaving")
    assert responses.retrieve(made.id).status == "cancelled" == responses.cancel(made.id).status
    wait_until(lambda: [r["status"] for r in house.decisions()] == [499], what="the account of it")


def test_only_what_runs_in_the_background_is_cancelled(responses):
    made = responses.create(model="openmodel", input=ASK, max_output_tokens=16)
    with pytest.raises(openai.BadRequestError, match="background"):
        responses.cancel(made.id)


def test_a_deleted_one_stops_and_is_gone(slow, responses):
    made = responses.create(model="openmodel", input=ASK, max_output_tokens=5000, background=True)
    wait_until(lambda: slow.stats()["open_streams"] == 1, what="its start")
    responses.delete(made.id)
    wait_until(lambda: slow.stats()["disconnects"] == 1, what="the provider's client leaving")
    with pytest.raises(openai.NotFoundError):
        responses.retrieve(made.id)


def test_a_failed_one_says_why(slow, responses):
    slow.script(faults=[{"kind": "error", "share": 1.0, "status": 500}])
    failed = ended(responses, responses.create(model="openmodel", input=ASK, background=True))
    assert failed.status == "failed" and failed.error.code == "server_error" and failed.error.message
    streamed = list(responses.create(model="openmodel", input=ASK, background=True, stream=True))
    assert streamed[-1].type == "response.failed"


@pytest.mark.parametrize("gently", [False, True])
def test_after_a_restart_it_has_failed_and_says_so(slow, house, start_gateway, client_of, responses, gently):
    made = responses.create(model="openmodel", input=ASK, max_output_tokens=5000, background=True)
    kept = responses.create(model="openmodel", input=ASK, max_output_tokens=16)
    wait_until(lambda: slow.stats()["open_streams"] == 1, what="its start")
    if gently:
        house.child.terminate()
        time.sleep(0)
        house.child.terminate()
        house.child.wait(timeout=20)
    else:
        house.end()
    settings = json.loads(house.config_path.read_text(encoding="utf-8"))
    again = client_of(start_gateway(settings)).responses
    failed = again.retrieve(made.id)
    assert failed.status == "failed" and "gateway" in failed.error.message
    assert again.retrieve(kept.id).output_text == kept.output_text


@pytest.fixture
def strict(slow, start_gateway, tmp_path):
    """A key that may ask once a minute, for one model, and one whose budget a request spends."""
    keys = {"test": {"secret": "env:SPILLWAY_TEST_KEY"},
            "once": {"secret": "env:ONCE", "models": "openmodel", "limits": {"requests_per_minute": 1}},
            "poor": {"secret": "env:POOR", "budget": {"day": "0.00001usd"}}}
    targets = {"openmodel": configs.provider(slow.base_url, "openmodel", serves=["openmodel", "other"])}
    settings = configs.gateway(targets, keys=keys)
    settings["server"]["state"] = str(tmp_path / "state")
    return start_gateway(settings, ONCE="sk-spillway-once", POOR="sk-spillway-poor")


def behind(client, stream=False, **more):
    return client.responses.create(**{"model": "openmodel", "input": ASK, "background": True, "stream": stream,
                                      "max_output_tokens": 16, **more})


class Kept:
    """The responses on the disk, and a disk that takes no end of one."""
    def __init__(self, path):
        self.database = sqlite3.connect(path, isolation_level=None)

    def refuse(self):
        self.database.execute("CREATE TRIGGER stop BEFORE INSERT ON responses WHEN NEW.ended = 1 "
                              "BEGIN SELECT RAISE(ABORT, 'as if the disk were full'); END")

    def take(self):
        self.database.execute("DROP TRIGGER stop")

    def ended(self, response):
        return self.database.execute("SELECT ended FROM responses WHERE id = ?", [response.id]).fetchone() == (1,)


@pytest.mark.parametrize("stream", [False, True])
def test_an_end_that_the_disk_does_not_take_is_told_and_written_later(house, client_of, tmp_path, stream):
    client, kept = client_of(house), Kept(tmp_path / "state/responses.sqlite")
    conversation = client.conversations.create()
    kept.refuse()
    made = client.responses.create(model="openmodel", input=ASK, max_output_tokens=20, background=True,
                                   conversation=conversation.id, stream=stream)
    if stream:
        events = list(made)
        made = events[0].response
        assert events[-1].type == "response.incomplete"
    done = ended(client.responses, made)
    assert done.status == "incomplete" and done.output_text
    assert client.responses.cancel(made.id).status == "incomplete"
    assert not kept.ended(made) and list(client.conversations.items.list(conversation.id)) == []
    kept.take()
    wait_until(lambda: kept.ended(made), what="its end on the disk")
    items = wait_until(lambda: list(client.conversations.items.list(conversation.id)), what="the turn")
    assert [item.role for item in items] == ["assistant", "user"]
    assert client.responses.retrieve(made.id).output_text == done.output_text


def test_one_whose_end_nobody_knows_any_more_has_failed(house, responses, tmp_path):
    made = ended(responses, responses.create(model="openmodel", input=ASK, max_output_tokens=16, background=True))
    kept = Kept(tmp_path / "state/responses.sqlite")
    kept.database.execute("UPDATE responses SET ended = 0")
    lost = responses.cancel(made.id)
    assert lost.status == "failed" and "could not be written down" in lost.error.message
    assert kept.ended(made) and responses.retrieve(made.id).status == "failed"


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_refused_is_refused_at_once(strict, client_of, stream):
    client, once = client_of(strict), client_of(strict, api_key="sk-spillway-once")
    with pytest.raises(openai.NotFoundError):
        behind(client, stream, model="nobody")
    with pytest.raises(openai.BadRequestError):
        behind(client, stream, extra_body={"top_k": 5})
    with pytest.raises(openai.PermissionDeniedError):
        behind(once, stream, model="other")
    wait_until(lambda: strict.metric("spillway_requests_total") == 3, what="their account")
    told = once.responses.with_raw_response.create(model="openmodel", input=ASK, background=True, max_output_tokens=16)
    assert told.status_code == 200 and told.headers["x-ratelimit-remaining-requests"] == "0"
    with pytest.raises(openai.RateLimitError) as limited:
        behind(once, stream)
    assert int(limited.value.response.headers["retry-after-ms"]) > 50_000
    poor = client_of(strict, api_key="sk-spillway-poor")
    with pytest.raises(openai.RateLimitError) as unpaid:
        behind(poor, stream)
    assert (unpaid.value.type, unpaid.value.code) == ("insufficient_quota", "project_spend_limit_exceeded")


def test_the_patience_with_the_connection_is_not_that_with_the_answer(start_upstream, start_gateway, client_of, tmp_path):
    def late(handler):
        time.sleep(1.0)
        Upstream.say(handler, chat())

    settings = configs.gateway({"openmodel": configs.provider(start_upstream(lambda asked: late).base_url, "openmodel")})
    settings["server"]["state"] = str(tmp_path / "state")
    client = client_of(start_gateway(settings), timeout=0.5)
    made = client.responses.create(model="openmodel", input=ASK, max_output_tokens=20, background=True)
    assert ended(client.responses, made).status == "completed"


def test_who_follows_it_is_not_left_in_silence(start_upstream, start_gateway, tmp_path):
    def late(handler):
        time.sleep(1.0)
        Upstream.say(handler, chat())

    settings = configs.gateway({"openmodel": configs.provider(start_upstream(lambda asked: late).base_url, "openmodel")})
    settings["server"] |= {"state": str(tmp_path / "state"), "keep_alive": "100ms"}
    house = start_gateway(settings)
    body = {"model": "openmodel", "input": ASK, "background": True, "stream": True}
    status, _, text = send(house.api + "/responses", "POST", body, as_client())
    assert status == 200 and text.count(b": keep-alive\n\n") >= 4
