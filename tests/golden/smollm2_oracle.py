#!/usr/bin/env python3
"""What transformers says about the quickstart's model, for local_model_golden_test.cpp to compare with.

Usage: smollm2_oracle.py MODEL.gguf OUT.txt   (needs torch, transformers 5.17, gguf, accelerate)
Loads the very GGUF file in fp32 on one thread, and writes for each prompt its text, its ids with the chat
template, and 64 greedy tokens (the end of an answer is a token like any other).
"""
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

PROMPTS = [
    "Explain how a dam's spillway works.",
    "Write a short story about a lighthouse keeper who finds a message in a bottle.",
    "What are the main causes of the French Revolution?",
    "List ten ways to save water at home.",
    "Describe the water cycle to a ten year old child.",
    "Write a Python function that returns the n-th Fibonacci number, and explain it.",
    "What is the difference between a virus and a bacterium?",
    "Summarise the plot of Romeo and Juliet.",
    "How do I prepare for a job interview as a software engineer?",
    "Why is the sky blue during the day and red at sunset?",
    "Give me a recipe for vegetable soup.",
    "Compare trains and planes for a journey of five hundred kilometres.",
    "What should I know before adopting a dog?",
    "Explain photosynthesis step by step.",
    "Write a polite e-mail asking for a refund of a broken kettle.",
    "What does a compiler do?",
    "Tell me about the history of the bicycle.",
    "How does a refrigerator keep food cold?",
    "Describe a walk through a forest in autumn, using all five senses.",
    "Which planets have rings, and what are they made of?",
]
TOKENS = 64


def greedy(model, ids):
    """TOKENS ids after `ids`, and the smallest lead of a winner over its runner-up."""
    answer, lead, cache = [], float("inf"), None
    inputs = torch.tensor([ids])
    for _ in range(TOKENS):
        output = model(input_ids=inputs, past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        best = output.logits[0, -1].topk(2)
        lead = min(lead, float(best.values[0] - best.values[1]))
        answer.append(int(best.indices[0]))
        inputs = best.indices[:1].reshape(1, 1)
    return answer, lead


def main(model_path, out_path):
    torch.set_num_threads(1)
    folder, name = str(Path(model_path).parent), Path(model_path).name
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32).eval()
    lines = ["# Made by smollm2_oracle.py; one prompt: its text, its ids, 64 greedy ids."]
    with torch.inference_mode():
        for prompt in PROMPTS:
            conversation = [{"role": "user", "content": prompt}]
            text = tokenizer.apply_chat_template(conversation, add_generation_prompt=True, tokenize=False)
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
            answer, lead = greedy(model, ids)
            print(f"{lead:.4f} {tokenizer.decode(answer)[:80]!r}", file=sys.stderr)
            lines += ["user " + prompt, "prompt " + " ".join(map(str, ids)),
                      "answer " + " ".join(map(str, answer))]
    Path(out_path).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
