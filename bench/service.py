"""bench/run service: the coordinator's gRPC service under load, on loopback.

A coordinator without workers. grpcurl asks it by reflection what it serves,
and for its health; then ghz calls one method after the other, from the same
machine, at growing concurrency. Reads are asked of a coordinator that knows
100 pending jobs; CreateJob, which answers when the job is on disk, of a fresh
one each time. Any status but OK ends the bench.

    bench/run service [--seconds 5] [--concurrency 1,8,64] [--creates 500]
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import environment
import go_tools

sys.path.insert(0, str(environment.ROOT / "tests/support"))

from local_cluster import await_that, end  # noqa: E402

HEALTH = environment.ROOT / "bench/health.proto"
JOBS = 100
SERVICES = ("grpc.health.v1.Health", "longspan.v1.JobService",
            "longspan.v1.WorkerService")
JOB = """name: load
resources: {ranks: 2, threads: 1}
train:
  model:
    hidden_size: 64
    layer_count: 3
    layer_pattern: LNL
    linear: {mixer: simple_gla, heads: 4}
    softmax: {heads: 4, window: 128}
  data: {uri: "corpus://book.txt"}
  sequence_length: 4096
  steps: 100
  optimizer: {learning_rate: 1e-3}
"""
HEADER = (f"{'METHOD':<28}{'CONCURRENCY':>12}{'REQUESTS':>10}"
          f"{'REQUESTS/S':>12}{'P50 ms':>9}{'P95 ms':>9}{'P99 ms':>9}"
          f"{'ERRORS':>8}")


class Coordinator:
    """A daemon of its own on a free port, ended with the block."""

    def __init__(self, binaries):
        self.program = pathlib.Path(binaries) / "longspan-coordinator"

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="longspan-service-")
        address = pathlib.Path(self.folder.name, "address")
        self.log = open(pathlib.Path(self.folder.name, "log"), "wb")
        self.process = subprocess.Popen(
            [self.program, "--listen=127.0.0.1:0",
             f"--state-dir={self.folder.name}/state",
             f"--address-file={address}", "--log-level=warning"],
            stdout=self.log, stderr=self.log)
        await_that("the coordinator's address", address.exists)
        self.address = address.read_text(encoding="utf-8").strip()
        return self

    def __exit__(self, *_):
        end(self.process)
        self.log.close()
        self.folder.cleanup()


def output_of(words, **more):
    done = subprocess.run(list(map(str, words)), stdout=subprocess.PIPE,
                          text=True, check=False, **more)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}: exit {done.returncode}")
    return done.stdout


def grpcurl(coordinator, *words, flags=()):
    return output_of([go_tools.install("grpcurl"), "-plaintext", *flags,
                      coordinator.address, *words])


def show_reflection(coordinator):
    listed = grpcurl(coordinator, "list").split()
    missing = set(SERVICES) - set(listed)
    if missing:
        sys.exit(f"reflection does not list {', '.join(sorted(missing))}")
    described = grpcurl(coordinator, "describe", "longspan.v1.JobService")
    health = json.loads(grpcurl(
        coordinator, "grpc.health.v1.Health/Check",
        flags=("-import-path", HEALTH.parent, "-proto", HEALTH.name)))
    if health != {"status": "SERVING"}:
        sys.exit(f"the health service says {health}")
    print(f"grpcurl list: {' '.join(listed)}")
    print("grpcurl describe longspan.v1.JobService: "
          f"{described.count('  rpc ')} methods")
    print(f"grpcurl grpc.health.v1.Health/Check: {health['status']}\n")


def ghz(coordinator, method, request, concurrency, *amount):
    """ghz's report; the request may hold its templates."""
    described = [f"--proto={HEALTH}"] if "health" in method else []
    return json.loads(output_of(
        [go_tools.install("ghz"), "--insecure", "--format=json",
         f"--call={method}", f"--concurrency={concurrency}",
         f"--connections={min(concurrency, 8)}", "--data-file=/dev/stdin",
         *described, *amount, coordinator.address],
        input=json.dumps(request)))


def errors(report):
    return report["count"] - report["statusCodeDistribution"].get("OK", 0)


def milliseconds(report, percent):
    for one in report["latencyDistribution"]:
        if one["percentage"] == percent:
            return one["latency"] / 1e6
    raise KeyError(percent)


def row(method, concurrency, report):
    return (f"{method:<28}{concurrency:>12}{report['count']:>10}"
            f"{report['rps']:>12.0f}" +
            "".join(f"{milliseconds(report, percent):>9.2f}"
                    for percent in (50, 95, 99)) + f"{errors(report):>8}")


def check(report):
    if errors(report):
        sys.exit(f"{errors(report)} of {report['count']} calls failed: "
                 f"{report['errorDistribution']}")
    return report


def show(method, concurrency, report):
    print(row(method, concurrency, check(report)), flush=True)
    return report["rps"]


def create_request(**more):
    return {"parent": "tenants/default", "text": {
        "content": JOB, "file_name": "load.yaml"}, **more}


def create(coordinator, concurrency, count):
    return ghz(coordinator, "longspan.v1.JobService/CreateJob",
               create_request(request_id="{{.UUID}}"), concurrency,
               f"--total={count}")


def reads(job):
    """What is called, the method, the request."""
    service = "longspan.v1.JobService"
    return (
        ("Health/Check", "grpc.health.v1.Health/Check", {}),
        ("GetJob", f"{service}/GetJob", {"name": job}),
        ("ListJobs, 50 of 100", f"{service}/ListJobs",
         {"parent": "tenants/default", "page_size": 50}),
        ("CreateJob, validate_only", f"{service}/CreateJob",
         create_request(validate_only=True)),
    )


def some_job(coordinator):
    listed = json.loads(grpcurl(coordinator,
                                "longspan.v1.JobService/ListJobs"))
    return listed["jobs"][0]["name"]


def measure_reads(binaries, levels, seconds):
    with Coordinator(binaries) as coordinator:
        show_reflection(coordinator)
        check(create(coordinator, 1, JOBS))
        print(HEADER)
        rates = {}
        for title, method, request in reads(some_job(coordinator)):
            for level in levels:
                rates[title, level] = show(title, level, ghz(
                    coordinator, method, request, level,
                    f"--duration={seconds}s", "--duration-stop=wait"))
        return rates


def measure_creates(binaries, levels, count):
    for level in levels:
        with Coordinator(binaries) as coordinator:
            show("CreateJob, journaled", level,
                 create(coordinator, level, count))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin-dir", default=environment.ROOT /
                        "build/release/bin")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--concurrency", default="1,8,64")
    parser.add_argument("--creates", type=int, default=500)
    arguments = parser.parse_args()
    print("load average before: "
          f"{' '.join(f'{load:.1f}' for load in os.getloadavg())}")
    levels = [int(level) for level in arguments.concurrency.split(",")]
    rates = measure_reads(arguments.bin_dir, levels, arguments.seconds)
    measure_creates(arguments.bin_dir, levels, arguments.creates)
    print(f"service: ours {max(rates['GetJob', one] for one in levels):.0f} "
          "requests/s, no peer")


if __name__ == "__main__":
    main()
