"""bench/run recall: see there.

Multi-query associative recall (MQAR, arXiv 2312.04927) as text. A document of
64 bytes is a line of 31 pairs of a key and its value:

    \\nKvKvKv...Kv<space>

Each key is one of 8 symbols at random, each value one of 16 others, drawn anew
for every document. A key that has come up before asks for its value: a model
without memory loses log2 16 = 4 bits there, one that recalls none. What the
rest of the text costs at least is known exactly, therefore

    recall = 1 - (bits of the text - that floor) / (4 bits * keys seen before)

A sequence is four documents that pair the same keys with other values: what
was written must be forgotten or overwritten, not only kept.

--text rewrites is harder: a document is a whole sequence of 85 items,

    \\n=Kv=Kv?Kv=Kv...?Kv

half of them writes (=) of a random key, with a new value each time, half
questions (?) for the last value of a key that was written. Keys are rewritten
one by one, while the others must be kept: forgetting everything a little is
not enough, and adding hopeless.
"""

import argparse
import json
import math
import pathlib
import random
import sys
import tempfile

import mixers
import train

sys.path.insert(0, str(train.ROOT / "tests/support"))

from local_cluster import LocalCluster  # noqa: E402

KEYS = [chr(ord("A") + i) for i in range(8)]
VALUES = [chr(ord("a") + i) for i in range(16)]
PAIRS = 31
ITEMS = 85
KEY_BITS, VALUE_BITS = math.log2(len(KEYS)), math.log2(len(VALUES))

JOB = """\
name: recall
resources: {{ranks: 2, threads: 1}}
train:
  model:
    hidden_size: 64
    layer_count: 2
    layer_pattern: {pattern}
{linear}    mlp: {{intermediate_size: 176}}
  data: {{uri: "recall://train.txt"}}
  validation: {{uri: "recall://validation.txt"}}
  sequence_length: 256
  batch_size: 4
  {length}
  optimizer: {{learning_rate: 3e-3}}
  schedule: {{warmup_steps: 100, decay: wsd, min_ratio: 0.02, decay_ratio: 0.3}}
  report_interval: 100
  seed: 1
"""


def document(generator):
    values = {key: generator.choice(VALUES) for key in KEYS}
    keys = generator.choices(KEYS, k=PAIRS)
    return "\n" + "".join(key + values[key] for key in keys) + " "


def floor_bits(text):
    """(what the text costs at least, what its answers cost without memory)"""
    floor = answers = 0.0
    for line in text[1:].split("\n"):
        new = len(set(line[0:-1:2]))
        floor += PAIRS * KEY_BITS + new * VALUE_BITS
        answers += (PAIRS - new) * VALUE_BITS
    return floor, answers


def rewrites_document(generator):
    held, items = {}, []
    for _ in range(ITEMS):
        asked = bool(held) and generator.random() < 0.5
        key = generator.choice(sorted(held) if asked else KEYS)
        if not asked:
            held[key] = generator.choice(VALUES)
        items.append(("?" if asked else "=") + key + held[key])
    return "\n" + "".join(items)


def rewrites_floor_bits(text):
    floor = answers = 0.0
    for line in text[1:].split("\n"):
        held = set()
        for item in range(0, len(line), 3):
            floor += 1.0 if held else 0.0  # write or question
            if line[item] == "?":
                floor += math.log2(len(held))
                answers += VALUE_BITS
            else:
                floor += KEY_BITS + VALUE_BITS
                held.add(line[item + 1])
    return floor, answers


# (document, floor_bits, documents to train on, documents to validate on)
TEXTS = {"pairs": (document, floor_bits, 150_000, 1_000),
         "rewrites": (rewrites_document, rewrites_floor_bits, 40_000, 500)}


def write_texts(folder, kind):
    """Returns the validation text."""
    generator = random.Random(1)
    new_document, _, train_count, validation_count = TEXTS[kind]
    for name, documents in (("train", train_count),
                            ("validation", validation_count)):
        text = "".join(new_document(generator) for _ in range(documents))
        (folder / f"{name}.txt").write_text(text, encoding="ascii")
    return text


def job(name, length):
    """`length` is a line of the job: how long it trains."""
    if name == "softmax":
        return JOB.format(pattern="NN", length=length,
                          linear="    softmax: {heads: 4}\n")
    return JOB.format(pattern="LL", length=length,
                      linear=mixers.linear_block(name))


def recall(validation_loss, text, kind="pairs"):
    """`validation_loss` is in nats per byte of the text."""
    bits = validation_loss / math.log(2) * len(text)
    floor, answers = TEXTS[kind][1](text)
    return 1 - (bits - floor) / answers


def measure(cluster, name, arguments, text):
    length = f"max_duration: {arguments.seconds}s"
    if arguments.steps:
        length = f"steps: {arguments.steps}"
    result = cluster.run_job(job(name, length),
                             timeout=arguments.seconds + 120 +
                             0.5 * (arguments.steps or 0))
    result = result["result"]["train"]
    return {"mixer": name, "steps": int(result["steps"]),
            "tokens_per_second": result["tokens_per_second"],
            "recall": recall(result["validation_loss"], text,
                             arguments.text)}


def markdown(rows):
    lines = ["| mixer | steps | tokens/s | recall |", "|---|---:|---:|---:|"]
    for row in sorted(rows, key=lambda row: -row["recall"]):
        lines.append(f"| {row['mixer']} | {row['steps']:,} | "
                     f"{row['tokens_per_second']:,.0f} | "
                     f"{100 * row['recall']:.1f} % |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(
        prog="bench/run recall", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    mixers.add_flags(parser, "recall")
    parser.add_argument("--steps", type=int,
                        help="of training, in place of --seconds: the same "
                        "numbers on a slower machine")
    parser.add_argument("--text", choices=sorted(TEXTS), default="pairs",
                        help="see above [pairs]")
    arguments = parser.parse_args()
    names = mixers.names_of(arguments, parser)
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        folder = pathlib.Path(directory)
        text = write_texts(folder, arguments.text)
        with LocalCluster(arguments.bin_dir, workers=2, threads=1,
                          roots={"recall": folder}) as cluster:
            for name in names:
                rows.append(measure(cluster, name, arguments, text))
                print(f"{name:<15} {rows[-1]['steps']:>6} steps  recall "
                      f"{100 * rows[-1]['recall']:.1f} %", flush=True)
    table = arguments.out / "recall.json"
    table.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    (arguments.out / "recall.md").write_text(markdown(rows), encoding="utf-8")
    print(f"table: {arguments.out}/recall.md")


if __name__ == "__main__":
    main()
