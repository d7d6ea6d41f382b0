#!/usr/bin/env python3
"""Cuts the answers of the API that the gateway serves out of OpenAI's OpenAPI document, into openai.json beside this.

Usage: extract.py OPENAPI_JSON VERSION       (https://github.com/openai/openai-openapi, MIT; see LICENSE)

Words for readers are left out. Repaired is where the document is not what the API does: `nullable` of OpenAPI 3.0 in a
document of 3.1; what has not come so far is null (the times of a batch, the end of a streamed completion, the expiry
of a file, the ends of an empty list); embeddings may be asked for in base64; a stored conversation has messages of all
roles; models have other names than OpenAI's.
"""
import json
import sys
from pathlib import Path

ROOTS = ("Batch", "ChatCompletionDeleted", "ChatCompletionList", "ChatCompletionMessageList",
         "CreateChatCompletionResponse", "CreateChatCompletionStreamResponse", "CreateCompletionResponse",
         "CreateEmbeddingResponse", "CreateModerationResponse", "DeleteFileResponse", "Error", "ListBatchesResponse", "ListFilesResponse",
         "ListModelsResponse", "Model", "OpenAIFile", "Response", "ResponseItemList", "ResponseStreamEvent",
         "TokenCountsResource", "Upload", "UploadPart", "UsageResponse")
WORDS = ("description", "example", "examples", "title", "default", "deprecated", "externalDocs")
MAY_BE_NULL = {"Batch": ("in_progress_at", "expires_at", "finalizing_at", "completed_at", "failed_at", "expired_at",
                         "cancelling_at", "cancelled_at", "output_file_id", "error_file_id", "errors"),
               "ListBatchesResponse": ("first_id", "last_id"), "ListFilesResponse": ("first_id", "last_id"),
               "ChatCompletionList": ("first_id", "last_id"), "ChatCompletionMessageList": ("first_id", "last_id"),
               "ResponseItemList": ("first_id", "last_id"), "Upload": ("file",),
               "CreateCompletionResponse": ("usage",), "OpenAIFile": ("expires_at", "status_details"),
               "UsageResponse": ("next_page",)}


def without_words(schema, names_are_keys=False):
    if isinstance(schema, list):
        return [without_words(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: without_words(value, key in ("properties", "schemas", "mapping")) for key, value in schema.items()
            if names_are_keys or (key not in WORDS and not key.startswith("x-"))}
    if names_are_keys or not kept.pop("nullable", False):
        return kept
    return or_null(kept)


def or_null(schema):
    return {"anyOf": [schema, {"type": "null"}]}


def needed(schemas):
    found, names = {}, list(ROOTS)
    while names:
        name = names.pop()
        if name in found:
            continue
        found[name] = schemas[name]
        names += [reference.rsplit("/", 1)[1] for reference in references(schemas[name])]
    return found


def references(schema):
    if isinstance(schema, list):
        for one in schema:
            yield from references(one)
    elif isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for value in schema.values():
            yield from references(value)


def repair(schemas):
    for name, members in MAY_BE_NULL.items():
        for member in members:
            properties = schemas[name]["properties"]
            if member in properties:
                properties[member] = or_null(properties[member])
    schemas["Embedding"]["properties"]["embedding"] = {"anyOf": [
        schemas["Embedding"]["properties"]["embedding"], {"type": "string"}]}
    choice = schemas["CreateCompletionResponse"]["properties"]["choices"]["items"]["properties"]
    choice["finish_reason"] = or_null(choice["finish_reason"])
    schemas["ChatCompletionMessageList"]["properties"]["data"]["items"] = {"type": "object", "required": [
        "id", "role", "content"]}
    schemas["ModelIdsShared"] = schemas["ModelIdsResponses"] = {"type": "string"}


def main():
    document = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    schemas = without_words(needed(document["components"]["schemas"]), names_are_keys=True)
    repair(schemas)
    out = {"source": f"openai/openai-openapi {sys.argv[2]}", "components": {"schemas": dict(sorted(schemas.items()))}}
    path = Path(__file__).with_name("openai.json")
    text = json.dumps(out, separators=(",", ":")).replace('},"', '},\n"')
    path.write_text(text + "\n", encoding="utf-8")
    print(f"{len(schemas)} schemas, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
