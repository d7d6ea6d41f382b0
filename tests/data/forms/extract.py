#!/usr/bin/env python3
"""Cuts the schemas out of the JSON-Schema-Test-Suite (MIT; see LICENSE), into suite.jsonl beside this.

Usage: extract.py FOLDER        of one draft: jsonschema-4.26.0/json/tests/draft2020-12, in jsonschema's source package
"""
import json
import sys
from pathlib import Path


def main():
    lines = []
    for path in sorted(Path(sys.argv[1]).glob("*.json")):
        for case in json.loads(path.read_text(encoding="utf-8")):
            lines.append(json.dumps({"name": f"{path.stem}: {case['description']}", "schema": case["schema"]}))
    (Path(__file__).parent / "suite.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
