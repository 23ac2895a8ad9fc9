"""The machinery of tests/gpu/run, with sections that misbehave on purpose."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import report
import runner

HERE = pathlib.Path(__file__).resolve().parent
PREAMBLE = (f"import sys, os, time, signal\nsys.path.insert(0, {str(HERE)!r})\n"
            "import section\nr = section.Report()\n"
            "t = r.table('numbers', ['name', 'value'])\n")


def assert_gone(test, pid):
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            state = pathlib.Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return
        if state.rsplit(")", 1)[1].split()[0] == "Z":
            return
        time.sleep(0.05)
    test.fail(f"process {pid} is still there")


class SectionsTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out = pathlib.Path(folder.name)

    def section(self, name, code, limit_s=20.0):
        return runner.Section(name, [sys.executable, "-c", PREAMBLE + code],
                              limit_s)

    def run_one(self, code, limit_s=20.0):
        return runner.run_section(self.section("one", code), self.out, limit_s)

    def test_pass(self):
        outcome = self.run_one("print('hello'); t.add('a', 1.5); r.end()")
        self.assertEqual((outcome.status, outcome.exit_status), ("passed", 0))
        self.assertEqual(outcome.tables[0]["rows"], [["a", 1.5]])
        self.assertEqual((self.out / "one.log").read_text(), "hello\n")

    def test_fail(self):
        outcome = self.run_one("r.fail('x_gpu: Case'); r.end()")
        self.assertEqual(outcome.status, "failed")
        self.assertEqual(outcome.failures, ["x_gpu: Case"])

    def test_exception_is_a_failure(self):
        outcome = self.run_one("t.add('before', 1); raise ValueError('no')")
        self.assertEqual(outcome.status, "failed")
        self.assertEqual(outcome.tables[0]["rows"], [["before", 1]])
        self.assertIn("ValueError: no", (self.out / "one.log").read_text())

    def test_crash(self):
        outcome = self.run_one("t.add('a', 1); os.kill(os.getpid(), 11)")
        self.assertEqual(outcome.status, "crashed")
        self.assertEqual(outcome.note, "ended by SIGSEGV")
        self.assertEqual(outcome.tables[0]["rows"], [["a", 1]])

    def test_not_run(self):
        outcome = self.run_one("r.not_run('no compute-sanitizer here')")
        self.assertEqual((outcome.status, outcome.note),
                         ("not run", "no compute-sanitizer here"))
        self.assertTrue(outcome.good)

    def test_hang_is_ended_with_all_it_started(self):
        pid_file = self.out / "pid"
        code = ("import subprocess\nt.add('before', 1)\n"
                "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                "child = subprocess.Popen(['sleep', '600'])\n"
                f"open({str(pid_file)!r}, 'w').write(str(child.pid))\n"
                "time.sleep(600)")
        runner.GRACE_SECONDS = 0.5
        outcome = self.run_one(code, limit_s=1.5)
        self.assertEqual(outcome.status, "timed out")
        self.assertEqual(outcome.tables[0]["rows"], [["before", 1]])
        self.assertLess(outcome.seconds, 6)
        assert_gone(self, int(pid_file.read_text()))

    def test_what_a_good_section_leaves_running_is_ended(self):
        pid_file = self.out / "pid"
        outcome = self.run_one(
            "import subprocess\nchild = subprocess.Popen(['sleep', '600'])\n"
            f"open({str(pid_file)!r}, 'w').write(str(child.pid))\nr.end()")
        self.assertEqual(outcome.status, "passed")
        assert_gone(self, int(pid_file.read_text()))

    def test_sessions_of_their_own_are_ended_too(self):
        """As daemons do, whose parent ends before them or with the section."""
        pid_file = self.out / "pid"
        code = ("import subprocess\nchild = subprocess.Popen(\n"
                "    ['sh', '-c', 'setsid sleep 600 & echo $! >%s; %s'],\n"
                "    start_new_session=True)\n%s")
        runner.GRACE_SECONDS = 0.5
        for parent, then, status in (
                ("wait", "time.sleep(600)", "timed out"),
                ("exit", "child.wait()\ntime.sleep(600)", "timed out"),
                ("exit", "child.wait()\nr.end()", "passed")):
            outcome = self.run_one(code % (pid_file, parent, then), 1.5)
            self.assertEqual(outcome.status, status)
            assert_gone(self, int(pid_file.read_text()))

    def test_the_section_ends_on_the_clock_of_its_runner(self):
        begin = time.monotonic()
        outcome = self.run_one(
            "t.add('end', section.seconds_left() + time.monotonic())\nr.end()")
        end = outcome.tables[0]["rows"][0][1]
        self.assertAlmostEqual(end, begin + 20.0, delta=0.05)

    def test_endless_output_is_cut(self):
        runner.LOG_LIMIT_BYTES = 1 << 20
        outcome = self.run_one("while True: print('x' * 4096)")
        self.assertEqual(outcome.status, "failed")
        self.assertIn("printed more than", outcome.note)

    def test_missing_program(self):
        outcome = runner.run_section(
            runner.Section("one", [self.out / "nothing"], 5), self.out, 5)
        self.assertEqual(outcome.status, "failed")
        self.assertIn("nothing", outcome.note)

    def test_nothing_hides_the_others(self):
        sections = [self.section("crash", "os.abort()"),
                    self.section("hang", "time.sleep(600)", 1.0),
                    self.section("fail", "r.fail('a | b'); r.end()"),
                    self.section("pass", "t.add('n', 2); r.end()")]
        done = []
        outcomes = runner.run_all(sections, self.out, 60, done.append)
        self.assertEqual([o.status for o in outcomes],
                         ["crashed", "timed out", "failed", "passed"])
        self.assertEqual(outcomes, done)
        report.write(self.out, {"gpus": "a fake"}, outcomes)
        text = (self.out / "results.md").read_text()
        self.assertIn("| crash | crashed |", text)
        self.assertIn("- failed: a \\| b", text)
        self.assertIn("| n | 2 |", text)
        record = json.loads((self.out / "results.json").read_text())
        self.assertEqual(record["sections"][3]["tables"][0]["rows"],
                         [["n", 2]])

    def test_total_time_is_a_bound(self):
        sections = [self.section(name, "time.sleep(600)")
                    for name in ("a", "b", "c")]
        begin = time.monotonic()
        outcomes = runner.run_all(sections, self.out, 2.0)
        self.assertLess(time.monotonic() - begin, 10)
        self.assertEqual({o.status for o in outcomes}, {"timed out"})
        self.assertIn("are over", outcomes[2].note)


class CommandTest(unittest.TestCase):
    def command(self, *flags, **environment):
        return subprocess.run(
            [sys.executable, HERE / "run", *flags], capture_output=True,
            text=True, check=False, cwd=tempfile.gettempdir(),
            env=dict(os.environ, CUDA_VISIBLE_DEVICES="", **environment))

    def test_no_gpu_is_a_line_and_a_code(self):
        done = self.command()
        self.assertEqual(done.returncode, 77, done.stdout + done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"\A.*no GPU here: .*\n\Z")

    def test_unknown_section(self):
        done = self.command("--sections", "kernel")
        self.assertEqual(done.returncode, 2)
        self.assertIn("no section 'kernel'; choices: environment",
                      done.stderr)

    def test_limits_fit_in_nine_minutes(self):
        done = self.command("--help")
        self.assertEqual(done.returncode, 0)
        limits = [int(line.split()[1]) for line in done.stdout.splitlines()
                  if line.startswith("    ") and len(line.split()) > 2
                  and line.split()[2] == "s"]
        self.assertEqual(len(limits), 7)
        self.assertLess(sum(limits), 540)


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
        self.assertEqual(outcome.status, "not run")
        self.assertIn("built without CUDA", outcome.note)


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


# Prints what a bench prints; its first line tells how it was called.
FAKE_BENCH = """#!/usr/bin/env python3
import json, sys
if LOST:
    print("longspan-bench: the driver lists no device", file=sys.stderr)
    sys.exit(77)
for what in ROWS:
    print(json.dumps(what))
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

    def bench(self, name, rows, lost=False):
        path = self.out / f"longspan-bench-{name}"
        path.write_text(FAKE_BENCH.replace("ROWS", repr(rows)).replace(
            "LOST", repr(lost)))
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
