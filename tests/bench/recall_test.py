"""bench/run mixers and recall, without training: jobs and arithmetic."""

import math
import pathlib
import random
import re
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))

import mixers  # noqa: E402
import recall  # noqa: E402

LONGSPAN = sys.argv.pop()


class JobsTest(unittest.TestCase):
    def validate(self, text):
        done = subprocess.run([LONGSPAN, "validate", "-"], input=text,
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_every_mixer_has_valid_jobs(self):
        for name in [*mixers.MIXERS, "softmax"]:
            with self.subTest(name):
                self.validate(mixers.train_job(name, 60))
                self.validate(recall.job(name, "max_duration: 60s"))
        self.validate(recall.job("deltanet", "steps: 2000"))

    def test_jobs_differ_in_the_mixer(self):
        self.assertIn("mixer: gla,", mixers.train_job("gla", 60))
        self.assertNotIn("linear:", mixers.train_job("softmax", 60))

    def test_no_mixer_is_missing(self):
        proto = (ROOT / "proto/longspan/v1/model.proto").read_text("utf-8")
        enum = re.search(r"enum Mixer \{(.*?)\}", proto, re.S)[1]
        names = re.findall(r"^\s*(\w+) = \d+;", enum, re.M)
        known = {name.lower() for name in names if "UNSPECIFIED" not in name}
        self.assertEqual(known, set(mixers.MIXERS))


class RecallTest(unittest.TestCase):
    def setUp(self):
        generator = random.Random(7)
        self.text = "".join(recall.document(generator) for _ in range(50))

    def recall_of(self, bits):
        return recall.recall(bits * math.log(2) / len(self.text), self.text)

    def test_document(self):
        for line in self.text[1:].split("\n"):
            self.assertEqual(len(line) + 1, 64)
            pairs = re.findall(r"([A-H])([a-p])", line)
            self.assertEqual(len(pairs), recall.PAIRS)
            self.assertEqual(len(set(pairs)), len({key for key, _ in pairs}))

    def test_all_recalled_and_nothing(self):
        seen = sum(recall.PAIRS - len(set(line[:-1:2]))
                   for line in self.text[1:].split("\n"))
        values = 50 * recall.PAIRS
        best = 3.0 * values + 4.0 * (values - seen)
        self.assertAlmostEqual(self.recall_of(best), 1.0)
        self.assertAlmostEqual(self.recall_of(7.0 * values), 0.0)


class RewritesTest(unittest.TestCase):
    def setUp(self):
        generator = random.Random(7)
        self.text = "".join(recall.rewrites_document(generator)
                            for _ in range(50))

    def test_questions_have_the_last_value_that_was_written(self):
        for line in self.text[1:].split("\n"):
            self.assertEqual(len(line) + 1, 256)
            held = {}
            for kind, key, value in re.findall("([=?])([A-H])([a-p])", line):
                if kind == "=":
                    held[key] = value
                self.assertEqual(held[key], value)

    def test_all_recalled_and_nothing(self):
        best, answers = recall.rewrites_floor_bits(self.text)
        self.assertEqual(answers, 4.0 * self.text.count("?"))
        for bits, share in ((best, 1.0), (best + answers, 0.0)):
            self.assertAlmostEqual(
                recall.recall(bits * math.log(2) / len(self.text), self.text,
                              "rewrites"), share)

    def test_floor_of_a_line(self):
        # K: 3 bits; v: 4 bits; a marker once something is held; one key held.
        self.assertEqual(recall.rewrites_floor_bits("\n=Aa?Aa=Bb"),
                         (3 + 4 + 1 + 0 + 1 + 3 + 4, 4.0))


if __name__ == "__main__":
    unittest.main()
