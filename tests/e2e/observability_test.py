"""Metrics that Prometheus accepts, logs, reflection and health."""

import os
import shutil
import subprocess
import sys
import unittest
import urllib.request

import e2e
import reflection

sys.path.insert(0, str(e2e.ROOT / "bench"))

import go_tools  # noqa: E402

SERVICES = ("longspan.v1.JobService", "longspan.v1.WorkerService",
            "grpc.health.v1.Health")


def read(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


class ObservabilityTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = e2e.cluster(workers=2)

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    def check_metrics(self):
        promtool = shutil.which("promtool")
        self.assertIsNotNone(promtool, "promtool comes with install-deps")
        for url in self.cluster.metrics:
            done = subprocess.run([promtool, "check", "metrics"],
                                  input=read(url), text=True,
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
            text = "".join(map(read, self.cluster.metrics[1:]))
            return all(name in text for name in names) and job_id in text
        e2e.await_that("all series of a train job", complete, 30)
        self.check_metrics()
        coordinator = read(self.cluster.metrics[0])
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

    def test_reflection_lists_the_services(self):
        answer = reflection.services(self.cluster.address)
        for service in SERVICES:
            self.assertIn(service.encode(), answer)

    def test_grpcurl_agrees_where_it_is_installed(self):
        program = shutil.which("grpcurl") or go_tools.program("grpcurl")
        if not os.access(program, os.X_OK):
            return
        done = subprocess.run([program, "-plaintext", self.cluster.address,
                               "list"], capture_output=True, text=True,
                              check=True, timeout=30)
        for service in SERVICES:
            self.assertIn(service, done.stdout)


if __name__ == "__main__":
    e2e.main()
