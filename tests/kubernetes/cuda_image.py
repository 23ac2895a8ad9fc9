"""The image of the CUDA worker, run on a machine without a GPU: a container of
buildah sees none, whatever the machine has."""

import json

from processes import free_port
from programs import run
from report import expect
from sbom_checks import MANIFEST

LIBRARIES = ("libcublasLt.so.13", "libnccl.so.2")
PLACE = "/opt/longspan/cuda"
# A daemon is started, asked by the health check until it answers, and ended; a
# port that nobody serves is unhealthy.
HEALTH = """
export LONGSPAN_METRICS_PORT=$0
! health "$1" || exit 3
longspan-worker --devices=cpu --name=health --state-dir=/tmp/state \
  --coordinator="127.0.0.1:$1" --metrics-listen="127.0.0.1:$0" &
for try in {1..300}; do ! health || break; sleep 0.1; done
health
kill -TERM $!
"""


def packages(install_cuda):
    """[(name, version)] of the wheels that the libraries are of."""
    rows = [line.split("==") for line in
            run(install_cuda, "--list").stdout.split()]
    return [(name, version) for name, version in rows
            if name in ("nvidia-cublas", "nvidia-nccl-cu13")]


def check(run_in):
    expect(json.loads(run_in("cat", MANIFEST).stdout)["cuda"],
           "the bundle is without CUDA: docs/gpu.md")
    done = run_in("longspan-worker", "--version")
    expect(done.stdout.startswith("longspan-worker "), f"{done}")
    for library in LIBRARIES:
        done = run_in("ldd", f"{PLACE}/{library}")
        expect("not found" not in done.stdout, f"{library}: {done.stdout}")
    tell_that_there_is_no_gpu(run_in)
    run_in("bash", "-euc", HEALTH, str(free_port()), str(free_port()))


def tell_that_there_is_no_gpu(run_in):
    """The reason in a line, by the probe and by the daemon itself."""
    for words in (["--probe-devices"],
                  ["--state-dir=/tmp/state", "--metrics-listen=127.0.0.1:0"]):
        done = run_in("longspan-worker", "--devices=cuda", *words, check=False)
        expect(done.returncode == 1, f"{done}")
        expect("is the NVIDIA driver installed" in done.stdout + done.stderr,
               f"{done}")
