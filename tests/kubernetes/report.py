"""Steps of a test: each is timed, printed and counted; and what they expect."""

import sys
import time
import traceback


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def expect_equal(what, is_, should_be):
    if is_ != should_be:
        raise AssertionError(f"{what}: {is_}, not {should_be}")


class Report:
    """Counts steps; a failed one is printed with its reason."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.started = time.monotonic()

    def step(self, name, action, *arguments):
        """Runs the action; returns whether it passed."""
        started = time.monotonic()
        failed = False
        try:
            action(*arguments)
        except Exception:  # every kind of failure counts
            traceback.print_exc(limit=4, file=sys.stdout)
            failed = True
        seconds = time.monotonic() - started
        self.passed += not failed
        self.failed += failed
        print(f"{'FAILED' if failed else 'ok':6} {seconds:7.1f} s  {name}",
              flush=True)
        return not failed

    def skip(self, name, reason):
        self.skipped += 1
        print(f"skip              {name}: {reason}", flush=True)

    def end(self):
        """Prints the last line; returns the exit status."""
        print(f"kubernetes: {time.monotonic() - self.started:.0f} s in all")
        print(f"{self.passed} passed, {self.failed} failed, "
              f"{self.skipped} skipped", flush=True)
        return 1 if self.failed else 0
