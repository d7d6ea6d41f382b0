"""Unigram tokenizers beside the `tokenizers` wheel: models that the `sentencepiece` wheel trains here, in the frames that
XLM-RoBERTa's, multilingual E5's and BGE-M3's tokenizer.json have, and others.

2,000 random strings a frame; SPILLWAY_TOKENIZER_STRINGS=100000 for more.
"""
import base64
import json
import random
import subprocess

import pytest
import sentencepiece
from tokenizers import Tokenizer

from test_tokenizers import ENCODE_LINES, HERE, SCRIPTS, STRINGS, random_text, run

README = (HERE.parent.parent / "README.md").read_text()
ALWAYS = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}
WORDS = {"type": "WhitespaceSplit"}
RUNS = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "\u2581"}
RIGHT = {"type": "Strip", "strip_left": False, "strip_right": True}
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def field(message, number):
    """The bytes of one field of a protobuf message."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value
    while at < len(message):
        key = varint()
        if key & 7 == 2:
            length = varint()
            at += length
            if key >> 3 == number:
                return message[at - length:at]
        elif key & 7 == 0:
            varint()
        else:
            at += {1: 8, 5: 4}[key & 7]
    return None


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("trained"), {}
    (folder / "text").write_text("\n".join([*SCRIPTS, *README.split("\n")] * 2))

    def train(rule, **options):
        name = str(folder / f"{rule}{len(options)}")
        if name not in made:
            sentencepiece.SentencePieceTrainer.train(
                input=str(folder / "text"), model_prefix=name, model_type="unigram", vocab_size=1500, hard_vocab_limit=False,
                character_coverage=0.98, normalization_rule_name=rule, minloglevel=2, num_threads=1, **options)
            made[name] = sentencepiece.SentencePieceProcessor(model_file=name + ".model")
        model = made[name]
        with open(name + ".model", "rb") as file:
            charsmap = field(field(file.read(), 3), 2)
        scores = [(model.id_to_piece(id), model.get_score(id)) for id in range(model.get_piece_size())]
        return scores, charsmap
    return train


def write(path, scores, charsmap, normalizers, pre_tokenizer, **model):
    """As transformers converts a model: its control pieces first, and <mask> last."""
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)] + [one for one in scores if one[0] not in SPECIAL]
    pieces.append(("<mask>", 0.0))
    written = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap or b"").decode()}
    parts = [written if one == "Precompiled" else one for one in normalizers]
    added = [{"id": id, "content": text, "special": True, "single_word": False, "lstrip": text == "<mask>", "rstrip": False,
              "normalized": False} for id, (text, _) in enumerate(pieces) if text in SPECIAL]
    special = {text: {"id": text, "ids": [SPECIAL.index(text)], "tokens": [text]} for text in ("<s>", "</s>")}
    path.write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": parts} if parts else None, "pre_tokenizer": pre_tokenizer,
        "post_processor": {"type": "TemplateProcessing", "pair": [], "special_tokens": special, "single": [
            {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "</s>", "type_id": 0}}]},
        "decoder": ALWAYS, "model": {"type": "Unigram", "unk_id": 3, "vocab": pieces, "byte_fallback": False, **model}}))
    wheel = Tokenizer.from_file(str(path))
    wheel.encode_special_tokens = True  # In a text they are text.
    return wheel


FRAMES = {
    "xlm-roberta": ("nmt_nfkc", {}, ["Precompiled"], {"type": "Sequence", "pretokenizers": [WORDS, ALWAYS]}, {}),
    "bge-m3": ("nmt_nfkc", {}, ["Precompiled", RIGHT, RUNS], ALWAYS, {}),
    "folded, stripped": ("nmt_nfkc_cf", {}, ["Precompiled", {**RIGHT, "strip_left": True}], ALWAYS, {}),
    "bytes, unsplit": ("identity", {"byte_fallback": True}, [], {**ALWAYS, "prepend_scheme": "never", "split": False},
                       {"byte_fallback": True}),
    "first, as T5's": ("nmt_nfkc", {}, ["Precompiled"], {**ALWAYS, "prepend_scheme": "first"}, {}),
    "nfkc, replaced": ("nfkc", {}, [{"type": "Replace", "pattern": {"String": "``"}, "content": "\""}, "Precompiled"], ALWAYS, {}),
}


def hard_text(rng):
    """What is short, and one grapheme or not: marks on what NFKC writes anew, jamo, joiners, viramas, prepended signs."""
    some = "①ﬁ½ａＡ\u0600\u0605\u06dd\u0301\u0300\u093c\u094d\u0915\u0958\u200d\u00a9\u00ae\r\n\t\u1100\u1161\u11a8\uac00\u00ad\u200b\u0e33\ufeffe "
    return "".join(rng.choice(some) for _ in range(rng.randint(1, 8)))


def texts():
    rng = random.Random(20261127)
    made = SCRIPTS + ["", " ", "  a", "a  ", "\n\n \n", "\u200b", *README.split("\n\n")]
    while len(made) < STRINGS:
        made.append(random_text(rng) if rng.random() < 0.7 else hard_text(rng))
    return [text for text in made if not any(special in text for special in SPECIAL)]


@pytest.mark.parametrize("frame", FRAMES, ids=str)
def test_ids_are_the_wheels(trained, tmp_path, frame):
    rule, options, *parts, model = FRAMES[frame]
    wheel = write(tmp_path / "tokenizer.json", *trained(rule, **options), *parts, **model)
    asked = texts()
    for text, got, want in zip(asked, run(tmp_path / "tokenizer.json", asked), wheel.encode_batch(asked, add_special_tokens=False),
                               strict=True):
        assert got["ids"] == want.ids, ascii(text)
    print(f"{frame}: {len(asked)} strings, the same ids")


def test_what_a_user_writes_is_no_special_token(trained, tmp_path):
    rule, options, *parts, model = FRAMES["bge-m3"]
    write(tmp_path / "tokenizer.json", *trained(rule, **options), *parts, **model)
    text = "a </s> b <s><pad><mask> <unk>"
    (got,), last = run(tmp_path / "tokenizer.json", [text]), len(trained(rule)[0])
    assert not {0, 1, 2, last} & set(got["ids"])


def test_512_tokens_take_less_than_a_fifth_of_a_millisecond(trained, tmp_path):
    rule, options, *parts, model = FRAMES["bge-m3"]
    wheel = write(tmp_path / "tokenizer.json", *trained(rule, **options), *parts, **model)
    ids_of = lambda text: wheel.encode(text, add_special_tokens=False).ids
    ids = ids_of(" ".join(README.split()))
    beginnings = (wheel.decode(ids[:count]) for count in range(512, len(ids)))
    text = next(one for one in beginnings if len(ids_of(one)) >= 512)  # What decoding leaves out, such as unknown ones, is made up for.
    took, = run(tmp_path / "tokenizer.json", [text], "--time")
    print(f"{took['tokens']} tokens in {took['milliseconds']:.3f} ms")
    assert 500 <= took["tokens"] <= 524
    assert took["milliseconds"] < 0.2


@pytest.mark.parametrize("changed, said", [
    ({"unk_id": None}, "model.unk_id is null"),
    ({"vocab": [["a", "b"]]}, "not a token and its score"),
    ({"vocab": []}, "model.vocab is missing"),
], ids=str)
def test_a_model_that_is_not_understood_says_why(tmp_path, changed, said):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({"model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0]], **changed}, "pre_tokenizer": ALWAYS}))
    done = subprocess.run([ENCODE_LINES, path], input="", capture_output=True, text=True)
    assert done.returncode == 1 and said in done.stderr


def test_the_first_of_several_words_is_not_understood(trained, tmp_path):
    first = {"type": "Sequence", "pretokenizers": [WORDS, {**ALWAYS, "prepend_scheme": "first"}]}
    write(tmp_path / "tokenizer.json", *trained("nmt_nfkc"), ["Precompiled"], first)
    done = subprocess.run([ENCODE_LINES, tmp_path / "tokenizer.json"], input="", capture_output=True, text=True)
    assert done.returncode == 1 and "this pre_tokenizer is not supported" in done.stderr


@pytest.mark.parametrize("normalizer, said", [
    ({"type": "Nmt"}, "this normalizer is not supported"),
    ({"type": "Replace", "pattern": {"Regex": "x+"}, "content": ""}, "this normalizer is not supported"),
    ({"type": "Precompiled", "precompiled_charsmap": "%"}, "is no base64"),
    ({"type": "Precompiled", "precompiled_charsmap": base64.b64encode(b"\xff\0\0\0abcd").decode()}, "does not hold as much"),
], ids=str)
def test_a_normalizer_that_is_not_understood_says_why(tmp_path, normalizer, said):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({"model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0]]}, "normalizer": normalizer,
                                "pre_tokenizer": ALWAYS}))
    done = subprocess.run([ENCODE_LINES, path], input="", capture_output=True, text=True)
    assert done.returncode == 1 and said in done.stderr
