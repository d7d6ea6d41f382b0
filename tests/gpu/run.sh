#!/usr/bin/env bash
# Builds, checks and measures what runs on the GPU, in one go. Resumable: a stage whose result lies in the results folder is
# not run again; delete its file to repeat it. Every measured line ends with the clock and the power seen right after it.
#
# usage: tests/gpu/run.sh [STAGE…]   all of them if none is named:
#   check  sanitize  logits  kernels  model:NAME[:eager|:fp8|:int8|:int4|:kv-fp8|:logprobs]  times:NAME  aten:NAME  report
#   serve[:NAME[:PRECISION[:KV]]]  vllm:NAME[:fp8[:KV]]  isolated  isolated_replicas  logprobs
#   goodput:NAME  parallel:NAME[:fp8]  replicas:NAME[:fp8]  forms:NAME  four_bits
#   BUILD=build/gpu        where the programs are, or are built if they are not there yet
#   RESULTS=build/gpu-run  one file a stage
#   BINARY, MODEL          for logprobs, serve, forms, four_bits, isolated, isolated_replicas and report: the gateway, built with SPILLWAY_CUDA, and the model file it serves; with a NAME
#                          random weights of its shape, in SCRATCH=/dev/shm (r1-qwen-7b: 16 GB), with LAYERS of them if that is said
#   VLLM                   for vllm and goodput: see serve_vllm.py; the same load on the same card, beside serve:NAME
#   SIDES, UNTIL           for goodput: see goodput.py
#   GPUS, NCCL             for parallel: how many compute together, and a libnccl.so.2 to compare with; for replicas and
#                          isolated_replicas: how many GPUs, each with all of the model; all of the machine if it is not said
set -u -o pipefail
cd "$(dirname "$0")/../.."
BUILD=${BUILD:-build/gpu}
RESULTS=${RESULTS:-build/gpu-run}
BINARY=${BINARY:-build/cuda/spillway}
MODEL=${MODEL:-models/SmolLM2-135M-Instruct.Q4_1.gguf}
SCRATCH=${SCRATCH:-/dev/shm}
GPUS=${GPUS:-$(nvidia-smi -L 2>/dev/null | wc -l)}
PROGRAMS=$BUILD/gpu
SMALL='*EdgesOfPages*:*ArePacked*:KvE4m3.Rope*:*SmallestK*:*PaddingRows*:*EveryTokenCount*:*WholePrompts*:*Patch*:*Equals*:*Itself*:ScoreRows*:*Windows*:*AddedNormed*:*Capped*'
mkdir -p "$RESULTS"
toolkit=$(dirname "$(dirname "$(readlink -f "$(command -v nvcc)")")")
export LD_LIBRARY_PATH=$toolkit/lib64:$toolkit/targets/x86_64-linux/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

build() {
  [ -x "$PROGRAMS/gpu_decode_bench" ] && return
  cmake -S tests/gpu/standalone -B "$BUILD" -G Ninja -DCMAKE_BUILD_TYPE=Release && ninja -C "$BUILD"
}

with_clock() {
  while IFS= read -r line; do
    printf '%s  [%s]\n' "$line" \
      "$(nvidia-smi --query-gpu=clocks.sm,power.draw --format=csv,noheader | head -1)"
  done
}

check() {
  "$PROGRAMS/gpu_kernel_test" --gtest_brief=1 && "$PROGRAMS/gpu_executor_test" --gtest_brief=1
}

sanitize() {
  local tool
  for tool in memcheck racecheck; do
    compute-sanitizer --tool $tool --error-exitcode 1 "$PROGRAMS/gpu_kernel_test" --gtest_brief=1 \
      --gtest_filter="$SMALL" | tail -1 || return 1
  done
  # The copy engine and wgmma are not what racecheck follows.
  compute-sanitizer --error-exitcode 1 "$PROGRAMS/gpu_kernel_test" --gtest_brief=1 \
    --gtest_filter='GroupedLinear.RowsOf*:GroupedLinear.Without*:*OfSharedWeights*:*RunBesideChunks*:*ChunksSee*' | tail -1 || return 1
  # Where GPUs reach each other already, that is no failure.
  compute-sanitizer --report-api-errors no --error-exitcode 1 "$PROGRAMS/gpu_executor_test" --gtest_brief=1 \
    --gtest_filter='*Mixed*:*Drawn*:*Scored*:*Widened*:IntegerWeights.FewTokens:*DozensOfTokens*:*FoldersOfFourBits*:*Peer*/1:*Peer*/6:*SharedDecoders.ChunksAndDecodes*/1' | tail -1
}

logits() { python3 tests/gpu/hf_logits.py "$PROGRAMS/gpu_dump_logits"; }

logprobs() { python3 tests/gpu/hf_logprobs.py "$BINARY"; }

kernels() { { "$PROGRAMS/gpu_kernel_bench" && "$PROGRAMS/gpu_expert_bench"; } | with_clock; }

model() {
  local flags=()
  [ -n "${2:-}" ] && flags=("--$2")
  "$PROGRAMS/gpu_decode_bench" "$1" --batches 1,8,32,128,256 "${flags[@]}" | with_clock
}

# Which kernels the steps take.
times() {
  local seen
  seen=$(mktemp)
  CUDA_INJECTION64_PATH=$PROGRAMS/libgpu_kernel_times.so KERNEL_TIMES=$seen "$PROGRAMS/gpu_decode_bench" "$1" --batches 128 | with_clock
  cat "$seen"
  rm "$seen"
}

