"""bench/run kernels: our ops on a GPU, their predictions, and the peers'.

Runs longspan-bench-kernels, then kernels_peers.py with the first python3 that
has PyTorch, over the same cases, and joins them in one table. With --predict it
prints the predicted times alone, which needs no GPU.
"""

import argparse
import glob
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
NO_GPU = 77
COLUMNS = ["op", "size", "floor ms", "predicted ms", "ms", "of floor", "GB/s",
           "TFLOP/s", "peer", "peer ms", "ratio"]
# (bytes/s of a large copy, FLOP/s of a large bf16 product), measured once.
CEILINGS = {"H200": (4.3e12, 790e12), "H100": (3.0e12, 798e12)}
DEFAULT = "H200"
HEADLINE = ("linear identity forward+backward", "B4_T4096_H64_D128")


def ceilings_of(device_name):
    for name, figures in CEILINGS.items():
        if name in device_name:
            return figures
    return CEILINGS[DEFAULT]


def device_name():
    """As nvidia-smi says, or nothing."""
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.split("\n")[0] if done.returncode == 0 else ""


def lines_of(text):
    return [json.loads(line) for line in text.splitlines()
            if line.startswith("{")]


def run_ours(arguments):
    bandwidth, rate = ceilings_of(device_name())
    words = [arguments.bin_dir / "longspan-bench-kernels",
             "--backend", arguments.backend, "--filter", arguments.filter,
             "--seconds", str(arguments.seconds),
             "--tokens-divisor", str(arguments.tokens_divisor),
             "--bandwidth", str(bandwidth), "--matrix-rate", str(rate)]
    if arguments.predict:
        words.append("--predict")
    try:
        done = subprocess.run(list(map(str, words)), check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=arguments.limit)
    except subprocess.TimeoutExpired as error:
        print(f"bench/run kernels: stopped after {arguments.limit:.0f} s",
              file=sys.stderr)
        return lines_of((error.stdout or b"").decode()), 1
    if done.returncode == NO_GPU:
        print(f"bench/run kernels: no GPU here: "
              f"{done.stderr.strip().split(': ', 1)[-1]}", file=sys.stderr)
        sys.exit(NO_GPU)
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)
    return lines_of(done.stdout), done.returncode


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


def table_row(row, peer):
    ms = row.get("ms")
    cells = [row["op"], row["size"], "%.3f" % row["floor_ms"],
             "%.3f" % row["predicted_ms"]]
    if ms is None:
        return cells + [row["note"]] + [""] * 6
    cells += ["%.3f" % ms, "%.2f" % (row["floor_ms"] / ms),
              "%.0f" % row["gb_per_s"], "%.1f" % row["tflop_per_s"]]
    if peer is None:
        return cells + ["", "", ""]
    return cells + [peer["peer"], "%.3f" % peer["ms"],
                    "%.2f" % (peer["ms"] / ms)]


def print_table(rows):
    widths = [max(len(row[i]) for row in [COLUMNS, *rows])
              for i in range(len(COLUMNS))]
    for row in [COLUMNS, *rows]:
        print("  ".join(cell.ljust(width) for cell, width
                        in zip(row, widths)).rstrip())


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
    parser.add_argument("--peer-seconds", type=float, default=120)
    parser.add_argument("--tokens-divisor", type=int, default=1)
    parser.add_argument("--predict", action="store_true")
    parser.add_argument("--peers", metavar="DIR", help="folder with wheels")
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args()


def main():
    arguments = parse()
    rows, code = run_ours(arguments)
    peers = run_peers(rows, arguments)
    table = [table_row(row, peers.get((row["op"], row["size"])))
             for row in rows]
    print_table(table)
    print(last_line(rows, peers))
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(
            {"columns": COLUMNS, "rows": table, "ours": rows,
             "peers": list(peers.values())}, indent=1) + "\n",
            encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
