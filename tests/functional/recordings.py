"""Real answers of real providers, recorded by the tests of other projects, from their source packages (tests/recorded)."""
import functools
import gzip
import json
import os
import pathlib
import tarfile
from dataclasses import dataclass
from urllib.parse import urlsplit

import yaml

TESTS = pathlib.Path(__file__).resolve().parents[1]
PACKAGES = pathlib.Path(os.environ.get("SPILLWAY_RECORDINGS", TESTS.parent / ".cache" / "recordings"))
DIALECTS = {"api.openai.com": "openai", "api.anthropic.com": "anthropic", "api.deepseek.com": "deepseek",
            "api.mistral.ai": "mistral", "api.groq.com": "openai", "api.together.xyz": "openai", "localhost:8000": "vllm"}
ENDPOINTS = {"/chat/completions": "chat", "/v1/messages": "messages", "/completions": "completions", "/responses": "responses",
             "/embeddings": "embeddings"}


@dataclass(frozen=True)
class Recording:
    """What a provider was asked and what it answered: `streams`, as server-sent events."""
    name: str
    dialect: str
    endpoint: str
    status: int
    asked: str
    answer: bytes
    streams: bool

    @property
    def request(self):
        return json.loads(self.asked)

    def __str__(self):
        return f"{self.name} ({self.dialect} {self.endpoint})"


def _bytes(body):
    """A body as a cassette has it: text, bytes, or these in a table; perhaps compressed."""
    if isinstance(body, dict):
        body = body.get("string", body.get("base64_string", ""))
    body = body.encode() if isinstance(body, str) else body or b""
    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body


def _interactions(cassette):
    if "interactions" in cassette:
        return cassette["interactions"]
    return [{"request": asked, "response": answer}
            for asked, answer in zip(cassette.get("requests", []), cassette.get("responses", []))]


def _told_by(answer):
    """Dialect and endpoint of an answer whose address was blotted out."""
    for mark, found in {b'"object":"response"': ("openai", "responses"), b"chat.completion": ("openai", "chat"),
                        b"message_start": ("anthropic", "messages"), b'"type":"message"': ("anthropic", "messages")}.items():
        if mark in answer.replace(b'": "', b'":"')[:4000]:
            return found
    return None, None


def _recording(name, one):
    address = urlsplit(one["request"].get("uri") or one["request"].get("url"))
    asked, answer = _bytes(one["request"]["body"]), _bytes(one["response"].get("body", one["response"].get("content")))
    endpoint = next((found for end, found in ENDPOINTS.items() if address.path.endswith(end)), None)
    dialect = "azure" if address.netloc.endswith(".openai.azure.com") else DIALECTS.get(address.netloc)
    if not address.netloc:
        dialect, endpoint = _told_by(answer)
    try:
        is_object = isinstance(json.loads(asked), dict)
    except ValueError:
        is_object = False
    if dialect is None or endpoint is None or not is_object:
        return None
    status = one["response"].get("status_code") or one["response"]["status"]["code"]
    return Recording(name, dialect, endpoint, status, asked.decode(), answer,
                     answer.lstrip().startswith((b"data:", b"event:", b": ")))


def _of(package):
    with tarfile.open(package) as archive:
        for member in archive:
            if "cassettes/" not in member.name or ".yaml" not in member.name or not member.isfile():
                continue
            text = archive.extractfile(member).read()
            text = gzip.decompress(text) if member.name.endswith(".gz") else text
            cassette = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            name = f"{package.name.rsplit('-', 1)[0]}:{pathlib.PurePath(member.name).name.split('.yaml')[0]}"
            for at, one in enumerate(_interactions(cassette) if isinstance(cassette, dict) else []):
                yield _recording(f"{name}#{at}", one)


@functools.cache
def recordings():
    """Each distinct question and answer, in the order of packages and files."""
    packages = sorted(PACKAGES.glob("*.tar.gz"))
    wanted = [line for line in (TESTS / "recorded" / "requirements.txt").read_text(encoding="utf-8").splitlines() if "==" in line]
    assert len(packages) == len(wanted), f"{PACKAGES} lacks recordings: tests/recorded/fetch.sh downloads them"
    distinct = {(one.dialect, one.endpoint, one.asked, one.answer): one
                for package in packages for one in _of(package) if one is not None}
    return list(distinct.values())
