"""bench/run kernels: the table, without a GPU and with a peer's lines."""

import argparse
import os
import pathlib
import subprocess
import sys
import unittest
import unittest.mock

ROOT = pathlib.Path(os.environ["LONGSPAN_SOURCE_DIR"])
sys.path.insert(0, str(ROOT / "bench"))

import gpu_program  # noqa: E402
import kernels  # noqa: E402

ROW = {"op": "linear identity forward+backward", "size": "B4_T4096_H64_D128",
       "floor_ms": 0.687, "predicted_ms": 1.023, "ms": 1.374,
       "gb_per_s": 2150.0, "tflop_per_s": 250.0, "note": ""}
PEER = {"op": ROW["op"], "size": ROW["size"], "peer": "fla", "ms": 2.748}


class TableTest(unittest.TestCase):
    def test_row_with_a_peer(self):
        cells = dict(zip(kernels.COLUMNS, kernels.table_row(ROW, PEER)))
        self.assertEqual(cells["of floor"], "0.50")
        self.assertEqual((cells["peer"], cells["ratio"]), ("fla", "2.00"))

    def test_row_without_a_measurement_has_every_column(self):
        row = dict(ROW, note="does not fit this device")
        del row["ms"]
        cells = kernels.table_row(row, None)
        self.assertEqual(len(cells), len(kernels.COLUMNS))
        self.assertIn("does not fit this device", cells)

    def test_last_line(self):
        peers = {(PEER["op"], PEER["size"]): PEER}
        self.assertEqual(kernels.last_line([ROW], peers),
                         "kernels: ours 1.374 ms, peer 2.748 ms, ratio 2.00")
        self.assertEqual(kernels.last_line([ROW], {}),
                         "kernels: ours 1.374 ms, no peer")

    def test_row_of_a_device_that_nobody_measured(self):
        row = {key: value for key, value in ROW.items()
               if key not in ("floor_ms", "predicted_ms")}
        cells = dict(zip(kernels.COLUMNS, kernels.table_row(row, None)))
        self.assertEqual((cells["predicted ms"], cells["ms"],
                          cells["of floor"]), ("", "1.374", ""))

    def test_the_device_and_its_ceilings(self):
        self.assertEqual(
            gpu_program.device_line({"device": "X", "bytes_per_second": 3e12,
                                     "operations_per_second": 7.98e14}),
            "device: X, 3.00 TB/s, 798 TFLOP/s")
        self.assertEqual(gpu_program.device_line({"device": "X"}),
                         "device: X; no ceiling known: no predictions")

    def test_peers_say_why_they_are_not_there(self):
        done = subprocess.run(
            [sys.executable, ROOT / "bench/kernels_peers.py"], input="",
            capture_output=True, text=True, check=False,
            env=dict(os.environ, CUDA_VISIBLE_DEVICES=""))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no peers: ", done.stderr)


def ended(rows, code=0, said="", stopped="", device=True):
    return gpu_program.Ended({"device": "G"} if device else None, rows, code,
                             said, stopped)


class MeasureTest(unittest.TestCase):
    """Which cases run again after one that ends its process."""

    CASES = [{"op": name, "size": "8x8"} for name in "abcd"]

    def measure(self, *runs):
        """Rows, other failures, and how many cases each run skipped."""
        runs, skipped = list(runs), []

        def run(words, limit_s, stall_s):
            skipped.append(words[words.index("--skip") + 1])
            return runs.pop(0)

        arguments = argparse.Namespace(
            bin_dir=pathlib.Path("bin"), backend="cuda", filter="", device="",
            seconds=0.1, tokens_divisor=1, limit=600, stall=10)
        with unittest.mock.patch.object(gpu_program, "run", run):
            device, rows, others = kernels.measure(arguments, self.CASES)
        self.assertEqual(runs, [])
        self.assertEqual(device, {"device": "G"})
        return rows, others, skipped

    def rows(self, names):
        return [dict(op=name, size="8x8", ms=1.0, note="") for name in names]

    def test_all_is_well(self):
        self.assertEqual(self.measure(ended(self.rows("abcd"))),
                         (self.rows("abcd"), [], [0]))

    def test_one_that_dies_and_one_that_hangs(self):
        rows, others, skipped = self.measure(
            ended(self.rows("a"), -6, "first\nCheck failed: no\n"),
            ended([], -9, "", "no result within 10 s"),
            ended(self.rows("d")))
        self.assertEqual([row["op"] for row in rows], list("abcd"))
        self.assertEqual([row.get("ms") for row in rows],
                         [1.0, None, None, 1.0])
        self.assertEqual([row["note"] for row in rows],
                         ["", "Check failed: no", "no result within 10 s", ""])
        self.assertEqual((others, skipped), ([], [0, 2, 3]))

    def test_the_last_one_dies(self):
        rows, others, _ = self.measure(ended(self.rows("abc"), -11),
                                       ended([]))
        self.assertEqual(rows[3]["note"], "exit status -11")
        self.assertEqual(others, [])

    def test_death_after_all_cases(self):
        rows, others, _ = self.measure(ended(self.rows("abcd"), -6))
        self.assertEqual((len(rows), others), (4, ["exit status -6"]))

    def test_a_device_that_does_not_come_back(self):
        rows, others, _ = self.measure(
            ended(self.rows("a"), -6, "Check failed: no"),
            ended([], 77, "longspan-bench-kernels: lost", device=False))
        self.assertEqual(len(rows), 2)
        self.assertEqual(others, ["longspan-bench-kernels: lost"])


class RunTest(unittest.TestCase):
    def run_code(self, code, **limits):
        return gpu_program.run([sys.executable, "-c", code], **limits)

    def test_what_is_read(self):
        done = self.run_code(
            "import sys; print('{\"device\": 1}'); print('{\"op\": 2}'); "
            "sys.exit('a\\nb')")
        self.assertEqual(done, gpu_program.Ended({"device": 1}, [{"op": 2}], 1,
                                                 "a\nb\n", ""))
        self.assertEqual(done.reason(), "b")

    def test_one_line_that_takes_too_long(self):
        done = self.run_code("import time; time.sleep(600)", stall_s=0.5)
        self.assertEqual(done.stopped, "no result within 0.5 s")
        self.assertEqual(done.code, -9)

    def test_all_that_takes_too_long(self):
        done = self.run_code("import time; time.sleep(600)", limit_s=1.0)
        self.assertEqual(done.reason(), "stopped after 1 s")


if __name__ == "__main__":
    unittest.main()
