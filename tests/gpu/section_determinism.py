"""The cases named BitIdentical: the same inputs give the same bits.

Each compares two runs within a process; here they run three times over, with
other kernels in between.
"""

import googletest
import section

ROUNDS = 3
SHARDS = 4


def main():
    report = section.Report()
    table = report.table("programs", ["program", "cases", "rounds", "failed"])
    cases = 0
    for program, found in googletest.run_all(
            section.gpu_programs(), "--gtest_filter=*BitIdentical*",
            f"--gtest_repeat={ROUNDS}", "--gtest_shuffle", shards=SHARDS,
            environment={"LONGSPAN_GPU_SHAPES": "large"}):
        count = found.passed + len(found.failed)
        cases += count
        if count == 0 and found.exit_status == 0:
            continue  # this program has no such case
        table.add(program.name, count, ROUNDS, len(found.failed))
        googletest.judge(report, program, found)
    if cases == 0:
        report.fail("no program has a case named BitIdentical")
    report.end()


if __name__ == "__main__":
    main()
