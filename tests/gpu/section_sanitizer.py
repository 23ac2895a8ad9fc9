"""compute-sanitizer over small shapes of every GPU test program."""

import googletest
import section

FOLDERS = ("/usr/local/cuda/bin", "/usr/local/cuda/compute-sanitizer",
           "/opt/nvidia/compute-sanitizer")
SUBSET = "--gtest_filter=*Small*"
TOOLS = ("memcheck", "racecheck")
FOUND_SOMETHING = 86
SHARDS = 2


def main():
    report = section.Report()
    tool = section.find_tool("compute-sanitizer", *FOLDERS)
    if tool is None:
        report.not_run("compute-sanitizer is not installed here")
    programs = section.gpu_programs()
    table = report.table("programs", ["program", "tool", "cases", "clean"])
    for check in TOOLS:
        for program, found in googletest.run_all(
                programs, SUBSET, shards=SHARDS,
                environment={"LONGSPAN_GPU_SHAPES": "small"},
                wrapper=[tool, f"--tool={check}", "--print-limit=20",
                         f"--error-exitcode={FOUND_SOMETHING}"]):
            count = found.passed + len(found.failed)
            if count == 0 and found.exit_status == 0:
                continue  # this program has no such case
            table.add(program.name, check, count, found.exit_status == 0)
            if found.exit_status == FOUND_SOMETHING:
                report.fail(f"{program.name}: {check} reports errors")
            else:
                googletest.judge(report, program, found)
    if not table.data["rows"]:
        report.fail("no program has a case named Small")
    report.end()


if __name__ == "__main__":
    main()
