"""Every GPU test program, with fresh random inputs and poisoned outputs.

The seed is LONGSPAN_TEST_SEED, which tests/gpu/run draws and prints; a case
that failed runs again with
    LONGSPAN_TEST_SEED=n LONGSPAN_GPU_SHAPES=large bin/x_gpu --gtest_filter=...
"""

import os

import googletest
import section

BITS = "*BitIdentical*"
SHARDS = 6


def main():
    report = section.Report()
    programs = section.gpu_programs()
    report.note(f"seed {os.environ.get('LONGSPAN_TEST_SEED', 'fixed')}")
    table = report.table("programs", ["program", "passed", "failed", "CPU s"])
    for program, found in googletest.run_all(
            programs, f"--gtest_filter=-{BITS}", shards=SHARDS,
            environment={"LONGSPAN_GPU_SHAPES": "large"}):
        table.add(program.name, found.passed, len(found.failed),
                  round(found.seconds, 1))
        googletest.judge(report, program, found)
    report.end()


if __name__ == "__main__":
    main()
