"""Files and uploads as the official client uses them, and as raw sockets misuse them."""
import base64
import concurrent.futures
import hashlib
import http.client
import io
import json
import os
import resource
import sqlite3
import subprocess
import threading
import urllib.parse

import openai
import pytest

import configs
from processes import BINARY, KEY, Gateway, as_client, send, wait_until
from upstream import Upstream, chat

OTHER = "sk-spillway-other"
TALKER = "sk-spillway-talker"
WRITER = "sk-spillway-writer"
AWKWARD = b"\r\n--boundary\r\n--" + bytes(range(256)) * 50 + b"\r\n--boundary--\r\n--"


def settings(start_provider, targets=None, **more):
    targets = targets or {"ai-hub": configs.provider(start_provider("instant").base_url, "ai-hub")}
    keys = {"test": {"secret": "env:SPILLWAY_TEST_KEY", "tenant": "acme"},
            "colleague": {"secret": "env:SPILLWAY_COLLEAGUE_KEY", "tenant": "acme"},
            "other": {"secret": "env:SPILLWAY_OTHER_KEY", "tenant": "rival"}}
    return configs.gateway(targets, keys=keys, **more)


KEYS = {"SPILLWAY_OTHER_KEY": OTHER, "SPILLWAY_COLLEAGUE_KEY": "sk-spillway-colleague"}


@pytest.fixture
def house(start_provider, start_gateway):
    return start_gateway(settings(start_provider), **KEYS)


@pytest.fixture
def client(house, client_of):
    return client_of(house)


def raw(gateway, method, path, body=b"", **headers):
    """A request as it stands; status, headers and JSON of the answer."""
    at = urllib.parse.urlsplit(gateway.api)
    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=10)
    connection.request(method, "/v1" + path, body, {"Authorization": f"Bearer {KEY}", **headers})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, answer.headers, json.loads(text) if text else None


def form(content, boundary, name="x.bin", purpose="user_data", field="file"):
    head = f'--{boundary}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\n{purpose}\r\n' \
           f'--{boundary}\r\ncontent-disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'
    return head.encode() + content + f"\r\n--{boundary}--\r\n".encode()


def test_a_file_comes_back_byte_for_byte(client):
    file = client.files.create(file=("Grüße \"日本\".bin", AWKWARD), purpose="user_data")
    assert file.filename == 'Grüße "日本".bin'
    assert (file.object, file.bytes, file.purpose, file.status) == ("file", len(AWKWARD), "user_data", "processed")
    assert client.files.retrieve(file.id) == file
    assert client.files.content(file.id).read() == AWKWARD
    deleted = client.files.delete(file.id)
    assert (deleted.id, deleted.deleted) == (file.id, True)
    with pytest.raises(openai.NotFoundError) as error:
        client.files.retrieve(file.id)
    assert error.value.param == "id"


def test_content_that_looks_like_its_boundary(house, client):
    """A boundary that the content nearly has: with other letters behind it, or without its line end."""
    content = b"--near\r\n--nearly\r\n--near -\n--near--\r\n--nea\r\n"
    status, _, file = raw(house, "POST", "/files", form(content, "near"),
                          **{"Content-Type": "multipart/form-data; boundary=near"})
    assert status == 200 and client.files.content(file["id"]).read() == content


def peak_kib(house):
    with open(f"/proc/{house.child.pid}/status", encoding="utf-8") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def test_empty_and_large_files(house, client):
    empty = client.files.create(file=("empty", b""), purpose="evals")
    assert client.files.content(empty.id).read() == b""
    before = peak_kib(house)
    large = os.urandom(1 << 20) * 40
    file = client.files.create(file=("large", io.BytesIO(large)), purpose="evals")
    assert hashlib.sha256(client.files.content(file.id).read()).digest() == hashlib.sha256(large).digest()
    grown = peak_kib(house) - before
    print(f"peak memory grew by {grown // 1024} MiB over 40 MiB up and down")
    assert "san" in str(BINARY) or grown < 20 << 10


