"""Kernels and a whole model beside their predictions and their peers."""

import json
import os
import pathlib
import sys

import section

sys.path.insert(0, str(section.TREE / "bench"))
import gpu_program  # noqa: E402

# Of the section's time; what one leaves, the next has.
MODEL_SECONDS = 65
LEAST_SECONDS = 5


def run_bench(report, name, limit_s, peer_seconds, *flags):
    """Runs bench/run NAME; its table is the report's, however it ended."""
    out = pathlib.Path(os.environ["LONGSPAN_GPU_OUT"], f"{name}.json")
    out.unlink(missing_ok=True)
    words = [sys.executable, section.TREE / "bench/run", name,
             f"--peer-seconds={peer_seconds:.0f}", f"--json={out}",
             f"--bin-dir={section.bin_dir()}", *flags]
    if os.environ.get("LONGSPAN_PEERS"):
        words.append(f"--peers={os.environ['LONGSPAN_PEERS']}")
    code = section.run(words, limit_s=limit_s)
    if code != 0:
        report.fail(f"bench/run {name}: exit status {code}")
    try:
        data = json.loads(out.read_text())
    except (OSError, ValueError):
        return
    for what in data["failed"]:
        report.fail(f"{name}: {what}")
    table = report.table(name, data["columns"])
    for row in data["rows"]:
        table.add(*row)
    if data["device"]:
        report.note(gpu_program.device_line(data["device"]))


def main():
    report = section.Report()
    for name in ("longspan-bench-kernels", "longspan-bench-model"):
        section.program(name)
    left = section.seconds_left() - MODEL_SECONDS
    peer = 0.4 * left
    run_bench(report, "kernels", left, peer - LEAST_SECONDS, "--seconds=0.1",
              f"--limit={left - peer - LEAST_SECONDS:.0f}", "--stall=10")
    left = section.seconds_left() - LEAST_SECONDS
    peer = 0.4 * left
    run_bench(report, "model", left, peer - LEAST_SECONDS,
              f"--seconds={left - peer - LEAST_SECONDS:.0f}")
    report.end()


if __name__ == "__main__":
    main()
