"""What the end-to-end tests share: the cluster under test and small jobs.

Each file is a script of unittest cases; ctest runs it with
LONGSPAN_BINARY_DIR set to the build under test.
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import unittest
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support"))

from local_cluster import (  # noqa: E402, F401
    CommandFailed, LocalCluster, await_that)

BUILD = pathlib.Path(os.environ.get("LONGSPAN_BINARY_DIR",
                                    ROOT / "build/release"))
BINARIES = BUILD / "bin"
CORPUS = "corpus://devils-dictionary.txt.gz"

MODEL = """
    hidden_size: 32
    layer_count: 3
    layer_pattern: {pattern}
    linear: {{mixer: {mixer}, heads: {heads}, feature_map: silu,
             short_convolution: 4, output_gate: true}}
    softmax: {{heads: {heads}, window: {window}}}
    mlp: {{intermediate_size: 48}}"""


def train_job(ranks=2, steps=50, length=96, batch=1, pattern="LNL",
              mixer="simple_gla", heads=2, window=32, more=""):
    """The text of a small train job."""
    model = MODEL.format(pattern=pattern, mixer=mixer, heads=heads,
                         window=window)
    return f"""name: e2e
resources: {{ranks: {ranks}, threads: 1}}
train:
  model:{model}
  data: {{uri: "{CORPUS}", end: 345741}}
  sequence_length: {length}
  batch_size: {batch}
  steps: {steps}
  optimizer: {{learning_rate: 1e-2}}
  schedule: {{warmup_steps: {min(5, steps)}}}
  report_interval: 1
  seed: 7
{more}"""


def cluster(**options):
    return LocalCluster(BINARIES, **options)


def pause(pid):
    """SIGSTOP; returns when every thread stands still, which is only some time
    after kill has returned."""
    os.kill(pid, signal.SIGSTOP)

    def stands():
        states = subprocess.run(["ps", "-L", "-o", "stat=", "-p", str(pid)],
                                check=True, capture_output=True, text=True)
        return all(state[0] == "T" for state in states.stdout.split())
    await_that(f"process {pid} to stand still", stands)


def train_result(job):
    return job["result"]["train"]


def losses(cluster, job):
    """{step: training loss} of a train job's log."""
    log = cluster.command("logs", job)[1]
    return {int(step): float(loss) for step, loss in re.findall(
        r"step (\d+)\S* +loss ([\d.eE+-]+)", log)}


def read(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def main():
    unittest.main(verbosity=2)