def test_lists_are_pages_that_iterators_walk(client):
    ids = [client.files.create(file=(f"{n}", b"x"), purpose="evals" if n % 2 else "batch").id for n in range(7)]
    assert [file.id for file in client.files.list(limit=3)] == ids[::-1]
    assert [file.id for file in client.files.list(limit=2, order="asc")] == ids
    assert [file.id for file in client.files.list(purpose="batch", limit=1)] == ids[::-2]
    page = client.files.list(limit=3, after=ids[5])
    assert (page.data[0].id, page.has_more) == (ids[4], True)
    assert client.files.list().has_more is False
    for bad in ({"limit": 0}, {"limit": 10_001}, {"order": "up"}, {"after": "file-none"}):
        with pytest.raises(openai.BadRequestError) as error:
            client.files.list(**bad)
        assert error.value.param == list(bad)[0]


def test_who_deletes_while_paging_reaches_the_end(client):
    for order in ("asc", "desc"):
        for n in range(7):
            client.files.create(file=(f"{n}", b"x"), purpose="evals")
        for file in client.files.list(limit=3, order=order):
            client.files.delete(file.id)
        assert not client.files.list().data


def test_a_file_is_its_tenants_alone(house, client, client_of):
    file = client.files.create(file=("mine", b"secret"), purpose="evals")
    assert client_of(house, api_key=KEYS["SPILLWAY_COLLEAGUE_KEY"]).files.content(file.id).read() == b"secret"
    rival = client_of(house, api_key=OTHER)
    assert list(rival.files.list()) == []
    for ask in (rival.files.retrieve, rival.files.content, rival.files.delete):
        with pytest.raises(openai.NotFoundError):
            ask(file.id)
    with pytest.raises(openai.AuthenticationError):
        client_of(house, api_key="sk-none").files.list()


def test_what_is_refused(house, client):
    for sent in ({"purpose": "fun"}, {"purpose": "evals", "expires_after": {"anchor": "created_at", "seconds": 60}}):
        with pytest.raises(openai.BadRequestError) as refused:
            client.files.create(file=("x", b"x"), **sent)
        assert refused.value.code == "invalid_value" and refused.value.param in ("purpose", "expires_after[seconds]")
    for objects, asked in ((client.files, {"limit": 0}), (client.files, {"order": "up"}), (client.files, {"after": "file-x"}),
                           (client.batches, {"limit": 101}), (client.batches, {"after": "batch_x"})):
        with pytest.raises(openai.BadRequestError) as refused:
            objects.list(**asked)
        assert refused.value.code == "invalid_value" and refused.value.param in asked
    for body, kind in ((b"{}", "application/json"), (b"x", "multipart/form-data; boundary=b"),
                       (form(b"x", "b", field="data"), "multipart/form-data; boundary=b")):
        status, headers, answer = raw(house, "POST", "/files", body, **{"Content-Type": kind})
        assert status == 400 and answer["error"]["type"] == "invalid_request_error"
        assert headers["x-request-id"].startswith("req_")
    file = client.files.create(file=("x", b"x"), purpose="evals",
                               expires_after={"anchor": "created_at", "seconds": 3600})
    assert file.expires_at == file.created_at + 3600


def test_too_large_is_refused_before_it_is_read(house):
    at = urllib.parse.urlsplit(house.api)
    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=10)
    connection.putrequest("POST", "/v1/files")
    connection.putheader("content-length", str(600 << 20))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413 and json.load(answer)["error"]["code"] == "request_too_large"


def test_limits_of_files_batches_and_tenants(start_provider, start_gateway, client_of):
    limits = {"file_max": "64KiB", "batch_input_max": "32KiB", "tenant_max": "100KiB"}
    client = client_of(start_gateway(settings(start_provider, files=limits), **KEYS))
    with pytest.raises(openai.APIStatusError) as error:
        client.files.create(file=("x", b"x" * (64 * 1024 + 1)), purpose="evals")
    assert error.value.status_code == 413
    with pytest.raises(openai.APIStatusError) as error:
        client.files.create(file=("x", b"x" * (32 * 1024 + 1)), purpose="batch")
    assert error.value.status_code == 413 and "batch" in error.value.message
    first = client.files.create(file=("x", b"x" * (64 * 1024)), purpose="evals")
    with pytest.raises(openai.APIStatusError) as error:
        client.files.create(file=("x", b"x" * (36 * 1024 + 1)), purpose="evals")
    assert error.value.status_code == 413 and "delete some" in error.value.message
    client.files.delete(first.id)
    client.files.create(file=("x", b"x" * (36 * 1024 + 1)), purpose="evals")


