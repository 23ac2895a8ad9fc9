"""bench/run decode: see there."""

import argparse
import json
import pathlib
import re
import statistics
import sys
import tempfile

import peer
import train

sys.path.insert(0, str(train.ROOT / "tests/support"))

from local_cluster import LocalCluster  # noqa: E402

TOKENS = 1000


def decode_ours(cluster, job):
    """Tokens per second after the first token, of a generate job."""
    _, out, _ = cluster.command(
        "generate", "--model-job", job, "--prompt", "LOVE, n.  ",
        "--max-new-tokens", TOKENS, "--json")
    usage = json.loads(out.splitlines()[-1])["done"]["usage"]
    return (int(usage["generated_tokens"]) /
            float(usage["generation_time"].rstrip("s")))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    text = re.sub(r"max_duration: .*", "steps: 50",
                  train.JOB.read_text(encoding="utf-8"))
    text = text.replace("warmup_steps: 100", "warmup_steps: 5")
    with tempfile.TemporaryDirectory() as directory, \
            LocalCluster(train.BINARIES, workers=2, threads=1) as cluster:
        spec_file = pathlib.Path(directory) / "spec.json"
        spec_file.write_text(json.dumps(train.resolved_spec()),
                             encoding="utf-8")
        job = cluster.wait(cluster.submit(text))["name"]
        print(f"{'round':>5}  {'longspan':>10}  {'eager':>10}   tokens/s, one "
              "sequence, one thread")
        ours, theirs = [], []
        for number in range(arguments.rounds):
            ours.append(decode_ours(cluster, job))
            theirs.append(peer.run("decode_peer.py", "--spec", spec_file,
                                   "--tokens", TOKENS)["tokens_per_second"])
            print(f"{number + 1:>5}  {ours[-1]:>10.0f}  {theirs[-1]:>10.0f}",
                  flush=True)
    mine, other = statistics.median(ours), statistics.median(theirs)
    print(f"decode: ours {mine:.0f} tokens/s, peer {other:.0f} tokens/s, "
          f"ratio {mine / other:.2f}")


if __name__ == "__main__":
    main()
