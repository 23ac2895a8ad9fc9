"""longspan-nccl-check on the emulator, over a fake NCCL with and without faults."""

import os
import pathlib
import subprocess
import unittest

BUILD = pathlib.Path(os.environ["LONGSPAN_BINARY_DIR"])


def check(ranks, faults="", seconds=50):
    done = subprocess.run(
        [BUILD / "bin/longspan-nccl-check-emulated", f"--ranks={ranks}",
         f"--seconds={seconds}"],
        env=dict(os.environ, LONGSPAN_FAKE_NCCL=faults,
                 LONGSPAN_NCCL_LIBRARY=str(BUILD / "lib/libfake_nccl.so")),
        capture_output=True, text=True, timeout=100, check=False)
    return done.returncode, done.stdout, done.stderr


class NcclCheckTest(unittest.TestCase):
    def test_all_bits_are_those_of_the_cpu(self):
        for ranks in (2, 4):
            code, out, said = check(ranks)
            self.assertEqual((code, said), (0, ""))
            self.assertRegex(out, rf"^{ranks} ranks on .*: \d+ exchanges")

    def test_a_wrong_byte_is_found(self):
        # Operation 6 of rank 1: past those of the connection's first cases.
        code, _, said = check(2, "flip@1:6")
        self.assertEqual(code, 1)
        self.assertRegex(said, r"rank 1: .*: byte \d+ of \d+ differs from the "
                         "CPU's, seed 1")

    def test_an_error_and_a_dead_rank_end_it(self):
        code, _, said = check(2, "error@0:3")
        self.assertEqual(code, 1)
        self.assertIn("rank 0: AllGather", said)
        code, _, said = check(2, "die@1:3")
        self.assertEqual(code, 1)

    def test_ranks_that_hang_are_ended_in_time(self):
        code, _, said = check(2, "hang@0:2,silent", seconds=4)
        self.assertEqual(code, 1)
        self.assertRegex(said, "in time|deadline")


if __name__ == "__main__":
    unittest.main(verbosity=2)
