#!/usr/bin/env python3
"""Trains the model of a job in PyTorch and prints what it did as JSON.

    train_peer.py --spec SPEC.json --text FILE [--seconds N] [--compile]

SPEC.json is what `longspan validate --print json JOB` prints. Batches, model,
optimiser, schedule and threads are those of the job; the loop is the ordinary
one: eager (or compiled) forward, backward, clip, fused AdamW.
"""

import argparse
import json
import time

import torch

from peer_model import Model, integer


def make_optimizer(model, spec):
    matrices = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    return torch.optim.AdamW(
        [{"params": matrices, "weight_decay": spec["weight_decay"]},
         {"params": others, "weight_decay": 0.0}],
        lr=spec["learning_rate"], betas=(spec["beta1"], spec["beta2"]),
        eps=spec["epsilon"], fused=True)


class Batches:
    """Random windows of a text."""

    def __init__(self, path, batch, length, seed):
        data = torch.frombuffer(bytearray(open(path, "rb").read()),
                                dtype=torch.uint8)
        self.data = data.long()
        self.batch, self.length = batch, length
        self.random = torch.Generator().manual_seed(seed)

    def next(self):
        starts = torch.randint(0, len(self.data) - self.length,
                               (self.batch,), generator=self.random)
        rows = torch.stack([self.data[s:s + self.length + 1] for s in starts])
        return rows[:, :-1], rows[:, 1:]


def train(arguments, train_spec):
    torch.manual_seed(1)
    model = Model(train_spec["model"])
    optimizer = make_optimizer(model, train_spec["optimizer"])
    batch = integer(train_spec, "batch_size", 1)
    length = integer(train_spec, "sequence_length")
    batches = Batches(arguments.text, batch, length, 1)
    loss_of = torch.compile(model.loss) if arguments.compile else model.loss
    clip = float(train_spec["optimizer"]["clip_norm"])

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(*batches.next())
        loss.backward()
        if clip > 0:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        return loss

    for _ in range(arguments.warmup):
        step()
    steps, start = 0, time.perf_counter()
    while time.perf_counter() - start < arguments.seconds:
        loss = step()
        steps += 1
    elapsed = time.perf_counter() - start
    return {
        "tokens_per_second": steps * batch * length / elapsed,
        "steps": steps,
        "seconds": elapsed,
        "loss": loss.item(),
        "parameters": sum(p.numel() for p in model.parameters()),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--warmup", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with open(arguments.spec, encoding="utf-8") as file:
        spec = json.load(file)
    print(json.dumps(train(arguments, spec["train"])))


if __name__ == "__main__":
    main()
