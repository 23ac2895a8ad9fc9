"""bench/run attention on this processor: small, and without PyTorch."""

import os
import pathlib
import subprocess
import sys
import unittest

ROOT = pathlib.Path(os.environ["LONGSPAN_SOURCE_DIR"])
BIN = pathlib.Path(os.environ["LONGSPAN_BINARY_DIR"], "bin")


class BenchTest(unittest.TestCase):
    def bench(self, *flags):
        return subprocess.run(
            [sys.executable, ROOT / "bench/attention.py", f"--bin-dir={BIN}",
             "--no-torch", "--tokens-divisor=64", "--rounds=1",
             "--seconds=0.001", *flags], capture_output=True, text=True,
            check=False)

    def test_attention_of_three_kinds(self):
        done = self.bench("--cases=identity 64,dense vector 64,softmax 64")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = [line.split()[:2] for line in done.stdout.splitlines()
                if " fwd+bwd " in line]
        # A processor with AMX has a row of bf16, too.
        self.assertEqual([words[0] for words in rows if words[1] != "bf16"],
                         ["identity", "dense", "softmax"])
        self.assertRegex(done.stdout.splitlines()[-1],
                         r"^attention: ours [\d.]+ GFLOP/s, peer [\d.]+ "
                         r"GFLOP/s, ratio [\d.]+$")

    def test_growing_length(self):
        done = self.bench("--cases=length scalar")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = [line.split() for line in done.stdout.splitlines()
                if line.startswith("scalar  ")]
        self.assertEqual([row[2] for row in rows],
                         ["128", "512", "2048", "8192", "16384"])
        # A sequence's operands, and nothing of the square of its length.
        self.assertLess(float(rows[-1][-1]), 500)
        self.assertIn("spread: forward ", done.stdout)

    def test_a_case_that_does_not_exist(self):
        done = self.bench("--cases=cubic")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no case starts with 'cubic'", done.stderr)


if __name__ == "__main__":
    unittest.main()
