#!/usr/bin/env bash
# Usage: tests/bench/litellm/fetch.sh [FOLDER]
# LiteLLM in a virtual environment of its own, FOLDER (.cache/litellm), for `money.py bursts --litellm FOLDER`, and beside this
# file what its database client's engine needs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$here/../../../.cache/litellm}
python3 -m venv "$folder"
"$folder/bin/pip" install -q -r "$here/requirements.txt"
export PATH=$(cd "$folder/bin" && pwd):$PATH CHECKPOINT_DISABLE=1
(cd "$here" && npm ci --silent --no-audit --no-fund --ignore-scripts)

# The client is made from LiteLLM's schema, without the native engines that are in no package.
export PRISMA_QUERY_ENGINE_BINARY=$here/query_engine.mjs PRISMA_QUERY_ENGINE_LIBRARY=$here/query_engine.mjs
export PRISMA_SCHEMA_ENGINE_BINARY=$here/query_engine.mjs
schema=$("$folder/bin/python" -c 'import importlib.util, pathlib
print(pathlib.Path(importlib.util.find_spec("litellm").origin).parent / "proxy/schema.prisma")')
"$here/node_modules/.bin/prisma" generate --schema "$schema" >/dev/null
