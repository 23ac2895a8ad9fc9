"""The sections of tests/gpu/run, over programs that only pretend."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import runner
from runner_test import assert_gone

HERE = pathlib.Path(__file__).resolve().parent


# A test program with six cases, of which 4 fails; LONGSPAN_FAKE=crash ends the
# shard that has it, as a sticky error of a device does.
FAKE_PROGRAM = """#!/usr/bin/env python3
import json, os, sys
flags = dict(word[2:].split("=", 1) for word in sys.argv[1:])
shards = int(os.environ.get("GTEST_TOTAL_SHARDS", 1))
mine = int(os.environ.get("GTEST_SHARD_INDEX", 0))
cases = [n for n in range(6) if n % shards == mine]
print("shard", mine, "of", shards)
if os.environ.get("LONGSPAN_FAKE") == "crash" and 4 in cases:
    os.abort()
rows = [{"name": f"Case{n}", "status": "RUN", "time": "0.5s",
         **({"failures": [{}]} if n == 4 else {})} for n in cases]
with open(flags["gtest_output"][5:], "w") as file:
    json.dump({"testsuites": [{"name": "Suite", "testsuite": rows}]}, file)
sys.exit(4 in cases)
"""


class ConformanceTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "bin").mkdir()
        self.program = self.folder / "bin/fake_gpu"
        self.program.write_text(FAKE_PROGRAM)
        self.program.chmod(0o755)

    def run_section(self, name, **environment):
        return runner.run_section(
            runner.Section(name, [sys.executable, HERE / f"section_{name}.py"],
                           30, dict(environment,
                                    LONGSPAN_BIN_DIR=self.folder / "bin")),
            self.folder, 30)

    def test_shards_are_one_program(self):
        outcome = self.run_section("conformance")
        self.assertEqual(outcome.status, "failed")
        self.assertEqual(outcome.failures, ["fake_gpu: Suite.Case4"])
        self.assertEqual(outcome.tables[0]["rows"],
                         [["fake_gpu", 5, 1, 3.0]])
        log = (self.folder / "conformance.log").read_text()
        self.assertIn("shard 5 of 6", log)

    def test_a_shard_that_dies_hides_no_other(self):
        outcome = self.run_section("conformance", LONGSPAN_FAKE="crash")
        self.assertEqual(outcome.status, "failed")
        self.assertEqual(outcome.failures,
                         ["fake_gpu: died, exit status -6"])
        self.assertEqual(outcome.tables[0]["rows"],
                         [["fake_gpu", 5, 0, 2.5]])

    def test_without_programs_nothing_runs(self):
        self.program.unlink()
        outcome = self.run_section("determinism")
        self.assertEqual(outcome.status, "failed")
        self.assertIn("built without CUDA", outcome.failures[0])


# `longspan`, whose daemon is a session of its own and whose jobs do as WATCH.
FAKE_LONGSPAN = """#!/bin/sh
case $1 in
  up)
    for word in "$@"; do
      case $word in --run-dir=*) run=${word#*=};; esac
    done
    echo "the driver said no" >"$run/worker-0.log"
    mkdir "$run/models"
    setsid sleep 600 &
    echo $! >"$run.pid"
    wait ;;
  workers) echo '"state":"READY"' ;;
  submit) echo job-1 ;;
  watch) WATCH ;;
esac
"""


class JobsTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out = pathlib.Path(folder.name)
        (self.out / "fake_gpu").touch()

    def run_section(self, watch, limit_s):
        program = self.out / "longspan"
        program.write_text(FAKE_LONGSPAN.replace("WATCH", watch))
        program.chmod(0o755)
        return runner.run_section(
            runner.Section("jobs", [sys.executable, HERE / "section_jobs.py"],
                           limit_s, {"LONGSPAN_BIN_DIR": str(self.out),
                                     "LONGSPAN_GPU_OUT": str(self.out)}),
            self.out, limit_s)

    def check_remains(self):
        """The daemon is gone; its log stays, and is in the section's."""
        assert_gone(self, int((self.out / "jobs.pid").read_text()))
        self.assertEqual(
            sorted(path.name for path in (self.out / "jobs").iterdir()),
            ["up.log", "worker-0.log"])
        self.assertIn("-- worker-0.log\nthe driver said no\n",
                      (self.out / "jobs.log").read_text())

    def test_a_job_that_fails(self):
        outcome = self.run_section("echo 'rank 1: no NCCL' >&2; exit 3", 60)
        self.assertEqual(outcome.status, "failed", outcome)
        self.assertEqual(len(outcome.failures), 1)
        self.assertRegex(outcome.failures[0],
                         r"watch --json job-1: exit 3: rank 1: no NCCL$")
        self.check_remains()

    def test_a_job_that_hangs_is_ended_by_the_section(self):
        outcome = self.run_section("sleep 600", 18)
        self.assertEqual(outcome.status, "failed", outcome)
        self.assertEqual(outcome.failures,
                         ["longspan watch: not done in time"])
        self.check_remains()

    def test_a_section_that_is_ended_keeps_the_logs(self):
        outcome = self.run_section(
            "kill -TERM $PPID; sleep 600", 18)
        self.assertEqual(outcome.exit_status, 128 + 15, outcome)
        self.check_remains()


