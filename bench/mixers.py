"""bench/run mixers: see there."""

import argparse
import json
import pathlib
import re
import subprocess
import sys

import environment
import train

sys.path.insert(0, str(train.ROOT / "tests/support"))

from local_cluster import LocalCluster  # noqa: E402

EVALUATE = train.ROOT / "deploy/quickstart.d/evaluate.yaml"
LINEAR = re.compile(r"^    linear:\n(?:      .*\n)+", re.M)

# The quickstart's linear layers with another mixer: 4 heads of 16 and, where
# the layer has them, its convolution of 4 tokens and its output gate.
CONVOLVED = "short_convolution: 4"
GATED = CONVOLVED + ", output_gate: true"
MIXERS = {
    "basic": "feature_map: silu, " + GATED,
    "lightning": "feature_map: silu, " + GATED,
    "retention": GATED,
    "simple_gla": "feature_map: silu, " + GATED,
    "gla": GATED,
    "based": CONVOLVED,
    "rebased": CONVOLVED,
    "hedgehog": "feature_map: hedgehog_softmax, " + CONVOLVED,
    "lawcat": CONVOLVED,
    "deltanet": GATED,
    "gated_deltanet": GATED,
    "kda": CONVOLVED,
    "hgrn2": CONVOLVED,
    "mamba2": "key_dim: 16, value_dim: 16, " + CONVOLVED,
}


def linear_block(name):
    return f"    linear: {{mixer: {name}, heads: 4, {MIXERS[name]}}}\n"


def train_job(name, seconds):
    """The quickstart's job with this mixer; `softmax` has no linear layer."""
    text = re.sub(r"max_duration: .*", f"max_duration: {seconds}s",
                  train.JOB.read_text(encoding="utf-8"))
    if name == "softmax":
        return LINEAR.sub("", text).replace("LNL", "NNN")
    return LINEAR.sub(linear_block(name), text)


def evaluate_job(job):
    return re.sub(r"job: .*\}", f"job: {job}}}",
                  EVALUATE.read_text(encoding="utf-8"))


def measure(cluster, name, seconds):
    text = train_job(name, seconds)
    plan = cluster.plan(text)
    job = cluster.run_job(text, timeout=seconds + 120)
    result = job["result"]["train"]
    evaluated = cluster.run_job(evaluate_job(job["name"]))
    return {
        "mixer": name,
        "parameters": int(plan["ranks"][0]["memory"]["parameters"]) // 4,
        "tokens_per_second": result["tokens_per_second"],
        "steps": int(result["steps"]),
        "bits_per_byte": evaluated["result"]["evaluate"]["bits_per_byte"],
    }


def markdown(rows):
    lines = ["| mixer | parameters | steps | tokens/s | bits per byte |",
             "|---|---:|---:|---:|---:|"]
    for row in sorted(rows, key=lambda row: row["bits_per_byte"]):
        lines.append(
            f"| {row['mixer']} | {row['parameters']:,} | {row['steps']:,} | "
            f"{row['tokens_per_second']:,.0f} | {row['bits_per_byte']:.3f} |")
    return "\n".join(lines) + "\n"


def add_flags(parser, subject):
    parser.add_argument("--seconds", type=int, default=60,
                        help="of training, each [60]")
    parser.add_argument("--only", metavar="NAME,...",
                        help="these mixers [all, and softmax]")
    parser.add_argument("--out", type=pathlib.Path,
                        default=train.ROOT / "run" / subject,
                        help=f"folder of the results [run/{subject}]")
    parser.add_argument("--bin-dir", type=pathlib.Path, default=train.BINARIES)


def names_of(arguments, parser):
    """The mixers to run; makes the folder of the results."""
    known = [*MIXERS, "softmax"]
    names = arguments.only.split(",") if arguments.only else known
    for name in names:
        if name not in known:
            parser.error(f"no mixer '{name}'; there are {', '.join(known)}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    return names


def main():
    parser = argparse.ArgumentParser(prog="bench/run mixers")
    add_flags(parser, "mixers")
    arguments = parser.parse_args()
    names, rows = names_of(arguments, parser), []
    with LocalCluster(arguments.bin_dir, workers=2, threads=1) as cluster:
        for name in names:
            rows.append(measure(cluster, name, arguments.seconds))
            print(f"{name:<15} {rows[-1]['tokens_per_second']:>9,.0f} tokens/s"
                  f"  {rows[-1]['bits_per_byte']:.3f} bits per byte",
                  flush=True)
    table = arguments.out / "mixers.json"
    table.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    (arguments.out / "mixers.md").write_text(markdown(rows), encoding="utf-8")
    subprocess.run([environment.python("plot", "plot_requirements.txt"),
                    train.ROOT / "bench/mixers_plot.py", table,
                    arguments.out / "mixers.svg"], check=True)
    print(f"table and plot: {arguments.out}/mixers.md, mixers.svg")


if __name__ == "__main__":
    main()