serve() {
  if [ $# -eq 0 ]; then
    python3 tests/gpu/serve.py "$BINARY" "$MODEL"
    return
  fi
  local model=$SCRATCH/spillway-$1.gguf status ids=()
  [[ $1 == ds-* || $1 == *-a3b ]] && ids=(--token-ids)  # Which experts a step reads depends on its tokens: vLLM's and ours are the same.
  python3 tests/gpu/random_model.py "$1" "$model" ${LAYERS:+--layers "$LAYERS"} &&
    python3 tests/gpu/serve.py "$BINARY" "$model" "${ids[@]}" --precision "${2:-bf16}" --kv-cache "${3:-bf16}" --skip-agreement --sequences 256 \
      --kv-tokens 262144 --step-tokens 1280,2048 --prefixes 16 --prompt-tokens 512 --out 128 --concurrency 1,128,256 --rounds 6
  status=$?
  rm -f "$model"
  return $status
}

goodput() {
  local model=$SCRATCH/spillway-$1.gguf status
  [ -e "$model" ] || python3 tests/gpu/random_model.py "$1" "$model" &&
    python3 tests/gpu/goodput.py "$1" --binary "$BINARY" --model "$model" ${SIDES:+--sides "$SIDES"} ${UNTIL:+--until "$UNTIL"}
  status=$?
  rm -f "$model"
  return $status
}

vllm() {
  local precision=${2:-bf16}
  python3 tests/gpu/serve_vllm.py "$1" --quantization "${precision#bf16}" --kv-cache "${3:-}" --prompt-tokens 512 --out 128 --concurrency 1,128,256 \
    --rounds 6
}

# Sums over GPUs, the tokens of one GPU, whole steps, then over HTTP beside vLLM on as many.
parallel() {
  local model=$SCRATCH/spillway-$1.gguf status
  local load=(--gpus "$GPUS" --prompt-tokens 512 --out 128 --concurrency 1,128,256 --rounds 6) ids=()
  [[ $1 == ds-* || $1 == *-a3b ]] && ids=(--token-ids)
  "$PROGRAMS/gpu_peer_bench" "$GPUS" ${NCCL:+"$NCCL"} && "$PROGRAMS/gpu_parallel_agreement" "$1" "$GPUS" ${2:+"--$2"} ${LAYERS:+"$LAYERS"} &&
    "$PROGRAMS/gpu_decode_bench" "$1" --gpus "$GPUS" ${2:+"--$2"} --batches 1,8,32,128,256 | with_clock || return 1
  [ -e "$model" ] || python3 tests/gpu/random_model.py "$1" "$model" ${LAYERS:+--layers "$LAYERS"} &&
    python3 tests/gpu/serve.py "$BINARY" "$model" --precision "${2:-bf16}" --skip-agreement --sequences 256 --kv-tokens 262144 \
      --step-tokens 1280 "${load[@]}" "${ids[@]}" && python3 tests/gpu/serve_vllm.py "$1" ${2:+--quantization "$2"} "${load[@]}"
  status=$?
  rm -f "$model"
  return $status
}

# One GPU, then several that share a queue.
replicas() {
  local model=$SCRATCH/spillway-$1.gguf status
  [ -e "$model" ] || python3 tests/gpu/random_model.py "$1" "$model" &&
    python3 tests/gpu/replicas.py "$BINARY" "$model" --replicas "$GPUS" --precision "${2:-bf16}" --sequences 256 --kv-tokens 262144 \
      --prompt-tokens 512 --out 128 --concurrency 128,256 --rounds 6
  status=$?
  rm -f "$model"
  return $status
}

forms() {
  local model=$SCRATCH/spillway-$1.gguf status
  python3 tests/gpu/random_model.py "$1" "$model" && python3 tests/gpu/forms.py "$BINARY" "$model"
  status=$?
  rm -f "$model"
  return $status
}

isolated() { python3 tests/gpu/isolated.py "$BINARY" "$MODEL"; }

isolated_replicas() { python3 tests/gpu/isolated_replicas.py "$BINARY" "$MODEL" --replicas "$GPUS"; }

# A file of four bits as it is, beside what it says in bf16.
four_bits() { python3 tests/gpu/four_bits.py "$BINARY"; }

# What fewer bits cost the model.
report() { "$BINARY" quantize --report "$MODEL"; }

aten() { python3 tests/gpu/aten_eager.py "$1" | with_clock; }

stage() {
  local name=$1 file="$RESULTS/${1//:/-}.txt"
  if [ -e "$file" ]; then
    echo "== $name (kept)"
    cat "$file"
    return
  fi
  echo "== $name"
  local parts
  IFS=: read -ra parts <<<"$name"
  if "${parts[@]}" >"$file.part" 2>&1; then
    mv "$file.part" "$file"
    cat "$file"
  else
    cat "$file.part"
    echo "FAILED: $name"
    failed=1
  fi
}

[ $# -gt 0 ] || set -- check sanitize logits kernels model:qwen3-0.6b model:qwen3-0.6b:eager \
  model:r1-qwen-7b model:r1-qwen-7b:eager aten:qwen3-0.6b aten:r1-qwen-7b serve serve:r1-qwen-7b vllm:r1-qwen-7b \
  serve:qwen3-0.6b vllm:qwen3-0.6b model:r1-qwen-7b:fp8 serve:r1-qwen-7b:fp8 vllm:r1-qwen-7b:fp8 \
  goodput:r1-qwen-7b
[[ "$*" =~ ^(logprobs|serve|vllm|goodput|replicas|isolated|report|forms|four_bits)[^\ ]*$ ]] || build || exit 1
failed=0
for name in "$@"; do stage "$name"; done
exit $failed
