"""What people build on openai-python 2.x, pointed at the gateway: URL and key come from the environment, what each of
them got goes to standard output as JSON."""
import json
import os
import time

import instructor
import openai
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from llama_index.core.llms import ChatMessage
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

URL, KEY = os.environ["SPILLWAY_URL"], os.environ["SPILLWAY_KEY"]


class City(BaseModel):
    name: str


def ended(client, batch):
    """The batch once it has ended, as the SDK's users poll for it."""
    for _ in range(1000):
        if batch.status not in ("validating", "in_progress", "finalizing"):
            break
        time.sleep(0.02)
        batch = client.batches.retrieve(batch.id)
    return batch


def the_sdk():
    client = openai.OpenAI(base_url=URL, api_key=KEY, max_retries=0)
    messages = [{"role": "user", "content": "Hi"}]
    chunks = client.chat.completions.create(model="up", messages=messages, stream=True)
    first = client.responses.create(model="up", input="Hi")
    with client.responses.stream(model="up", input="on", previous_response_id=first.id) as stream:
        streamed = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()
    line = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "up", "messages": messages}}
    file = client.files.create(file=("in.jsonl", json.dumps(line).encode()), purpose="batch")
    batch = ended(client, client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions",
                                                completion_window="24h"))
    output = json.loads(client.files.content(batch.output_file_id).text)
    try:
        client.responses.create(model="nobody", input="Hi")
    except openai.NotFoundError as error:
        missing = error.code
    return {"chat": "".join(chunk.choices[0].delta.content or "" for chunk in chunks), "response": first.output_text,
            "streamed": streamed, "previous": final.previous_response_id == first.id,
            "file": client.files.content(file.id).read().decode() == json.dumps(line),
            "batch": [batch.status, output["custom_id"], output["response"]["body"]["choices"][0]["message"]["content"]],
            "embedding": client.embeddings.create(model="e", input="a").data[0].embedding, "missing": missing}


def langchain():
    model = ChatOpenAI(model="up", base_url=URL, api_key=KEY, stream_usage=True)
    pieces = list(model.stream("Hi"))
    tools = model.bind_tools([City]).invoke("Where? TOOL")
    return {"whole": model.invoke("Hi").content, "streamed": "".join(piece.content for piece in pieces),
            "tokens": sum(piece.usage_metadata["total_tokens"] for piece in pieces if piece.usage_metadata),
            "tool": tools.tool_calls[0]["args"],
            "embedding": OpenAIEmbeddings(model="e", base_url=URL, api_key=KEY,
                                          check_embedding_ctx_length=False).embed_query("a")}


def llama_index():
    model = OpenAILike(model="up", api_base=URL, api_key=KEY, is_chat_model=True)
    message = [ChatMessage(role="user", content="Hi")]
    return {"whole": model.chat(message).message.content,
            "streamed": [piece.message.content for piece in model.stream_chat(message)][-1],
            "embedding": OpenAIEmbedding(model_name="e", api_base=URL, api_key=KEY).get_text_embedding("a")}


def instructed():
    client = instructor.from_openai(openai.OpenAI(base_url=URL, api_key=KEY))
    return client.chat.completions.create(model="up", response_model=City,
                                          messages=[{"role": "user", "content": "Where? TOOL"}]).name


print(json.dumps({"sdk": the_sdk(), "langchain": langchain(), "llama_index": llama_index(), "instructor": instructed()}))
