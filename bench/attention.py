"""bench/run attention: linear and softmax attention on one core, fp32, and
linear attention with bf16 operands.

    bench/run attention [--quick] [--cases TEXT,...] [--no-torch] [--rounds N]

Beside each other, taking turns, never at the same moment: ours, oneDNN's sgemm
at the sizes of a 64-token chunk (GEMM), and PyTorch on one thread, the faster
of a chunk loop and vectorised chunks with autograd, and for softmax
scaled_dot_product_attention. Times are processor time, medians of the rounds.

GFLOP/s count useful operations, fixed whatever the chunk; per token and head,
s = dk + dv, p = dk dv:

    linear   forward  64 s + 4 p, backward 160 s +  8 p
    dense    forward 128 s + 6 p, backward 352 s + 14 p    (the delta rule)
    softmax  forward 2 d (t + 1), backward 5 d (t + 1)     (causal)

Rows of bf16 stand beside oneDNN's products of bf16 operands, and beside
PyTorch in fp32. GEMM counts all that oneDNN computes. MiB is the peak above what the process
holds without operands. Then cost per token of one head at growing length, the
bars that are missed, and as last line the smallest forward+backward ratio to
PyTorch over the linear cases (to GEMM with --no-torch), over the softmax cases
where no linear one is selected; lengths alone have no peer.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

import environment

ROOT = pathlib.Path(__file__).resolve().parents[1]
COLUMNS = (("transition", -13), ("d", 4), ("", -9), ("ours GF/s", 10),
           ("GEMM GF/s", 10), ("of GEMM", 8), ("PyTorch ms", 11),
           ("form", -7), ("ours ms", 9), ("ratio", 6), ("MiB", 7),
           ("PyTorch MiB", 12))
LENGTH_COLUMNS = (("transition", -13), ("d", 4), ("tokens", 9),
                  ("forward ns/token", 17), ("both ns/token", 14),
                  ("MiB", 8))
DIRECTIONS = {"forward": "forward", "both": "fwd+bwd"}
FLAT = 0.03
LENGTH_SECONDS = 0.3  # of each measurement at growing length


class Server:
    """A process that answers one request, a line, with one number."""

    def __init__(self, command):
        self.name = pathlib.Path(command[0]).name
        self.process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
            env=dict(os.environ, OMP_NUM_THREADS="1"))

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"bench/run attention: {self.name} ended with status "
                     f"{self.process.wait()}")
        return line.strip()

    def ask(self, request):
        try:
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # read() says how it ended
        return float(self.read())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def alternate(rounds, measurements):
    """Medians of {name: fn}, each called once a round."""
    samples = {name: [] for name in measurements}
    for _ in range(rounds):
        for name, measure in measurements.items():
            samples[name].append(measure())
    return {name: statistics.median(all_) for name, all_ in samples.items()}


def faster_form(torch, forms, direction):
    """The form to time, from the better of two tries of each."""
    tries = {form: min(torch.ask(f"{form} {direction}") for _ in range(2))
             for form in forms}
    return min(tries, key=tries.get)


def measure_direction(case, direction, ours, torch, rounds):
    measurements = {"ours": lambda: ours.ask(direction),
                    "gemm": lambda: ours.ask(f"gemm {direction}")}
    row = {"case": case, "direction": direction}
    if torch:
        forms = ["sdpa"] if case["group"] == "softmax" else ["loop", "chunks"]
        row["form"] = faster_form(torch, forms, direction)
        torch.ask("peak")
        measurements["torch"] = lambda: torch.ask(f"{row['form']} {direction}")
    for request in (direction, f"gemm {direction}", "peak"):
        ours.ask(request)
    seconds = alternate(rounds, measurements)
    operations = case["forward_operations"]
    if direction == "both":
        operations += case["backward_operations"]
    row["ours_ms"] = 1e3 * seconds["ours"]
    row["ours_gflops"] = operations / seconds["ours"] / 1e9
    row["gemm_gflops"] = (ours.ask(f"gemm operations {direction}") /
                          seconds["gemm"] / 1e9)
    row["ours_mib"] = ours.ask("peak")
    if torch:
        row["torch_ms"] = 1e3 * seconds["torch"]
        row["torch_mib"] = torch.ask("peak")
    return row


def measure_case(case, arguments, torch):
    """Two rows: forward, and forward with backward."""
    ours = serve_ours(case, arguments)
    if torch:
        torch.ask("case " + json.dumps(case))
    for direction in DIRECTIONS:
        yield measure_direction(case, direction, ours, torch,
                                arguments.rounds)
    if torch:
        torch.ask("end")
    ours.close()


def measure_lengths(cases, arguments):
    """The lengths of one transition take turns, too."""
    servers = [serve_ours(case, arguments, LENGTH_SECONDS) for case in cases]
    rows = [{"case": case} for case in cases]
    for direction in DIRECTIONS:
        for server in servers:
            server.ask(direction)
            server.ask("peak")
        seconds = alternate(arguments.rounds, {
            i: (lambda server=server: server.ask(direction))
            for i, server in enumerate(servers)})
        for i, server in enumerate(servers):
            rows[i][direction] = 1e9 * seconds[i] / cases[i]["tokens"]
            rows[i]["mib"] = server.ask("peak")
    for server in servers:
        server.close()
    return rows


def of_gemm(row):
    return row["ours_gflops"] / row["gemm_gflops"]


def ratio(row):
    """To PyTorch; None without it."""
    return row["torch_ms"] / row["ours_ms"] if "torch_ms" in row else None


def spread(rows, direction):
    costs = [row[direction] for row in rows]
    return max(costs) / min(costs) - 1


def bars(row):
    """[(what, measured, bar)] that issue 6 asks of a row."""
    case, both = row["case"], row["direction"] == "both"
    wanted = []
    if case["group"] == "bf16":
        if ratio(row) is not None and both:
            wanted.append(("of PyTorch's fp32 speed", ratio(row), 5.0))
        return wanted
    if case["transition"] in ("identity", "constant", "scalar"):
        bar = 0.7 if both else 0.8
        wanted.append(("of GEMM", of_gemm(row),
                       bar if case["dim"] >= 128 else round(bar - 0.1, 1)))
    elif case["transition"] == "vector":
        wanted.append(("of GEMM", of_gemm(row), 0.5))
    if ratio(row) is not None and case["group"] == "softmax":
        wanted.append(("of PyTorch's speed", ratio(row), 1.0))
    elif ratio(row) is not None and both:
        wanted.append(("of PyTorch's speed", ratio(row), 3.0))
    return wanted


def missed_bars(rows, lengths):
    missed = []
    for row in rows:
        for what, measured, bar in bars(row):
            if round(measured, 2) < bar:
                missed.append(f"{row['case']['name']} "
                              f"{DIRECTIONS[row['direction']]}: "
                              f"{measured:.2f} {what}, wanted {bar:.1f}")
    for transition, group in by_transition(lengths).items():
        for direction in DIRECTIONS:
            found = spread(group, direction)
            if found > FLAT:
                missed.append(f"{transition} {DIRECTIONS[direction]}: cost "
                              f"per token spreads {100 * found:.1f} %, wanted "
                              f"{100 * FLAT:.0f} %")
    return missed


def by_transition(lengths):
    groups = {}
    for row in lengths:
        groups.setdefault(row["case"]["transition"], []).append(row)
    return groups


def line_of(cells, columns):
    return "  ".join(
        cell.ljust(-width) if width < 0 else cell.rjust(width)
        for cell, (_, width) in zip(cells, columns)).rstrip()


def header(columns):
    return line_of([name for name, _ in columns], columns)


def table_line(row):
    case = row["case"]
    bf16 = " bf16" if case["group"] == "bf16" else ""
    cells = [case["transition"] + bf16, str(case["dim"]),
             DIRECTIONS[row["direction"]], f"{row['ours_gflops']:.1f}",
             f"{row['gemm_gflops']:.1f}", f"{of_gemm(row):.2f}"]
    torch = ["", "", f"{row['ours_ms']:.2f}", "", f"{row['ours_mib']:.0f}", ""]
    if ratio(row) is not None:
        torch[:2] = [f"{row['torch_ms']:.2f}", row["form"]]
        torch[3] = f"{ratio(row):.2f}"
        torch[5] = f"{row['torch_mib']:.0f}"
    return line_of(cells + torch, COLUMNS)


def length_line(row):
    case = row["case"]
    return line_of([case["transition"], str(case["dim"]), str(case["tokens"]),
                    f"{row['forward']:.1f}", f"{row['both']:.1f}",
                    f"{row['mib']:.0f}"], LENGTH_COLUMNS)


def last_line(rows, lengths=()):
    """Of the linear case with the smallest forward+backward ratio; else of the
    softmax case, else the highest cost per token."""
    both = [row for row in rows if row["direction"] == "both"]
    linear = [row for row in both if row["case"]["group"] == "linear"] or both
    beside_torch = [row for row in linear if ratio(row) is not None]
    if beside_torch:
        row = min(beside_torch, key=ratio)
        return (f"attention: ours {row['ours_ms']:.2f} ms, peer "
                f"{row['torch_ms']:.2f} ms, ratio {ratio(row):.2f}")
    if linear:
        row = min(linear, key=of_gemm)
        return (f"attention: ours {row['ours_gflops']:.1f} GFLOP/s, peer "
                f"{row['gemm_gflops']:.1f} GFLOP/s, ratio {of_gemm(row):.2f}")
    return (f"attention: ours {max(row['both'] for row in lengths):.1f} "
            "ns/token, no peer")


def serve_ours(case, arguments, seconds=None):
    return Server([arguments.bin_dir / "longspan-bench-attention",
                   "--case", case["name"],
                   "--tokens-divisor", arguments.tokens_divisor,
                   "--seconds", seconds or arguments.seconds])


def serve_torch(arguments):
    """And its version."""
    interpreter = environment.python("peer-torch", "requirements.txt")
    server = Server([interpreter, "-W", "ignore",
                     ROOT / "bench/attention_peer.py",
                     "--seconds", arguments.seconds])
    return server, server.read()


def listed_cases(arguments):
    done = subprocess.run(
        [arguments.bin_dir / "longspan-bench-attention", "--list",
         "--tokens-divisor", str(arguments.tokens_divisor)],
        stdout=subprocess.PIPE, check=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def is_selected(case, wanted):
    """`wanted` are starts of '<group> <transition> <d>' or of what follows the
    group."""
    name = f"{case['transition']} {case['dim']}"
    full = f"{case['group']} {name}"
    return not wanted or any(
        full.startswith(text) or (case["group"] != "length" and
                                  name.startswith(text)) for text in wanted)


def load():
    return " ".join(f"{value:.2f}" for value in os.getloadavg()[:2])


def parse():
    parser = argparse.ArgumentParser(
        prog="bench/run attention", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin-dir", type=pathlib.Path, required=True)
    parser.add_argument("--quick", action="store_true",
                        help="sequences an eighth as long, one round")
    parser.add_argument("--cases", default="", metavar="TEXT,...",
                        help="starts of names: linear, bf16, softmax, "
                        "'scalar 128', 'length identity'")
    parser.add_argument("--no-torch", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.05,
                        help="of processor time, at least, each measurement")
    parser.add_argument("--tokens-divisor", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.tokens_divisor *= 8
        arguments.rounds = 1
    return arguments


def run_table(cases, arguments, torch):
    rows = []
    if cases:
        print(header(COLUMNS), flush=True)
    for case in cases:
        for row in measure_case(case, arguments, torch):
            rows.append(row)
            print(table_line(row), flush=True)
    return rows


def run_lengths(cases, arguments):
    rows = []
    groups = by_transition([{"case": case} for case in cases])
    if groups:
        print(f"\n{header(LENGTH_COLUMNS)}", flush=True)
    for group in groups.values():
        measured = measure_lengths([row["case"] for row in group], arguments)
        for row in measured:
            print(length_line(row))
        print("spread: " + ", ".join(
            f"{DIRECTIONS[direction]} {100 * spread(measured, direction):.1f} "
            "%" for direction in DIRECTIONS), flush=True)
        rows += measured
    return rows


def main():
    arguments = parse()
    wanted = [text for text in arguments.cases.split(",") if text]
    listed = listed_cases(arguments)
    cases = [case for case in listed if is_selected(case, wanted)]
    if not cases:
        sys.exit(f"bench/run attention: no case starts with "
                 f"'{arguments.cases}'")
    table = [case for case in cases if case["group"] != "length"]
    torch, version = None, "none"
    if table and not arguments.no_torch:
        torch, version = serve_torch(arguments)
    print(f"f32, 1 thread, PyTorch {version}, {arguments.rounds} rounds; load "
          f"(1 and 5 min) {load()} at the start", flush=True)
    rows = run_table(table, arguments, torch)
    if torch:
        torch.close()
    lengths = run_lengths([case for case in cases
                           if case["group"] == "length"], arguments)
    print(f"\nload {load()} at the end")
    if not any(case["group"] == "bf16" for case in listed):
        print("bf16: this processor has no tiles (AMX), so no row")
    missed = missed_bars(rows, lengths)
    print("bars missed:" if missed else "these cases miss no bar")
    for line in missed:
        print(f"  {line}")
    print(last_line(rows, lengths))


if __name__ == "__main__":
    main()
