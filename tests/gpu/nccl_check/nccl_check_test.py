"""longspan-nccl-check on the emulator, over a fake NCCL with and without faults."""

import os
import pathlib
import subprocess
import time
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

    def expect_in_time(self, message, faults, seconds):
        """The ranks themselves say where they stood; nobody ends them."""
        begin = time.monotonic()
        code, _, said = check(2, faults, seconds)
        self.assertLess(time.monotonic() - begin, seconds)
        self.assertEqual(code, 1)
        self.assertRegex(said, message)
        self.assertNotIn("the ranks did not end in time", said)

    def test_ranks_that_hang_name_the_exchange(self):
        self.expect_in_time(
            r"rank 0: AllGather of \S+ parts: rank 0: AllGather of \d+ bytes "
            "for control: deadline passed", "hang@0:2,silent", 12)

    def test_a_connection_that_hangs_says_so(self):
        self.expect_in_time("rank 0: .*NCCL", "hang_init@0", 8)


if __name__ == "__main__":
    unittest.main(verbosity=2)
