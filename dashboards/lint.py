"""What every dashboard must hold to, checked against the list of series that the program really exports."""

import re

from panels import COLUMNS, DATASOURCE

# Exported, but for alerts, pickers or a person with a question rather than for a panel.
NOT_SHOWN = {
    "spillway_build_info",
    "spillway_config_last_success_timestamp_seconds",
    "spillway_connections_total",
    "spillway_engine_cancel_steps_max",
    "process_virtual_memory_bytes",
    "process_threads",
    "process_start_time_seconds",
}
ADDED_BY_PROMETHEUS = {"job", "instance", "le"}
NAME = re.compile(r"\b((?:gen_ai|spillway|process)_[a-z0-9_]+)\b(?:\{([^}]*)\})?")
LABEL_NAMES = {"gen_ai_provider_name", "gen_ai_token_type"}


def read_series(text):
    """tests/golden/series.txt: {name: (type, labels)}."""
    rows = (line.split(" | ")[0].split() for line in text.splitlines())
    return {row[0]: (row[1], set(row[2:])) for row in rows}


def base_of(name, known):
    """The series that `name` belongs to: itself, or the histogram of a _bucket, _sum or _count."""
    if name in known:
        return name
    stem = re.sub(r"_(bucket|sum|count)$", "", name)
    return stem if stem in known and known[stem][0] == "histogram" else None


def panels_of(board):
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def expressions_of(board):
    """(panel title, PromQL) of every query."""
    return [
        (panel["title"], target["expr"])
        for panel in panels_of(board)
        for target in panel["targets"]
    ]


def used_series(board, known):
    names = {name for _, expr in expressions_of(board) for name, _ in NAME.findall(expr)}
    return {base_of(name, known) for name in names - LABEL_NAMES}


def check_panel(panel):
    title = panel["title"]
    if len(panel.get("description", "")) < 40:
        yield f"{title}: a description says what is meant and what to do"
    if not re.search(r"(spillway|gen_ai|process)_", panel.get("description", "")):
        yield f"{title}: the description names no series"
    if not panel["fieldConfig"]["defaults"].get("unit"):
        yield f"{title}: no unit"
    if panel["datasource"] != DATASOURCE or any(
        t["datasource"] != DATASOURCE for t in panel["targets"]
    ):
        yield f"{title}: the datasource is not the variable"
    if len({target["refId"] for target in panel["targets"]}) != len(panel["targets"]):
        yield f"{title}: two queries share a refId"
    if not all(target["legendFormat"] for target in panel["targets"]):
        yield f"{title}: a query without legend"


def check_expression(title, expr, known):
    for name, matchers in NAME.findall(expr):
        if name in LABEL_NAMES:
            continue
        series = base_of(name, known)
        if series is None:
            yield f"{title}: nothing exports {name}"
            continue
        kind, labels = known[series]
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers):
            if label not in labels | ADDED_BY_PROMETHEUS:
                yield f"{title}: {name} has no label {label}"
        accumulates = kind == "counter" or name != series
        if (
            accumulates
            and not re.search(rf"(rate|increase)\({name}\b", expr)
            and "unless on()" not in expr
        ):
            yield f"{title}: {name} only grows: take its rate"
        if "$job" not in matchers:
            yield f"{title}: {name} is not selected by job and instance"


def check_grid(board):
    taken = {}
    for panel in board["panels"]:
        place = panel["gridPos"]
        if place["x"] + place["w"] > COLUMNS:
            yield f"{panel['title']}: wider than the grid"
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                other = taken.setdefault((x, y), panel["title"])
                if other != panel["title"]:
                    yield f"{panel['title']}: overlaps {other}"
                    return


def check_board(board, known):
    """Everything that is wrong with one dashboard."""
    problems = [problem for panel in panels_of(board) for problem in check_panel(panel)]
    problems += [
        problem
        for title, expr in expressions_of(board)
        for problem in check_expression(title, expr, known)
    ]
    problems += check_grid(board)
    ids = [panel["id"] for panel in board["panels"]]
    if len(set(ids)) != len(ids):
        problems.append("two panels share an id")
    if not any(variable["type"] == "datasource" for variable in board["templating"]["list"]):
        problems.append("no datasource variable")
    return problems


def check_coverage(boards, known):
    """Every exported series has a panel, or a reason to have none."""
    used = set().union(*(used_series(board, known) for board in boards))
    exported = {name for name in known if not name.startswith("vllm:")}
    for name in sorted(exported - used - NOT_SHOWN):
        yield f"no panel shows {name}"
    for name in sorted(NOT_SHOWN & used):
        yield f"{name} has a panel: take it off the list of those that need none"
    for name in sorted(NOT_SHOWN - exported):
        yield f"nothing exports {name}: take it off the list of those that need no panel"
