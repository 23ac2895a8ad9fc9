"""kill -9 of every kind of process in mid-step."""

import json
import os
import re
import shutil
import signal
import subprocess
import unittest

import e2e

STEPS = 600
RUNBOOK = e2e.ROOT / "docs/operations.md"


def job_text(replicas=1):
    return e2e.train_job(
        ranks=2, steps=STEPS, batch=replicas,
        more="  checkpoint: {interval: 100, keep_last: 2}\n"
             f"  data_parallel: {replicas}\n")


def commands_of(heading):
    """The runbook's commands below a heading: its first indented block."""
    section = RUNBOOK.read_text(encoding="utf-8").split(
        f"\n### {heading}\n")[1].split("\n#")[0]
    return re.search(r"(?:^    .*\n)+", section, re.M)[0]


class RecoveryTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = e2e.cluster(workers=2)
        cls.undisturbed = e2e.train_result(cls.cluster.run_job(job_text()))

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    def submit_and_await_checkpoint(self, text=None):
        job = self.cluster.submit(text or job_text())
        self.cluster.await_checkpoint(job, 100)
        return job

    def assert_same_bits(self, job, undisturbed=None):
        undisturbed = undisturbed or self.undisturbed
        done = self.cluster.wait(job)
        for key in ("parameter_digest", "steps"):
            self.assertEqual(e2e.train_result(done)[key], undisturbed[key])
        return done

    def assert_resumed(self, done):
        last = done["attempts"][-1]
        self.assertGreaterEqual(len(done["attempts"]), 2)
        self.assertGreaterEqual(int(last.get("resumed_step", 0)), 100)

    def test_an_executor_is_killed(self):
        job = self.submit_and_await_checkpoint()
        os.kill(self.cluster.pids_of("longspan-executor")[-1], signal.SIGKILL)
        self.assert_resumed(self.assert_same_bits(job))

    def test_an_executor_of_one_replica_is_killed(self):
        text = job_text(replicas=2)
        undisturbed = e2e.train_result(self.cluster.run_job(text))
        job = self.submit_and_await_checkpoint(text)
        os.kill(self.cluster.pids_of("longspan-executor")[0], signal.SIGKILL)
        self.assert_resumed(self.assert_same_bits(job, undisturbed))

    def test_a_worker_daemon_is_killed(self):
        job = self.submit_and_await_checkpoint()
        os.kill(self.cluster.pids_of("longspan-worker")[0], signal.SIGKILL)
        self.assert_resumed(self.assert_same_bits(job))
        self.cluster.await_workers(2)

    def test_the_coordinator_is_killed(self):
        text = job_text()
        job = self.cluster.submit(text, "--request-id", "once")
        watch = self.cluster.start("watch", "--json", job)
        e2e.await_that("steps", lambda: self.cluster.progress(job) > 20)
        executors = self.cluster.pids_of("longspan-executor")
        os.kill(self.cluster.pids_of("longspan-coordinator")[0],
                signal.SIGKILL)
        out, err = watch.communicate(timeout=200)
        self.assertEqual(watch.returncode, 0, err)
        events = [json.loads(line) for line in out.splitlines()]
        self.assert_no_gap(events)
        self.assertIn("reconnecting", err)
        # The ranks never noticed: one attempt, the same processes.
        done = self.assert_same_bits(job)
        self.assertEqual(len(done["attempts"]), 1)
        self.assertEqual(len(executors), 2)
        self.assertEqual(self.cluster.submit(text, "--request-id", "once"),
                         job)

    def run_as_written(self, heading, **variables):
        subprocess.run(["bash", "-euc", commands_of(heading)], check=True,
                       env=dict(os.environ, **variables))

    def back_up(self):
        backup = self.cluster.run / "backup"
        shutil.rmtree(backup, ignore_errors=True)
        self.run_as_written(
            "Back up", state=str(self.cluster.run / "coordinator"),
            backup=str(backup),
            pid=str(self.cluster.pids_of("longspan-coordinator")[0]))

    def lose_coordinator_and_volume(self):
        """What ran stands still, and loses its volume, until the restored
        state is in its place; then a new coordinator starts."""
        state, lost = (self.cluster.run / name
                       for name in ("coordinator", "lost"))
        pid = self.cluster.pids_of("longspan-coordinator")[0]
        e2e.pause(pid)
        shutil.rmtree(lost, ignore_errors=True)
        state.rename(lost)
        self.run_as_written("Restore", state=str(state),
                            backup=str(self.cluster.run / "backup"))
        os.kill(pid, signal.SIGKILL)
        self.cluster.await_workers(2)

    def lasting(self, job):
        """What the coordinator remembers of a finished job."""
        found = self.cluster.get(job)
        return {key: found[key]
                for key in ("name", "spec", "state", "attempts", "result")}

    def names(self):
        lines = self.cluster.command("list", "--json")[1].splitlines()
        return [json.loads(line)["name"] for line in lines]

    def test_a_backup_brings_back_a_running_job(self):
        finished = self.cluster.run_job(e2e.train_job(steps=5))["name"]
        job = self.submit_and_await_checkpoint()
        names, before = self.names(), self.lasting(finished)
        self.back_up()
        self.lose_coordinator_and_volume()
        self.assertEqual(self.names(), names)
        self.assertEqual(self.lasting(finished), before)
        # Its ranks never noticed.
        self.assertEqual(len(self.assert_same_bits(job)["attempts"]), 1)

    def test_a_backup_older_than_the_attempt_that_runs(self):
        job = self.submit_and_await_checkpoint()
        self.back_up()
        os.kill(self.cluster.pids_of("longspan-executor")[-1], signal.SIGKILL)
        e2e.await_that("another attempt", lambda: len(
            self.cluster.get(job)["attempts"]) > 1)
        unknown = self.cluster.submit(e2e.train_job(steps=5))
        self.lose_coordinator_and_volume()
        self.assertEqual(self.cluster.command("get", unknown, check=False)[0],
                         4)
        self.assert_resumed(self.assert_same_bits(job))

    def assert_no_gap(self, events):
        """Every state once, in order; steps never go back."""
        states = []
        for event in events:
            state = event.get("state_changed", {}).get("state")
            if state and (not states or states[-1] != state):
                states.append(state)
        self.assertEqual(states, ["PENDING", "STARTING", "RUNNING",
                                  "SUCCEEDED"])
        steps = [int(event["progress"].get("done", 0)) for event in events
                 if "progress" in event]
        self.assertEqual(steps, sorted(steps))


if __name__ == "__main__":
    e2e.main()
