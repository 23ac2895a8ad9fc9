"""Damaged checkpoints are refused by name, and the previous one is used."""

import os
import pathlib
import re
import signal
import unittest

import e2e

STEPS = 500


def job_text():
    return e2e.train_job(
        ranks=2, steps=STEPS,
        more="  checkpoint: {interval: 50, keep_last: 3}\n")


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) * 3 // 4] ^= 4
    path.write_bytes(data)


class CheckpointsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = e2e.cluster(workers=2)
        cls.digest = e2e.train_result(
            cls.cluster.run_job(job_text()))["parameter_digest"]

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    def shards(self, job):
        """Shard files of complete checkpoints, oldest first."""
        directory = self.cluster.run / "outputs" / job.split("/")[-1]
        found = {}
        for shard in directory.rglob("*.safetensors"):
            if re.fullmatch(r"step-\d+", shard.parent.name):
                found.setdefault(shard.parent, []).append(shard)
        return [sorted(found[key]) for key in sorted(found)]

    def interrupt_and_damage(self, damage):
        """Stops a job between checkpoints, damages its newest, goes on."""
        job = self.cluster.submit(job_text())
        self.cluster.await_checkpoint(job, 150)
        workers = self.cluster.pids_of("longspan-worker")
        for pid in workers:
            e2e.pause(pid)
        executors = self.cluster.pids_of("longspan-executor")
        for pid in executors:
            os.kill(pid, signal.SIGKILL)
        newest = self.shards(job)[-1]
        damage(newest[0])
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        done = self.cluster.wait(job)
        log = self.cluster.command("logs", job)[1]
        self.assertIn(newest[0].parent.name, log)
        self.assertIn(newest[0].name, log)
        self.assertGreaterEqual(
            int(done["attempts"][-1].get("resumed_step", 0)), 50)
        self.assertEqual(e2e.train_result(done)["parameter_digest"],
                         self.digest)

    def test_a_truncated_shard(self):
        self.interrupt_and_damage(truncate)

    def test_a_flipped_bit(self):
        self.interrupt_and_damage(flip_a_bit)

    def test_a_damaged_model_is_not_evaluated(self):
        job = self.cluster.submit(job_text())
        self.cluster.wait(job)
        for shard in self.shards(job)[-1]:
            flip_a_bit(shard)
        step = pathlib.Path(self.shards(job)[-1][0]).parent
        uri = "outputs://" + str(step.relative_to(self.cluster.run /
                                                  "outputs"))
        text = f"""resources: {{ranks: 1}}
evaluate:
  model: {{uri: "{uri}"}}
  data: {{uri: "{e2e.CORPUS}", begin: 345741}}
"""
        evaluation = self.cluster.submit(text)
        code, _, _ = self.cluster.command("watch", evaluation, check=False)
        self.assertEqual(code, 1)
        self.assertIn("safetensors", self.cluster.get(evaluation)["error"])


if __name__ == "__main__":
    e2e.main()
