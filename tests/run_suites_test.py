"""tests/run with a cmake and a ctest that do what a test says."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import run_suites  # noqa: E402

SCRIPT = os.path.abspath(run_suites.__file__)

CMAKE = """#!/bin/sh
echo "$@" >>commands
case " $* " in *" $REFUSED "*) exit 1;; esac
"""
# One test in every suite, but for those whose label is in $EMPTY.
CTEST = """#!/usr/bin/env python3
import os, sys
words = sys.argv[1:]
folder = words[words.index("--test-dir") + 1]
empty = os.environ.get("EMPTY") in words
if "--show-only=json-v1" in words:
    print('{"tests": [%s]}' % ("" if empty else '{"name": "one_test"}'))
else:
    with open(words[words.index("--output-junit") + 1], "w") as file:
        file.write('<t><testcase name="one_test" status="run"/></t>')
"""


class SuitesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        for name, text in (("cmake", CMAKE), ("ctest", CTEST)):
            (self.root / name).write_text(text)
            (self.root / name).chmod(0o755)
        for suite in run_suites.SUITES:
            build = self.root / suite.folder
            build.mkdir(parents=True, exist_ok=True)
            (build / "longspan_targets.json").write_text("[]")

    def run_suites(self, *arguments, **environment):
        path = f"{self.root}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            [sys.executable, SCRIPT, *arguments], cwd=self.root, text=True,
            env=dict(os.environ, PATH=path, **environment),
            capture_output=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def last_line(self, text):
        return text.strip().splitlines()[-1]

    def test_every_suite_counts(self):
        status, said = self.run_suites()
        self.assertEqual(status, 0, said)
        self.assertEqual(self.last_line(said),
                         "5 passed, 0 failed, 0 skipped")

    def test_a_suite_without_tests_fails(self):
        status, said = self.run_suites(EMPTY="^cuda$")
        self.assertEqual(status, 1, said)
        self.assertIn("FAILED cuda: the suite has no tests", said)
        self.assertEqual(self.last_line(said),
                         "4 passed, 1 failed, 0 skipped")

    def test_a_name_that_a_suite_lacks_is_no_failure(self):
        status, said = self.run_suites("one", EMPTY="^cuda$")
        self.assertEqual(status, 0, said)
        self.assertEqual(self.last_line(said),
                         "4 passed, 0 failed, 0 skipped")

    def test_suites_of_the_preset_release_insist_on_cuda(self):
        self.run_suites()
        commands = (self.root / "commands").read_text().splitlines()
        configured = [line for line in commands if "--preset release" in line]
        self.assertEqual(configured,
                         ["--preset release -DLONGSPAN_CUDA=ON"] * 3)

    def test_cuda_that_cannot_be_configured_fails(self):
        status, said = self.run_suites(REFUSED="-DLONGSPAN_CUDA=ON")
        self.assertEqual(status, 1, said)
        for name in ("cuda", "release", "bundle"):
            self.assertIn(f"FAILED {name}: configure", said)


class CasesTest(unittest.TestCase):
    """GoogleTest's results, as counted."""

    def count(self, *cases, ctest_passed=True):
        with tempfile.TemporaryDirectory() as folder:
            suite = run_suites.Suite("dev", "all", [])
            suite.folder = folder
            results = pathlib.Path(folder, "test-results")
            results.mkdir()
            (results / "x.xml").write_text(
                "<testsuites><testsuite>" + "".join(cases) +
                "</testsuite></testsuites>")
            count = run_suites.Count()
            run_suites.count_cases(suite, "x", ctest_passed, count)
            return str(count)

    def test_only_what_ran_has_passed(self):
        self.assertEqual(
            self.count('<testcase name="a" status="run"/>',
                       '<testcase name="b" status="notrun"/>',
                       '<testcase name="c" status="run"><skipped/></testcase>',
                       '<testcase name="d"/>'),
            "1 passed, 0 failed, 3 skipped")

    def test_failures(self):
        failed = '<testcase name="a" status="run"><failure/></testcase>'
        self.assertEqual(self.count(failed, ctest_passed=False),
                         "0 passed, 1 failed, 0 skipped")

    def test_death_outside_the_cases(self):
        ran = '<testcase name="a" status="run"/>'
        self.assertEqual(self.count(ran, ctest_passed=False),
                         "1 passed, 1 failed, 0 skipped")


class CiTest(unittest.TestCase):
    """.ci/run, with commands that say and do what a test wants."""

    def run_ci(self, tests, kubernetes):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            source = pathlib.Path(SCRIPT).parents[1] / ".ci/run"
            for path, text in ((".ci/run", source.read_text()),
                               ("tests/run", tests),
                               ("tests/kubernetes/run", kubernetes)):
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(
                    text if "bash" in text else f"#!/bin/sh\n{text}\n")
                (root / path).chmod(0o755)
            done = subprocess.run([root / ".ci/run"], capture_output=True,
                                  text=True, check=False)
            return done.returncode, done.stdout.splitlines()

    def test_both_are_added_up(self):
        status, said = self.run_ci("echo 3 passed, 0 failed, 1 skipped",
                                   "echo 2 passed, 0 failed, 0 skipped")
        self.assertEqual(status, 0, said)
        self.assertEqual(said, ["-- tests/run: 3 passed, 0 failed, 1 skipped",
                                "-- tests/kubernetes/run: "
                                "2 passed, 0 failed, 0 skipped",
                                "5 passed, 0 failed, 1 skipped"])

    def test_no_failure_hides_another(self):
        bad = "echo 1 passed, 1 failed, 0 skipped; exit 1"
        good = "echo 4 passed, 0 failed, 0 skipped"
        for pair in ((bad, good), (good, bad)):
            status, said = self.run_ci(*pair)
            self.assertEqual(status, 1, said)
            self.assertEqual(said[-1], "5 passed, 1 failed, 0 skipped")

    def test_one_that_dies_has_failed(self):
        good = "echo 4 passed, 0 failed, 0 skipped"
        for bad, exit_ in (("kill -9 $$", "137"), ("echo installing; exit 3", "3"),
                           (f"{good}; exit 1", "1"),
                           ("true", "0 without having counted")):
            status, said = self.run_ci(bad, good)
            self.assertEqual(status, 1, said)
            self.assertIn(f"FAILED tests/run: exit {exit_}", said)
            self.assertRegex(said[-1], "^[48] passed, 1 failed, 0 skipped$")


if __name__ == "__main__":
    unittest.main()
