"""Streams in the background that are followed, left and followed again: whatever was read before, the rest comes."""
import json
import signal
import threading

import openai
import pytest

import configs
from processes import wait_until
from upstream import USAGE, begin, chat, chunk

WORDS = [f"w{i} " for i in range(30)]
NOTE = {"type": "url_citation", "url_citation": {"url": "http://a", "title": "t", "start_index": 0, "end_index": 3}}


def annotated():
    noted = chunk({})
    noted["choices"][0]["delta"] = {"annotations": [NOTE]}
    return [chunk({"content": word}) for word in WORDS] + [noted]


def called():
    def call(index, **more):
        return chunk({"tool_calls": [{"index": index, **more}]})

    def named(index, name):
        return call(index, id=f"call_{name}", type="function", function={"name": name, "arguments": ""})

    pieces = [(0, '{"a":'), (0, "1"), (0, "}"), (1, '{"b":'), (1, "[2]"), (1, "}")]
    said = [call(index, function={"arguments": piece}) for index, piece in pieces]
    return [chunk({"content": "I look "}), chunk({"content": "it up"}), named(0, "f"), *said[:3], named(1, "g"), *said[3:]]


def thought():
    return [chunk({"reasoning_content": word}) for word in WORDS[:9]] + [chunk({"content": word}) for word in WORDS]


@pytest.fixture
def scene(start_upstream, start_gateway, tmp_path):
    """A provider that says a prompt's chunks, and what it goes on with once it is let."""
    class Scene:
        first, more = [], []
        go_on = threading.Event()

    def write(handler, pieces):
        for piece in pieces:
            handler.wfile.write(b"data: " + json.dumps(piece).encode() + b"\n\n")
            handler.wfile.flush()

    def say(handler):
        begin(handler)
        write(handler, Scene.first)
        Scene.go_on.wait(20)
        write(handler, Scene.more)

    def whole(asked):
        pieces = [piece["choices"][0]["delta"] for piece in Scene.first]
        text = "".join(piece.get("content", "") for piece in pieces)
        return chat(text, message={"role": "assistant", "content": text, "annotations": [NOTE]})

    provider = start_upstream(lambda asked: say if asked.json.get("stream") else whole(asked))
    settings = configs.gateway({"up": configs.provider(provider.base_url, "up", serves={"m": "up"})})
    settings["server"] |= {"state": str(tmp_path / "state"), "drain": "500ms"}
    Scene.house, Scene.restart = start_gateway(settings), lambda: start_gateway(settings)
    yield Scene
    Scene.go_on.set()


def whole(scene, pieces, finish="stop"):
    scene.first, scene.more = pieces, [chunk({}, finish=finish), USAGE]
    scene.go_on.set()


def ask(client):
    return client.responses.create(model="m", input="x", background=True, stream=True)


def plain(events):
    return [event.to_dict() for event in events]


@pytest.mark.parametrize("said", [annotated, called, thought])
def test_after_its_end_exactly_the_rest_comes(scene, client_of, said):
    whole(scene, said(), "tool_calls" if said is called else "stop")
    client = client_of(scene.house)
    live = plain(ask(client))
    name = live[0]["response"]["id"]
    assert [event["sequence_number"] for event in live] == list(range(len(live))) and len(live) > 15
    wait_until(lambda: client.responses.retrieve(name).status == "completed", what="its end")
    assert plain(client.responses.retrieve(name, stream=True)) == live
    for seen in range(len(live)):
        assert plain(client.responses.retrieve(name, stream=True, starting_after=seen)) == live[seen + 1:]
    with pytest.raises(openai.BadRequestError, match="has not told") as unheard:
        client.responses.retrieve(name, stream=True, starting_after=len(live))
    assert unheard.value.param == "starting_after"
    scene.house.terminate()
    again = client_of(scene.restart())
    assert plain(again.responses.retrieve(name, stream=True, starting_after=7)) == live[8:]
    with pytest.raises(openai.BadRequestError, match="has not told"):
        again.responses.retrieve(name, stream=True, starting_after=len(live))


def test_one_that_was_never_followed_has_its_notes(scene, client_of):
    whole(scene, annotated())
    client = client_of(scene.house)
    made = client.responses.create(model="m", input="x")
    events = list(client.responses.retrieve(made.id, stream=True))
    assert [e.to_dict()["annotation"]["url"] for e in events if e.type == "response.output_text.annotation.added"] == ["http://a"]
    done = next(e for e in events if e.type == "response.output_item.done")
    assert done.item.content[0].annotations[0].url == "http://a" == made.output[0].content[0].annotations[0].url


def begun(scene, client):
    """What its stream says before the provider stops in the middle, and the rest of the stream."""
    scene.first = [chunk({"content": word}) for word in WORDS]
    stream = iter(ask(client))
    events = [next(stream) for _ in range(4 + len(WORDS))]
    return events[0].response.id, plain(events), stream


def test_who_follows_one_that_is_cancelled_is_told(scene, client_of):
    client = client_of(scene.house)
    name, events, stream = begun(scene, client)
    assert client.responses.cancel(name).status == "cancelled"
    rest = list(stream)
    assert [(event.type, event.response.status) for event in rest] == [("response.incomplete", "cancelled")]
    rest = plain(rest)
    assert rest[0]["sequence_number"] == len(events)
    assert plain(client.responses.retrieve(name, stream=True)) == events + rest
    assert plain(client.responses.retrieve(name, stream=True, starting_after=len(events) - 1)) == rest


def test_nobody_goes_on_from_what_is_still_to_be_said(scene, client_of):
    client = client_of(scene.house)
    name, events, stream = begun(scene, client)
    with pytest.raises(openai.BadRequestError, match="has not told"):
        client.responses.retrieve(name, stream=True, starting_after=len(events))
    rest = client.responses.retrieve(name, stream=True, starting_after=len(events) - 1)
    scene.go_on.set()
    assert plain(rest) == plain(stream)


def test_who_follows_one_that_breaks_off_may_come_back(scene, client_of):
    client = client_of(scene.house)
    name, events, stream = begun(scene, client)
    scene.more = [{"error": {"message": "no more", "type": "server_error"}}]
    scene.go_on.set()
    rest = plain(stream)
    assert [event["type"] for event in rest] == ["response.failed"]
    wait_until(lambda: client.responses.retrieve(name).status == "failed", what="its end")
    assert plain(client.responses.retrieve(name, stream=True, starting_after=5)) == events[6:] + rest


def test_who_follows_one_that_the_end_of_the_gateway_cuts_is_told(scene, client_of):
    client = client_of(scene.house)
    name, events, stream = begun(scene, client)
    scene.house.child.send_signal(signal.SIGTERM)
    rest = plain(stream)
    assert [event["type"] for event in rest] == ["response.failed"] and "gateway" in rest[0]["response"]["error"]["message"]
    scene.house.terminate()
    again = client_of(scene.restart())
    assert plain(again.responses.retrieve(name, stream=True, starting_after=3)) == events[4:] + rest


def test_after_a_kill_whoever_comes_back_is_told_that_it_failed(scene, client_of):
    name, events, _ = begun(scene, client_of(scene.house))
    scene.house.end()
    again = client_of(scene.restart())
    rest = list(again.responses.retrieve(name, stream=True, starting_after=len(events) - 1))
    assert [(event.type, event.sequence_number) for event in rest] == [("response.failed", len(events))]
