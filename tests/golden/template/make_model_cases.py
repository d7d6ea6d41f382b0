#!/usr/bin/env python3
"""Writes cases for a folder of real chat templates: each with six conversations, as JSON lines.

Usage: make_model_cases.py FOLDER_OF_JINJA_FILES > cases.jsonl; SPILLWAY_TEMPLATE_CASES=cases.jsonl template_test
(llama.cpp's models/templates, inside the sdist of llama-cpp-python, has 70; they are not kept here.)
"""
import json
import sys
from pathlib import Path

from reference import case

USER = {"role": "user", "content": "Hello, who are you?"}
ANSWER = {"role": "assistant", "content": "I am a helpful assistant."}
SYSTEM = {"role": "system", "content": "You are terse.\nReally."}
TOOL = {"type": "function", "function": {
    "name": "get_weather", "description": "Current weather in a \"city\" <b>&</b>",
    "parameters": {"type": "object", "required": ["city"], "properties": {
        "city": {"type": "string", "description": "The city, e.g. Zürich"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "default": 3}}}}}
CALL = {"role": "assistant", "content": "", "tool_calls": [{"id": "call00001", "type": "function", "function": {
    "name": "get_weather", "arguments": {"city": "Zürich", "days": 2}}}]}
RESULT = {"role": "tool", "tool_call_id": "call00001", "name": "get_weather", "content": "{\"temperature\": 7.5}"}
WORDS = {"bos_token": "<s>", "eos_token": "</s>"}

CONVERSATIONS = {
    "plain": {"messages": [USER, ANSWER, {"role": "user", "content": "Tell me more. "}],
              "add_generation_prompt": True},
    "system": {"messages": [SYSTEM, USER], "add_generation_prompt": True},
    "no-prompt": {"messages": [USER, ANSWER], "add_generation_prompt": False},
    "no-thinking": {"messages": [USER], "add_generation_prompt": True, "enable_thinking": False},
    "tools": {"messages": [SYSTEM, USER], "tools": [TOOL], "add_generation_prompt": True},
    "tool-result": {"messages": [USER, CALL, RESULT], "tools": [TOOL], "add_generation_prompt": True},
}


def main(folder):
    for path in sorted(Path(folder).glob("*.jinja")):
        source = path.read_text(encoding="utf-8")
        for name, variables in CONVERSATIONS.items():
            print(json.dumps(case(f"{path.stem} {name}", source, {**WORDS, **variables}), ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1])
