#!/usr/bin/env python3
"""House rules as a test: walls between rooms, sizes, coroutine rules, formatting.

Usage: tidy.py [--root DIR] [--clang-format PATH]
Prints one line a finding (file:line: rule: what to change) and exits 1 if there is any.
"""
import argparse
import re
import subprocess
import sys
from pathlib import Path

CODE = {".h", ".cpp", ".cu", ".cuh"}
SCRIPTS = {".py", ".sh"}
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
SPECIAL_LINES_MAX = {"gateway/request/pipeline.cpp": 200}
WIDTH_MAX = 100

# Heavy libraries and the only places that may include them. Headers may not, save those named here in full.
HEAVY = {
    r"yaml-cpp/": ["config/"],
    r"curl/": ["backends/cloud/"],
    r"boost/beast": ["gateway/http/"],
    r"(torch|ATen|c10)/": ["backends/local/ops/", "backends/local/model/"],
    r"nlohmann/(?!json_fwd)": [
        "gateway/wire/", "gateway/files/", "gateway/batch/", "gateway/openai/", "gateway/anthropic/",
        "gateway/responses/", "gateway/admin/", "gateway/provider/", "gateway/live/", "gateway/telemetry/", "backends/cloud/dialects/",
        "backends/local/loader/", "backends/local/tokenizer/", "backends/local/template/", "backends/local/grammar/", "backends/local/answer/",
        "backends/local/encoder/",
    ],
    r"xgrammar/": ["backends/local/grammar/"],
    r"prometheus/": ["gateway/telemetry/"],
    r"zlib\.h": ["gateway/simulate/", "gateway/http/"],
    r"sqlite3\.h": ["gateway/store/"],
    r"libpq-fe\.h": ["gateway/store/"],
    r"simdjson": ["gateway/wire/"],
    r"openssl/": ["config/"],
}

# room → the rooms of this project that it may include (longest prefix wins; itself is always allowed).
CONTRACT = "backends/contract/"
WALLS = {
    "config/": [],
    "config/language/": [],
    "backends/contract/": [],
    "backends/process/": [CONTRACT],
    "backends/local/": [CONTRACT, "backends/process/", "config/"],
    "backends/local/answer/": [CONTRACT],
    "backends/local/grammar/": [CONTRACT, "backends/process/", "backends/local/answer/"],
    "backends/isolated/": [CONTRACT, "backends/process/", "backends/local/", "config/"],
    "backends/cloud/": [CONTRACT, "config/"],
    "backends/simulated/": [CONTRACT, "config/"],
    "gateway/http/": [CONTRACT, "config/", "gateway/wall_clock.h"],
    "gateway/store/": [CONTRACT],
    "gateway/wire/": [CONTRACT, "config/"],
    "gateway/stored/": [CONTRACT, "gateway/store/", "gateway/wire/"],
    "gateway/replay/": [CONTRACT],
    "gateway/files/": [CONTRACT, "config/digest.h", "gateway/store/", "gateway/wire/"],
    "gateway/batch/": [CONTRACT, "gateway/store/", "gateway/wire/"],
    "gateway/openai/": [CONTRACT, "config/", "gateway/wire/"],
    "gateway/anthropic/": [CONTRACT, "config/", "gateway/wire/"],
    "gateway/responses/": [CONTRACT, "config/", "gateway/wire/", "gateway/store/", "gateway/wall_clock.h"],
    "gateway/policy/": [CONTRACT, "config/named.h", "config/residency.h", "config/settings.h", "config/problem.h", "config/language/"],
    "gateway/account/": [CONTRACT, "config/settings.h", "config/digest.h", "gateway/store/",
                         "gateway/policy/auth.h", "gateway/policy/gcra.h"],
    "gateway/telemetry/": [CONTRACT, "config/settings.h", "gateway/request/receipt.h"],
    "gateway/admin/": [CONTRACT, "config/", "gateway/http/", "gateway/account/", "gateway/store/",
                       "gateway/request/receipt.h", "gateway/reload/rehearsed.h", "gateway/reload/rollout_state.h"],
    "gateway/provider/": [CONTRACT, "config/", "gateway/http/", "backends/simulated/"],
    "gateway/simulate/": [CONTRACT, "config/settings.h", "backends/simulated/"],
    "gateway/remote/": [CONTRACT, "config/settings.h"],
    "gateway/live/": [CONTRACT, "config/settings.h", "gateway/remote/", "gateway/simulate/"],
    # These meet the rooms above: each may include those before it, never one behind.
    "gateway/fleet/": [CONTRACT, "config/", "gateway/policy/", "gateway/wall_clock.h"],
    "gateway/reload/": [CONTRACT, "config/", "gateway/fleet/", "gateway/policy/", "gateway/store/", "gateway/telemetry/",
                        "gateway/kept_state.h", "gateway/request/receipt.h"],
    "gateway/request/": [CONTRACT, "config/", "gateway/fleet/", "gateway/reload/", "gateway/policy/", "gateway/account/",
                         "gateway/http/", "gateway/wire/", "gateway/telemetry/", "gateway/anthropic/errors.h"],
    "gateway/background/": [CONTRACT, "config/", "gateway/request/", "gateway/fleet/", "gateway/policy/", "gateway/http/",
                            "gateway/account/", "gateway/batch/", "gateway/files/", "gateway/store/", "gateway/wall_clock.h"],
    "gateway/api/": [CONTRACT, "config/", "gateway/background/", "gateway/request/", "gateway/fleet/", "gateway/policy/",
                     "gateway/http/", "gateway/wire/", "gateway/openai/", "gateway/anthropic/", "gateway/responses/", "gateway/admin/",
                     "gateway/batch/", "gateway/files/", "gateway/store/", "gateway/stored/", "gateway/replay/", "gateway/telemetry/",
                     "gateway/wall_clock.h"],
    "gateway/playback/": [CONTRACT, "config/", "gateway/", "backends/simulated/"],
    "gateway/": [CONTRACT, "config/", "gateway/"],
}
COMPOSITION = ["gateway/house.cpp", "gateway/house.h", "gateway/house_life.cpp", "gateway/engine_target.cpp",
               "gateway/engine_target.h"]