def test_uploads_in_parts(client):
    content = os.urandom(300_000)
    upload = client.uploads.create(filename="weiß.bin", purpose="user_data", bytes=len(content), mime_type="x/y")
    assert (upload.status, upload.expires_at - upload.created_at) == ("pending", 3600)
    second = client.uploads.parts.create(upload.id, data=content[100_000:])
    first = client.uploads.parts.create(upload.id, data=content[:100_000])
    assert (first.object, first.upload_id) == ("upload.part", upload.id)
    with pytest.raises(openai.BadRequestError):
        client.uploads.complete(upload.id, part_ids=[first.id, second.id], md5="0" * 32)
    with pytest.raises(openai.BadRequestError):
        client.uploads.complete(upload.id, part_ids=[first.id])
    done = client.uploads.complete(upload.id, part_ids=[first.id, second.id], md5=hashlib.md5(content).hexdigest())
    assert (done.status, done.file.filename, done.file.bytes) == ("completed", "weiß.bin", len(content))
    assert client.files.content(done.file.id).read() == content
    with pytest.raises(openai.BadRequestError):
        client.uploads.cancel(upload.id)


def test_an_upload_whose_end_cannot_be_written_makes_no_file(start_provider, start_gateway, client_of, tmp_path):
    config = settings(start_provider)
    config["server"]["state"] = str(tmp_path / "state")
    client = client_of(start_gateway(config, **KEYS))
    upload = client.uploads.create(filename="a", purpose="evals", bytes=4, mime_type="x/y")
    part = client.uploads.parts.create(upload.id, data=b"part")
    database = sqlite3.connect(tmp_path / "state/files.sqlite", isolation_level=None)
    database.execute("CREATE TRIGGER stop BEFORE UPDATE ON uploads BEGIN SELECT RAISE(ABORT, 'a secret of the disk'); END")
    for _ in range(2):
        with pytest.raises(openai.InternalServerError) as raised:
            client.uploads.complete(upload.id, part_ids=[part.id])
        assert "secret" not in str(raised.value)
    assert list(client.files.list()) == []
    assert [path.name for path in (tmp_path / "state/files").iterdir()] == [part.id]
    database.execute("DROP TRIGGER stop")
    done = client.uploads.complete(upload.id, part_ids=[part.id])
    assert [file.id for file in client.files.list()] == [done.file.id]
    assert client.files.content(done.file.id).read() == b"part"


def test_uploads_by_the_sdks_helper_and_cancelled(client, tmp_path):
    path = tmp_path / "chunks.bin"
    path.write_bytes(os.urandom(200_000))
    done = client.uploads.upload_file_chunked(file=path, mime_type="x/y", purpose="user_data", part_size=64_000)
    assert client.files.content(done.file.id).read() == path.read_bytes()
    upload = client.uploads.create(filename="x", purpose="evals", bytes=5, mime_type="x/y")
    client.uploads.parts.create(upload.id, data=b"hello")
    assert client.uploads.cancel(upload.id).status == "cancelled"
    with pytest.raises(openai.BadRequestError) as error:
        client.uploads.parts.create(upload.id, data=b"hello")
    assert "cancelled" in error.value.message and error.value.code == "invalid_value"
    with pytest.raises(openai.BadRequestError) as error:
        client.uploads.create(filename="x", purpose="fun", bytes=5, mime_type="x/y")
    assert (error.value.code, error.value.param) == ("invalid_value", "purpose")


