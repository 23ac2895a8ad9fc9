"""bench/run sequence_parallel: see there.

The methods train the same model, on 4 ranks over loopback, through networks
of given latency and bandwidth (worker/collective/emulated_network_group.h).
Times are those of ranks with a processor each: their clocks run while they
work and jump over what they wait for (bench/sequence_parallel/turn_clock.h), so
that a machine with two cores does not slow the methods that compute in
parallel. What the real transport costs the processor is not in them.

As ranks take turns, a run takes the work of all four one after the other, and
no network's delays: 5 to 8 minutes, a minute with --quick. Who ends it ends
its ranks.
"""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
JOB = ROOT / "bench/sequence_parallel.yaml"
# Latency in s : bytes per s. A fast cluster, an ordinary one, 1 Gbit Ethernet,
# and places far apart.
NETWORKS = "2e-5:1e10,2e-4:1e9,1e-3:1.25e8,2e-2:1.25e8"
TOKENS = "1024,4096,16384"
# Differences below this are none: rounds differ by as much.
LEVEL = 0.03
SECONDS_PER_LINE = 15  # of progress, where no terminal shows it
QUICK = {"networks": "2e-4:1e9,1e-3:1.25e8", "tokens": "1024,4096",
         "rounds": 3}


def parser():
    asked = argparse.ArgumentParser(
        prog="bench/run sequence_parallel", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--quick", action="store_true",
                       help="two networks, two lengths, 3 rounds")
    asked.add_argument("--tokens", help=f"lengths [{TOKENS}]")
    asked.add_argument("--networks",
                       help=f"latency in s : bytes per s, ... [{NETWORKS}]")
    asked.add_argument("--methods", help="as in a job, a,b,... [all but"
                       " ring_left, whose work is quadratic]")
    asked.add_argument("--rounds", type=int, help="of each step [5]")
    asked.add_argument("--json", metavar="FILE", type=pathlib.Path,
                       help="the points, as `longspan simulate --calibrate`"
                       " reads them")
    asked.add_argument("--bin-dir", type=pathlib.Path, required=True,
                       help=argparse.SUPPRESS)
    return asked


def settings(arguments):
    """What was asked for, else of --quick, else the whole."""
    whole = {"networks": NETWORKS, "tokens": TOKENS, "rounds": 5}
    chosen = {**whole, **(QUICK if arguments.quick else {})}
    for name in chosen:
        if getattr(arguments, name) is not None:
            chosen[name] = getattr(arguments, name)
    return chosen


class Progress:
    """How far it is and how long it will take, to stderr."""

    def __init__(self):
        self.begin = time.monotonic()
        self.printed = self.begin - SECONDS_PER_LINE
        self.terminal = sys.stderr.isatty()

    def show(self, done):
        now = time.monotonic()
        if not self.terminal and now - self.printed < SECONDS_PER_LINE:
            return
        self.printed = now
        left = (now - self.begin) * (1 - done) / done
        self.write(f"{100 * done:3.0f} %, about {left:.0f} s left",
                   "" if self.terminal else "\n")

    def clear(self):
        if self.terminal:
            self.write(" " * 32, "")

    def write(self, text, end):
        start = "\r" if self.terminal else ""
        print(f"{start}{text}", end=end, file=sys.stderr, flush=True)


def lines_of(command):
    """What the command prints, in a folder of its own for its files; it does
    not outlive the reader."""
    with tempfile.TemporaryDirectory() as folder, subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "TMPDIR": folder}) as process:
        try:
            yield from process.stdout
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        sys.exit("bench/run: sequence_parallel failed")


def measure(arguments):
    chosen = settings(arguments)
    command = [arguments.bin_dir / "longspan-bench-sequence_parallel",
               f"--job={JOB}",
               *(f"--{name}={value}" for name, value in chosen.items())]
    if arguments.methods:
        command.append(f"--methods={arguments.methods}")
    progress = Progress()
    for line in lines_of(command):
        point = json.loads(line)
        if "done" in point:
            progress.show(point["done"])
        else:
            progress.clear()
            yield point


def network_name(point):
    return (f"latency {1e3 * point['latency_s']:g} ms, "
            f"{point['bandwidth_bytes_per_s'] / 1e6:g} MB/s")


def group_of(point):
    return (point["latency_s"], point["bandwidth_bytes_per_s"],
            point["tokens"])


def table(points):
    """A line per method; the fastest of its length and network has a star."""
    lines = []
    for group in dict.fromkeys(map(group_of, points)):
        rows = [point for point in points if group_of(point) == group]
        fastest = min(row["seconds"] for row in rows)
        lines += ["", f"{rows[0]['tokens']} tokens, {rows[0]['ranks']} ranks, "
                  f"{network_name(rows[0])}",
                  "  method           step ms     worst   exposed  of layers"]
        for row in rows:
            times = [1e3 * row[name] for name in (
                "seconds", "worst_seconds", "exposed_seconds",
                "exposed_layers_seconds")]
            lines.append(f"  {row['method']:<14}"
                         + "".join(f"{time:10.2f}" for time in times)
                         + (" *" if row["seconds"] == fastest else ""))
    return "\n".join(lines)


def winners(points):
    """The fastest method by network and length, and those level with it."""
    lines = ["", "fastest, and those within "
             f"{100 * LEVEL:g} % of it"]
    wins = dict.fromkeys((point["method"] for point in points), 0)
    for group in dict.fromkeys(map(group_of, points)):
        rows = sorted((point for point in points if group_of(point) == group),
                      key=lambda row: row["seconds"])
        limit = (1 + LEVEL) * rows[0]["seconds"]
        first, *level = [row["method"] for row in rows
                         if row["seconds"] <= limit]
        wins[first] += 1
        lines.append(f"  {rows[0]['tokens']:>7} tokens, "
                     f"{network_name(rows[0]):<32} {first:<13}"
                     + ", ".join(level))
    lines.append("  fastest of all: " + ", ".join(
        f"{method} {count} times" for method, count in wins.items() if count))
    return "\n".join(line.rstrip() for line in lines)


def predict(longspan, file, points):
    """The simulator beside the measurements, fitted to two of LASP-2."""
    lengths = {point["tokens"] for point in points
               if point["method"] == "lasp2"}
    if len(lengths) < 2:
        print("\nno prediction: it is fitted to two lengths of lasp2")
        return
    print(flush=True)
    subprocess.run([longspan, "simulate", JOB, f"--calibrate={file}"],
                   check=True)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    arguments = parser().parse_args()
    points, printed = [], 0
    for point in measure(arguments):
        if points and group_of(points[-1]) != group_of(point):
            print(table(points[printed:]), flush=True)
            printed = len(points)
        points.append(point)
    print(table(points[printed:]))
    print(winners(points), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        file = arguments.json or pathlib.Path(folder) / "points.json"
        file.write_text(json.dumps({"points": points}, indent=1) + "\n",
                        encoding="utf-8")
        predict(arguments.bin_dir / "longspan", file, points)


if __name__ == "__main__":
    main()
