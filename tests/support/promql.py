"""The expressions of dashboards, as Prometheus can evaluate them."""

import dataclasses
import json
import pathlib
import re

DASHBOARDS = (pathlib.Path(__file__).resolve().parents[2] /
              "helm/longspan/files/dashboards")
WINDOW = "10s"
LABEL_VALUES = re.compile(r"label_values\((.*), (\w+)\)$")
# A metric, or a recorded series, and what stands in its braces.
SELECTOR = re.compile(r"\b((?:longspan_|\w+:longspan_)[\w:]*)(\{[^}]*\})?")


@dataclasses.dataclass(frozen=True)
class Expression:
    where: str
    text: str


@dataclasses.dataclass(frozen=True)
class Variable:
    where: str
    series: str
    label: str


def without_variables(text, **values):
    """For these values, and all of every other variable."""
    values = {"__rate_interval": WINDOW, **values}
    return re.sub(r"\$(\w+)", lambda match: values.get(match[1], ".*"), text)


def panels_of(board):
    """Panels, those in rows too."""
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels") or []


def boards():
    return [json.loads(path.read_text(encoding="utf-8"))
            for path in sorted(DASHBOARDS.glob("*.json"))]


def expressions():
    found = []
    for board in boards():
        for panel in panels_of(board):
            where = f"{board['title']}: {panel.get('title', '')}"
            found += [Expression(where, without_variables(target["expr"]))
                      for target in panel.get("targets") or []]
    return found


def variables():
    found = []
    for board in boards():
        for variable in board["templating"]["list"]:
            if variable["type"] != "query":
                continue
            series, label = LABEL_VALUES.match(variable["query"]).groups()
            found.append(Variable(f"{board['title']}: ${variable['name']}",
                                  without_variables(series), label))
    return found


def selectors(text):
    """[(name, text with its braces)] of the series that are asked for."""
    return [(match[1], match[0]) for match in SELECTOR.finditer(text)]


def family(name):
    """The metric that a series belongs to."""
    return re.sub(r"_(bucket|count|sum)$", "", name)
