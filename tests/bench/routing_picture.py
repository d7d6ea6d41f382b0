"""Small multiples as SVG: promises kept against cost, a panel for each trace and load. Follows a dark page."""
import math
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 300, 210               # Of a panel with its margins,
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 26, 30
LEGEND = 22                            # …and of a row of the legend.
COSTS = (0.01, 2.5)                    # Dollars, logarithmic.
KEPT = (99.97, 5.0)                    # Percent; what is broken is drawn logarithmically, little of it above.
STYLE = """
  text { font-family: system-ui, sans-serif; font-size: 11px } .letter, .star { font-size: 9px }
  .page { fill: #fff } text { fill: #222 } .faint { fill: #666 }
  .frame { fill: none; stroke: #999 } .grid { stroke: #e2e2e2 } .bound { stroke: #2a7f3f; stroke-dasharray: 4 3 }
  .other { fill: #c9d6e8; stroke: #3b5b85 } .ours { fill: #e4572e; stroke: #8c2f13 } .letter { fill: #1c2f4a }
  .star { fill: #fff; font-weight: bold } .green { fill: #2a7f3f }
  @media (prefers-color-scheme: dark) {
    .page { fill: #16181c } text { fill: #e6e6e6 } .faint { fill: #a0a0a0 }
    .frame { stroke: #777 } .grid { stroke: #31343a } .bound { stroke: #6ccf86 } .green { fill: #6ccf86 }
    .other { fill: #34506f; stroke: #9db8da } .letter { fill: #f0f4fa }
  }
"""


@dataclass(frozen=True)
class Point:
    usd: float
    kept: float  # Percent.
    letter: str
    ours: bool


def across(usd):
    share = math.log(min(max(usd, COSTS[0]), COSTS[1]) / COSTS[0]) / math.log(COSTS[1] / COSTS[0])
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def down(kept):
    least, most = 100 - KEPT[0], 100 - KEPT[1]
    broken = min(max(100 - kept, least), most)
    return TOP + math.log(broken / least) / math.log(most / least) * (HEIGHT - TOP - BOTTOM)


def apart(points):
    """Where the marks are drawn: those that would cover each other are pushed apart; ours stays where it is."""
    places = [[across(point.usd), down(point.kept)] for point in points]
    for _ in range(40):
        for i, point in enumerate(points):
            for j in range(len(points)):
                apart_x, apart_y = places[i][0] - places[j][0], places[i][1] - places[j][1]
                distance = math.hypot(apart_x, apart_y)
                least = 15 if points[j].ours else 12
                if i == j or point.ours or distance >= least:
                    continue
                push = (least - distance) / (2 * distance) if distance else 1
                places[i][0] += push * apart_x
                places[i][1] += push * apart_y + (0 if distance else 1 if i > j else -1)
                places[i][1] = min(max(places[i][1], TOP), HEIGHT - BOTTOM)
    return places


def text(x, y, words, anchor="middle", kind="faint"):
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def mark(x, y, letter, ours):
    kind, radius = ("ours", 8.5) if ours else ("other", 6.5)
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>' + text(
        x, y + 3.2, letter, "middle", "star" if ours else "letter")


def panel(title, points, bound):
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = [text(LEFT, TOP - 9, title, "start", "title")]
    for usd in (0.01, 0.1, 1):
        parts.append(f'<line class="grid" x1="{across(usd):.1f}" x2="{across(usd):.1f}" y1="{TOP}" y2="{bottom}"/>')
        parts.append(text(across(usd), bottom + 13, f"${usd:g}"))
    for kept in (99.9, 99, 90, 50):
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{down(kept):.1f}" y2="{down(kept):.1f}"/>')
        parts.append(text(LEFT - 5, down(kept) + 4, f"{kept:g} %", "end"))
    parts.append(f'<rect class="frame" x="{LEFT}" y="{TOP}" width="{right - LEFT}" height="{bottom - TOP}"/>')
    parts.append(f'<line class="bound" x1="{across(bound):.1f}" x2="{across(bound):.1f}" y1="{TOP}" y2="{bottom}"/>')
    for (x, y), point in zip(apart(points), points):
        parts.append(mark(x, y, point.letter, point.ours))
    return "\n".join(parts)


def legend(names, top, columns):
    parts = [f'<line class="bound" x1="{LEFT - 8}" x2="{LEFT + 8}" y1="{top}" y2="{top}"/>',
             text(LEFT + 14, top + 4, "lower bound of the cost, every promise kept", "start", "green")]
    for number, (letter, name) in enumerate(names, 1):
        x, y = LEFT + number % columns * WIDTH, top + number // columns * LEGEND
        parts.append(mark(x, y, letter, number == 1))
        parts.append(text(x + 14, y + 4, name, "start", "title"))
    return "\n".join(parts)


def panels(places, names, columns):
    """`places`: title -> (points, bound), row by row. `names`: (letter, name), ours first."""
    rows = math.ceil(len(places) / columns)
    top = 44
    height = top + rows * HEIGHT + 16 + math.ceil((len(names) + 1) / columns) * LEGEND
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {columns * WIDTH} {height}" role="img" '
             'aria-label="Promises kept against cost, for each policy, trace and load">',
             f"<style>{STYLE}</style>", f'<rect class="page" width="{columns * WIDTH}" height="{height}"/>',
             text(LEFT, 18, "Interactive requests with their promises kept, against dollars per million tokens (both "
                  "logarithmic): the upper left corner is best.", "start", "title"),
             text(LEFT, 34, "Marks that would cover each other are a little apart. Written by tests/bench/routing.py --full", "start")]
    for number, (title, (points, bound)) in enumerate(places.items()):
        x, y = number % columns * WIDTH, top + number // columns * HEIGHT
        parts.append(f'<g transform="translate({x} {y})">\n{panel(title, points, bound)}\n</g>')
    parts.append(legend(names, top + rows * HEIGHT + 14, columns))
    return "\n".join(parts) + "\n</svg>\n"
