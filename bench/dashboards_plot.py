"""bench/run dashboards: the panels of each dashboard, as it lays them out.

usage: dashboards_plot.py ANSWERS.json FOLDER
"""

import io
import json
import math
import pathlib
import re
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({
    "svg.hashsalt": "longspan", "svg.fonttype": "none", "font.size": 7,
    "font.sans-serif": ["DejaVu Sans"],
    "axes.titlesize": 8, "axes.spines.top": False, "axes.spines.right": False})

import matplotlib.pyplot as plt  # noqa: E402

COLUMNS = 24
LEGENDS = 6  # as many lines are named
TOLERANCE = 0.2  # of a point: less than a pixel
# As matplotlib writes lines and outlines.
LINE = re.compile(r"M ((?:-?[\d.]+ -?[\d.]+ \n(?:L |(?=[z\"])))+)")
SCALES = {"bytes": (2**20, "MiB"), "Bps": (1e6, "MB/s"),
          "percentunit": (0.01, "%"), "s": (1, "s"),
          "reqps": (1, "calls/s"), "suffix: tok/s": (1, "tokens/s")}


def layout(panels):
    """[(panel, x, y)] on a grid of 24 columns, as Grafana flows them."""
    placed, x, y, tallest = [], 0, 0, 0
    for panel in panels:
        if x + panel["width"] > COLUMNS:
            x, y, tallest = 0, y + tallest, 0
        placed.append((panel, x, y))
        x += panel["width"]
        tallest = max(tallest, panel["height"])
    return placed, y + tallest


def finite(line, scale):
    points = [(t, v / scale) for t, v in line["points"] if math.isfinite(v)]
    return [t for t, _ in points], [v for _, v in points]


def figures(value):
    """Four of them, and no exponent up to the billions."""
    rounded = float(f"{value:.4g}")
    return f"{rounded:,.0f}" if 1000 <= rounded < 1e12 else f"{rounded:g}"


def draw_stat(axes, panel, scale, unit):
    axes.axis("off")
    values = [finite(line, scale)[1] for line in panel["lines"]]
    values = [row[-1] for row in values if row]
    text = f"{figures(values[0])} {unit}" if values else "no data"
    axes.text(0.5, 0.4, text, ha="center", va="center", fontsize=13)


def draw_heatmap(axes, panel):
    """Counts per bucket: the difference of neighbouring `le`."""
    rows = sorted(panel["lines"], key=lambda line: float(line["legend"]))
    times = sorted({t for line in rows for t, _ in line["points"]})
    counts = [dict(map(tuple, line["points"])) for line in rows]
    cells = [[max(0.0, counts[i].get(t, 0) -
                  (counts[i - 1].get(t, 0) if i else 0)) for t in times]
             for i in range(len(rows))]
    axes.pcolormesh(times, range(len(rows)), cells, cmap="Blues",
                    shading="nearest", rasterized=True)
    axes.set_yticks(range(0, len(rows), 2),
                    [row["legend"] for row in rows[::2]])


def name_largest(axes, lines, columns):
    """A legend of the lines that reach highest."""
    highest = {line["legend"]: max(finite(line, 1)[1], default=-math.inf)
               for line in lines}
    handles, names = axes.get_legend_handles_labels()
    named = sorted(zip(handles, names),
                   key=lambda pair: -highest[pair[1]])[:LEGENDS]
    if named and any(names):
        axes.legend(*zip(*named), fontsize=5, loc="upper left",
                    frameon=True, framealpha=0.6, edgecolor="none",
                    ncols=columns)


def draw_lines(axes, panel, scale, unit):
    lines = panel["lines"]
    drawn = 0
    if panel["kind"] == "stack":
        times = sorted({t for line in lines for t, _ in line["points"]})
        values = [dict(zip(*finite(line, scale))) for line in lines]
        axes.stackplot(times, [[row.get(t, 0) for t in times]
                               for row in values],
                       labels=[line["legend"] for line in lines], alpha=0.7)
        drawn = len(lines)
    for line in lines if panel["kind"] == "lines" else ():
        times, values = finite(line, scale)
        axes.plot(times, values, linewidth=0.9, label=line["legend"])
        drawn += 1
    name_largest(axes, lines, 2 if drawn > 3 else 1)
    axes.set_ylabel(unit)
    axes.grid(alpha=0.25)


def draw(axes, panel):
    scale, unit = SCALES.get(panel["unit"], (1, ""))
    axes.set_title(panel["title"], loc="left")
    if panel["kind"] == "stat":
        draw_stat(axes, panel, scale, unit)
        return
    if panel["kind"] == "heatmap":
        draw_heatmap(axes, panel)
        return
    draw_lines(axes, panel, scale, unit)
    if panel["minimum"] is not None:
        axes.set_ylim(bottom=panel["minimum"] / scale)
    if panel["maximum"] is not None:
        axes.set_ylim(top=panel["maximum"] / scale)


def distance(point, a, b):
    """From the line between a and b."""
    (x, y), (dx, dy) = ((p[0] - a[0], p[1] - a[1]) for p in (point, b))
    square = dx * dx + dy * dy
    along = min(1, max(0, (x * dx + y * dy) / square)) if square else 0
    return math.hypot(x - along * dx, y - along * dy)


def thinned(points):
    """Those that the line needs to pass all within TOLERANCE (Douglas and
    Peucker)."""
    ends = points[0], points[-1]
    far = max(range(len(points)), key=lambda i: distance(points[i], *ends))
    if distance(points[far], *ends) <= TOLERANCE:
        return list(ends)
    return thinned(points[:far + 1])[:-1] + thinned(points[far:])


def small(picture):
    """The picture with no more points and digits than can be seen."""
    def line(match):
        numbers = list(map(float, match[1].replace("L", "").split()))
        points = thinned(list(zip(numbers[::2], numbers[1::2])))
        return "M" + " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return LINE.sub(line, picture)


def picture(board, out):
    placed, height = layout(board["panels"])
    figure = plt.figure(figsize=(12, 0.3 * height))
    grid = figure.add_gridspec(height, COLUMNS, hspace=0, wspace=0,
                               left=0.01, right=0.99, top=1 - 1.6 / height, bottom=0.01)
    for panel, x, y in placed:
        cells = grid[y:y + panel["height"] - 2, x + 1:x + panel["width"]]
        draw(figure.add_subplot(cells), panel)
    figure.suptitle(f"{board['title']}: seconds on each x axis", x=0.05,
                    y=1 - 0.3 / height, ha="left", va="top", fontsize=10)
    written = io.StringIO()
    figure.savefig(written, metadata={"Date": None})
    (out / f"{board['uid']}.svg").write_text(small(written.getvalue()),
                                             encoding="utf-8")


def main():
    answers, out = sys.argv[1:]
    with open(answers, encoding="utf-8") as file:
        for board in json.load(file):
            picture(board, pathlib.Path(out))


if __name__ == "__main__":
    main()
