"""Unigram in decoders beside the `tokenizers` wheel: models that the `sentencepiece` wheel trains here, in the frame that
transformers gives to Llama's, in Metaspace's, and with normalizers and added tokens; ids, and the text that they decode to.

2,000 random strings a frame; SPILLWAY_TOKENIZER_STRINGS=100000 for more.
"""
import base64
import json
import random
import subprocess

import pytest
from tokenizers import Tokenizer

from test_normalizers import LOWER, MARKED, NFKC
from test_tokenizers import ENCODE_LINES, SCRIPTS, STRINGS, random_text, run
from test_unigram import ALWAYS, README, RUNS, WORDS, hard_text, trained  # noqa: F401

LLAMA = {"type": "Sequence", "decoders": [
    {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
    {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
OLD = {"type": "Metaspace", "replacement": "\u2581", "add_prefix_space": True}
DIGITS = {"type": "Sequence", "pretokenizers": [ALWAYS, {"type": "Digits", "individual_digits": True}]}
FRAMES = {  # Rule, options of the training, normalizers, pre-tokenizer, decoder.
    "llama": ("identity", {"byte_fallback": True}, MARKED, None, LLAMA),
    "nfkc, llama": ("identity", {"byte_fallback": True}, [NFKC, *MARKED], None, LLAMA),
    "charsmap": ("nmt_nfkc", {"byte_fallback": True}, ["Precompiled", RUNS], ALWAYS, LLAMA),
    "first, unsplit": ("identity", {"byte_fallback": True}, [], {**ALWAYS, "prepend_scheme": "first", "split": False}, LLAMA),
    "old, lower, unknown": ("identity", {}, [LOWER], OLD, OLD),
    "never, digits": ("nfkc", {}, ["Precompiled"], {**DIGITS, "pretokenizers": [{**ALWAYS, "prepend_scheme": "never"}, DIGITS["pretokenizers"][1]]},
                      {**ALWAYS, "prepend_scheme": "never"}),
    "digits": ("identity", {"byte_fallback": True}, [], DIGITS, ALWAYS),
}
SPECIAL = ["<unk>", "<s>", "</s>"]


def write(path, scores, charsmap, normalizers, pre_tokenizer, decoder, byte_fallback, added=()):
    written = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap or b"").decode()}
    parts = [written if one == "Precompiled" else one for one in normalizers]
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    tokens = [{"id": id, "content": text, "special": True, **plain} for id, (text, _) in enumerate(scores) if text in SPECIAL]
    tokens += [{"id": len(scores) + at, **plain, "special": False, **one} for at, one in enumerate(added)]
    path.write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": tokens, "post_processor": None, "decoder": decoder,
        "normalizer": {"type": "Sequence", "normalizers": parts} if parts else None, "pre_tokenizer": pre_tokenizer,
        "model": {"type": "Unigram", "unk_id": 0, "vocab": scores, "byte_fallback": byte_fallback}}))
    return Tokenizer.from_file(str(path))


def texts(words):
    rng = random.Random(20261128)
    made = SCRIPTS + ["", " ", "  a", "a  ", "\n\n \n", "\u2581a", *README.split("\n\n")]
    while len(made) < STRINGS:
        text = random_text(rng) if rng.random() < 0.7 else hard_text(rng)
        made.append(text + (rng.choice(words) + random_text(rng, 3) if rng.random() < 0.3 else ""))
    return made


def check(path, wheel, asked):
    for text, got, want in zip(asked, run(path, asked, "--decoder"), wheel.encode_batch(asked, add_special_tokens=False), strict=True):
        assert got["ids"] == want.ids, ascii(text)
        decoded = wheel.decode(want.ids, skip_special_tokens=False)
        # Where bytes are no text the wheel replaces a whole run of them, and a stream only what is broken; a decoder
        # without ByteFallback shows the names of bytes.
        assert got["text"] == decoded or "\ufffd" in decoded or "<0x" in decoded, ascii(text)


@pytest.mark.parametrize("frame", FRAMES)
def test_ids_and_text_are_the_wheels(trained, tmp_path, frame):  # noqa: F811
    rule, options, *parts = FRAMES[frame]
    added = [{"content": "<tool>"}, {"content": "NORMAL", "normalized": True}, {"content": "<end>", "special": True, "rstrip": True},
             {"content": "word", "single_word": True, "lstrip": True}]
    wheel = write(tmp_path / "tokenizer.json", *trained(rule, **options), *parts, bool(options), added)
    check(tmp_path / "tokenizer.json", wheel, texts([*SPECIAL, "<tool>", "NORMAL", "normal", " NORMAL", "<end>  ", " word ", "words"]))
    print(f"{frame}: {STRINGS} strings, the same ids")


def test_512_tokens_take_less_than_a_fifth_of_a_millisecond(trained, tmp_path):  # noqa: F811
    rule, options, *parts = FRAMES["llama"]
    wheel = write(tmp_path / "tokenizer.json", *trained(rule, **options), *parts, True)
    text = wheel.decode(wheel.encode(README).ids[:512])
    took, = run(tmp_path / "tokenizer.json", [text], "--decoder", "--time")
    print(f"{took['tokens']} tokens in {took['milliseconds']:.3f} ms")
    assert 500 <= took["tokens"] <= 524
    assert took["milliseconds"] < 0.2


@pytest.mark.parametrize("changed, said", [
    ({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [WORDS, ALWAYS]}}, "this pre_tokenizer is not supported"),
    ({"pre_tokenizer": {**DIGITS, "pretokenizers": DIGITS["pretokenizers"][::-1]}}, "this pre_tokenizer is not supported"),
    ({"pre_tokenizer": None}, "a model of characters without \u2581 for spaces is not supported"),
    ({"decoder": {"type": "WordPiece"}}, "this decoder is not supported"),
    ({"added_tokens": [{"id": 1, "content": "A", "special": True, "normalized": True}], "normalizer": LOWER}, "is not supported"),
    ({"added_tokens": [{"id": 1, "content": "a", "special": True, "single_word": True}]}, "is not supported"),
    ({"model": {"type": "Unigram", "unk_id": None, "vocab": [["a", 0.0]]}}, "model.unk_id is null"),
], ids=str)
def test_a_file_that_is_not_understood_says_why(tmp_path, changed, said):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({"model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0]]}, "pre_tokenizer": ALWAYS, **changed}))
    done = subprocess.run([ENCODE_LINES, path, "--decoder"], input="", capture_output=True, text=True)
    assert done.returncode == 1 and said in done.stderr
