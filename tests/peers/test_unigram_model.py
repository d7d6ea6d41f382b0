"""A decoder whose tokenizer is Unigram, from text to text, beside transformers: a Llama with random weights and the folder that
transformers saves of both.
"""
import os

import torch
import transformers

from test_architectures import BASE, random_model, run  # noqa: F401
from test_tokenizers import SCRIPTS
from test_tokenizers import run as encode
from test_unigram import trained  # noqa: F401
from test_unigram_decoders import FRAMES, write

TEXT = SCRIPTS[0][:60] + " <s>\n"


def test_text_is_what_transformers_says(trained, run, tmp_path):  # noqa: F811
    rule, options, *parts = FRAMES["llama"]
    wheel = write(tmp_path / "tokenizer.json", *trained(rule, **options), *parts, True)
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_object=wheel, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    theirs.save_pretrained(tmp_path)
    model = random_model("Llama", dict(BASE, vocab_size=len(theirs)), tmp_path, "1GB")
    prompt = theirs(TEXT, add_special_tokens=False)["input_ids"]
    said, = encode(tmp_path / "tokenizer.json", [TEXT], "--decoder")
    assert said["ids"] == prompt and said["text"] == theirs.decode(prompt)
    answer, _ = run(tmp_path, "fp32", 7, prompt)
    want = model.generate(torch.tensor([prompt]), max_new_tokens=len(answer), do_sample=False, eos_token_id=None)[0, len(prompt):].tolist()
    assert answer == want
    told, = encode(tmp_path / "tokenizer.json", [answer], "--decoder")
    decoded = theirs.decode(answer)
    assert told["text"] == decoded or "\ufffd" in decoded
    print(f"{len(prompt)} tokens read and {len(answer)} said, as transformers does it: {os.path.basename(tmp_path)}")
