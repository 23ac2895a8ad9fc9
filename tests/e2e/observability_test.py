"""Metrics that Prometheus accepts, logs, reflection and health."""

import json
import os
import re
import shutil
import subprocess
import sys
import unittest

import e2e
import reflection

sys.path.insert(0, str(e2e.ROOT / "bench"))

import go_tools  # noqa: E402

SERVICES = ("longspan.v1.JobService", "longspan.v1.WorkerService",
            "grpc.health.v1.Health")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
DAEMON_LOGS = ("coordinator.log", "worker-0.log", "worker-1.log")


def log_lines(cluster):
    """Every line of every daemon; each is an object of its own."""
    lines = []
    for name in DAEMON_LOGS:
        for text in (cluster.run / name).read_bytes().splitlines():
            line = json.loads(text)
            missing = {"time", "level", "component", "message"} - line.keys()
            if missing or not TIME.fullmatch(line["time"]):
                raise AssertionError(f"{name}: {text}: {missing}")
            lines.append(line)
    return lines


class ObservabilityTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = e2e.cluster(workers=2, log_format="json")

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()
        log_lines(cls.cluster)  # the last words too

    def check_metrics(self):
        promtool = shutil.which("promtool")
        self.assertIsNotNone(promtool, "promtool comes with install-deps")
        for url in self.cluster.metrics:
            done = subprocess.run([promtool, "check", "metrics"],
                                  input=e2e.read(url), text=True,
                                  capture_output=True, check=False)
            self.assertEqual(done.returncode, 0, url + "\n" + done.stdout +
                             done.stderr)

    def test_metrics_of_a_running_job(self):
        job = self.cluster.submit(e2e.train_job(ranks=2, steps=1000000))
        job_id = job.split("/")[-1]
        names = ("longspan_tokens_processed_total", "longspan_training_loss",
                 "longspan_step_duration_seconds",
                 "longspan_step_phase_seconds_total",
                 "longspan_collective_bytes_total",
                 "longspan_collective_exposed_seconds_total",
                 "longspan_memory_peak_bytes", "longspan_memory_planned_bytes")

        def complete():
            text = "".join(map(e2e.read, self.cluster.metrics[1:]))
            return all(name in text for name in names) and job_id in text
        e2e.await_that("all series of a train job", complete, 30)
        self.check_metrics()
        coordinator = e2e.read(self.cluster.metrics[0])
        self.assertIn('longspan_jobs{state="RUNNING"} 1', coordinator)
        self.assertIn('longspan_workers{state="READY"} 2', coordinator)
        self.cluster.command("cancel", job)
        self.cluster.command("watch", job, check=False)

    def test_logs_have_every_step(self):
        job = self.cluster.submit(e2e.train_job(ranks=2, steps=20))
        self.cluster.wait(job)
        log = self.cluster.command("logs", job)[1]
        self.assertIn("step 20", log)
        offset = len(log.encode()) - 10
        tail = self.cluster.command("logs", job, "--offset", offset)[1]
        self.assertEqual(tail, log[-10:])
        self.check_lines_of(job)

    def check_lines_of(self, job):
        """The same steps in the daemons' log, with their fields."""
        lines = [line for line in log_lines(self.cluster)
                 if line.get("job") == job]
        components = {line["component"] for line in lines}
        self.assertEqual(components, {"coordinator", "worker", "executor"})
        steps = [line for line in lines if line["component"] == "executor"]
        self.assertEqual([line["step"] for line in steps],
                         list(range(1, 21)))
        for line in steps:
            self.assertEqual((line["attempt"], line["rank"]), (1, 0))
            self.assertIn(line["worker"], ("worker-0", "worker-1"))
            self.assertGreater(line["loss"], 0)
        started = [line["rank"] for line in lines
                   if line["message"] == "executor started"]
        self.assertEqual(sorted(started), [0, 1])

    def test_reflection_lists_the_services(self):
        answer = reflection.services(self.cluster.address)
        for service in SERVICES:
            self.assertIn(service.encode(), answer)

    def test_grpcurl_agrees_where_it_is_installed(self):
        program = shutil.which("grpcurl") or go_tools.program("grpcurl")
        if not os.access(program, os.X_OK):
            self.skipTest("bench/run service has not installed grpcurl")
        done = subprocess.run([program, "-plaintext", self.cluster.address,
                               "list"], capture_output=True, text=True,
                              check=True, timeout=30)
        for service in SERVICES:
            self.assertIn(service, done.stdout)


if __name__ == "__main__":
    e2e.main()
