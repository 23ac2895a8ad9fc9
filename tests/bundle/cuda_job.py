#!/usr/bin/env python3
"""Run inside the bundle on a machine without a GPU: prints what devices a
worker offers, and why a job for cuda waits."""

import json
import pathlib
import sys

TREE = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TREE / "tests/support"))
import local_cluster  # noqa: E402


def main():
    text = (TREE / "deploy/quickstart.d/train.yaml").read_text()
    text = text.replace("threads: 1}", "threads: 1, backend: cuda}")
    with local_cluster.LocalCluster(TREE / "bin", workers=1) as cluster:
        worker = json.loads(cluster.command("workers", "--json")[1])
        print(",".join(device["kind"] for device in worker["info"]["devices"]))
        job = cluster.submit(text)
        print(local_cluster.await_that(
            "a reason", lambda: cluster.get(job).get("pending_reason")))


if __name__ == "__main__":
    main()
