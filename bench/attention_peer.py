#!/usr/bin/env python3
"""PyTorch of bench/run attention: one measurement at a time, one thread.

Answers requests on stdin, a line each:

    case JSON                 operands of a case of longspan-bench-attention,
                              in a process of its own until `end`; answers 0
    FORM forward, FORM both   seconds of one forward pass, or of one forward
                              and backward pass; FORM is loop or chunks
                              (attention_forms.py), or sdpa
    peak                      MiB, the most since the last such request, above
                              what PyTorch holds without operands
    end                       answers 0

Seconds are processor time, as ours. First it prints its version, when both
forms have been compared with the recurrence.
"""

import argparse
import json
import os
import sys
import time

import torch
import torch.nn.functional as F

from attention_forms import CHUNK, FORMS, recurrence

DECAYS = {"identity": None, "constant": (1, 1), "scalar": (None, 1),
          "vector": (None, None)}


def operands(decay, dense, heads, tokens, dim, dtype=torch.float32):
    """As ours: log gates in (-0.3, 0), keys of length 1 for the delta rule."""
    q, k, v, d_o = (torch.rand(heads, tokens, dim, dtype=dtype) * 2 - 1
                    for _ in range(4))
    beta = torch.rand(heads, tokens, 1, dtype=dtype) if dense else None
    if dense:
        k = F.normalize(k, dim=-1)
    log_gate = None
    if DECAYS.get(decay):
        length, width = DECAYS[decay]
        log_gate = -0.3 * torch.rand(heads, length or tokens, width or dim,
                                     dtype=dtype)
    return q, k, v, log_gate, beta, d_o


def check():
    """Both forms equal the recurrence, for every transition."""
    for dense in (False, True):
        for decay in DECAYS:
            *inputs, _ = operands(decay, dense, 2, 3 * CHUNK, 8,
                                  torch.float64)
            want = recurrence(*inputs)
            for name, form in FORMS.items():
                error = (form(*inputs) - want).norm() / want.norm()
                if not error < 1e-10:
                    sys.exit(f"{name}, {decay}, dense {dense}: differs from "
                             f"the recurrence by {error:.1e}")


def sdpa(q, k, v, *_):
    return F.scaled_dot_product_attention(q[None], k[None], v[None],
                                          is_causal=True)[0]


class Case:
    def __init__(self, case):
        *inputs, self.d_o = operands(case["decay"], case["dense"],
                                     case["heads"], case["tokens"],
                                     case["dim"])
        self.inputs = inputs
        # Ours gives no gradient of a constant decay either.
        self.learned = [x for x in inputs if x is not None and
                        (x is not inputs[3] or case["decay"] != "constant")]

    def forward(self, form):
        with torch.no_grad():
            form(*self.inputs)

    def both(self, form):
        for x in self.learned:
            x.requires_grad_()
        torch.autograd.grad(form(*self.inputs), self.learned, self.d_o)


def status_mib(field):
    with open("/proc/self/status", encoding="utf-8") as file:
        for line in file:
            if line.startswith(field):
                return int(line.split()[1]) / 1024
    return 0.0


def take_peak():
    peak = status_mib("VmHWM:")
    try:
        with open("/proc/self/clear_refs", "w", encoding="utf-8") as file:
            file.write("5\n")
    except OSError:
        pass
    return peak


def mean_seconds(run, seconds):
    begin, calls, spent = time.process_time(), 0, 0.0
    while calls == 0 or spent < seconds:
        run()
        calls += 1
        spent = time.process_time() - begin
    return spent / calls


def serve_case(case, seconds):
    base = status_mib("VmRSS:")
    one = Case(case)
    answer(0)
    for line in requests():
        words = line.split()
        if words == ["end"]:
            answer(0)
            return
        if words == ["peak"]:
            answer(take_peak() - base)
            continue
        form = sdpa if words[0] == "sdpa" else FORMS[words[0]]
        run = {"forward": one.forward, "both": one.both}[words[1]]
        answer(mean_seconds(lambda: run(form), seconds))


def answer(value):
    print(f"{value:.9g}", flush=True)


def requests():
    """Lines of stdin, without reading ahead: parent and child take turns."""
    for line in open(0, "rb", buffering=0, closefd=False):
        yield line.decode()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.05)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    check()
    print(torch.__version__, flush=True)
    # A process per case, so that its memory is its own.
    for line in requests():
        child = os.fork()
        if child == 0:
            serve_case(json.loads(line.removeprefix("case ")),
                       arguments.seconds)
            os._exit(0)
        if os.waitpid(child, 0)[1] != 0:
            sys.exit(f"PyTorch failed in {line}")


if __name__ == "__main__":
    main()
