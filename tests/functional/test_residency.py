"""Where data may go: no way out leads to a provider whose residency is not what class and key ask for."""
import concurrent.futures
import json
import subprocess

import openai
import pytest

import configs
from processes import BINARY, KEY, send, wait_until
from test_batches import begin, end_of, line
from upstream import chat, chunk

HELLO = [{"role": "user", "content": "Hi"}]
CLINIC = "sk-clinic"
ADMIN = "operators-only"
EU = {"x-spillway-class": "eu"}
VECTOR = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [1.0]}], "usage": {"prompt_tokens": 3, "total_tokens": 3}}
VERDICT = {"id": "m", "model": "up", "results": [{"flagged": False, "categories": {}, "category_scores": {}}]}
RANKING = {"results": [{"index": 0, "relevance_score": 0.5}], "usage": {"total_tokens": 3}}
EVERYTHING = ["chat", "completions", "embeddings", "moderations", "rerank"]


def answered(asked):
    """In whatever protocol it is asked."""
    for path, answer in (("/embeddings", VECTOR), ("/moderations", VERDICT), ("/rerank", RANKING)):
        if asked.path.endswith(path):
            return answer
    if asked.json.get("stream"):
        return [chunk({"content": "Hello"}), chunk({}, finish="stop")]
    if asked.path.endswith("/chat/completions"):
        return chat()
    return {"id": "x", "object": "text_completion", "created": 1, "model": "up",
            "choices": [{"index": 0, "text": "Hello", "finish_reason": "stop", "logprobs": None}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}


@pytest.fixture
def world(start_upstream, start_gateway, tmp_path):
    """A cheap provider that does not say, one in the us, and a dear one in the eu; nobody is here."""
    def start(eu=answered, **settings):
        upstreams = {name: start_upstream(answer) for name, answer in (("cheap", answered), ("us", answered), ("eu", eu))}
        price = lambda usd: {"price_per_million": {"input": f"{usd}usd", "output": f"{usd}usd"}, "endpoints": EVERYTHING}
        targets = {name: configs.provider(one.base_url, name, **price(usd), **more) | {"serves": [name, "shared"]}
                   for (name, one), usd, more in zip(upstreams.items(), (1, 2, 9), ({}, {"residency": "us"}, {"residency": "eu"}))}
        classes = {"all": {"spill": "always"}, "eu": {"match": "by_name", "spill": "always", "residency": ["eu"], **settings.pop("eu_class", {})}}
        keys = {"test": {"secret": "env:SPILLWAY_TEST_KEY"}, "clinic": {"secret": "env:CLINIC", "residency": ["eu", "ch"]}}
        config = configs.gateway(targets, classes=classes, default_class="all", keys=keys, **settings)
        config["server"] |= {"state": str(tmp_path / "state"), "admin_key": "env:ADMIN"}
        gateway = start_gateway(config, CLINIC=CLINIC, ADMIN=ADMIN)
        gateway.upstreams = upstreams
        return gateway
    return start


def asked(gateway):
    return {name: len(one.asked) for name, one in gateway.upstreams.items() if one.asked}


def everything(gateway, headers):
    """Each door once; the statuses."""
    bodies = {"/v1/chat/completions": {"messages": HELLO, "max_tokens": 4}, "/v1/completions": {"prompt": "Hi", "max_tokens": 4},
              "/v1/embeddings": {"input": "Hi"}, "/v1/moderations": {"input": "Hi"}, "/v1/rerank": {"query": "a", "documents": ["b"]},
              "/v1/responses": {"input": "Hi", "max_output_tokens": 16}, "/v1/messages": {"messages": HELLO, "max_tokens": 4}}
    return {path: send(gateway.api.removesuffix("/v1") + path, "POST", {"model": "shared", **body}, {"content-type": "application/json", **headers})[0] for path, body in bodies.items()}


def test_by_every_door_a_class_and_a_key_go_to_their_places_alone(world):
    gateway = world()
    of_key = {"authorization": f"Bearer {CLINIC}"}
    of_class = {"authorization": f"Bearer {KEY}", **EU}
    for headers in (of_key, of_class):
        statuses = everything(gateway, headers)
        assert set(statuses.values()) == {200}, statuses
    assert asked(gateway) == {"eu": 14}


def test_a_place_that_is_down_is_not_replaced_by_another(world, client_of):
    gateway = world(eu=lambda asked: (500, {"error": {"message": "down"}}))
    client = client_of(gateway, api_key=CLINIC, max_retries=0)
    for stream in (False, True):
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(model="auto", messages=HELLO, max_tokens=4, stream=stream)
    assert set(asked(gateway)) == {"eu"}


def test_nor_while_its_stream_breaks_or_is_silent(world, client_of):
    def breaks(handler):
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.end_headers()
        handler.wfile.write(("data: " + json.dumps(chunk({"content": "One two "})) + "\n\n").encode())
        handler.wfile.flush()
        handler.connection.settimeout(0.3)
        try:
            handler.connection.recv(1)
        except TimeoutError:
            pass
        handler.close_connection = True

    gateway = world(eu=lambda asked: breaks, eu_class={"hedge": {"enabled": True, "after": "50ms", "spend_share_max": 1}})
    stream = client_of(gateway, max_retries=0).chat.completions.create(
        model="auto", messages=HELLO, max_tokens=40, stream=True, extra_headers=EU)
    with pytest.raises(openai.APIError):
        list(stream)
    assert set(asked(gateway)) == {"eu"}


def test_batches_keep_to_the_places_of_their_key_and_class(world, client_of):
    gateway = world(batch={"class": "eu"})
    client = client_of(gateway)
    for model in ("shared", "auto"):
        ended = end_of(client, begin(client, [line(number, model) for number in range(2)]))
        assert ended.request_counts.completed == 2, ended
    assert asked(gateway) == {"eu": 4}


def test_a_refusal_says_what_to_change(world, client_of):
    gateway = world()
    with pytest.raises(openai.PermissionDeniedError, match=r"residency is eu or ch \(key `clinic`\).*`residency`"):
        client_of(gateway, api_key=CLINIC, max_retries=0).chat.completions.create(model="us", messages=HELLO)
    assert not asked(gateway)
    operator = {"authorization": f"Bearer {ADMIN}"}
    wait_until(lambda: b"class and key keep it" in send(gateway.admin + "/decisions", headers=operator)[2], what="the decision")


def test_a_made_key_has_its_places(world, client_of):
    gateway = world()

    def make(places):
        return send(gateway.admin + "/keys", "POST", {"name": "ward", "residency": places},
                    {"content-type": "application/json", "authorization": f"Bearer {ADMIN}"})

    status, _, body = make(["eupoe"])
    assert status == 400 and b"no target of the configuration says that data stays in 'eupoe'" in body
    status, _, body = make(["eu"])
    assert status == 201 and json.loads(body)["residency"] == ["eu"]
    client = client_of(gateway, api_key=json.loads(body)["key"], max_retries=0)
    assert client.chat.completions.create(model="auto", messages=HELLO, max_tokens=4).choices
    assert asked(gateway) == {"eu": 1}


def test_check_tells_of_places_that_nobody_has(tmp_path):
    def check(**classes):
        targets = {"far": configs.provider("https://a.example/v1", "far", residency="eu")} | classes.pop("here", {})
        path = configs.write(tmp_path / "config.yaml", configs.gateway(targets, classes=classes, default_class="eu"))
        done = subprocess.run([BINARY, "check", path], capture_output=True, text=True, timeout=20, check=False,
                              env={"SPILLWAY_TEST_KEY": "sk-test"})
        return done.returncode, done.stdout + done.stderr

    assert check(eu={"residency": "eu"})[0] == 0
    status, told = check(eu={"residency": "ue"})
    assert status == 1 and "classes.eu.residency: nobody may answer the class" in told
    status, told = check(eu={"residency": "us"}, here={"local": configs.synthetic_engine()})
    assert status == 0 and "none of the class's providers says that its data stays there" in told


@pytest.mark.parametrize("taken", ["its places", "itself"])
def test_what_is_held_when_its_key_is_narrowed_goes_nowhere_else(start_upstream, start_gateway, client_of, tmp_path, taken):
    """The engine is busy, so that it waits to leave for the cheaper place."""
    upstreams = {name: start_upstream(lambda asked: chat()) for name in ("us", "eu")}
    targets = {name: configs.provider(one.base_url, name, residency=name, price_per_million={"input": usd, "output": usd}) | {"serves": ["smollm2"]}
               for (name, one), usd in zip(upstreams.items(), ("1usd", "9usd"))}
    targets["local"] = configs.synthetic_engine(base="200ms", sequences_max=1)
    classes = {"all": {"spill": "never"}, "later": {"match": "by_name", "spill": "cheapest_before_deadline", "sla": {"deadline": "14s"}}}
    keys = {"test": {"secret": "env:SPILLWAY_TEST_KEY"}, "other": {"secret": "env:OTHER"}}
    config = configs.gateway(targets, classes=classes, default_class="all", keys=keys)
    config["server"]["state"] = str(tmp_path / "state")
    gateway = start_gateway(config, OTHER="sk-other")
    client, other = client_of(gateway, max_retries=0), client_of(gateway, api_key="sk-other", max_retries=0)

    def ask(who, tokens, **more):
        return who.chat.completions.with_raw_response.create(model="auto", messages=HELLO, max_tokens=tokens, **more)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        busy = [pool.submit(ask, other, 30) for _ in range(2)]
        wait_until(lambda: gateway.metric("spillway_engine_running_sequences") == 1, what="a busy engine")
        held = pool.submit(ask, client, 20, extra_headers={"x-spillway-class": "later"})
        wait_until(lambda: gateway.metric("spillway_held_requests") == 1, what="what is held")
        now = {**keys, "test": {**keys["test"], "residency": ["eu"]}} if taken == "its places" else {"other": keys["other"]}
        configs.write(gateway.config_path, {**config, "keys": now})
        if taken == "its places":
            assert held.result().headers["x-spillway-target"] in ("eu", "local")
        else:
            with pytest.raises(openai.AuthenticationError):
                held.result()
        for one in busy:
            one.result()
    assert not upstreams["us"].asked
