"""deploy/quickstart in miniature, on the build under test."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import e2e


class QuickstartTest(unittest.TestCase):
    def run_quickstart(self, directory, *flags):
        return subprocess.run(
            [e2e.ROOT / "deploy/quickstart", "--seconds", "6",
             "--long-tokens", "8192", "--short-steps", "50", "--run-dir",
             directory, "--port", "23600", "--bin-dir", e2e.BINARIES, *flags],
            capture_output=True, text=True, errors="replace", timeout=240,
            check=False)

    def test_the_whole_chain(self):
        with tempfile.TemporaryDirectory() as directory:
            run = pathlib.Path(directory) / "run"
            done = self.run_quickstart(run)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            bits = re.search(r"held-out bits per byte: ([\d.]+) "
                             r"\(gzip -9: ([\d.]+)\)", done.stdout)
            self.assertIsNotNone(bits, done.stdout)
            self.assertLess(float(bits[1]), 6.5)  # untrained: 8
            self.assertRegex(done.stdout, r"8192 tokens in one sequence: \d+")
            self.assertIn("/metrics", done.stdout)
            pid = int((run / "up.pid").read_text())
            self.assertFalse(pathlib.Path(f"/proc/{pid}").exists())

    def test_keep_leaves_the_cluster_up(self):
        with tempfile.TemporaryDirectory() as directory:
            run = pathlib.Path(directory) / "run"
            done = self.run_quickstart(run, "--keep", "--workers", "1")
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            pid = int((run / "up.pid").read_text())
            self.assertTrue(pathlib.Path(f"/proc/{pid}").exists())
            os.kill(pid, 15)
            e2e.await_that("the end of the cluster", lambda: not
                           pathlib.Path(f"/proc/{pid}").exists(), 40)


if __name__ == "__main__":
    e2e.main()
