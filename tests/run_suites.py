"""Configures, builds and runs the suites of tests/run, and counts.

Called by tests/run from the root of the tree; see there.
"""

import glob
import json
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")
CORES = str(os.cpu_count() or 1)


class Suite:
    """What to build in a preset, and which of its tests to run."""

    def __init__(self, preset, build_target, ctest_arguments, name=None,
                 options=()):
        self.name = name or preset
        self.preset = preset
        self.options = list(options)  # of the configure step
        self.folder = os.path.join("build", preset)
        self.build_target = build_target
        self.ctest_arguments = ctest_arguments


# Without it a machine whose nvcc is too old would build, test and bundle no
# CUDA at all, in silence.
CUDA = ("-DLONGSPAN_CUDA=ON",)

SUITES = (
    Suite("ci" if CI else "dev", "all", ["-j", CORES]),
    Suite("tsan", "all", ["-j", CORES]),
    # nvcc's part: that it compiles, without warnings and without spills.
    Suite("release", "longspan_cuda", ["-L", "^cuda$", "-j", "1"], "cuda",
          CUDA),
    # Real processes on real ports share the machine: one at a time.
    Suite("release", "longspan_e2e", ["-L", "^e2e$", "-j", "1"],
          options=CUDA),
    Suite("release", "longspan_bundle", ["-L", "^bundle$"], "bundle", CUDA),
)


class Count:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures = []

    def fail(self, name):
        self.failed += 1
        self.failures.append(name)

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.failures += other.failures

    def __str__(self):
        return (f"{self.passed} passed, {self.failed} failed, "
                f"{self.skipped} skipped")


def say(text):
    print(text, flush=True)


def run(command, quiet=False):
    """Exit status; quiet commands are shown only if they fail."""
    if not quiet:
        return subprocess.run(command, check=False).returncode
    result = subprocess.run(command, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, check=False)
    if result.returncode != 0:
        say(result.stdout)
    return result.returncode


def tests_of(suite, pattern):
    """name -> build target of the suite's tests that match."""
    listing = subprocess.run(
        ["ctest", "--test-dir", suite.folder, "--show-only=json-v1",
         *suite.ctest_arguments, *(["-R", pattern] if pattern else [])],
        capture_output=True, text=True, check=True)
    with open(os.path.join(suite.folder, "longspan_targets.json"),
              encoding="utf-8") as file:
        targets = {target["target"] for target in json.load(file)}
    names = [test["name"] for test in json.loads(listing.stdout)["tests"]]
    # Scripts are no targets: they need everything the suite builds.
    return {name: name if name in targets else suite.build_target
            for name in names}


def count_cases(suite, name, ctest_passed, count):
    """Adds the cases of one ctest test."""
    path = os.path.join(suite.folder, "test-results", name + ".xml")
    label = f"{suite.name}: {name}"
    if not os.path.exists(path):  # a script, or it died
        if ctest_passed:
            count.passed += 1
        else:
            count.fail(label)
        return
    failed = 0
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        where = f"{label}: {case.get('classname')}.{case.get('name')}"
        if case.find("failure") is not None:
            failed += 1
            count.fail(where)
        elif case.get("status") == "run" and case.find("skipped") is None:
            count.passed += 1
        else:
            count.skipped += 1
    if not ctest_passed and failed == 0:
        count.fail(label + ": failed outside its cases")


def run_tests(suite, pattern):
    """Runs ctest and counts."""
    count = Count()
    junit = os.path.abspath(os.path.join(suite.folder, "ctest.xml"))
    results = os.path.join(suite.folder, "test-results", "*")
    for stale in glob.glob(results) + glob.glob(junit):
        os.remove(stale)
    command = ["ctest", "--test-dir", suite.folder, "--output-on-failure",
               "--output-junit", junit, *suite.ctest_arguments]
    run(command + (["-R", pattern] if pattern else []))
    for case in ElementTree.parse(junit).getroot().iter("testcase"):
        count_cases(suite, case.get("name"), case.get("status") == "run",
                    count)
    return count


def build(suite, targets):
    """False if a target cannot be built; goes on with the others."""
    say(f"-- {suite.name}: build")
    return run(["cmake", "--build", suite.folder, "--target", *targets,
                "--", "-k", "0"], quiet=CI or not sys.stdout.isatty()) == 0


def run_suite(suite, pattern):
    count = Count()
    say(f"-- {suite.name}: configure")
    if run(["cmake", "--preset", suite.preset, *suite.options],
           quiet=True) != 0:
        count.fail(f"{suite.name}: configure")
        return count
    tests = tests_of(suite, pattern)
    if not tests and pattern:
        say(f"-- {suite.name}: no test of that name")
        return count
    if not tests:
        count.fail(f"{suite.name}: the suite has no tests")
        return count
    targets = sorted(set(tests.values())) if pattern else [suite.build_target]
    if not build(suite, targets):
        count.fail(f"{suite.name}: build")
    count.add(run_tests(suite, pattern))
    return count


def list_tests():
    for suite in SUITES:
        if os.path.exists(os.path.join(suite.folder, "build.ninja")):
            for name in tests_of(suite, None):
                say(f"{suite.name}: {name}")


def main(arguments):
    if arguments == ["--list"]:
        list_tests()
        return 0
    for argument in arguments:
        if argument.startswith("-"):
            say(f"unknown flag '{argument}'; see tests/run --help")
            return 2
    pattern = "|".join(re.escape(name) for name in arguments)
    total, summary = Count(), []
    for suite in SUITES:
        start = time.monotonic()
        count = run_suite(suite, pattern)
        seconds = time.monotonic() - start
        summary.append(f"{suite.name:<8} {seconds:6.0f} s   {count}")
        total.add(count)
    if total.passed + total.failed == 0:
        total.fail("no test ran")
    for failure in total.failures:
        say(f"FAILED {failure}")
    say("\n".join(summary))
    say(str(total))
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
