"""A disk without room: told as what it is, and who deletes has room again."""
import json
import subprocess
import threading

import openai
import pytest

import configs
import upstream
from processes import as_client, send, wait_until

MESSAGES = [{"role": "user", "content": "x"}]
ADMIN = {"authorization": "Bearer adm", "content-type": "application/json"}
FIELDS = {"bytes": 10, "purpose": "evals", "filename": "a", "mime_type": "x/y"}


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own; only root may have one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], check=False, capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(path):
    try:
        with open(path, "wb", buffering=0) as rest:
            while True:
                rest.write(bytes(4096))
    except OSError:
        pass


def test_a_full_disk_is_told_and_deleting_makes_room(start_upstream, start_gateway, client_of, small_disk):
    provider = start_upstream(lambda asked: upstream.chat("hi"))
    config = configs.gateway({"cloud": configs.provider(provider.base_url, "cloud")})
    config["server"].update(state=str(small_disk / "state"), admin_key="env:ADM")
    gateway = start_gateway(config, ADM="adm")
    client = client_of(gateway)
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "cloud", "messages": MESSAGES}}
    lines = client.files.create(file=("lines", json.dumps(line).encode()), purpose="batch")
    file = client.files.create(file=("large", bytes(3 << 20)), purpose="evals")
    upload = client.uploads.create(**FIELDS)
    client.uploads.parts.create(upload.id, data=b"part")
    conversation = client.conversations.create(items=[{"type": "message", "role": "user", "content": "x" * 100_000}])
    response = client.responses.create(model="cloud", input="x")
    chat = client.chat.completions.create(model="cloud", messages=MESSAGES, store=True)
    fill(small_disk / "rest")

    def post(path, body, root=gateway.root, headers=None):
        return send(root + path, "POST", body, headers or as_client())
    batch = {"input_file_id": lines.id, "endpoint": line["url"], "completion_window": "24h"}
    for status, headers, body in (post("/v1/uploads", FIELDS), post("/v1/conversations", {"metadata": {"a": "x" * 500}}),
                                  post("/v1/batches", batch), post("/keys", {"name": "new"}, gateway.admin, ADMIN)):
        assert (status, "disk is full" in body.decode(), headers["retry-after"]) == (503, True, "30"), body
    for path in (f"/v1/conversations/{conversation.id}", f"/v1/responses/{response.id}", f"/v1/chat/completions/{chat.id}",
                 f"/v1/files/{file.id}"):
        status, _, body = send(gateway.root + path, "DELETE", None, as_client())
        assert status == 200, (path, body)
    assert client.uploads.cancel(upload.id).status == "cancelled"
    client.files.create(file=("smaller", bytes(1 << 20)), purpose="evals")
    assert client.conversations.create().id


def test_a_batch_that_is_refused_keeps_nothing_and_one_that_runs_can_be_cancelled(start_upstream, start_gateway, client_of, small_disk):
    arrived, go = threading.Semaphore(0), threading.Event()

    def late(handler):
        arrived.release()
        go.wait(30)
        upstream.Upstream.say(handler, upstream.chat("late"))

    provider = start_upstream(lambda asked: late)
    config = configs.gateway({"cloud": configs.provider(provider.base_url, "cloud")})
    config["server"]["state"] = str(small_disk / "state")
    client = client_of(start_gateway(config))
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "cloud", "messages": MESSAGES}}
    running = client.files.create(file=("lines", json.dumps(line).encode()), purpose="batch")
    batch = client.batches.create(input_file_id=running.id, endpoint=line["url"], completion_window="24h")
    assert arrived.acquire(timeout=30)
    large = client.files.create(file=("large", json.dumps({**line, "x": "x" * 5_000_000}).encode()), purpose="batch")
    fill(small_disk / "rest")
    links = sorted(path.name for path in (small_disk / "state/batches").iterdir())
    with pytest.raises(openai.InternalServerError, match="disk is full"):
        client.batches.create(input_file_id=large.id, endpoint=line["url"], completion_window="24h")
    assert sorted(path.name for path in (small_disk / "state/batches").iterdir()) == links
    assert client.batches.cancel(batch.id).status in ("cancelling", "cancelled")
    wait_until(lambda: client.batches.retrieve(batch.id).status == "cancelled", what="the batch's end")
    go.set()