# Prints what a bench prints; the process dies at a row with "end".
FAKE_BENCH = """#!/usr/bin/env python3
import json, os, sys
flags = sys.argv[1:]
predict = "--predict" in flags
if LOST and not predict:
    print("longspan-bench: the driver lists no device", file=sys.stderr)
    sys.exit(77)
skip = int(flags[flags.index("--skip") + 1]) if "--skip" in flags else 0
print(json.dumps({"device": "G", "bytes_per_second": 3e12,
                  "operations_per_second": 8e14}), flush=True)
for row in ROWS[skip:]:
    if row.get("end") and not predict:
        print("Check failed: an illegal memory access", file=sys.stderr)
        os.abort()
    print(json.dumps(row), flush=True)
sys.exit(CODE)
"""
KERNEL_ROWS = [{"op": "copy", "size": "8x8", "floor_ms": 0.5,
                "predicted_ms": 0.6, "ms": 0.625, "gb_per_s": 10.0,
                "tflop_per_s": 0.0, "note": ""},
               {"op": "add", "size": "9x9", "floor_ms": 0.5,
                "predicted_ms": 0.6, "note": "does not fit this device"}]
MODEL_ROWS = [{"what": "generate", "tokens": 9, "planned_gb": 0.0,
               "predicted_ms": 1.0, "predicted_tokens_per_second": 1000.0,
               "ms": 2.0, "tokens_per_second": 500.0, "note": ""}] + [
    {"what": "train", "tokens": 1000 * n, "planned_gb": 1.5,
     "predicted_ms": 10.0 * n, "predicted_tokens_per_second": 1e5,
     "ms": 12.5 * n, "tokens_per_second": 8e4 - n, "mfu": 0.4, "note": ""}
    for n in (1, 2)]


class BenchTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out = pathlib.Path(folder.name)
        self.bench("kernels", KERNEL_ROWS)
        self.bench("model", MODEL_ROWS)

    def bench(self, name, rows, lost=False, code=0):
        path = self.out / f"longspan-bench-{name}"
        path.write_text(FAKE_BENCH.replace("ROWS", repr(rows)).replace(
            "LOST", repr(lost)).replace("CODE", repr(code)))
        path.chmod(0o755)

    def run_section(self):
        return runner.run_section(
            runner.Section("bench", [sys.executable, HERE / "section_bench.py"],
                           140, {"LONGSPAN_BIN_DIR": str(self.out),
                                 "LONGSPAN_GPU_OUT": str(self.out)}),
            self.out, 140)

    def test_both_tables(self):
        outcome = self.run_section()
        self.assertEqual((outcome.status, outcome.failures), ("passed", []),
                         (self.out / "bench.log").read_text())
        self.assertEqual([t["title"] for t in outcome.tables],
                         ["kernels", "model"])
        rows = outcome.tables[0]["rows"]
        self.assertEqual(rows[0][:6],
                         ["copy", "8x8", "0.500", "0.600", "0.625", "0.80"])
        self.assertIn("does not fit this device", rows[1])
        rows = outcome.tables[1]["rows"]
        self.assertEqual(rows[1][:8], ["train", "1000", "1.5", "10.000",
                                       "12.500", "100000", "79999", "0.400"])

    def test_the_device_is_in_the_note(self):
        self.assertEqual(self.run_section().note,
                         "device: G, 3.00 TB/s, 800 TFLOP/s")

    def test_an_op_that_dies_hides_no_other(self):
        dead = {"op": "rotary", "size": "7x7", "end": True}
        self.bench("kernels", [dead, KERNEL_ROWS[0], dict(dead, op="gate"),
                               KERNEL_ROWS[1]])
        outcome = self.run_section()
        why = "Check failed: an illegal memory access"
        self.assertEqual(outcome.failures,
                         ["bench/run kernels: exit status 1",
                          f"kernels: rotary 7x7: {why}",
                          f"kernels: gate 7x7: {why}"])
        rows = outcome.tables[0]["rows"]
        self.assertEqual([(row[0], row[4]) for row in rows],
                         [("rotary", why), ("copy", "0.625"), ("gate", why),
                          ("add", "does not fit this device")])

    def test_a_model_that_fails_is_a_failure(self):
        failed = [dict(row, note="out of memory") for row in MODEL_ROWS]
        for row in failed:
            del row["ms"]
        fits_not = dict(failed[2], note="does not fit this device")
        self.bench("model", [*failed[:2], fits_not], code=1)
        outcome = self.run_section()
        self.assertEqual(outcome.failures,
                         ["bench/run model: exit status 1",
                          "model: generate, 9 tokens: out of memory",
                          "model: train, 1000 tokens: out of memory"])

    def test_one_that_finds_no_device_hides_not_the_other(self):
        self.bench("kernels", [], lost=True)
        outcome = self.run_section()
        self.assertEqual(outcome.failures,
                         ["bench/run kernels: exit status 77"])
        self.assertEqual([t["title"] for t in outcome.tables], ["model"])
        self.assertIn("bench/run kernels: no GPU here: the driver lists no "
                      "device\n", (self.out / "bench.log").read_text())


class SectionFilesTest(unittest.TestCase):
    def test_every_section_has_its_program(self):
        names = {path.name for path in HERE.glob("section_*.py")}
        for name in ("environment", "conformance", "determinism", "nccl",
                     "jobs", "sanitizer", "bench"):
            self.assertIn(f"section_{name}.py", names)


if __name__ == "__main__":
    unittest.main()
