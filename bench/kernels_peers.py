"""Times fla (Triton) and cuDNN attention on the cases of bench/run kernels.

    python3 bench/kernels_peers.py [--seconds S] < cases.jsonl

Reads the lines that longspan-bench-kernels prints and prints, for every case a
peer knows, {"op", "size", "peer", "ms"}. Needs PyTorch with CUDA; fla is left
out where it cannot be imported. The same method as ours: operands in several
sets that go round, medians, warmed up.
"""

import argparse
import json
import re
import statistics
import sys

CACHE_BYTES = 256 << 20
WARM_UP_CALLS = 3
SIZE = re.compile(r"B(\d+)_T(\d+)_H(\d+)_D(\d+)$")


def fla_ops():
    """{transition: function(q, k, v, gate)} of what can be imported."""
    try:
        from fla.ops.linear_attn import chunk_linear_attn
        from fla.ops.retention import chunk_retention
        from fla.ops.simple_gla import chunk_simple_gla
    except Exception as error:  # whatever an import of Triton raises
        print(f"fla is left out: {error}", file=sys.stderr)
        return {}

    def first(result):
        return result[0]

    return {
        "identity": lambda q, k, v, g: first(
            chunk_linear_attn(q, k, v, normalize=False)),
        "constant": lambda q, k, v, g: first(chunk_retention(q, k, v)),
        "scalar": lambda q, k, v, g: first(chunk_simple_gla(q, k, v, g)),
    }


def cudnn_attention(q, k, v, _):
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
        return torch.nn.functional.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2),
            is_causal=True).transpose(1, 2)


def operand_sets(torch, shape, gated, backward):
    batch, tokens, heads, dim = shape
    bytes_of_set = 8 * batch * tokens * heads * dim * (2 if backward else 1)
    count = max(1, min(8, CACHE_BYTES // bytes_of_set + 1))
    sets = []
    for _ in range(count):
        q, k, v, d_o = (torch.rand(shape, device="cuda").mul_(2).sub_(1).to(
            torch.bfloat16) for _ in range(4))
        gate = None
        if gated:
            gate = torch.rand(shape[:3], device="cuda").mul_(-0.1)
        for tensor in (q, k, v, gate):
            if backward and tensor is not None:
                tensor.requires_grad_(True)
        sets.append((q, k, v, gate, d_o))
    return sets


def call(run, operands, backward):
    q, k, v, gate, d_o = operands
    out = run(q, k, v, gate)
    if backward:
        out.backward(d_o)
        for tensor in (q, k, v, gate):
            if tensor is not None:
                tensor.grad = None


def median_ms(torch, run, sets, backward, seconds):
    for _ in range(WARM_UP_CALLS):
        call(run, sets[0], backward)
    torch.cuda.synchronize()
    rounds, spent = [], 0.0
    while len(rounds) < 5 or (spent < 1e3 * seconds and len(rounds) < 200):
        begin = torch.cuda.Event(enable_timing=True)
        end = torch.cuda.Event(enable_timing=True)
        begin.record()
        call(run, sets[len(rounds) % len(sets)], backward)
        end.record()
        end.synchronize()
        rounds.append(begin.elapsed_time(end))
        spent += rounds[-1]
    return statistics.median(rounds)


def peer_of(op, fla):
    words = op.split()
    if words[0] == "linear" and words[1] in fla:
        return "fla", fla[words[1]]
    if words[0] == "softmax":
        return "cuDNN", cudnn_attention
    return None, None


def measure(torch, case, fla, seconds):
    name, run = peer_of(case["op"], fla)
    match = SIZE.match(case["size"])
    if run is None or match is None:
        return
    backward = case["op"].endswith("forward+backward")
    try:
        sets = operand_sets(torch, tuple(map(int, match.groups())),
                            "scalar" in case["op"], backward)
        ms = median_ms(torch, run, sets, backward, seconds)
    except Exception as error:  # one case of a peer must not end the rest
        print(f"{name} on {case['op']} {case['size']}: "
              f"{str(error).splitlines()[0]}", file=sys.stderr)
        torch.cuda.empty_cache()
        return
    print(json.dumps({"op": case["op"], "size": case["size"], "peer": name,
                      "ms": ms}), flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.1)
    arguments = parser.parse_args()
    try:
        import torch
    except ImportError as error:
        sys.exit(f"no peers: {error}")
    if not torch.cuda.is_available():
        sys.exit("no peers: PyTorch sees no GPU")
    fla = fla_ops()
    for line in sys.stdin:
        measure(torch, json.loads(line), fla, arguments.seconds)


if __name__ == "__main__":
    main()
