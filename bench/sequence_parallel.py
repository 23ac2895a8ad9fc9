"""bench/run sequence_parallel: see there.

Every method trains the same model, on 4 ranks over loopback, through networks
of given latency and bandwidth (worker/collective/emulated_network_group.h).
Times are those of ranks with a processor each: their clocks run while they
work and jump over what they wait for (bench/sequence_parallel/turn_clock.h), so
that a machine with two cores does not slow the methods that compute in
parallel. What the real transport costs the processor is not in them.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
JOB = ROOT / "bench/sequence_parallel.yaml"
# Latency in s : bytes per s. A fast cluster, an ordinary one, 1 Gbit Ethernet,
# and places far apart.
NETWORKS = "2e-5:1e10,2e-4:1e9,1e-3:1.25e8,2e-2:1.25e8"
TOKENS = "1024,4096,16384"
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
    asked.add_argument("--methods", help="as in a job, a,b,... [all]")
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


def measure(arguments):
    chosen = settings(arguments)
    command = [arguments.bin_dir / "longspan-bench-sequence_parallel",
               f"--job={JOB}",
               *(f"--{name}={value}" for name, value in chosen.items())]
    if arguments.methods:
        command.append(f"--methods={arguments.methods}")
    with subprocess.Popen(command, stdout=subprocess.PIPE,
                          text=True) as process:
        for line in process.stdout:
            yield json.loads(line)
    if process.returncode != 0:
        sys.exit("bench/run: sequence_parallel failed")


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
    arguments = parser().parse_args()
    points, printed = [], 0
    for point in measure(arguments):
        if points and group_of(points[-1]) != group_of(point):
            print(table(points[printed:]), flush=True)
            printed = len(points)
        points.append(point)
    print(table(points[printed:]))
    with tempfile.TemporaryDirectory() as folder:
        file = arguments.json or pathlib.Path(folder) / "points.json"
        file.write_text(json.dumps({"points": points}, indent=1) + "\n",
                        encoding="utf-8")
        predict(arguments.bin_dir / "longspan", file, points)


if __name__ == "__main__":
    main()