def half_a_file(gateway):
    """A connection on which a third of a file has been sent."""
    at = urllib.parse.urlsplit(gateway.api)
    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=10)
    connection.putrequest("POST", "/v1/files")
    for name, value in (("authorization", f"Bearer {KEY}"), ("content-length", "9000000"),
                        ("content-type", "multipart/form-data; boundary=b")):
        connection.putheader(name, value)
    connection.endheaders(form(b"x" * 3_000_000, "b")[:3_000_000])
    return connection


def test_files_survive_a_kill_and_half_of_one_does_not(start_provider, processes, client_of, tmp_path):
    config = settings(start_provider)
    config["server"]["state"] = str(tmp_path / "state")
    path = configs.write(tmp_path / "spillway.yaml", config)
    processes.append(Gateway(path, KEYS))
    first = processes[-1]
    file = client_of(first).files.create(file=("kept", AWKWARD), purpose="evals")
    connection = half_a_file(first)
    folder = tmp_path / "state" / "files"
    wait_until(lambda: sum(one.stat().st_size for one in folder.glob("*.draft")) > 1_000_000, what="half a file")
    first.end()
    connection.close()
    processes.append(Gateway(path, KEYS))
    client = client_of(processes[-1])
    assert [one.id for one in client.files.list()] == [file.id]
    assert client.files.content(file.id).read() == AWKWARD
    assert [one.name for one in folder.iterdir()] == [file.id]


def test_a_client_that_leaves_in_the_middle_leaves_nothing(start_provider, start_gateway, client_of, tmp_path):
    config = settings(start_provider)
    config["server"]["state"] = str(tmp_path / "state")
    gateway = start_gateway(config, **KEYS)
    folder = tmp_path / "state" / "files"
    connection = half_a_file(gateway)
    wait_until(lambda: list(folder.glob("*.draft")), what="half a file")
    connection.close()
    wait_until(lambda: gateway.metric("spillway_open_connections", listener="api") == 0, what="a closed connection")
    wait_until(lambda: not list(folder.iterdir()), what="an empty folder")
    assert list(client_of(gateway).files.list()) == []


def test_a_tenant_has_so_many_files_and_parts(start_provider, start_gateway, client_of):
    config = settings(start_provider, files={"tenant_files_max": 2, "tenant_parts_max": 1})
    client = client_of(start_gateway(config, **KEYS))
    for _ in range(2):
        file = client.files.create(file=("x", b"x"), purpose="evals")
    with pytest.raises(openai.APIStatusError, match="there are 2 files, as many as may be") as error:
        client.files.create(file=("x", b"x"), purpose="evals")
    assert error.value.status_code == 413
    client.files.delete(file.id)
    client.files.create(file=("x", b"x"), purpose="evals")
    upload = client.uploads.create(filename="a", purpose="evals", bytes=2, mime_type="x/y")
    client.uploads.parts.create(upload.id, data=b"x")
    with pytest.raises(openai.APIStatusError, match="1 parts, as many as may be") as error:
        client.uploads.parts.create(upload.id, data=b"x")
    assert error.value.status_code == 413


def test_a_full_disk_is_told_and_passes(start_provider, processes, client_of, tmp_path):
    """The file size limit stands in for a full disk: writes past it fail in the same place."""
    path = configs.write(tmp_path / "spillway.yaml", settings(start_provider))
    processes.append(Gateway(path, KEYS))
    client = client_of(processes[-1])
    pid = processes[-1].child.pid
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))
    with pytest.raises(openai.InternalServerError) as error:
        client.files.create(file=("x", b"x" * 600_000), purpose="evals")
    assert error.value.status_code == 503 and "disk is full" in error.value.message
    assert list(client.files.list()) == []
    client.files.create(file=("x", b"x" * 400_000), purpose="evals")
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    client.files.create(file=("x", b"x" * 600_000), purpose="evals")


