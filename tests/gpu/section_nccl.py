"""NCCL with 2 and 4 ranks on one GPU, bitwise equal to the CPU's exchange.

NCCL refuses two ranks of one device, so longspan-nccl-check gives each a host
id of its own and lets them talk through sockets on loopback.
"""

import section

RANKS = (2, 4)
SECONDS = 20
ENVIRONMENT = {"NCCL_IB_DISABLE": "1", "NCCL_DEBUG": "WARN",
               "LONGSPAN_GPU_SHAPES": "large"}


def main():
    report = section.Report()
    program = section.program("longspan-nccl-check")
    table = report.table("ranks", ["ranks", "equal to the CPU's exchange"])
    for ranks in RANKS:
        code = section.run(
            [program, f"--ranks={ranks}", f"--seconds={SECONDS}"],
            limit_s=SECONDS + 3, environment=ENVIRONMENT)
        table.add(ranks, code == 0)
        if code == 124:
            report.fail(f"{ranks} ranks: not done in time")
        elif code != 0:
            report.fail(f"{ranks} ranks: exit status {code}")
    report.end()


if __name__ == "__main__":
    main()
