"""The quickstart's train and generate jobs on the GPU, as a user runs them.

A real coordinator and one worker daemon with two ranks on the GPU. Their logs
stay in the folder jobs of the results.
"""

import math
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import section

sys.path.insert(0, str(section.TREE / "tests/support"))
from local_cluster import CommandFailed, LocalCluster  # noqa: E402

TRAIN_SECONDS = 8
RANKS = 2
# Two ranks of one device talk through sockets: the worker sees to that.
ENVIRONMENT = {"NCCL_SOCKET_IFNAME": "lo", "NCCL_DEBUG": "WARN"}
UNTRAINED = math.log(256)
NEW_TOKENS = 200
STOP_SECONDS = 15  # of the section's: the cluster's daemons drain for 10


def seconds_left():
    return max(1.0, section.seconds_left() - STOP_SECONDS)


def job_text(name, **changes):
    """A job of the quickstart on two ranks of backend cuda."""
    text = (section.TREE / f"deploy/quickstart.d/{name}.yaml").read_text()
    text = re.sub(r"resources: .*", "resources: {ranks: %d, backend: cuda}"
                  % RANKS, text)
    for key, value in changes.items():
        text, count = re.subn(rf"(?m)^( *){key}: .*$", rf"\1{key}: {value}",
                              text)
        if count != 1:
            raise ValueError(f"{name}.yaml has {count} lines with {key}")
    return text


def train(cluster, report, table):
    job = cluster.submit(job_text("train", max_duration=f"{TRAIN_SECONDS}s"))
    done = cluster.wait(job, timeout=seconds_left())
    loss = done["progress"].get("loss", math.inf)
    speed = done["progress"].get("tokens_per_second", 0)
    table.add("train", done["state"], f"loss {loss:.3f}", f"{speed:.0f}")
    if done["state"] != "SUCCEEDED":
        report.fail(f"train: {done['state']}")
    if not loss < UNTRAINED / 2:
        report.fail(f"train: loss {loss:.3f}; untrained is {UNTRAINED:.3f}")
    return job


def generate(cluster, report, table, job):
    code, text, said = cluster.command(
        "generate", "--model-job", job, "--prompt", "LOVE, n.", "--backend",
        "cuda", "--ranks", RANKS, "--max-new-tokens", NEW_TOKENS,
        "--temperature", "0.7", "--seed", "1", check=False,
        timeout=seconds_left())
    print(text, said)
    table.add("generate", f"exit {code}", f"{len(text.encode())} bytes", "")
    if code != 0:
        report.fail(f"generate: exit status {code}")
    elif len(text) < NEW_TOKENS // 2:
        report.fail(f"generate: only {len(text)} characters came back")


def environment():
    """That of the worker: one GPU, of which it makes all its slots."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or "0"
    return dict(ENVIRONMENT, CUDA_VISIBLE_DEVICES=visible.split(",")[0])


def run_jobs(cluster, report, table):
    try:
        print(cluster.command("workers")[1])
        generate(cluster, report, table, train(cluster, report, table))
    except CommandFailed as error:
        print(error)
        lines = str(error).splitlines()
        report.fail(f"{lines[0]}: {lines[-1]}")
    except subprocess.TimeoutExpired as error:
        report.fail(f"longspan {error.cmd[1]}: not done in time")


def run_cluster(report, table, folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        with LocalCluster(section.bin_dir(), workers=1, devices="cuda",
                          slots_per_device=RANKS, environment=environment(),
                          run_directory=folder, start_seconds=seconds_left()
                          ) as cluster:
            run_jobs(cluster, report, table)
    except (RuntimeError, TimeoutError, subprocess.TimeoutExpired) as error:
        report.fail(f"the cluster did not start: {error}")
    finally:
        for path in sorted(folder.iterdir()):
            if path.is_dir():  # checkpoints and the like
                shutil.rmtree(path, ignore_errors=True)
            else:
                print(f"-- {path.name}\n{path.read_text(errors='replace')}")


def main():
    # Ended by its runner, it still ends its cluster.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    report = section.Report()
    table = report.table("jobs", ["job", "ended", "result", "tokens/s"])
    section.gpu_programs()  # a build without CUDA offers no such slots
    run_cluster(report, table,
                pathlib.Path(os.environ["LONGSPAN_GPU_OUT"], "jobs"))
    report.end()


if __name__ == "__main__":
    main()
