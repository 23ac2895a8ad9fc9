#!/usr/bin/env python3
"""Reads the machine code of the CUDA kernels: registers, spills, MMAs.

usage: check_cuda_report.py CUOBJDUMP LIBRARY REPORT [--markdown]

Writes one table per architecture to REPORT and prints it; with --markdown
prints the table of docs/kernels.md instead: the hot kernels, of each the
instance that spills most or has the most registers. Fails when
  - a kernel uses local memory (spilled registers, indexed arrays) and is not
    in MAY_SPILL below;
  - a kernel of MATRIX below has no HMMA instruction;
  - the architectures do not have the same kernels.
"""

import collections
import re
import subprocess
import sys

# Not hot, and a few spilled registers are the better choice: f32 operands held
# as two planes of bf16 (second argument of the softmax kernels: 2; third of a
# LinearTile: true).
MAY_SPILL = re.compile(
    r": (SoftmaxForwardKernel<256, 2,|BackwardKeysKernel<128, 2,"
    r"|ScanKernel<LinearTile<256, 8, true>)")
COUNTED = ("HMMA", "LDSM", "LDGSTS", "LDL", "STL")
# Kernels whose work is products on the matrix units.
MATRIX = re.compile(r": (SoftmaxForward|BackwardKeys|BackwardQueries|Scan|"
                    r"Summary)Kernel\b")
# Kernels whose time docs/kernels.md predicts, in its order; those on the matrix
# units once with bf16 operands and once with f32.
HOT = (r"SummaryKernel<LinearTile<\d+, \d, false",
       r"SummaryKernel<LinearTile<\d+, \d, true",
       r"ScanKernel<LinearTile<\d+, \d, false",
       r"ScanKernel<LinearTile<\d+, \d, true",
       "FoldKernel", "GateGradientKernel", "DecodeKernel",
       r"SoftmaxForwardKernel<\d+, 1", r"SoftmaxForwardKernel<\d+, 2",
       r"BackwardKeysKernel<\d+, 1", r"BackwardKeysKernel<\d+, 2",
       r"BackwardQueriesKernel<\d+, 1", r"BackwardQueriesKernel<\d+, 2",
       "NormKernel", "NormBackwardKernel", "RotaryKernel", "MapKernel",
       "ConvolutionKernel", "ConvolutionBackwardKernel", "EmbedBackwardKernel",
       "GateBackwardKernel", "AdamWKernel", "SquareKernel", "LossRowKernel",
       "SampleKernel")
# The object file of a kernel, named after its source.
MEMBER = re.compile(r"^member .*?([\w-]+)\.(?:cu\.)?o:$")
USAGE = re.compile(r"REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)")


class Kernel:
    def __init__(self):
        self.source = "?"
        self.registers = self.stack = self.shared = self.local = 0
        self.counts = collections.Counter()

    def spill_instructions(self):
        return self.counts["LDL"] + self.counts["STL"]

    def spills(self):
        return bool(self.stack or self.local or self.spill_instructions())


def dump(cuobjdump, flag, library):
    result = subprocess.run([cuobjdump, flag, library], capture_output=True,
                            text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"{cuobjdump} {flag}: {result.stderr}")
    return result.stdout.splitlines()


def read_usage(lines, kernels):
    architecture = name = None
    source = "?"
    for line in lines:
        member = MEMBER.match(line)
        if member:
            source = member.group(1)
        elif line.startswith("arch = "):
            architecture = line.split("=")[1].strip()
        elif line.startswith(" Function "):
            name = line.split()[1].rstrip(":")
        else:
            found = USAGE.search(line)
            if found and name:
                kernel = kernels[(architecture, name)]
                kernel.source = source
                (kernel.registers, kernel.stack, kernel.shared,
                 kernel.local) = map(int, found.groups())


def read_code(lines, kernels):
    architecture = kernel = None
    instruction = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+ )?([A-Z0-9]+)")
    for line in lines:
        if line.startswith("arch = "):
            architecture, kernel = line.split("=")[1].strip(), None
        elif "Function : " in line:
            kernel = kernels[(architecture, line.split(":")[1].strip())]
        elif kernel is not None:
            found = instruction.search(line)
            if found and found.group(1) in COUNTED:
                kernel.counts[found.group(1)] += 1