def test_a_full_disk_is_told_where_only_the_database_writes(start_provider, start_gateway, client_of):
    gateway = start_gateway(settings(start_provider), **KEYS)
    client, pid = client_of(gateway), gateway.child.pid

    def announce():
        return client.uploads.create(filename="a", purpose="evals", bytes=1, mime_type="x/y")
    begun = announce()
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    for ask in (announce, lambda: client.uploads.cancel(begun.id)):
        with pytest.raises(openai.InternalServerError, match="disk is full") as error:
            ask()
        assert error.value.status_code == 503 and error.value.response.headers["retry-after"]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    announce()


def test_an_upload_is_completed_once(client, house):
    content = os.urandom(24 << 20)
    upload = client.uploads.create(filename="a", purpose="evals", bytes=len(content), mime_type="x/y")
    part = client.uploads.parts.create(upload.id, data=content)

    def complete(_):
        return send(f"{house.root}/v1/uploads/{upload.id}/complete", "POST", {"part_ids": [part.id]}, as_client())
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(complete, range(8)))
    assert [status for status, _, _ in answers].count(200) == 1
    for status, _, body in answers:
        assert status == 200 or (status, b"is being completed" in body) == (409, True) or \
            (status, b"is completed" in body) == (400, True), body
    assert [file.bytes for file in client.files.list()] == [len(content)]


def test_curl_uploads(house, tmp_path):
    path = tmp_path / "ü.txt"
    path.write_bytes(AWKWARD)
    run = subprocess.run(["curl", "-s", f"{house.api}/files", "-H", f"Authorization: Bearer {KEY}", "-F", "purpose=evals",
                          "-F", f"file=@{path}"], capture_output=True, check=True)
    file = json.loads(run.stdout)
    assert (file["filename"], file["bytes"]) == ("ü.txt", len(AWKWARD))


def asks_with(part):
    return [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, part]}]


@pytest.fixture
def reader(start_upstream, start_gateway, client_of):
    """An upstream that reads files, and a client of a gateway before it."""
    upstream = start_upstream(lambda asked: chat())
    targets = {"up": configs.provider(upstream.base_url, "up", takes=["files", "images"])}
    config = settings(None, targets=targets)
    config["keys"]["talker"] = {"secret": "env:SPILLWAY_TALKER_KEY", "tenant": "acme", "scopes": ["chat"]}
    config["keys"]["writer"] = {"secret": "env:SPILLWAY_WRITER_KEY", "tenant": "acme", "scopes": ["responses"]}
    config["server"]["body_max"] = "1MiB"
    gateway = start_gateway(config, **KEYS, SPILLWAY_TALKER_KEY=TALKER, SPILLWAY_WRITER_KEY=WRITER)
    return upstream, gateway, client_of(gateway)


def data_of(url):
    kind, _, text = url.partition(";base64,")
    return kind, base64.b64decode(text, validate=True)


def test_a_file_of_ours_reaches_the_provider_as_bytes(reader):
    upstream, _, client = reader
    paper = client.files.create(file=("Paper.PDF", AWKWARD), purpose="user_data")
    ask = asks_with({"type": "file", "file": {"file_id": paper.id}})
    client.chat.completions.create(model="up", messages=ask)
    file = upstream.asked[-1].json["messages"][0]["content"][1]["file"]
    assert data_of(file.pop("file_data")) == ("data:application/pdf", AWKWARD) and file == {"filename": "Paper.PDF"}
    parts = [{"type": "input_text", "text": "What is this?"}, {"type": "input_file", "file_id": paper.id}]
    first = client.responses.create(model="up", input=[{"role": "user", "content": parts}])
    assert upstream.asked[-1].json["messages"][0]["content"][1]["file"]["filename"] == "Paper.PDF"
    client.responses.create(model="up", input="And now?", previous_response_id=first.id)
    assert data_of(upstream.asked[-1].json["messages"][0]["content"][1]["file"]["file_data"])[1] == AWKWARD
    picture = client.files.create(file=("dam.png", b"\x89PNG"), purpose="vision")
    parts = [{"type": "input_image", "file_id": picture.id, "detail": "low"}]
    client.responses.create(model="up", input=[{"role": "user", "content": parts}])
    image = upstream.asked[-1].json["messages"][0]["content"][0]["image_url"]
    assert data_of(image["url"]) == ("data:image/png", b"\x89PNG") and image["detail"] == "low"


