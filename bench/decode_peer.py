#!/usr/bin/env python3
"""Generates with the model of a job in PyTorch, token by token from the
recurrent state, and prints tokens/s as JSON.

    decode_peer.py --spec SPEC.json [--tokens N]
"""

import argparse
import json
import time

import torch

from peer_model import Model


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True)
    parser.add_argument("--tokens", type=int, default=400)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    with open(arguments.spec, encoding="utf-8") as file:
        model = Model(json.load(file)["train"]["model"])
    with torch.inference_mode():
        state = model.initial_state(1)
        token = torch.tensor([65])
        warmup = 200  # fills the window of softmax layers
        for position in range(warmup + arguments.tokens):
            if position == warmup:
                start = time.perf_counter()
            logits = model.step(token, state, position)
            token = torch.multinomial(logits.softmax(-1), 1)[:, 0]
        elapsed = time.perf_counter() - start
    print(json.dumps({"tokens_per_second": arguments.tokens / elapsed,
                      "torch": torch.__version__}))


if __name__ == "__main__":
    main()