PURE_ROOM = "gateway/policy/"
PURE_FORBIDDEN = re.compile(r"<(boost/(asio|beast)|thread|mutex|fstream|iostream|sys/|curl|nlohmann|yaml)")
CO_SPAWN_ALLOWED = ["gateway/http/", "gateway/background/background.cpp", "tests/"]

STRAY_WORDS = re.compile(r"/work/|/tmp/oracle|\.\./shared|\bTODO\b(?!\(#\d+\))|\bFIXME\b|\bXXX\b")


def strip_comments_and_strings(text):
    """Blanks comments and literals, keeping every newline and offset."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    pattern = r'R"(\w*)\(.*?\)\1"|//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\''
    return re.sub(pattern, blank, text, flags=re.S)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def room_of(path):
    rooms = [room for room in WALLS if path.startswith(room)]
    return max(rooms, key=len) if rooms else None


def check_sizes(path, text):
    limit = SPECIAL_LINES_MAX.get(path, FILE_LINES_MAX)
    lines = text.count("\n")
    if lines > limit:
        yield 1, f"sizes: {lines} lines, at most {limit}: split by idea"
    if Path(path).suffix not in CODE:
        return
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > WIDTH_MAX and "http" not in line and 'R"' not in line:
            yield number, f"sizes: {len(line)} columns, at most {WIDTH_MAX}"


def check_walls(path, text):
    room = room_of(path)
    for match in re.finditer(r'^[ \t]*#include ["<]([^">]+)[">]', text, flags=re.M):
        included, line = match.group(1), line_of(text, match.start(1))
        for library, rooms in HEAVY.items():
            if not re.match(library, included) or path.startswith("tests/"):
                continue
            if not any(path.startswith(allowed) for allowed in rooms):
                yield line, f"walls: <{included}> may be included only in {', '.join(rooms)}"
            elif path.endswith(".h") and not path.startswith(tuple(r for r in rooms if r.endswith("ops/"))) \
                    and "_internal.h" not in path:
                yield line, f"walls: <{included}> in a header slows every file that includes it"
        if path.startswith(PURE_ROOM) and PURE_FORBIDDEN.match(f"<{included}"):
            yield line, f"walls: policy/ is pure; <{included}> is not"
        target_room = room_of(included)
        if room is None or target_room is None or target_room == room or included.startswith(room):
            continue
        if path in COMPOSITION or path.startswith("gateway/main") or path.startswith("gateway/verbs/"):
            continue
        if not any(included.startswith(allowed) for allowed in WALLS[room]):
            yield line, f"walls: {room} may not include {included}"


def check_coroutines(path, text):
    code = strip_comments_and_strings(text)
    for match in re.finditer(r"\bco_await\b([^;]*);", code):
        built = re.search(r"\{|\[[^\]]*[\w&=][^\]]*\]\s*(\(|mutable)", match.group(1))
        if built:
            line = line_of(code, match.start(1) + built.start())
            yield line, "coroutines: nothing is built inside a co_await (g++ 12 destroys it twice); name it above"
    for match in re.finditer(r"\[[^\]\n]*[\w&=][^\]\n]*\]\s*\([^)]*\)\s*(mutable\s*)?->\s*[\w:]*awaitable<", code):
        yield line_of(code, match.start()), "coroutines: no lambda coroutine with captures"
    if not any(path.startswith(allowed) for allowed in CO_SPAWN_ALLOWED):
        for match in re.finditer(r"\bco_spawn\b", code):
            yield line_of(code, match.start()), "coroutines: co_spawn only in gateway/http and background.cpp"


def check_words(path, text):
    if path.startswith("tests/tidy/"):
        return
    for match in STRAY_WORDS.finditer(text):
        yield line_of(text, match.start()), f"words: '{match.group(0)}' does not belong into the project"


def check_names(path, _text):
    if re.search(r"(^|/)(utils?|common|misc|helpers)(/|\.)", path):
        yield 1, "names: there is no utils; find the room this belongs to"
    if Path(path).suffix in {".h", ".cpp"} and Path(path).name != Path(path).name.lower():
        yield 1, "names: files are snake_case"


def check_function_lengths(root, files):
    try:
        import lizard
    except ImportError:
        print("tidy: the package lizard is missing; function lengths are not checked", file=sys.stderr)
        return
    for path in files:
        if Path(path).suffix not in {".h", ".cpp", ".py", ".cu"}:
            continue
        for function in lizard.analyze_file(str(root / path)).function_list:
            length = function.end_line - function.start_line + 1
            if length > FUNCTION_LINES_MAX:
                yield path, function.start_line, f"sizes: {function.name} has {length} lines, at most {FUNCTION_LINES_MAX}"


def check_format(root, files, clang_format):
    sources = [path for path in files if Path(path).suffix in {".h", ".cpp"}]
    for start in range(0, len(sources), 40):
        run = subprocess.run([clang_format, "--dry-run", *sources[start:start + 40]], cwd=root,
                             capture_output=True, text=True, check=False)
        for match in re.finditer(r"^(\S+?):(\d+):\d+: warning:", run.stderr, flags=re.M):
            yield match.group(1), int(match.group(2)), "format: run clang-format"


def tracked_files(root):
    out = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=root,
                         capture_output=True, text=True, check=True)
    return [p for p in out.stdout.split("\n") if Path(p).suffix in CODE | SCRIPTS and (root / p).is_file()]


def findings(root, files, clang_format=None):
    for path in files:
        text = (root / path).read_text(encoding="utf-8")
        checks = [check_sizes, check_words, check_names]
        if Path(path).suffix in CODE:
            checks += [check_walls, check_coroutines]
        for check in checks:
            for line, message in check(path, text):
                yield path, line, message
    yield from check_function_lengths(root, files)
    if clang_format:
        yield from check_format(root, files, clang_format)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--clang-format", help="path of the pinned clang-format; formatting is checked if given")
    options = parser.parse_args()
    files = tracked_files(options.root)
    count = 0
    for path, line, message in findings(options.root, files, options.clang_format):
        print(f"{path}:{line}: {message}")
        count += 1
    print(f"tidy: {len(files)} files, {count} findings")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
