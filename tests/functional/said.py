"""What an answer says and counts, read from its bytes in any of the protocols: apart from the gateway's own readers."""
import json
from dataclasses import dataclass, field

FINISHES = {"end_turn": "stop", "stop_sequence": "stop", "eos": "stop", "compaction": "stop", "max_tokens": "length",
            "max_output_tokens": "length", "refusal": "content_filter"}


@dataclass
class Said:
    """`calls`: of functions, each a name and what its arguments say; `finish`: in OpenAI's words, where no call says it;
    `bill`: tokens as test_bills.bill_of wants them."""
    text: str = ""
    calls: list = field(default_factory=list)
    finish: str | None = None
    bill: dict | None = None

    def __post_init__(self):
        self.finish = "tool_calls" if self.calls else FINISHES.get(self.finish, self.finish)


def events_of(answer):
    """The JSON of each server-sent event."""
    text = answer.decode().replace("\r\n", "\n")
    for block in text.split("\n\n"):
        data = "\n".join(line[5:].removeprefix(" ") for line in block.split("\n") if line.startswith("data:"))
        if data and data != "[DONE]":
            yield json.loads(data)


def arguments(text):
    """A call without arguments may say nothing."""
    return json.loads(text) if text.strip() else {}


def chat_bill(usage):
    heard = (usage.get("prompt_tokens_details") or {}).get("audio_tokens") or 0
    told = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or 0
    spoken = (usage.get("completion_tokens_details") or {}).get("audio_tokens") or 0
    return {"prompt": usage["prompt_tokens"], "cached": told, "written": 0, "heard": heard, "spoken": spoken,
            "completion": usage.get("completion_tokens", 0), "estimated": 0}


def messages_bill(usage):
    """Where the answer took several goes, each is billed and the counts beside them are the last one's."""
    goes = usage.get("iterations") or [usage]
    fresh, cached, written, completion = (sum(one.get(name) or 0 for one in goes) for name in (
        "input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens"))
    for_an_hour = sum((one.get("cache_creation") or {}).get("ephemeral_1h_input_tokens", 0) for one in goes)
    return {"prompt": fresh + cached + written, "cached": cached, "written": written, "written_1h": for_an_hour,
            "completion": completion, "estimated": 0,
            "searches": (usage.get("server_tool_use") or {}).get("web_search_requests") or 0}


def chat(answer, streams):
    """Of the first choice of a chat completion or a completion."""
    text, finish, bill, calls, dearer = "", None, None, {}, False
    for part in events_of(answer) if streams else [json.loads(answer)]:
        for choice in part.get("choices", []):
            if choice.get("index", 0) != 0:
                continue
            delta = choice.get("delta") or choice.get("message") or {}
            content = choice.get("text") or delta.get("content") or delta.get("refusal") or ""
            if isinstance(content, list):
                content = "".join(piece.get("text", "") for piece in content if piece["type"] == "text")
            text += content
            finish = choice.get("finish_reason") or finish
            for at, call in enumerate(delta.get("tool_calls") or []):
                function = calls.setdefault(call.get("index", at), ["", ""])
                function[0] += call["function"].get("name") or ""
                function[1] += call["function"].get("arguments") or ""
            if delta.get("function_call"):
                function = calls.setdefault(-1, ["", ""])
                function[0] += delta["function_call"].get("name") or ""
                function[1] += delta["function_call"].get("arguments") or ""
        if part.get("usage"):
            bill = chat_bill(part["usage"])
        dearer = dearer or part.get("service_tier") == "priority"
    if bill and dearer:  # Than the price that it is booked by.
        bill["estimated"] = 1
    return Said(text, [(name, arguments(told)) for _, (name, told) in sorted(calls.items())], finish, bill)


def _message_of(answer):
    """The message that a stream of events tells."""
    message, blocks = {}, {}
    for event in events_of(answer):
        if event["type"] == "message_start":
            message = event["message"]
        elif event["type"] == "content_block_start":
            blocks[event["index"]] = {**event["content_block"], "partial": ""}
        elif event["type"] == "content_block_delta":
            delta, block = event["delta"], blocks[event["index"]]
            block["partial"] += delta.get("partial_json", "")
            block["text"] = block.get("text", "") + delta.get("text", "")
        elif event["type"] == "message_delta":
            message["stop_reason"] = event["delta"]["stop_reason"]
            message["usage"] = message["usage"] | {name: value for name, value in event["usage"].items() if value is not None}
    for block in blocks.values():
        if block["type"] == "tool_use" and block["partial"]:
            block["input"] = json.loads(block["partial"])
    message["content"] = [blocks[at] for at in sorted(blocks)]
    return message


def messages(answer, streams):
    message = _message_of(answer) if streams else json.loads(answer)
    text = "".join(block["text"] for block in message["content"] if block["type"] == "text")
    calls = [(block["name"], block["input"]) for block in message["content"] if block["type"] == "tool_use"]
    return Said(text, calls, message["stop_reason"], messages_bill(message["usage"]))


def responses(answer, streams):
    response = list(events_of(answer))[-1]["response"] if streams else json.loads(answer)
    text = "".join(part.get("text", "") + part.get("refusal", "") for item in response["output"] if item["type"] == "message"
                   for part in item["content"])
    calls = [(item["name"], arguments(item["arguments"])) for item in response["output"] if item["type"] == "function_call"]
    return Said(text, calls, (response["incomplete_details"] or {}).get("reason", "stop"))


def embeddings(answer, _streams):
    told = json.loads(answer)
    return Said(str(len(told["data"])), bill=chat_bill(told["usage"]))


READERS = {"chat": chat, "completions": chat, "messages": messages, "responses": responses, "embeddings": embeddings}