def without_parameters(name):
    """Cuts the parameter list, which ends the name."""
    depth = 0
    for i in range(len(name) - 1, -1, -1):
        depth += (name[i] == ")") - (name[i] == "(")
        if depth == 0:
            return name[:i] if name.endswith(")") else name
    return name


def plain_names(kernels):
    """Mangled name -> 'file: Kernel<arguments>'."""
    sources = {name: kernel.source for (_, name), kernel in kernels.items()}
    names = sorted(sources)
    text = subprocess.run(["c++filt"], input="\n".join(names), text=True,
                          capture_output=True, check=True).stdout
    plain = {}
    for name, line in zip(names, text.splitlines()):
        line = re.sub(r"longspan::kernels::cuda::|\(anonymous namespace\)::|"
                      r"_GLOBAL__N__\w+::|^void ", "",
                      without_parameters(line))
        plain[name] = f"{sources[name]}: {line}"
    return plain


def table(architecture, kernels, plain):
    lines = [f"## {architecture}", "",
             "| kernel | registers | stack B | shared B | "
             + " | ".join(COUNTED) + " |",
             "|---" * (4 + len(COUNTED)) + "|"]
    for (where, name), kernel in sorted(
            kernels.items(), key=lambda item: plain[item[0][1]]):
        if where == architecture:
            counts = " | ".join(str(kernel.counts[c]) for c in COUNTED)
            lines.append(f"| {plain[name]} | {kernel.registers} | "
                         f"{kernel.stack} | {kernel.shared} | {counts} |")
    return lines


def worst_instance(architecture, kernels, plain, name):
    """The instance of a hot kernel with the most spills, then registers."""
    found = [(kernel.spill_instructions(), kernel.registers, plain[mangled],
              kernel)
             for (where, mangled), kernel in kernels.items()
             if where == architecture
             and re.search(rf": {name}\b", plain[mangled])]
    return max(found, key=lambda item: item[:3]) if found else None


def summary(kernels, plain):
    """The hot kernels as Markdown."""
    architectures = sorted({where for where, _ in kernels})
    lines = ["| kernel, worst instance | "
             + " | ".join(f"{a}: registers, stack B, LDL + STL, HMMA"
                          for a in architectures) + " |",
             "|---" * (1 + len(architectures)) + "|"]
    for name in HOT:
        worst = [worst_instance(a, kernels, plain, name)
                 for a in architectures]
        if None in worst:
            sys.exit(f"no kernel {name}: mend HOT")
        shown = dict.fromkeys(
            w[2].split(": ")[1].replace("> >", ">>") for w in worst)
        cells = [f"{k.registers}, {k.stack}, {spills}, {k.counts['HMMA']}"
                 for spills, _, _, k in worst]
        lines.append("| " + "; ".join(f"`{s}`" for s in shown) + " | "
                     + " | ".join(cells) + " |")
    return lines


def problems(kernels, plain):
    found = []
    architectures = sorted({where for where, _ in kernels})
    for where, name in kernels:
        if (kernels[(where, name)].spills()
                and not MAY_SPILL.search(plain[name])):
            found.append(f"{where} {plain[name]}: uses local memory")
        if MATRIX.search(plain[name]) and not kernels[(where, name)].counts[
                "HMMA"]:
            found.append(f"{where} {plain[name]}: no HMMA")
        found += [f"{other} lacks {plain[name]}" for other in architectures
                  if (other, name) not in kernels]
    return found


def main():
    markdown = sys.argv[-1] == "--markdown"
    arguments = sys.argv[1:-1] if markdown else sys.argv[1:]
    if len(arguments) != 3:
        sys.exit(__doc__)
    cuobjdump, library, report = arguments
    kernels = collections.defaultdict(Kernel)
    read_usage(dump(cuobjdump, "-res-usage", library), kernels)
    read_code(dump(cuobjdump, "-sass", library), kernels)
    if not kernels:
        sys.exit(f"{library} has no kernel")
    plain = plain_names(kernels)
    lines = []
    for architecture in sorted({where for where, _ in kernels}):
        lines += table(architecture, kernels, plain) + [""]
    with open(report, "w", encoding="utf-8") as file:
        file.write("\n".join(lines))
    print("\n".join(summary(kernels, plain) if markdown else lines))
    found = problems(dict(kernels), plain)
    print("\n".join(found))
    print(f"{len(kernels)} kernels, {len(found)} problems")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
