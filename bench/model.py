"""bench/run model: training steps and generated tokens of a 1.36 G model.

Runs longspan-bench-model on the GPU (Linear-Llama3: 24 layers, scalar gate,
random tokens) at growing sequence length, then model_peer.py, the same model
on fla's kernels in PyTorch, with the first python3 that has both. Prints one
table: milliseconds, tokens/s, model FLOP utilisation of the data sheet's dense
bf16 rate, and what was predicted. With --predict it prints the predictions
alone, which needs no GPU. Exit status: 1 a measurement failed (that it does not
fit the device is none), 77 no GPU here.
"""

import argparse
import json
import pathlib
import subprocess
import sys

import gpu_program
from kernels import lines_of, milliseconds, peer_environment

ROOT = pathlib.Path(__file__).resolve().parents[1]
COLUMNS = ["what", "tokens", "planned GB", "predicted ms", "ms",
           "predicted tokens/s", "tokens/s", "MFU", "fla tokens/s", "ratio"]
HEADLINE = ("train", 32768)
DOES_NOT_FIT = "does not fit this device"


def run_ours(arguments):
    """How the run ended, and what of it failed."""
    words = [arguments.bin_dir / "longspan-bench-model",
             "--backend", arguments.backend, "--lengths", arguments.lengths,
             "--steps", arguments.steps, "--new-tokens", arguments.new_tokens]
    for name in ("hidden", "layers", "vocabulary", "device"):
        if getattr(arguments, name):
            words += [f"--{name}", getattr(arguments, name)]
    if arguments.predict:
        words.append("--predict")
    done = gpu_program.run(words, arguments.seconds)
    if done.code == gpu_program.NO_GPU:
        print("bench/run model: no GPU here: "
              + done.said.strip().split(": ", 1)[-1], file=sys.stderr)
        sys.exit(gpu_program.NO_GPU)
    print(done.said, file=sys.stderr, end="")
    failed = [f"{row['what']}, {row['tokens']} tokens: {row['note']}"
              for row in done.rows if "ms" not in row
              and row["note"] not in ("prediction", DOES_NOT_FIT)]
    if done.code != 0 and not failed:
        failed = [done.reason()]
        print(f"bench/run model: {failed[0]}", file=sys.stderr)
    return done, failed


def run_peer(rows, arguments):
    """{(what, tokens): line} of fla; empty, with the reason, without it."""
    measured = [row for row in rows if "ms" in row and row["what"] == "train"]
    if arguments.backend != "cuda" or not measured:
        return {}
    lengths = ",".join(str(row["tokens"]) for row in measured
                       if row["tokens"] <= arguments.peer_tokens)
    if not lengths:
        return {}
    try:
        out = subprocess.run(
            ["python3", ROOT / "bench/model_peer.py", "--lengths", lengths],
            stdout=subprocess.PIPE, text=True, check=False,
            timeout=arguments.peer_seconds,
            env=peer_environment(arguments.peers)).stdout
    except subprocess.TimeoutExpired as error:
        print(f"peers: stopped after {arguments.peer_seconds:.0f} s",
              file=sys.stderr)
        out = (error.stdout or b"").decode()
    return {(line["what"], line["tokens"]): line for line in lines_of(out)}


def table_row(row, peer):
    cells = [row["what"], str(row["tokens"]),
             "%.1f" % row["planned_gb"] if row["planned_gb"] else "",
             milliseconds(row, "predicted_ms")]
    predicted = "%.0f" % row["predicted_tokens_per_second"] if (
        "predicted_ms" in row) else ""
    mfu = "%.3f" % row["mfu"] if "mfu" in row else ""
    if "ms" not in row:
        return cells + [row["note"], predicted, "", mfu, "", ""]
    ours = row["tokens_per_second"]
    cells += ["%.3f" % row["ms"], predicted, "%.0f" % ours, mfu]
    if peer is None:
        return cells + ["", ""]
    return cells + ["%.0f" % peer["tokens_per_second"],
                    "%.2f" % (ours / peer["tokens_per_second"])]


def flatness(rows):
    """How far tokens/s of the longest sequence are below the best, or None."""
    speeds = [row["tokens_per_second"] for row in rows
              if row["what"] == "train" and "ms" in row]
    return 1 - speeds[-1] / max(speeds) if len(speeds) > 1 else None


def last_line(rows, peers):
    for row in rows:
        if (row["what"], row["tokens"]) == HEADLINE and "ms" in row:
            ours, peer = row["tokens_per_second"], peers.get(HEADLINE)
            if peer is None:
                return f"model: ours {ours:.0f} tokens/s, no peer"
            theirs = peer["tokens_per_second"]
            return (f"model: ours {ours:.0f} tokens/s, peer {theirs:.0f} "
                    f"tokens/s, ratio {ours / theirs:.2f}")
    return f"model: {len(rows)} rows"


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin-dir", type=pathlib.Path, required=True)
    parser.add_argument("--backend", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--lengths",
                        default="2048,8192,16384,32768,65536,131072,262144")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--new-tokens", type=int, default=100)
    parser.add_argument("--hidden", type=int)
    parser.add_argument("--layers", type=int)
    parser.add_argument("--vocabulary", type=int)
    parser.add_argument("--device", help="predict for this: H100 or H200")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--peer-seconds", type=float, default=120)
    parser.add_argument("--peer-tokens", type=int, default=32768,
                        help="longest sequence of the peer")
    parser.add_argument("--predict", action="store_true")
    parser.add_argument("--peers", metavar="DIR", help="folder with wheels")
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args()


def main():
    arguments = parse()
    done, failed = run_ours(arguments)
    rows = done.rows
    peers = run_peer(rows, arguments)
    table = [table_row(row, peers.get((row["what"], row["tokens"])))
             for row in rows]
    gpu_program.print_table(COLUMNS, table)
    if done.device is not None:
        print(gpu_program.device_line(done.device))
    drop = flatness(rows)
    if drop is not None:
        print(f"longest sequence: {100 * drop:.1f} % below the best tokens/s")
    print(last_line(rows, peers))
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(
            {"columns": COLUMNS, "rows": table, "ours": rows,
             "device": done.device, "failed": failed,
             "peers": list(peers.values())}, indent=1) + "\n",
            encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
