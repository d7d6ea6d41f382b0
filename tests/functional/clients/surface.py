"""What people build on openai-python 2.x, pointed at the gateway: URL and key come from the environment, what each of
them got goes to standard output as JSON."""
import json
import os

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


def the_sdk():
    client = openai.OpenAI(base_url=URL, api_key=KEY)
    chunks = client.chat.completions.create(model="up", messages=[{"role": "user", "content": "Hi"}], stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


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
