"""Trains the model of bench/run model on fla's kernels, in PyTorch.

    python3 bench/model_peer.py --lengths 8192,32768 [--steps N]

bf16 parameters, fused AdamW, chunk_simple_gla, and where they can be imported
fla's RMSNorm, SwiGLU and fused linear cross-entropy; else PyTorch's own. One
line of JSON per length. Not exactly our precision: PyTorch's moments are bf16
here and ours f32 with f32 master weights, which favours the peer.
"""

import argparse
import json
import statistics
import sys
import time

HIDDEN, LAYERS, HEADS, MIDDLE, VOCABULARY = 2048, 24, 16, 5632, 32000
UNCOUNTED_STEPS = 2


def parts(torch):
    """(norm, swiglu, loss) of fla or of PyTorch."""
    nn, functional = torch.nn, torch.nn.functional
    norm = nn.RMSNorm

    def swiglu(gate, up):
        return functional.silu(gate) * up

    def loss(hidden, targets, weight):
        total = 0.0
        for rows, wanted in zip(hidden.split(4096), targets.split(4096)):
            total = total + functional.cross_entropy(
                (rows @ weight.t()).float(), wanted, reduction="sum")
        return total / targets.numel()

    try:
        from fla.modules import RMSNorm as norm  # noqa: F811
        from fla.modules.activations import swiglu  # noqa: F811
        from fla.modules.fused_linear_cross_entropy import (
            fused_linear_cross_entropy_loss)

        def loss(hidden, targets, weight):  # noqa: F811
            return fused_linear_cross_entropy_loss(hidden, targets, weight)
    except Exception as error:  # whatever an import of Triton raises
        print(f"fla's modules are left out: {error}", file=sys.stderr)
    return norm, swiglu, loss


def make_model(torch):
    from fla.ops.simple_gla import chunk_simple_gla
    nn = torch.nn
    norm, swiglu, loss_of = parts(torch)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.mixer_norm, self.mlp_norm = norm(HIDDEN), norm(HIDDEN)
            self.head_norm = norm(HIDDEN // HEADS)
            self.inputs = nn.Linear(HIDDEN, 3 * HIDDEN + HEADS, bias=False)
            self.output = nn.Linear(HIDDEN, HIDDEN, bias=False)
            self.gate_up = nn.Linear(HIDDEN, 2 * MIDDLE, bias=False)
            self.down = nn.Linear(MIDDLE, HIDDEN, bias=False)

        def mix(self, x):
            q, k, v, gate = self.inputs(x).split(
                [HIDDEN, HIDDEN, HIDDEN, HEADS], dim=-1)
            q, k, v = (t.unflatten(-1, (HEADS, -1)) for t in (q, k, v))
            gate = torch.nn.functional.logsigmoid(gate.float()) / 16.0
            out = chunk_simple_gla(q, k, v, gate)[0]
            return self.output(self.head_norm(out).flatten(-2))

        def forward(self, x):
            x = x + self.mix(self.mixer_norm(x))
            gate, up = self.gate_up(self.mlp_norm(x)).chunk(2, dim=-1)
            return x + self.down(swiglu(gate, up))

    class Peer(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(VOCABULARY, HIDDEN)
            self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
            self.norm = norm(HIDDEN)
            self.head = nn.Linear(HIDDEN, VOCABULARY, bias=False)
            for parameter in self.parameters():
                if parameter.dim() > 1:
                    nn.init.normal_(parameter, std=0.02)

        def forward(self, tokens, targets):
            x = self.embedding(tokens)
            for block in self.blocks:
                x = block(x)
            return loss_of(self.norm(x).flatten(0, 1), targets.flatten(),
                           self.head.weight)

    with torch.device("cuda"):
        return Peer().to(torch.bfloat16)


def step_ms(torch, model, optimizer, tokens, steps):
    text = torch.randint(0, VOCABULARY, (1, tokens + 1), device="cuda")
    times = []
    for _ in range(UNCOUNTED_STEPS + steps):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        model(text[:, :-1], text[:, 1:]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - begin))
    return statistics.median(times[UNCOUNTED_STEPS:])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", default="32768")
    parser.add_argument("--steps", type=int, default=3)
    arguments = parser.parse_args()
    try:
        import torch
        model = make_model(torch)
    except Exception as error:  # no PyTorch, no fla, no GPU
        sys.exit(f"no peer: {error}")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    # The longest first: it is the one that counts, should time run out.
    for tokens in sorted(map(int, arguments.lengths.split(",")), reverse=True):
        try:
            ms = step_ms(torch, model, optimizer, tokens, arguments.steps)
        except torch.cuda.OutOfMemoryError:
            print(f"fla at {tokens} tokens: out of memory", file=sys.stderr)
            optimizer.zero_grad(set_to_none=True)
            torch.cuda.empty_cache()
            continue
        print(json.dumps({"what": "train", "tokens": tokens, "ms": ms,
                          "tokens_per_second": 1e3 * tokens / ms}), flush=True)


if __name__ == "__main__":
    main()
