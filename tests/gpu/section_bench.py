"""Kernels beside their predictions and their peers, one table."""

import json
import os
import pathlib
import sys

import section


def kernels(report):
    out = pathlib.Path(os.environ["LONGSPAN_GPU_OUT"], "kernels.json")
    words = [sys.executable, section.TREE / "bench/run", "kernels",
             "--seconds=0.1", "--peer-seconds=45", f"--json={out}",
             f"--bin-dir={section.bin_dir()}"]
    if os.environ.get("LONGSPAN_PEERS"):
        words.append(f"--peers={os.environ['LONGSPAN_PEERS']}")
    code = section.run(words, limit_s=section.seconds_left())
    if code != 0:
        report.fail(f"bench/run kernels: exit status {code}")
    try:
        data = json.loads(out.read_text())
    except (OSError, ValueError):
        return
    table = report.table("kernels", data["columns"])
    for row in data["rows"]:
        table.add(*row)


def main():
    report = section.Report()
    section.program("longspan-bench-kernels")
    kernels(report)
    report.end()


if __name__ == "__main__":
    main()
