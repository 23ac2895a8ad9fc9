"""Runs GoogleTest programs and reads what they found."""

import json
import os
import pathlib
import tempfile

import section


class Found:
    """Counts of one run, and the names of what failed."""

    def __init__(self, path, exit_status):
        self.passed, self.failed, self.seconds = 0, [], 0.0
        self.exit_status = exit_status
        self.complete = True
        try:
            data = json.loads(pathlib.Path(path).read_text())
        except (OSError, ValueError):
            self.complete = False
            return
        for suite in data["testsuites"]:
            for case in suite["testsuite"]:
                if case["status"] != "RUN":
                    continue
                self.seconds += float(case["time"].rstrip("s"))
                name = f"{suite['name']}.{case['name']}"
                if "failures" in case:
                    self.failed.append(name)
                else:
                    self.passed += 1


def run(program, *flags, limit_s=None, environment=None, wrapper=()):
    """Runs a test program, in a tool such as compute-sanitizer if given."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "result.json")
        code = section.run(
            [*wrapper, program, f"--gtest_output=json:{path}",
             "--gtest_color=no", *flags], limit_s, environment)
        return Found(path, code)


def judge(report, program, found):
    """Adds what failed to the report, whichever way it failed."""
    for name in found.failed:
        report.fail(f"{program.name}: {name}")
    if found.exit_status == 124:
        report.fail(f"{program.name}: not done in time")
    elif not found.complete:
        report.fail(f"{program.name}: died, exit status {found.exit_status}")
    elif found.exit_status != 0 and not found.failed:
        report.fail(f"{program.name}: exit status {found.exit_status}")
    elif found.passed + len(found.failed) == 0:
        report.fail(f"{program.name}: no test ran")
