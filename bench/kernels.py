"""bench/run kernels: our ops on a GPU, their predictions, and the peers'.

Runs longspan-bench-kernels, then kernels_peers.py with the first python3 that
has PyTorch, over the same cases, and joins them in one table. With --predict it
prints the predicted times alone, which needs no GPU. An op that fails or hangs
is a row without a time; the others follow. Exit status: 1 an op failed, 77 no
GPU here.
"""

import argparse
import glob
import json
import os
import pathlib
import subprocess
import sys
import time

import gpu_program

ROOT = pathlib.Path(__file__).resolve().parents[1]
COLUMNS = ["op", "size", "floor ms", "predicted ms", "ms", "of floor", "GB/s",
           "TFLOP/s", "peer", "peer ms", "ratio"]
HEADLINE = ("linear identity forward+backward", "B4_T4096_H64_D128")


def lines_of(text):
    return [json.loads(line) for line in text.splitlines()
            if line.startswith("{")]


def complain(text):
    print(f"bench/run kernels: {text}", file=sys.stderr)


def words_of(arguments):
    words = [arguments.bin_dir / "longspan-bench-kernels",
             "--backend", arguments.backend, "--filter", arguments.filter,
             "--seconds", arguments.seconds,
             "--tokens-divisor", arguments.tokens_divisor]
    return words + (["--device", arguments.device] if arguments.device else [])


def predict(arguments):
    """The run that names all cases; ends the program if it fails."""
    done = gpu_program.run([*words_of(arguments), "--predict"])
    if done.code != 0:
        sys.exit(f"bench/run kernels: {done.reason()}")
    return done


def measure(arguments, cases):
    """(device, rows): a case that ends its process has a row that says so, and
    another process goes on behind it."""
    device, rows = None, []
    end = time.monotonic() + arguments.limit
    while True:
        done = gpu_program.run(
            [*words_of(arguments), "--skip", len(rows)],
            max(1.0, end - time.monotonic()), arguments.stall)
        if done.code == gpu_program.NO_GPU and device is None:
            complain("no GPU here: "
                     + done.said.strip().split(": ", 1)[-1])
            sys.exit(gpu_program.NO_GPU)
        device = done.device or device
        rows += done.rows
        if done.code == 0:
            return device, rows, []
        if (done.device is None or len(rows) >= len(cases)
                or time.monotonic() > end):
            return device, rows, [done.reason()]
        case = cases[len(rows)]
        rows.append({"op": case["op"], "size": case["size"],
                     "failed": True, "note": done.reason()})


def run_ours(arguments):
    """(device, rows, what failed)."""
    prediction = predict(arguments)
    if arguments.predict:
        return prediction.device, prediction.rows, []
    device, rows, others = measure(arguments, prediction.rows)
    failed = [f"{row['op']} {row['size']}: {row['note']}"
              for row in rows if row.get("failed")] + others
    for what in failed:
        complain(what)
    return device, rows, failed


def peer_environment(folder):
    """PYTHONPATH with the wheels of a folder: pure Python runs from the zip."""
    if not folder:
        return dict(os.environ)
    wheels = sorted(glob.glob(os.path.join(folder, "*.whl")))
    path = [*wheels, folder, os.environ.get("PYTHONPATH", "")]
    return dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, path)))


def run_peers(rows, arguments):
    """{(op, size): line}; empty, with the reason on stderr, without peers."""
    if arguments.predict or arguments.backend != "cuda":
        return {}
    text = "".join(json.dumps(row) + "\n" for row in rows if "ms" in row)
    try:
        done = subprocess.run(
            ["python3", ROOT / "bench/kernels_peers.py"], input=text,
            stdout=subprocess.PIPE, text=True, check=False,
            timeout=arguments.peer_seconds,
            env=peer_environment(arguments.peers))
        out = done.stdout
    except subprocess.TimeoutExpired as error:
        print(f"peers: stopped after {arguments.peer_seconds} s",
              file=sys.stderr)
        out = (error.stdout or b"").decode()
    return {(line["op"], line["size"]): line for line in lines_of(out)}


def milliseconds(row, name):
    return "%.3f" % row[name] if name in row else ""


def table_row(row, peer):
    cells = [row["op"], row["size"], milliseconds(row, "floor_ms"),
             milliseconds(row, "predicted_ms")]
    ms = row.get("ms")
    if ms is None:
        return cells + [row["note"]] + [""] * 6
    cells += ["%.3f" % ms,
              "%.2f" % (row["floor_ms"] / ms) if "floor_ms" in row else "",
              "%.0f" % row["gb_per_s"], "%.1f" % row["tflop_per_s"]]
    if peer is None:
        return cells + ["", "", ""]
    return cells + [peer["peer"], "%.3f" % peer["ms"],
                    "%.2f" % (peer["ms"] / ms)]


def last_line(rows, peers):
    """The line that every bench ends with, of the headline case."""
    for row in rows:
        if (row["op"], row["size"]) == HEADLINE and "ms" in row:
            peer = peers.get(HEADLINE)
            if peer is None:
                return f"kernels: ours {row['ms']:.3f} ms, no peer"
            return (f"kernels: ours {row['ms']:.3f} ms, peer {peer['ms']:.3f} "
                    f"ms, ratio {peer['ms'] / row['ms']:.2f}")
    return f"kernels: {len(rows)} cases"


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin-dir", type=pathlib.Path, required=True)
    parser.add_argument("--backend", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--filter", default="")
    parser.add_argument("--seconds", type=float, default=0.1)
    parser.add_argument("--limit", type=float, default=600,
                        help="seconds for all of ours")
    parser.add_argument("--stall", type=float, default=60,
                        help="seconds for one op; then the next one")
    parser.add_argument("--device", help="predict for this: H100 or H200")
    parser.add_argument("--peer-seconds", type=float, default=120)
    parser.add_argument("--tokens-divisor", type=int, default=1)
    parser.add_argument("--predict", action="store_true")
    parser.add_argument("--peers", metavar="DIR", help="folder with wheels")
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args()


def main():
    arguments = parse()
    device, rows, failed = run_ours(arguments)
    peers = run_peers(rows, arguments)
    table = [table_row(row, peers.get((row["op"], row["size"])))
             for row in rows]
    gpu_program.print_table(COLUMNS, table)
    if device is not None:
        print(gpu_program.device_line(device))
    print(last_line(rows, peers))
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(
            {"columns": COLUMNS, "rows": table, "ours": rows, "device": device,
             "failed": failed, "peers": list(peers.values())}, indent=1)
            + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
