"""What stands between clients and the gateway: nginx with TLS and HTTP/2, set up as deploy/nginx.conf has it, and
browsers, which ask whose pages may read answers."""
import http.client
import json
import shutil
import socket
import ssl
import subprocess
import time

import httpx2
import openai
import pytest

import configs
from processes import KEY, ROOT, Process, free_port, send, wait_until

HELLO = [{"role": "user", "content": "Hello."}]
ORIGIN = "https://chat.example"


@pytest.fixture
def provider(start_provider):
    return start_provider("ai-hub")


@pytest.fixture
def gateway(provider, start_gateway):
    return start_gateway(configs.gateway({"ai-hub": configs.provider(provider.base_url, "ai-hub")}))


@pytest.fixture
def front(gateway, processes, tmp_path):
    """The address of an nginx of the project's own configuration, and the certificate to trust."""
    if not shutil.which("nginx"):
        pytest.skip("Debian's package nginx-light is missing")
    (tmp_path / "names").write_text("subjectAltName=IP:127.0.0.1\n", encoding="utf-8")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out",
                    "certificate.pem", "-days", "2", "-subj", "/CN=front", "-addext", "subjectAltName=IP:127.0.0.1"],
                   cwd=tmp_path, check=True, capture_output=True)
    text = (ROOT / "deploy/nginx.conf").read_text(encoding="utf-8")
    port = free_port()
    for yours, ours in [("127.0.0.1:8080", gateway.root.removeprefix("http://")),
                        ("listen 443", f"listen 127.0.0.1:{port}"),
                        ("/etc/ssl/certs/spillway.pem", f"{tmp_path}/certificate.pem"),
                        ("/etc/ssl/private/spillway.key", f"{tmp_path}/key.pem"),
                        ("/tmp/spillway-nginx", f"{tmp_path}/nginx")]:
        assert yours in text
        text = text.replace(yours, ours)
    path = tmp_path / "nginx.conf"
    path.write_text(text, encoding="utf-8")
    processes.append(Process(["nginx", "-c", path, "-g", "daemon off;"]))
    wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, what="nginx listening")
    return f"https://127.0.0.1:{port}", tmp_path / "certificate.pem"


def curl(front, body, *flags):
    """A POST over HTTP/2 whose output can be read as it comes."""
    url, certificate = front
    return subprocess.Popen(["curl", "-sN", "--http2", "--cacert", certificate, "-H", f"authorization: Bearer {KEY}",
                             "-H", "content-type: application/json", "-d", json.dumps(body), *flags,
                             f"{url}/v1/chat/completions"], stdout=subprocess.PIPE, text=True)


def test_http2_streams_event_by_event(front, provider):
    asking = curl(front, {"model": "ai-hub", "messages": HELLO, "stream": True, "max_tokens": 400},
                  "-w", "\nversion %{http_version} status %{http_code}")
    lines, moments = [], []
    for line in asking.stdout:
        lines.append(line)
        moments.append(time.monotonic())
    assert lines[-1].strip() == "version 2 status 200"
    assert "data: [DONE]\n" in lines
    took = moments[-1] - moments[0]
    assert took > 0.3, f"buffered: {len(lines)} lines came within {took:.2f} s"


def test_a_client_that_resets_its_stream_ends_the_work(front, provider):
    provider.script(slow=20)
    asking = curl(front, {"model": "ai-hub", "messages": HELLO, "stream": True, "max_tokens": 200})
    wait_until(lambda: provider.stats()["open_streams"] == 1, what="the request's arrival")
    asking.kill()
    asking.wait(10)
    wait_until(lambda: provider.stats()["open_streams"] == 0, what="the provider being left alone", seconds=5)


def test_an_official_client_through_it(front):
    url, certificate = front
    context = ssl.create_default_context(cafile=str(certificate))
    with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, http_client=httpx2.Client(verify=context)) as client:
        answer = client.chat.completions.create(model="ai-hub", messages=HELLO, max_tokens=8)
        assert answer.choices[0].message.content
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * (12 << 20)}}
        answer = client.chat.completions.create(model="ai-hub", messages=[{"role": "user", "content": [image]}],
                                                max_tokens=8)
        assert answer.choices[0].message.content


