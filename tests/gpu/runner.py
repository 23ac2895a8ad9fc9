"""Runs sections, each for a bounded time and with all that it started.

A section is a program. It writes what it found to the file that
LONGSPAN_SECTION_RESULT names (section.py does that), and its exit status says
how it ended: 0 passed, NOT_RUN if the machine lacks a tool that is not ours,
anything else failed. Whatever it does (fail, crash, hang, fill the disk with output),
the next section runs, and nothing of the last one is left on the GPU: daemons
that made sessions of their own are found as descendants of this process, which
adopts those whose parents have ended.
"""

import ctypes
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import time

NOT_RUN = 3
PR_SET_CHILD_SUBREAPER = 36
LOG_LIMIT_BYTES = 8 << 20
GRACE_SECONDS = 3.0
POLL_SECONDS = 0.05


@dataclasses.dataclass
class Section:
    """A named program, and how many seconds it may take."""

    name: str
    command: list
    limit_s: float
    environment: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Outcome:
    """How a section ended, and what it found until then."""

    name: str
    status: str  # passed, failed, crashed, timed out, not run
    seconds: float
    exit_status: int
    note: str = ""
    failures: list = dataclasses.field(default_factory=list)
    tables: list = dataclasses.field(default_factory=list)


def adopt_orphans():
    """From now on a descendant whose parent ends becomes our own child."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants():
    """{pid: its parent} of all that comes from this process."""
    children = {}
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit():
                text = (entry / "stat").read_text(errors="replace")
                parent = int(text.rsplit(")", 1)[1].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
        except OSError:
            continue
    found, todo = {}, [os.getpid()]
    while todo:
        parent = todo.pop()
        for pid in children.get(parent, []):
            found[pid] = parent
            todo.append(pid)
    return found


def left_of(process, others):
    """What still runs of a section, but for `others`. Reaps what ended."""
    process.poll()
    left = []
    for pid, parent in descendants().items():
        if pid in others:
            continue
        if parent == os.getpid() and pid != process.pid:
            try:
                if os.waitpid(pid, os.WNOHANG)[0] == pid:
                    continue
            except ChildProcessError:
                continue
        left.append(pid)
    return left


def send(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def end_section(process, others):
    """SIGTERM to everything the section started, then SIGKILL."""
    left = left_of(process, others)
    send(left, signal.SIGTERM)
    begin = time.monotonic()
    while left and time.monotonic() < begin + 2 * GRACE_SECONDS:
        time.sleep(POLL_SECONDS)
        left = left_of(process, others)
        if time.monotonic() > begin + GRACE_SECONDS:
            send(left, signal.SIGKILL)


def wait_bounded(process, log, limit_s):
    """Why the section was ended, or "" if it ended by itself."""
    end = time.monotonic() + limit_s
    while process.poll() is None:
        if time.monotonic() > end:
            return f"not done after {limit_s:.0f} s"
        if os.fstat(log.fileno()).st_size > LOG_LIMIT_BYTES:
            return f"printed more than {LOG_LIMIT_BYTES >> 20} MiB"
        time.sleep(POLL_SECONDS)
    return ""


def read_result(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def status_of(code, stopped):
    if stopped:
        return "timed out" if stopped.startswith("not done") else "failed"
    if code < 0:
        return "crashed"
    return {0: "passed", NOT_RUN: "not run"}.get(code, "failed")


def run_section(section, out, limit_s):
    """Runs one section; its output is OUT/NAME.log."""
    out = pathlib.Path(out)
    result = out / f"{section.name}.result"
    result.unlink(missing_ok=True)
    begin = time.monotonic()
    environment = dict(os.environ, PYTHONUNBUFFERED="1", **section.environment,
                       LONGSPAN_SECTION_RESULT=str(result),
                       LONGSPAN_SECTION_END=str(begin + limit_s))
    adopt_orphans()
    others = descendants()
    with open(out / f"{section.name}.log", "wb") as log:
        try:
            process = subprocess.Popen(
                list(map(str, section.command)), stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, env=environment,
                start_new_session=True)
        except OSError as error:
            return Outcome(section.name, "failed", 0.0, 127, str(error))
        try:
            stopped = wait_bounded(process, log, limit_s)
        finally:  # what it left behind, and all of it after Ctrl-C
            end_section(process, others)
        code = process.wait()
    found = read_result(result)
    result.unlink(missing_ok=True)
    note = stopped or found.get("note", "")
    if code < 0 and not stopped:
        note = f"ended by {signal.Signals(-code).name}"
    return Outcome(section.name, status_of(code, stopped),
                   time.monotonic() - begin, code, note,
                   found.get("failures", []), found.get("tables", []))


def run_all(sections, out, total_s, on_outcome=lambda outcome: None):
    """Runs sections in order until `total_s` is over; returns all outcomes."""
    end = time.monotonic() + total_s
    outcomes = []
    for section in sections:
        left = end - time.monotonic()
        if left <= 0:
            outcome = Outcome(section.name, "timed out", 0.0, 124,
                              f"the {total_s:.0f} s of all sections are over")
        else:
            outcome = run_section(section, out, min(section.limit_s, left))
        outcomes.append(outcome)
        on_outcome(outcome)
    return outcomes


def verdict(outcomes):
    """(a line, an exit status): 0 if something passed and nothing failed."""
    states = [outcome.status for outcome in outcomes]
    passed, not_run = states.count("passed"), states.count("not run")
    failed = len(states) - passed - not_run
    return (f"{passed} passed, {failed} failed, {not_run} not run",
            0 if passed and not failed else 1)
