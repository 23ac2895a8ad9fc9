"""bench/run dashboards: pictures of the dashboards, of a real cluster.

Two workers train, generate, wait, and lose a rank for as long as asked, while
a real Prometheus scrapes them. Then every query of every dashboard is asked
for that time, and drawn. Grafana is not needed, and not run.

    bench/run dashboards [--seconds 90] [--out docs/dashboards]
"""

import argparse
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

import environment
import train

sys.path.insert(0, str(train.ROOT / "tests/support"))
sys.path.insert(0, str(train.ROOT / "deploy/grafana"))

import dashboards  # noqa: E402
import promql  # noqa: E402
from dashboards.description import Kind  # noqa: E402
from local_cluster import LocalCluster  # noqa: E402
from local_prometheus import LocalPrometheus, targets_of  # noqa: E402

RULES = train.ROOT / "deploy/prometheus/rules.yaml"
LEGEND = re.compile(r"\{\{\s*(\w+)\s*\}\}")

JOB = """name: {name}
resources: {{ranks: {ranks}, threads: 1}}
train:
  model:
    hidden_size: 64
    layer_count: 3
    layer_pattern: {pattern}
    linear: {{mixer: simple_gla, heads: 4, short_convolution: 4}}
    softmax: {{heads: 4, window: 128}}
    mlp: {{intermediate_size: 128}}
  data: {{uri: "corpus://devils-dictionary.txt.gz", end: 345741}}
  validation: {{uri: "corpus://devils-dictionary.txt.gz", begin: 345741,
               end: 353933}}
  validation_interval: 20
  sequence_length: 1024
  steps: {steps}
  optimizer: {{learning_rate: 5e-3}}
  schedule: {{warmup_steps: 20, decay: constant}}
  checkpoint: {{interval: 20}}
  report_interval: 1
"""


def job(name, ranks, steps=10000000, pattern="LNL"):
    return JOB.format(name=name, ranks=ranks, steps=steps, pattern=pattern)


class Scenario:
    """What happens on the pictures."""

    def __init__(self, cluster, seconds):
        self.cluster = cluster
        self.seconds = seconds
        self.began = time.time()

    def until(self, fraction, meanwhile=lambda: time.sleep(0.2)):
        while time.time() - self.began < fraction * self.seconds:
            meanwhile()

    def generate(self, model):
        self.cluster.command(
            "generate", "--model-job", model, "--prompt", "PATIENCE, n. " * 40,
            "--max-new-tokens", 64, "--seed", 1, timeout=60)
        time.sleep(0.3)

    def run(self):
        cluster = self.cluster
        first = cluster.submit(job("hybrid", 2))
        cluster.await_checkpoint(first)
        self.until(0.2)
        second = cluster.submit(job("linear", 1, pattern="LLL"))
        self.until(0.45, lambda: self.generate(first))
        cluster.submit(job("too-large", 9))
        # Nothing overtakes these: there are no requests while they wait.
        waiting = [cluster.submit(job(f"waits-{i}", 2)) for i in range(2)]
        self.until(0.55)
        os.kill(cluster.pids_of("longspan-executor")[0], signal.SIGKILL)
        self.until(0.65)
        for one in waiting:
            cluster.command("cancel", one)
        self.until(0.85, lambda: self.generate(first))
        cluster.command("cancel", second)
        self.until(1.0, lambda: self.generate(first))
        self.ended = time.time()
        self.shown = first.rsplit("/", 1)[-1]


def legend(template, labels):
    if not template:
        return ", ".join(f"{k}={v}" for k, v in sorted(labels.items())
                         if k not in ("__name__", "namespace", "job"))
    return LEGEND.sub(lambda match: labels.get(match[1], ""), template)


def lines_of(prometheus, panel, scenario):
    found = []
    for query in panel.queries:
        expression = promql.without_variables(query.expression,
                                              job_id=scenario.shown)
        for labels, points in prometheus.query_range(
                expression, scenario.began, scenario.ended, 1):
            found.append({
                "legend": legend(query.legend, labels),
                "points": [[t - scenario.began, v] for t, v in points]})
    return sorted(found, key=lambda line: line["legend"])


def answers(prometheus, board, scenario):
    """What a plot needs to know of a dashboard."""
    return {"uid": board.uid, "title": board.title, "panels": [
        {"title": panel.title, "unit": panel.unit, "kind": panel.kind.value,
         "width": panel.width, "height": panel.height,
         "minimum": panel.minimum, "maximum": panel.maximum, "row": row.title,
         "lines": lines_of(prometheus, panel, scenario)}
        for row in board.rows for panel in row.panels
        if panel.kind is not Kind.TABLE]}


def measure(arguments):
    with LocalCluster(arguments.bin_dir, workers=2, slots=2) as cluster:
        with LocalPrometheus(targets_of(cluster), RULES) as prometheus:
            prometheus.await_scrapes()
            scenario = Scenario(cluster, arguments.seconds)
            scenario.run()
            return [answers(prometheus, board, scenario)
                    for board in dashboards.ALL]


def main():
    asked = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--bin-dir", required=True, help=argparse.SUPPRESS)
    asked.add_argument("--seconds", type=float, default=90)
    asked.add_argument("--out", type=pathlib.Path,
                       default=train.ROOT / "docs/dashboards")
    arguments = asked.parse_args()
    boards = measure(arguments)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(boards, file)
        file.flush()
        subprocess.run([environment.python("plot", "plot_requirements.txt"),
                        train.ROOT / "bench/dashboards_plot.py", file.name,
                        arguments.out], check=True)
    print(f"pictures of {len(boards)} dashboards: {arguments.out}")


if __name__ == "__main__":
    main()
