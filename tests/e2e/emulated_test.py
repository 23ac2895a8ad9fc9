"""Jobs of the backend cuda: the real daemons, the real kernels on the emulator.

One worker offers two slots of one emulated GPU, whose memory no host code may
touch, with a fake NCCL between the ranks; another offers CPU slots. What runs
on one backend follows the other, and checkpoints go both ways.
"""

import re
import unittest

import e2e

STEPS = 5
# As tests/worker/train/cuda_train_step_test.cc has them: f32 operands of
# attention are two bf16 parts of 2^-16 each; bf16 keeps 8 bits.
TOLERANCE = {"f32": 1e-4, "bf16": 5e-3}
PROMPT = "ABSURDITY, n. A statement of belief"


def placed(text, backend, ranks):
    """The job file with these resources instead of its own."""
    text, count = re.subn(
        r"(?m)^resources: .*$", "resources: {ranks: %d, threads: 1, "
        "backend: %s}" % (ranks, backend), text)
    assert count == 1, text
    return text


def train_text(backend, ranks=1, precision="f32", steps=STEPS, more=""):
    # 67 tokens: no multiple of a chunk or of the ranks.
    return placed(e2e.train_job(
        steps=steps, length=67, window=32,
        more=f"  precision: {precision}\n{more}"), backend, ranks)


def evaluate_text(model, backend, ranks=1, precision="f32"):
    return placed(f"""name: e2e
resources: {{}}
evaluate:
  model: {{job: "{model}"}}
  data: {{uri: "{e2e.CORPUS}", begin: 1000, end: 1200}}
  piece_length: 80
  precision: {precision}
""", backend, ranks)


def generate_text(model, backend, ranks=1, precision="f32"):
    return placed(f"""name: e2e
resources: {{}}
generate:
  model: {{job: "{model}"}}
  text: "{PROMPT}"
  max_new_tokens: 12
  sampling: {{temperature: 0}}
  precision: {precision}
""", backend, ranks)


class EmulatedTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = e2e.LocalCluster(
            e2e.BUILD / "emulated", workers=1, devices="cuda",
            slots_per_device=2, environment={
                "CUDA_VISIBLE_DEVICES": "GPU-emulated-3",
                "LONGSPAN_NCCL_LIBRARY": str(
                    e2e.BUILD / "lib/libfake_nccl.so")})
        cls.addClassCleanup(cls.cluster.stop)
        cls.cluster.add_worker("cpu", "--slots=2", "--threads=1")
        # A model that has learnt something, so that its greedy tokens are no
        # accident of the last bit.
        cls.trained = cls.cluster.submit(train_text("cpu", steps=60))
        cls.cluster.wait(cls.trained)

    def losses(self, job):
        return e2e.losses(self.cluster, job)

    def train(self, *words, **more):
        job = self.cluster.submit(train_text(*words, **more))
        self.cluster.wait(job)
        return job

    def evaluate(self, *words, **more):
        done = self.cluster.run_job(evaluate_text(*words, **more))
        return done["result"]["evaluate"]["loss"]

    def generate(self, *words, **more):
        done = self.cluster.run_job(generate_text(*words, **more))
        return done["result"]["generate"]

    def assert_follows(self, actual, expected, precision):
        self.assertEqual(sorted(actual), list(range(1, STEPS + 1)))
        for step, loss in expected.items():
            self.assertLess(abs(actual[step] - loss),
                            TOLERANCE[precision] * expected[1],
                            f"{precision}, step {step}")

    def test_the_worker_offers_slots_of_its_gpu(self):
        out = self.cluster.command("workers", "--json")[1]
        self.assertEqual(out.count('"uuid":"GPU-emulated-3"'), 2)
        self.assertEqual(out.count('"kind":"cuda"'), 2)

    def test_losses_follow_the_cpu(self):
        expected = self.losses(self.train("cpu"))
        for ranks in (1, 2):
            for precision in ("f32", "bf16"):
                job = self.train("cuda", ranks, precision)
                self.assert_follows(self.losses(job), expected, precision)
                result = e2e.train_result(self.cluster.get(job))
                self.assertGreater(int(result["memory_peak_bytes"]), 0)

    def test_greedy_tokens_are_those_of_the_cpu(self):
        expected = self.generate(self.trained, "cpu")["token_ids"]
        for ranks in (1, 2):
            result = self.generate(self.trained, "cuda", ranks)
            self.assertEqual(result["token_ids"], expected, ranks)
        self.assertEqual(len(expected), 12)
        result = self.generate(self.trained, "cuda", precision="bf16")
        self.assertEqual(len(result["token_ids"]), 12)
        self.assertEqual(result["finish_reason"], "length")

    def test_checkpoints_go_both_ways(self):
        trained_on_cuda = self.train("cuda", 2, "bf16")
        for model in (self.trained, trained_on_cuda):
            expected = self.evaluate(model, "cpu")
            for ranks in (1, 2):
                self.assertLess(
                    abs(self.evaluate(model, "cuda", ranks) - expected),
                    TOLERANCE["f32"] * expected, ranks)
            start = f'  initial_model: {{job: "{model}"}}\n'
            on_cpu, on_cuda = (
                self.losses(self.train(backend, more=start))
                for backend in ("cpu", "cuda"))
            self.assert_follows(on_cuda, on_cpu, "f32")

    def test_a_precision_of_the_other_backend_is_refused(self):
        for backend, precision, words in (
                ("cuda", "f64", "cuda has bf16 and f32"),
                ("cpu", "bf16", "cpu has f32 and f64")):
            code, _, said = self.cluster.command(
                "submit", "-", check=False,
                text=train_text(backend, precision=precision))
            self.assertEqual(code, 2)
            self.assertIn(words, said)
            self.assertEqual(len(said.strip().splitlines()), 1, said)


if __name__ == "__main__":
    e2e.main()