def test_a_websocket_goes_through(front):
    url, certificate = front
    context = ssl.create_default_context(cafile=str(certificate))
    with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY) as client, \
            client.responses.connect(websocket_connection_options={"ssl": context}) as connection:
        connection.response.create(model="ai-hub", input="Hello.")
        types = []
        for event in connection:
            types.append(event.type)
            if event.type in ("response.completed", "response.incomplete", "error"):
                break
    assert types[0] == "response.created" and types[-1] == "response.completed"


def asked_by_hand(front, head):
    """What the front says to a request's head: status, and the error's object."""
    url, certificate = front
    context = ssl.create_default_context(cafile=str(certificate))
    host, port = url.removeprefix("https://").split(":")
    with context.wrap_socket(socket.create_connection((host, int(port)), 10), server_hostname=host) as connection:
        connection.sendall(f"{head}\r\nhost: a\r\nauthorization: Bearer {KEY}\r\n\r\n".encode())
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(answer.read())["error"]


def test_what_the_front_refuses_is_told_as_errors_are(front, gateway):
    form = "POST /v1/files HTTP/1.1\r\ncontent-type: text/plain\r\ncontent-length: "
    status, error = asked_by_hand(front, form + str((512 << 20) + 100_000))
    assert status == 400, "a file of 512 MiB in its form is the gateway's to judge"
    status, error = asked_by_hand(front, form + str(600 << 20))
    assert (status, error["type"], error["code"]) == (413, "invalid_request_error", "request_too_large")
    assert gateway.terminate() == 0
    status, error = asked_by_hand(front, "GET /v1/models HTTP/1.1")
    assert (status, error["type"], error["code"]) == (502, "server_error", "backend_unavailable")


def ask(url, method="GET", body=None, **headers):
    """Status and headers."""
    return send(url, method, body, {name.replace("_", "-"): value for name, value in headers.items()})[:2]


def start_for_browsers(start_gateway, provider, *origins):
    return start_gateway(configs.gateway({"ai-hub": configs.provider(provider.base_url, "ai-hub")},
                                         server={"listen": "127.0.0.1:0", "admin": "127.0.0.1:0",
                                                 "cors_origins": list(origins)}))


def test_a_page_of_an_allowed_origin_may_ask_and_read(start_gateway, provider):
    gateway = start_for_browsers(start_gateway, provider, ORIGIN)
    url = f"{gateway.api}/chat/completions"
    status, headers = ask(url, "OPTIONS", origin=ORIGIN, access_control_request_method="POST",
                          access_control_request_headers="authorization,content-type,x-stainless-os")
    assert status == 204
    assert headers["access-control-allow-origin"] == ORIGIN
    assert headers["access-control-allow-methods"] == "POST"
    assert headers["access-control-allow-headers"] == "authorization,content-type,x-stainless-os"
    body = {"model": "ai-hub", "messages": HELLO, "max_tokens": 4}
    status, headers = ask(url, "POST", body, origin=ORIGIN, content_type="application/json",
                          authorization=f"Bearer {KEY}")
    assert status == 200
    assert headers["access-control-allow-origin"] == ORIGIN
    assert headers["access-control-expose-headers"] == "*"
    assert "origin" in headers.get_all("vary")
    status, headers = ask(url, "POST", body, origin=ORIGIN, content_type="application/json")
    assert (status, headers["access-control-allow-origin"]) == (401, ORIGIN)


@pytest.mark.parametrize("origin", ["https://chat.example.evil", "http://chat.example", "https://chat.example:444",
                                    "null"])
def test_a_page_of_another_origin_may_not(start_gateway, provider, origin):
    gateway = start_for_browsers(start_gateway, provider, ORIGIN)
    status, headers = ask(f"{gateway.api}/models", "OPTIONS", origin=origin, access_control_request_method="GET")
    assert status == 204
    assert headers["access-control-allow-origin"] is None
    assert headers["access-control-allow-methods"] is None


def test_all_origins_or_none(start_gateway, provider, gateway):
    everybody = start_for_browsers(start_gateway, provider, "*")
    assert ask(f"{everybody.root}/health", origin=ORIGIN)[1]["access-control-allow-origin"] == ORIGIN
    nobody = ask(f"{gateway.root}/health", origin=ORIGIN)[1]
    assert nobody["access-control-allow-origin"] is None
    assert nobody["vary"] is None
