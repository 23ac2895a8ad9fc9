"""NCCL with 2 and 4 ranks on one GPU, bitwise equal to the CPU's exchange.

NCCL refuses two ranks of one device, so each gets a host id of its own and
they talk through sockets on loopback.
"""

import section

ENVIRONMENT = {"NCCL_SOCKET_IFNAME": "lo", "NCCL_IB_DISABLE": "1",
               "NCCL_P2P_DISABLE": "1", "NCCL_SHM_DISABLE": "1",
               "NCCL_DEBUG": "WARN"}


def main():
    report = section.Report()
    program = section.program("longspan-nccl-check")
    table = report.table("ranks", ["ranks", "equal to the CPU's exchange"])
    for ranks in (2, 4):
        code = section.run([program, f"--ranks={ranks}"], limit_s=22,
                           environment=ENVIRONMENT)
        table.add(ranks, code == 0)
        if code == 124:
            report.fail(f"{ranks} ranks: not done in time")
        elif code != 0:
            report.fail(f"{ranks} ranks: exit status {code}")
    report.end()


if __name__ == "__main__":
    main()
