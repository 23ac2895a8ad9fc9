"""What a dashboard is here: rows of panels, each with one question.

Expressions are PromQL with Grafana's variables: $job_id and the like are
regular expressions (`=~`), $__rate_interval is the window of a rate. Units are
Grafana's names. Standard library only: tests and plots read these too.
"""

import dataclasses
import enum


class Kind(enum.Enum):
    LINES = "lines"
    STACK = "stack"      # lines that add up to a whole
    STAT = "stat"        # the newest value, large
    HEATMAP = "heatmap"  # the buckets of a histogram over time
    TABLE = "table"      # the labels of the newest samples


@dataclasses.dataclass(frozen=True)
class Query:
    expression: str
    legend: str = ""


@dataclasses.dataclass(frozen=True)
class Threshold:
    """From `value` on, the panel shows `color`."""
    value: float
    color: str


@dataclasses.dataclass(frozen=True)
class Panel:
    title: str
    question: str  # what an operator learns here, and what to do then
    queries: tuple[Query, ...]
    unit: str
    kind: Kind = Kind.LINES
    width: int = 12  # of 24
    height: int = 8
    minimum: float | None = 0
    maximum: float | None = None
    thresholds: tuple[Threshold, ...] = ()
    decimals: int | None = None
    link: str = ""  # uid of the dashboard that says more


@dataclasses.dataclass(frozen=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


@dataclasses.dataclass(frozen=True)
class Variable:
    """A choice in the dashboard's head: the values of `label`."""
    name: str
    label: str
    series: str  # a selector, with variables before this one
    title: str


@dataclasses.dataclass(frozen=True)
class Dashboard:
    uid: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]

    def panels(self):
        return [panel for row in self.rows for panel in row.panels]


def query(expression, legend=""):
    return Query(" ".join(expression.split()), legend)


def panel(title, question, unit, *queries, **options):
    return Panel(title, " ".join(question.split()), queries, unit, **options)


def stat(title, question, unit, expression, **options):
    options = {"width": 4, "height": 4, **options}
    return panel(title, question, unit, query(expression), kind=Kind.STAT,
                 **options)


def quantiles(series, selector, keep=(), of=(0.5, 0.95, 0.99)):
    """Queries of a histogram's quantiles."""
    by = ", ".join(("le", *keep))
    return [query(
        f"histogram_quantile({q}, sum by ({by}) "
        f"(rate({series}_bucket{{{selector}}}[$__rate_interval])))",
        f"p{round(q * 100)}") for q in of]


def ranks(selector):
    """Ranks by job. A rank that moved is shown by two workers for a while."""
    return ("count by (job_id) (count by (job_id, rank) "
            f"(longspan_memory_planned_bytes{{{selector}}}))")


NAMESPACE = Variable("namespace", "namespace", "longspan_build_info",
                     "Namespace")
IN_NAMESPACE = 'namespace=~"$namespace"'
