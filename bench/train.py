"""bench/run train: see there."""

import argparse
import gzip
import json
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

import peer

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/support"))

from local_cluster import LocalCluster  # noqa: E402

BINARIES = ROOT / ("build/release/bin" if (ROOT / "CMakeLists.txt").exists()
                   else "bin")
JOB = ROOT / "deploy/quickstart.d/train.yaml"


def resolved_spec():
    done = subprocess.run([BINARIES / "longspan", "validate", "--print=json",
                           JOB], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def unpack_text(spec, directory):
    """The job's training text as a plain file."""
    data = spec["train"]["data"]
    path = ROOT / "deploy/corpus" / data["uri"].split("://")[1]
    text = gzip.open(path).read()[:int(data["end"])]
    out = pathlib.Path(directory) / "train.txt"
    out.write_bytes(text)
    return out


def train_ours(cluster, seconds):
    text = re.sub(r"max_duration: .*", f"max_duration: {seconds}s",
                  JOB.read_text(encoding="utf-8"))
    return cluster.run_job(text)["result"]["train"]["tokens_per_second"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    spec = resolved_spec()
    with tempfile.TemporaryDirectory() as directory, \
            LocalCluster(BINARIES, workers=2, threads=1) as cluster:
        spec_file = pathlib.Path(directory) / "spec.json"
        spec_file.write_text(json.dumps(spec), encoding="utf-8")
        common = ["--spec", spec_file, "--text", unpack_text(spec, directory),
                  "--seconds", arguments.seconds]
        train = spec["train"]
        print(f"model: width {train['model']['hidden_size']}, layers "
              f"{train['model']['layer_pattern']}, batch "
              f"{train['batch_size']} x {train['sequence_length']} tokens, "
              "fp32; 2 cores")
        print(f"{'round':>5}  {'longspan':>12}  {'eager':>12}  "
              f"{'compiled':>12}   tokens/s")
        ours, eager, compiled = [], [], []
        for number in range(arguments.rounds):
            ours.append(train_ours(cluster, arguments.seconds))
            eager.append(peer.run("train_peer.py", *common)
                         ["tokens_per_second"])
            compiled.append(peer.run("train_peer.py", *common, "--compile")
                            ["tokens_per_second"])
            print(f"{number + 1:>5}  {ours[-1]:>12.0f}  {eager[-1]:>12.0f}  "
                  f"{compiled[-1]:>12.0f}", flush=True)
    mine, theirs = statistics.median(ours), statistics.median(eager)
    print(f"torch.compile: {statistics.median(compiled):.0f} tokens/s, ratio "
          f"{mine / statistics.median(compiled):.2f}")
    print(f"train: ours {mine:.0f} tokens/s, peer {theirs:.0f} tokens/s, "
          f"ratio {mine / theirs:.2f}")


if __name__ == "__main__":
    main()
