"""TLS to providers is always verified: only a trusted certificate for the right host gets the key and the prompt."""
import http.server
import json
import shutil
import ssl
import subprocess
import threading
import time

import openai
import pytest

import configs

HELLO = [{"role": "user", "content": "Hello."}]
ANSWER = json.dumps({
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "over TLS"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}).encode()


def run_openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority of the test's own, and what it signed."""
    folder = tmp_path_factory.mktemp("certificates")
    run_openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
                "-days", "2", "-subj", "/CN=Test authority")
    for name, host, days in [("good", "IP:127.0.0.1", "1"), ("other_host", "DNS:other.example", "1"),
                             ("expired", "IP:127.0.0.1", "-1")]:
        (folder / "names").write_text(f"subjectAltName={host}\n", encoding="utf-8")
        run_openssl(folder, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
                    "-subj", "/CN=provider")
        run_openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                    "-CAcreateserial", "-out", f"{name}.pem", "-days", days, "-extfile", "names")
    return folder


class Provider(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.server.asked += 1
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_):
        pass


@pytest.fixture
def start_tls_provider(certificates):
    servers = []

    def start(certificate, newest=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / f"{certificate}.pem", certificates / f"{certificate}.key")
        if newest:
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = newest
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
        server.asked = 0
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def ask(start_gateway, client_of, server, **settings):
    target = configs.provider(f"https://127.0.0.1:{server.server_port}/v1", "ai-hub", **settings)
    client = client_of(start_gateway(configs.gateway({"ai-hub": target})))
    return client.chat.completions.create(model="ai-hub", messages=HELLO).choices[0].message.content


def test_a_trusted_certificate_is_taken(start_gateway, client_of, start_tls_provider, certificates):
    server = start_tls_provider("good")
    assert ask(start_gateway, client_of, server, ca_file=str(certificates / "ca.pem")) == "over TLS"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")  # An old provider is what one of them is about.
@pytest.mark.parametrize("certificate, trusted, newest", [
    ("good", False, None), ("other_host", True, None), ("expired", True, None), ("good", True, ssl.TLSVersion.TLSv1_1)])
def test_anything_else_is_refused(start_gateway, client_of, start_tls_provider, certificates, certificate, trusted,
                                  newest):
    server = start_tls_provider(certificate, newest)
    settings = {"ca_file": str(certificates / "ca.pem")} if trusted else {}
    with pytest.raises(openai.InternalServerError) as caught:
        ask(start_gateway, client_of, server, **settings)
    assert caught.value.status_code == 502
    assert server.asked == 0


def test_a_renewed_authority_is_taken_without_a_restart(start_gateway, client_of, start_tls_provider, certificates, tmp_path):
    server = start_tls_provider("good")
    bundle = tmp_path / "ca.pem"
    shutil.copy(certificates / "expired.pem", bundle)  # Any certificate that did not sign the provider's.
    target = configs.provider(f"https://127.0.0.1:{server.server_port}/v1", "ai-hub", ca_file=str(bundle))
    client = client_of(start_gateway(configs.gateway({"ai-hub": target})))

    def answer():
        return client.chat.completions.create(model="ai-hub", messages=HELLO).choices[0].message.content
    with pytest.raises(openai.InternalServerError):
        answer()
    assert server.asked == 0
    shutil.copy(certificates / "ca.pem", bundle)
    time.sleep(11)
    assert answer() == "over TLS"
