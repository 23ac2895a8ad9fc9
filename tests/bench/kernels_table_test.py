"""bench/run kernels: the table, without a GPU and with a peer's lines."""

import os
import pathlib
import subprocess
import sys
import unittest

ROOT = pathlib.Path(os.environ["LONGSPAN_SOURCE_DIR"])
sys.path.insert(0, str(ROOT / "bench"))

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

    def test_ceilings_follow_the_device(self):
        self.assertEqual(kernels.ceilings_of("NVIDIA H100 80GB HBM3")[0],
                         3.0e12)

    def test_peers_say_why_they_are_not_there(self):
        done = subprocess.run(
            [sys.executable, ROOT / "bench/kernels_peers.py"], input="",
            capture_output=True, text=True, check=False,
            env=dict(os.environ, CUDA_VISIBLE_DEVICES=""))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no peers: ", done.stderr)


if __name__ == "__main__":
    unittest.main()
