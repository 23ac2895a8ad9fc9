"""bench/run kernels and bench/run model, small and on the CPU."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(os.environ["LONGSPAN_SOURCE_DIR"])
BIN = pathlib.Path(os.environ["LONGSPAN_BINARY_DIR"], "bin")


class BenchTest(unittest.TestCase):
    def bench(self, name, *flags):
        """What the driver printed, and its JSON."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "out.json")
            done = subprocess.run(
                [sys.executable, ROOT / "bench/run", name, f"--bin-dir={BIN}",
                 f"--json={path}", *flags], capture_output=True, text=True,
                check=False, env=dict(os.environ, CUDA_VISIBLE_DEVICES=""))
            data = json.loads(path.read_text()) if path.exists() else None
        return done, data

    def test_without_a_gpu_one_line_says_so(self):
        for name in ("kernels", "model"):
            done, data = self.bench(name)
            self.assertEqual(done.returncode, 77, done.stderr)
            self.assertRegex(done.stderr,
                             rf"\Abench/run {name}: no GPU here: .*\n\Z")
            self.assertIsNone(data)

    def test_predictions_need_no_gpu(self):
        done, data = self.bench("kernels", "--predict")
        self.assertEqual(done.returncode, 0, done.stderr)
        ops = {row["op"] for row in data["ours"]}
        for op in ("linear scalar forward+backward", "softmax causal forward",
                   "softmax decode", "linear scalar decode", "adamw",
                   "cross_entropy forward+backward", "rotary", "matmul"):
            self.assertIn(op, ops)
        for row in data["ours"]:
            self.assertGreaterEqual(row["predicted_ms"], row["floor_ms"] * 0.99,
                                    row)
        done, data = self.bench("model", "--predict")
        self.assertEqual(done.returncode, 0, done.stderr)
        steps = {row["tokens"]: row for row in data["ours"]
                 if row["what"] == "train"}
        self.assertGreater(steps[32768]["planned_gb"], 20)
        # 6 operations per parameter and token, at less than the peak.
        self.assertLess(0.2, steps[32768]["mfu"])
        self.assertLess(steps[32768]["mfu"], 0.8)

    def test_an_op_is_measured(self):
        done, data = self.bench("kernels", "--backend=cpu", "--seconds=0.01",
                                "--filter=linear scalar decode B1_")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(data["ours"]), 1)
        self.assertGreater(data["ours"][0]["ms"], 0)
        # Nobody knows the ceilings of this processor.
        self.assertNotIn("predicted_ms", data["ours"][0])
        self.assertIn("no ceiling known", done.stdout)

    def test_predictions_are_of_the_device_that_is_named(self):
        floor = {}
        for device in ("H200", "H100"):
            done, data = self.bench("kernels", "--predict", "--filter=copy",
                                    f"--device={device}")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(data["device"]["device"], device)
            floor[device] = data["ours"][0]["floor_ms"]
        self.assertAlmostEqual(floor["H100"] / floor["H200"], 4.3 / 3.0, 2)

    def test_cases_can_be_skipped(self):
        flags = [BIN / "longspan-bench-kernels", "--predict", "--filter",
                 "matmul"]
        every, rest = (
            subprocess.run([*flags, "--skip", skip], check=True, text=True,
                           capture_output=True).stdout.splitlines()
            for skip in ("0", "1"))
        self.assertGreater(len(every), 2)
        self.assertEqual(rest, [every[0], *every[2:]])

    def test_a_measurement_that_fails_is_a_failure(self):
        # Parameters of more bytes than a process has addresses.
        done, data = self.bench(
            "model", "--backend=cpu", "--hidden=524288", "--layers=16",
            "--vocabulary=16777216", "--lengths=64", "--steps=1",
            "--new-tokens=2")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(len(data["failed"]), 1, data["failed"])
        self.assertRegex(done.stderr, "generate, 2 tokens: cannot reserve")
        self.assertEqual(data["ours"][1]["note"], "does not fit this device")

    def test_a_model_is_measured(self):
        done, data = self.bench(
            "model", "--backend=cpu", "--hidden=64", "--layers=2",
            "--vocabulary=128", "--lengths=64,96", "--steps=1",
            "--new-tokens=2")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([row["what"] for row in data["ours"]],
                         ["generate", "train", "train"])
        for row in data["ours"]:
            self.assertGreater(row["ms"], 0)
            self.assertAlmostEqual(
                row["tokens_per_second"] * row["ms"] / 1e3,
                1 if row["what"] == "generate" else row["tokens"], delta=0.1)
        self.assertIn("below the best tokens/s", done.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
