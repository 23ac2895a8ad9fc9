"""bench/run mixers: quality against speed.

usage: mixers_plot.py TABLE.json OUT.svg
"""

import json
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "longspan"  # the same file every time

import matplotlib.pyplot as plt  # noqa: E402


def main():
    table, out = sys.argv[1:]
    with open(table, encoding="utf-8") as file:
        rows = json.load(file)
    figure, axes = plt.subplots(figsize=(7.5, 5))
    for row in rows:
        speed = row["tokens_per_second"] / 1000
        axes.plot(speed, row["bits_per_byte"], "o",
                  color="tab:red" if row["mixer"] == "softmax" else "tab:blue")
        axes.annotate(row["mixer"], (speed, row["bits_per_byte"]),
                      xytext=(5, 4), textcoords="offset points", fontsize=9)
    axes.set_xlabel("thousand tokens per second")
    axes.set_ylabel("held-out bits per byte (lower is better)")
    axes.margins(0.15)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(out, metadata={"Date": None})


if __name__ == "__main__":
    main()
