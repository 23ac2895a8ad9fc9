#!/usr/bin/env python3
"""Writes linear_attention_*.txt: linear attention by an implementation that
shares nothing with ours, the naive recurrences of flash-linear-attention on
CPU PyTorch (float32), with gradients by autograd.

    python3 -m venv /tmp/golden
    /tmp/golden/bin/pip install torch einops
    /tmp/golden/bin/pip install --no-deps fla-core==0.6.0
    /tmp/golden/bin/python tests/golden/linear_attention.py

The inputs are a formula (`values` below, and in the test), so that only the
outputs are kept: one line per tensor, its name and its numbers, row-major.
"""

import importlib.util
import math
import pathlib

import torch

TOKENS, HEADS, KEY_DIM, VALUE_DIM = 70, 2, 4, 3


def naive(op, name):
    """A function of fla/ops/OP/naive.py; the package itself needs a GPU."""
    root = pathlib.Path(importlib.util.find_spec("fla").origin).parent
    path = root / "ops" / op / "naive.py"
    spec = importlib.util.spec_from_file_location(f"naive_{op}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def values(seed, low, high, *shape):
    i = torch.arange(math.prod(shape), dtype=torch.int64)
    unit = (31 * i * i + 7919 * i + 104729 * seed) % 10007
    x = low + (high - low) * unit.double() / 10007
    return x.float().reshape(shape).requires_grad_()


def operands():
    tokens = (1, TOKENS, HEADS)
    return {
        "q": values(1, -1, 1, *tokens, KEY_DIM),
        "k": values(2, -1, 1, *tokens, KEY_DIM),
        "v": values(3, -1, 1, *tokens, VALUE_DIM),
        "initial_state": values(5, -1, 1, 1, HEADS, KEY_DIM, VALUE_DIM),
    }


def write(name, operands, outputs):
    """Outputs `o` and perhaps `final_state`; gradients of all operands."""
    d_o = values(4, -1, 1, 1, TOKENS, HEADS, VALUE_DIM)
    loss = (outputs["o"] * d_o).sum()
    if "final_state" in outputs:
        shape = outputs["final_state"].shape
        loss = loss + (outputs["final_state"] * values(6, -1, 1, *shape)).sum()
    loss.backward()
    tensors = dict(outputs)
    for operand, x in operands.items():
        if x.grad is not None:
            tensors["d_" + operand] = x.grad
    path = pathlib.Path(__file__).parent / f"linear_attention_{name}.txt"
    with path.open("w") as file:
        for tensor, x in tensors.items():
            numbers = " ".join(f"{y:.8g}" for y in x.detach().flatten().tolist())
            file.write(f"{tensor} {numbers}\n")


def heads_first(x):
    return x.transpose(1, 2)


def identity():
    x = operands()
    o, state = naive("linear_attn", "naive_recurrent_linear_attn")(
        x["q"], x["k"], x["v"], initial_state=x["initial_state"],
        output_final_state=True)
    write("identity", x, {"o": o, "final_state": state})


def constant():
    """Retention: log(1 - 2^(-5 - h)) of head h, no state in or out."""
    x = operands()
    o = naive("retention", "naive_retention")(
        heads_first(x["q"]), heads_first(x["k"]), heads_first(x["v"]))
    write("constant", x, {"o": heads_first(o)})


def scalar():
    x = operands()
    x["log_gate"] = values(7, -0.5, 0, 1, TOKENS, HEADS)
    o, state = naive("simple_gla", "naive_recurrent_simple_gla")(
        x["q"], x["k"], x["v"], x["log_gate"],
        initial_state=x["initial_state"])
    write("scalar", x, {"o": o, "final_state": state})


def vector():
    x = operands()
    x["log_gate"] = values(7, -0.5, 0, 1, TOKENS, HEADS, KEY_DIM)
    o, state = naive("gla", "naive_recurrent_gla")(
        x["q"], x["k"], x["v"], x["log_gate"],
        initial_state=x["initial_state"], output_final_state=True)
    write("vector", x, {"o": o, "final_state": state})


def delta_operands():
    x = operands()
    x["k"] = values(2, -0.7, 0.7, 1, TOKENS, HEADS, KEY_DIM)
    x["beta"] = values(8, 0, 1, 1, TOKENS, HEADS)
    return x


def delta():
    x = delta_operands()
    o, state = naive("delta_rule", "delta_rule_recurrence")(
        *(heads_first(x[name]) for name in ("q", "k", "v", "beta")),
        initial_state=x["initial_state"])
    write("delta", x, {"o": heads_first(o), "final_state": state})


def gated_delta():
    x = delta_operands()
    x["log_gate"] = values(7, -0.5, 0, 1, TOKENS, HEADS)
    o, state = naive("gated_delta_rule", "naive_recurrent_gated_delta_rule")(
        x["q"], x["k"], x["v"], x["beta"], x["log_gate"],
        initial_state=x["initial_state"], output_final_state=True)
    write("gated_delta", x, {"o": o, "final_state": state})


def kda():
    x = delta_operands()
    x["log_gate"] = values(7, -0.5, 0, 1, TOKENS, HEADS, KEY_DIM)
    o, state = naive("kda", "naive_recurrent_kda")(
        x["q"], x["k"], x["v"], x["log_gate"], x["beta"],
        initial_state=x["initial_state"], output_final_state=True)
    write("kda", x, {"o": o, "final_state": state})


if __name__ == "__main__":
    for case in (identity, constant, scalar, vector, delta, gated_delta, kda):
        case()
