"""GGUF files whose tokenizer is SentencePiece's (`tokenizer.ggml.model: llama`): pieces with scores, and no list of merges.

Llama 2's and Gemma 3's vocabularies as their GGUF files have them, beside the `tokenizers` wheel with the lists that were
made of the same scores; and models that are trained here, beside the `sentencepiece` wheel itself.
"""
import json
import random
import subprocess

import pytest
import sentencepiece
from tokenizers import Tokenizer

import gguf_file
from test_tokenizers import ENCODE_LINES, HERE, SCRIPTS, STRINGS, random_text, run

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
WORDS = (HERE.parent.parent / "README.md").read_text()


def write(path, pieces, *, prefix, **changed):
    """`pieces`: (text, score, type) by id; `changed`: other entries of the tokenizer."""
    tokens, scores, types = (list(column) for column in zip(*pieces))
    gguf_file.write(path, {
        "general.architecture": (gguf_file.STRING, "llama"),
        "tokenizer.ggml.model": (gguf_file.STRING, "llama"),
        "tokenizer.ggml.tokens": (gguf_file.STRING, tokens),
        "tokenizer.ggml.scores": (gguf_file.FLOAT, scores),
        "tokenizer.ggml.token_type": (gguf_file.INT, types),
        "tokenizer.ggml.add_space_prefix": (gguf_file.BOOL, prefix),
        **{f"tokenizer.ggml.{key}": entry for key, entry in changed.items()}})


def texts(rng, words=()):
    made = SCRIPTS + ["", " ", "  a", "a  ", "\n\n \n", *WORDS.split("\n\n")]
    while len(made) < STRINGS:
        made.append(random_text(rng) + (rng.choice(words) + random_text(rng, 3) if words and rng.random() < 0.2 else ""))
    return made


def json_of(family):
    path = HERE / "node_modules" / "@lenml" / f"tokenizer-{family}" / "models" / "tokenizer.json"
    assert path.exists(), f"{path} is missing: run npm ci in tests/peers"
    said = json.loads(path.read_text())
    said["model"]["merges"] = [one.split(" ") if isinstance(one, str) else one for one in said["model"]["merges"]]
    return path, said


def pieces_of(said):
    """As llama.cpp's converter writes them; a piece's score is the less the later the list has it, and an added one's is lost."""
    added = {one["id"]: one for one in said["added_tokens"]}
    texts_by_id = {id: text for text, id in said["model"]["vocab"].items()} | {id: one["content"] for id, one in added.items()}
    places = {}
    for place, (left, right) in enumerate(said["model"]["merges"]):
        places.setdefault(left + right, place)
    for id in range(max(texts_by_id) + 1):
        text = texts_by_id.get(id, f"<missing {id}>")
        kind = NORMAL if id in texts_by_id else UNUSED
        if len(text) == 6 and text.startswith("<0x"):
            kind = BYTE
        elif id in added:
            kind = UNKNOWN if text == "<unk>" else CONTROL if added[id]["special"] else USER_DEFINED
        written = text.replace("\u2581", " ") if kind == USER_DEFINED else text
        yield written, -1000.0 if id in added else float(-places.get(text, len(places))), kind


def marked_text(rng):
    """Spaces, and the character that marks them, which is one of the text."""
    return "".join(rng.choices([" ", "\u2581", "  ", "\u2581" * 2, " " * 40, "a", "Hi", ">", "\n", "é", "<b>"], k=rng.randint(1, 6)))


@pytest.mark.parametrize("family, prefix", [("llama2", True), ("gemma3", False)])
def test_scores_give_the_ids_of_the_list_of_merges(family, prefix, tmp_path):
    source, said = json_of(family)
    pieces = list(pieces_of(said))
    write(tmp_path / "model.gguf", pieces, prefix=prefix)
    wheel = Tokenizer.from_file(str(source))
    whole = [text for text, _, kind in pieces if kind in (CONTROL, USER_DEFINED)]
    rng = random.Random(20261127)
    asked = texts(rng, whole) + [marked_text(rng) for _ in range(STRINGS // 4)]
    answers = run(tmp_path / "model.gguf", asked)
    for text, got, want in zip(asked, answers, wheel.encode_batch(asked, add_special_tokens=False), strict=True):
        assert got["ids"] == want.ids, ascii(text)
    print(f"{family}: {len(asked)} strings, the same ids")


@pytest.mark.parametrize("prefix", [True, False])
def test_ids_are_sentencepieces(prefix, tmp_path):
    (tmp_path / "text").write_text("\n".join([*SCRIPTS, *WORDS.split("\n")] * 2))
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "text"), model_prefix=str(tmp_path / "model"), model_type="bpe", vocab_size=1200,
        byte_fallback=True, add_dummy_prefix=prefix, remove_extra_whitespaces=False, character_coverage=0.98,
        normalization_rule_name="identity", user_defined_symbols=["<tool>", "\n\n"], minloglevel=2)
    model = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "model.model"))

    def kind(id):
        for name, value in (("unknown", UNKNOWN), ("control", CONTROL), ("byte", BYTE), ("unused", UNUSED)):
            if getattr(model, f"is_{name}")(id):
                return value
        return USER_DEFINED if model.id_to_piece(id) in ("<tool>", "\n\n") else NORMAL
    pieces = [(model.id_to_piece(id), model.get_score(id), kind(id)) for id in range(model.get_piece_size())]
    write(tmp_path / "model.gguf", pieces, prefix=prefix)
    asked = [text for text in texts(random.Random(20261127)) if "<tool>" not in text and "\n\n" not in text]
    answers = run(tmp_path / "model.gguf", asked)
    for text, got in zip(asked, answers, strict=True):
        assert got["ids"] == model.encode(text), ascii(text)
    print(f"{len(asked)} strings, the same ids")


@pytest.mark.parametrize("changed, said", [
    ({"scores": (gguf_file.FLOAT, [0.0])}, "tokenizer.ggml.scores has 1 entries for 2 tokens"),
    ({"scores": (gguf_file.FLOAT, [0.0, float("nan")])}, "tokenizer.ggml.scores: that of token 1 is no number"),
    ({"tokens": (gguf_file.STRING, ["a", "b" * 257])}, "tokenizer.ggml.tokens: token 1 is longer than 256 bytes"),
    ({"remove_extra_whitespaces": (gguf_file.BOOL, True)}, "remove_extra_whitespaces is \"true\", which is not supported"),
    ({"model": (gguf_file.STRING, "t5")}, "tokenizer.ggml.model is \"t5\", which is not supported")])
def test_a_file_that_is_not_understood_says_why(changed, said, tmp_path):
    path = tmp_path / "model.gguf"
    write(path, [("a", 0.0, NORMAL), ("b", 0.0, NORMAL)], prefix=True, **changed)
    done = subprocess.run([ENCODE_LINES, path], input="", capture_output=True, text=True)
    assert done.returncode == 1 and said in done.stderr
