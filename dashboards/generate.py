#!/usr/bin/env python3
"""Writes the Grafana dashboards. Edit the Python, run this, commit both.

dashboards/generate.py            writes overview.json and cost.json
dashboards/generate.py --check    says what is wrong or out of date; exit 1 if anything is
"""

import argparse
import json
import sys
from pathlib import Path

import cost
import lint
import overview

HERE = Path(__file__).resolve().parent
SERIES = HERE.parent / "tests/golden/series.txt"
BOARDS = {"overview.json": overview.board, "cost.json": cost.board}


def generate():
    """{file name: dashboard}"""
    return {name: make().json("spillway_build_info") for name, make in BOARDS.items()}


def text_of(board):
    return json.dumps(board, indent=2, ensure_ascii=False) + "\n"


def problems_of(boards):
    known = lint.read_series(SERIES.read_text(encoding="utf-8"))
    found = [
        f"{name}: {problem}"
        for name, board in boards.items()
        for problem in lint.check_board(board, known)
    ]
    return found + list(lint.check_coverage(boards.values(), known))


def out_of_date(boards):
    for name, board in boards.items():
        path = HERE / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text_of(board):
            yield f"{name} is not what generate.py writes: run dashboards/generate.py"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    check_only = parser.parse_args().check
    boards = generate()
    problems = problems_of(boards)
    if check_only:
        problems += out_of_date(boards)
    elif not problems:
        for name, board in boards.items():
            (HERE / name).write_text(text_of(board), encoding="utf-8")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
