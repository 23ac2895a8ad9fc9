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


if __name__ == "__main__":
    unittest.main()
