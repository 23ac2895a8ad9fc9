"""Runs GoogleTest programs and reads what they found."""

import concurrent.futures
import json
import os
import pathlib
import shutil
import sys
import tempfile
import threading

import section


class Found:
    """Counts of one run, and the names of what failed."""

    def __init__(self, path=None, exit_status=0):
        self.passed, self.failed, self.seconds = 0, [], 0.0
        self.exit_status = exit_status
        self.complete = True
        if path is None:
            return
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

    def add(self, part):
        """What another process found of the same program."""
        self.passed += part.passed
        self.failed += part.failed
        self.seconds += part.seconds
        self.complete = self.complete and part.complete
        if part.exit_status != 0:
            self.exit_status = part.exit_status


def run(program, *flags, environment=None, wrapper=(), output=None):
    """Runs a test program, in a tool such as compute-sanitizer if given, until
    the section's time is over."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "result.json")
        code = section.run(
            [*wrapper, program, f"--gtest_output=json:{path}",
             "--gtest_color=no", *flags], None, environment, output)
        return Found(path, code)


def run_all(programs, *flags, shards=1, environment=None, wrapper=()):
    """Yields (program, Found) as programs finish. Each is cut into shards,
    which run in parallel: the oracle of a test is the host's work. A shard's
    output is printed when it has ended."""
    lock = threading.Lock()

    def run_shard(program, shard):
        with tempfile.TemporaryFile("w+", errors="replace") as output:
            found = run(program, *flags, wrapper=wrapper, output=output,
                        environment={**(environment or {}),
                                     "GTEST_TOTAL_SHARDS": str(shards),
                                     "GTEST_SHARD_INDEX": str(shard)})
            output.seek(0)
            with lock:
                shutil.copyfileobj(output, sys.stdout)
                sys.stdout.flush()
        return program, found

    merged = {program: Found() for program in programs}
    left = {program: shards for program in programs}
    workers = max(2, (os.cpu_count() or 2) * 3 // 4)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        tasks = [pool.submit(run_shard, program, shard)
                 for shard in range(shards) for program in programs]
        for task in concurrent.futures.as_completed(tasks):
            program, found = task.result()
            merged[program].add(found)
            left[program] -= 1
            if left[program] == 0:
                yield program, merged[program]


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
