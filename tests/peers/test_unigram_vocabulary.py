"""A Unigram vocabulary that people use, of 64,256 pieces with byte fallback, as a decoder's: Mon's, Burmese's and English's
(fetch.sh). Beside the `tokenizers` wheel, in its own frame and in Llama's.

2,000 random strings a frame; SPILLWAY_TOKENIZER_STRINGS=100000 for more.
"""
import json

import pytest
from tokenizers import Tokenizer

from test_normalizers import MARKED
from test_tokenizers import HERE, run
from test_unigram_decoders import LLAMA, check, texts

FILE = HERE.parent.parent / ".cache/mon_tokenizer.json"
UNSEEN, BLANKS = "\u00ad\u200b\u200c\u200d\u2060\ufeff", "\u00a0\u2003\u2009\u202f\u3000"
RARE = set(map(chr, [0x1680, *range(0x2000, 0x200b), 0x205f])) - set(BLANKS)


def replaced(texts, content):
    return [{"type": "Replace", "pattern": {"String": one}, "content": content} for one in texts]


# Its normalizers replace what two classes of characters match: here one rule a character, but for rare blanks.
OWN = [*replaced(UNSEEN, ""), *replaced(BLANKS, " "), {"type": "NFC"}]


@pytest.mark.parametrize("frame", [{"normalizers": OWN}, {"normalizers": MARKED, "pre_tokenizer": None, "decoder": LLAMA}], ids=["own", "llama"])
def test_ids_and_text_are_the_wheels(tmp_path, frame):
    file = json.loads(FILE.read_text())
    normalizers = frame.pop("normalizers")
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({**file, "normalizer": {"type": "Sequence", "normalizers": normalizers}, **frame}))
    words = [piece.replace("\u2581", " ") for piece, _ in file["model"]["vocab"][4:]]
    asked = texts(words)
    check(path, Tokenizer.from_file(str(path)), asked)
    if not frame:  # The rules of its own file make the same of them.
        theirs = Tokenizer.from_file(str(FILE))
        usual = [text for text in asked if not RARE & set(text)]
        ids = [answer["ids"] for answer in run(path, usual, "--decoder")]
        assert ids == [one.ids for one in theirs.encode_batch(usual, add_special_tokens=False)]
    print(f"{len(words)} pieces, {len(asked)} strings: the same ids and text")