def test_files_that_requests_name_take_room_until_these_are_answered(start_upstream, start_gateway, client_of):
    go = threading.Event()

    def late(handler):
        go.wait(60)
        Upstream.say(handler, chat())

    upstream = start_upstream(lambda asked: late)
    targets = {"up": configs.provider(upstream.base_url, "up", takes=["files"])}
    gateway = start_gateway(configs.gateway(targets))
    client = client_of(gateway, timeout=60)
    paper = client.files.create(file=("a.pdf", bytes(20 << 20)), purpose="user_data")
    ask = {"model": "up", "messages": asks_with({"type": "file", "file": {"file_id": paper.id}})}
    with concurrent.futures.ThreadPoolExecutor(9) as pool:  # A tenant has 512 MiB, and each of them is held three times.
        asking = [pool.submit(send, gateway.api + "/chat/completions", "POST", ask, as_client(), 60) for _ in range(9)]
        refused = next(concurrent.futures.as_completed(asking)).result()
        assert (refused[0], refused[1]["retry-after"]) == (503, "1") and b"files of the requests" in refused[2]
        go.set()
        assert sorted(one.result()[0] for one in asking) == [200] * 8 + [503]
    assert client.chat.completions.create(**ask).choices


def test_a_stored_chat_keeps_the_name_of_its_file(reader):
    upstream, _, client = reader
    paper = client.files.create(file=("a.txt", b"text"), purpose="user_data")
    ask = asks_with({"type": "file", "file": {"file_id": paper.id}})
    kept = client.chat.completions.create(model="up", messages=ask, store=True)
    message = client.chat.completions.messages.list(kept.id).data[0]
    assert "file_data" not in json.dumps(message.model_dump()) and b"file_data" in upstream.asked[-1].body


def test_only_who_may_read_a_file_may_name_it(reader, client_of):
    upstream, gateway, client = reader
    paper = client.files.create(file=("a.txt", b"secret"), purpose="user_data")
    ask = asks_with({"type": "file", "file": {"file_id": paper.id}})
    client_of(gateway, api_key=OTHER).chat.completions.create(model="up", messages=ask)
    assert upstream.asked[-1].json["messages"] == ask, "it is another's: the provider may know one of that name"
    with pytest.raises(openai.PermissionDeniedError, match="'files' is not in its scopes"):
        client_of(gateway, api_key=TALKER).chat.completions.create(model="up", messages=ask)
    parts = [{"type": "input_file", "file_id": paper.id}]
    with pytest.raises(openai.PermissionDeniedError):
        client_of(gateway, api_key=WRITER).responses.create(model="up", input=[{"role": "user", "content": parts}], background=True)
    parts = [{"type": "input_image", "file_id": "file-nowhere"}]
    with pytest.raises(openai.BadRequestError, match="No such File object"):
        client.responses.create(model="up", input=[{"role": "user", "content": parts}])


def test_files_come_to_no_more_than_a_request_may(reader):
    upstream, _, client = reader
    half = client.files.create(file=("a.txt", b"x" * (400 << 10)), purpose="user_data")
    part = {"type": "file", "file": {"file_id": half.id}}
    client.chat.completions.create(model="up", messages=[{"role": "user", "content": [part, part]}])
    asked = len(upstream.asked)
    with pytest.raises(openai.APIStatusError, match="larger than a request may be") as refused:
        client.chat.completions.create(model="up", messages=[{"role": "user", "content": [part] * 3}])
    assert refused.value.status_code == 413 and len(upstream.asked) == asked


def test_who_may_ask_no_more_has_no_file_read(reader):
    upstream, _, client = reader
    part = {"type": "file", "file": {"file_id": "file-x"}}
    with pytest.raises(openai.BadRequestError, match="at most 100 files"):
        client.chat.completions.create(model="up", messages=[{"role": "user", "content": [part] * 101}])
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="nobody", messages=[{"role": "user", "content": [part] * 101}])
    assert not upstream.asked
