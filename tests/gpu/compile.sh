#!/usr/bin/env bash
# Compiles every kernel for Hopper and fails on any warning or on spilled registers beyond a few words. ccache, where there is
# one, knows what the compiler said of a kernel that has not changed.
#
# usage: tests/gpu/compile.sh NVCC
set -u -o pipefail
cd "$(dirname "$0")/../.."
SPILL_BYTES_MAX=128
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0
compiler=("$1")
[ -z "$(command -v ccache)" ] || compiler=(ccache "$1")
for source in backends/local/kernels/*.cu; do
  report=$("${compiler[@]}" -std=c++20 -O3 -gencode=arch=compute_90a,code=sm_90a --expt-relaxed-constexpr \
    -Xcompiler=-Wall,-Wextra -Werror=all-warnings -Xptxas=-v -I. -c -o "$folder/out.o" "$source" 2>&1) ||
    { echo "$report"; failed=1; continue; }
  worst=$(grep -o '[0-9]* bytes spill stores' <<<"$report" | sort -n | tail -1 | cut -d' ' -f1)
  echo "$(basename "$source"): ${worst:-0} bytes spilled at most"
  [ "${worst:-0}" -le $SPILL_BYTES_MAX ] || { echo "too many: $source"; failed=1; }
done
exit $failed
