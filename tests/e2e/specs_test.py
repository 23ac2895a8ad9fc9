"""Mistakes in a job file: all of them, with lines, and nothing runs."""

import json
import unittest

import e2e

SIX_MISTAKES = """name: six
resources:
  ranks: two
train:
  model:
    hiden_size: 64
    layer_count: 3
    layer_pattern: LXL
    linear: {mixer: simple_gal, heads: 4}
    softmax: {heads: 4}
  data: {uri: "corpus://devils-dictionary.txt.gz"}
  sequence_length: 512
  max_duration: 60
  optimizer: {learning_rate: -1e-2}
"""
SIX_LINES = [3, 6, 8, 9, 13, 14]


class SpecsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = e2e.cluster(workers=1)

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    def test_six_mistakes_are_six_errors_and_nothing_runs(self):
        jobs = self.cluster.command("list", "--json")[1].count("\n")
        for command in ("validate", "submit", "plan"):
            code, out, err = self.cluster.command(
                command, "-", text=SIX_MISTAKES, check=False)
            self.assertEqual(code, 2, err)
            self.assertEqual(out, "")
            lines = err.splitlines()
            self.assertEqual(
                [int(line.split(":")[1]) for line in lines], SIX_LINES, err)
        self.assertEqual(
            self.cluster.command("list", "--json")[1].count("\n"), jobs)

    def test_the_planner_says_why_a_job_cannot_run(self):
        text = e2e.train_job(ranks=1, length=1 << 30, pattern="N", window=0)
        code, _, err = self.cluster.command("plan", "-", text=text,
                                            check=False)
        self.assertNotEqual(code, 0)
        self.assertIn("iB", err)  # the bytes that are needed and there

    def test_replicas_divide_the_ranks_and_the_batch(self):
        text = e2e.train_job(ranks=3, more="  data_parallel: 2\n")
        code, _, err = self.cluster.command("plan", "-", text=text,
                                            check=False)
        self.assertEqual(code, 2, err)
        self.assertIn("is 2 and does not divide the 3 ranks", err)
        self.assertIn("is 2 and does not divide batch_size (1)", err)

    def test_a_plan_has_both_axes_of_the_mesh(self):
        plan = self.cluster.plan(e2e.train_job(
            ranks=4, batch=2, more="  data_parallel: 2\n"))
        self.assertEqual([axis["name"] for axis in plan["mesh"]["axes"]],
                         ["data", "sequence"])
        self.assertEqual([rank["coordinates"] for rank in plan["ranks"]],
                         [[0, 0], [0, 1], [1, 0], [1, 1]])

    def test_a_plan_has_ranges_memory_and_traffic(self):
        plan = self.cluster.plan(e2e.train_job(ranks=3, length=100))
        ranges = [rank["token_ranges"][0] for rank in plan["ranks"]]
        ends = [int(r["end"]) for r in ranges]
        begins = [int(r.get("begin", 0)) for r in ranges]
        self.assertEqual(begins, [0] + ends[:-1])
        self.assertEqual(ends[-1], 100)
        self.assertEqual(len(plan["layers"]), 3)
        for rank in plan["ranks"]:
            parts = {key: int(value) for key, value in rank["memory"].items()}
            self.assertEqual(parts.pop("total"), sum(parts.values()))

    def test_a_request_id_makes_one_job(self):
        text = e2e.train_job(ranks=1, steps=2)
        first = self.cluster.submit(text, "--request-id", "r-1")
        self.assertEqual(self.cluster.submit(text, "--request-id", "r-1"),
                         first)
        other = e2e.train_job(ranks=1, steps=3)
        code, _, _ = self.cluster.command(
            "submit", "-", "--request-id", "r-1", text=other, check=False)
        self.assertEqual(code, 6)
        self.cluster.wait(first)
        names = [json.loads(line)["name"] for line in self.cluster.command(
            "list", "--json")[1].splitlines()]
        self.assertEqual(names.count(first), 1)

    def test_cancel_and_delete(self):
        job = self.cluster.submit(e2e.train_job(ranks=1, steps=1000000))
        e2e.await_that("a running job", lambda: self.cluster.get(job)["state"]
                       == "RUNNING")
        code, _, _ = self.cluster.command("delete", job, check=False)
        self.assertEqual(code, 6)
        self.cluster.command("cancel", job, "--reason", "enough")
        code, _, _ = self.cluster.command("watch", job, check=False)
        self.assertEqual(code, 5)
        self.cluster.command("delete", job)
        self.assertEqual(
            self.cluster.command("get", job, check=False)[0], 4)


if __name__ == "__main__":
    e2e.main()
