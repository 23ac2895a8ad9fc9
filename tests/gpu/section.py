"""What a section of tests/gpu/run uses: its result, kept as it grows.

    report = section.Report()
    table = report.table("programs", ["program", "passed", "failed"])
    table.add("x_gpu", 12, 0)             # on disk at once: a hang hides nothing
    report.fail("x_gpu: Case.Name")
    report.end()                          # exits: 0, or 1 after fail()
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

NOT_RUN = 3
TREE = pathlib.Path(__file__).resolve().parents[2]


def bin_dir():
    """Where the programs are: set by tests/gpu/run."""
    return pathlib.Path(os.environ["LONGSPAN_BIN_DIR"])


def seconds_left(default_end=time.monotonic() + 600):
    """Of the section's time, on its runner's clock."""
    end = float(os.environ.get("LONGSPAN_SECTION_END", default_end))
    return end - time.monotonic()


def gpu_programs(pattern="*_gpu"):
    """The test programs for the GPU; fails the section if there are none."""
    return sorted(bin_dir().glob(pattern)) or missing(pattern)


def program(name):
    """The path of a program; fails the section if it is missing."""
    path = bin_dir() / name
    return path if path.exists() else missing(name)


def missing(name):
    report = Report()
    report.fail(f"{bin_dir()} has no {name}: it was built without CUDA; "
                "deploy/install-cuda comes before the build")
    report.end()


def find_tool(name, *folders):
    """A tool on PATH or in one of the folders; None if it is nowhere."""
    return shutil.which(name) or next(
        (str(pathlib.Path(folder, name)) for folder in folders
         if pathlib.Path(folder, name).exists()), None)


def run(words, limit_s=None, environment=None, output=None):
    """Runs a program into `output`, by default the section's own; its exit
    status, or 124."""
    print("$", *words, file=output, flush=True)
    try:
        return subprocess.run(
            list(map(str, words)), check=False,
            stdout=output, stderr=output and subprocess.STDOUT,
            env=dict(os.environ, **(environment or {})),
            timeout=max(1.0, min(limit_s or 1e9, seconds_left() - 4))
        ).returncode
    except subprocess.TimeoutExpired:
        print(f"not done in time: {words[0]}", file=output, flush=True)
        return 124


class Table:
    def __init__(self, report, title, columns):
        self.report = report
        self.data = {"title": title, "columns": columns, "rows": []}
        report.data["tables"].append(self.data)

    def add(self, *cells):
        self.data["rows"].append(list(cells))
        self.report.save()


class Report:
    def __init__(self):
        self.path = os.environ.get("LONGSPAN_SECTION_RESULT")
        self.data = {"note": "", "failures": [], "tables": []}

    def table(self, title, columns):
        return Table(self, title, columns)

    def note(self, text):
        self.data["note"] = text
        self.save()

    def fail(self, what):
        print("FAILED", what, flush=True)
        self.data["failures"].append(what)
        self.save()

    def save(self):
        if not self.path:
            return
        fresh = self.path + ".new"
        with open(fresh, "w", encoding="utf-8") as file:
            json.dump(self.data, file)
        os.replace(fresh, self.path)

    def not_run(self, why):
        """Ends the section: a tool that is not ours is not here."""
        print("not run:", why, flush=True)
        self.note(why)
        sys.exit(NOT_RUN)

    def end(self):
        self.save()
        sys.exit(1 if self.data["failures"] else 0)
