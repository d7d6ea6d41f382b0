#!/usr/bin/env python3
"""Writes tokenizer cases as JSON lines, with the ids that the `tokenizers` library gives.

Usage: make_tokenizer_cases.py MODEL.gguf [--count N] [--seed N] > tokenizer_cases.jsonl
Needs the Python packages `tokenizers` and `gguf`. The committed file has 2,000 cases (seed 1). The whole comparison:
  make_tokenizer_cases.py smollm2.gguf --count 100000 --seed 2 > cases.jsonl
  SPILLWAY_TOKENIZER_CASES=cases.jsonl tokenizer_test
"""
import argparse
import json
import random
import re

from gguf import GGUFReader
from random_text import random_text
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers


def references(path):
    """The model's tokenizer, once with and once without its special tokens, and those tokens by text."""
    fields = GGUFReader(path).fields
    assert fields["tokenizer.ggml.pre"].contents() == "smollm"
    tokens = fields["tokenizer.ggml.tokens"].contents()
    kinds = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    special = {token: i for i, (token, kind) in enumerate(zip(tokens, kinds)) if kind == 3}

    def make():
        tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
        tokenizer.decoder = decoders.ByteLevel()
        return tokenizer

    control = make()
    control.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    return control, make(), special


def marked_ids(segments, plain, special):
    """Special tokens count only where they lie wholly in control text; the rest is one text."""
    pattern = re.compile("|".join(re.escape(token) for token in sorted(special, key=len, reverse=True)))
    merged = []
    for text, control in segments:
        if merged and merged[-1][1] == control:
            merged[-1][0] += text
        elif text:
            merged.append([text, control])
    ids, waiting = [], ""
    for text, control in merged:
        at = 0
        for match in pattern.finditer(text) if control else []:
            ids += plain.encode(waiting + text[at:match.start()]).ids + [special[match.group()]]
            waiting, at = "", match.end()
        waiting += text[at:]
    return ids + plain.encode(waiting).ids


def case(rng, control, plain, special):
    kind = rng.choices(["plain", "control", "segments", "decode"], [6, 2, 2, 1])[0]
    if kind == "decode":
        ids = [rng.randrange(control.get_vocab_size()) for _ in range(rng.randint(1, 12))]
        ids += plain.encode(random_text(rng)).ids
        return {"kind": kind, "ids": ids, "text": control.decode(ids, skip_special_tokens=True),
                "shown": control.decode(ids, skip_special_tokens=False)}
    if kind == "segments":
        segments = [[random_text(rng, 4), rng.random() < 0.5] for _ in range(rng.randint(1, 5))]
        return {"kind": kind, "segments": segments, "ids": marked_ids(segments, plain, special)}
    text = random_text(rng)
    return {"kind": kind, "text": text, "ids": (control if kind == "control" else plain).encode(text).ids}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    control, plain, special = references(options.model)
    rng = random.Random(options.seed)
    for _ in range(options.count):
        print(json.dumps(case(rng, control, plain, special), ensure_ascii=False, separators=(",", ":")))


if __name__ == "__main__":
    main()
