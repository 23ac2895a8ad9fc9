"""Runs longspan-bench-kernels or longspan-bench-model and reads its lines."""

import dataclasses
import json
import queue
import subprocess
import tempfile
import threading
import time

NO_GPU = 77


@dataclasses.dataclass
class Ended:
    """How a run ended, and what it printed until then."""

    device: dict  # None: it did not come that far
    rows: list
    code: int
    said: str  # on stderr
    stopped: str  # why we ended it, or ""

    def reason(self):
        """In a line, of a run that did not end well."""
        lines = self.said.strip().splitlines()
        return self.stopped or (lines[-1][:300] if lines
                                else f"exit status {self.code}")


def read_lines(stream, pending):
    for line in stream:
        pending.put(line)
    pending.put(None)


def follow(pending, limit_s, stall_s):
    """The lines until None, and why we stopped before: "" if we did not."""
    lines = []
    end = time.monotonic() + limit_s
    while True:
        left = max(0.0, end - time.monotonic())
        try:
            line = pending.get(timeout=min(left, stall_s))
        except queue.Empty:
            return lines, (f"stopped after {limit_s:g} s" if left <= stall_s
                           else f"no result within {stall_s:g} s")
        if line is None:
            return lines, ""
        lines.append(line)


def run(words, limit_s=600.0, stall_s=600.0):
    """Ends it after `limit_s` in all or `stall_s` without a line."""
    pending = queue.SimpleQueue()
    stopped = "interrupted"
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        with subprocess.Popen(list(map(str, words)), stderr=said, text=True,
                              stdout=subprocess.PIPE, errors="replace"
                              ) as process:
            reader = threading.Thread(target=read_lines,
                                      args=(process.stdout, pending))
            reader.start()
            try:
                lines, stopped = follow(pending, limit_s, stall_s)
            finally:
                if stopped:
                    process.kill()
                reader.join()
        said.seek(0)
        data = [json.loads(line) for line in lines if line.startswith("{")]
        device = next((line for line in data if "device" in line), None)
        return Ended(device, [line for line in data if "device" not in line],
                     process.returncode, said.read(), stopped)


def device_line(device):
    """What the predictions of a table are for."""
    if "bytes_per_second" not in device:
        return f"device: {device['device']}; no ceiling known: no predictions"
    return (f"device: {device['device']}, "
            f"{device['bytes_per_second'] / 1e12:.2f} TB/s, "
            f"{device['operations_per_second'] / 1e12:.0f} TFLOP/s")


def print_table(columns, rows):
    widths = [max(len(row[i]) for row in [columns, *rows])
              for i in range(len(columns))]
    for row in [columns, *rows]:
        print("  ".join(cell.ljust(width) for cell, width
                        in zip(row, widths)).rstrip())
