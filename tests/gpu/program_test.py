"""What a test program for GPUs is, where no GPU can run it.

usage: program_test.py PROGRAM CUOBJDUMP
"""

import os
import re
import subprocess
import sys
import unittest

PROGRAM, CUOBJDUMP = sys.argv[1:3]
NVIDIA = re.compile(r"lib(cuda|cudart|cublas|cublasLt|nccl|nvrtc)\b")


def output_of(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout


class ProgramTest(unittest.TestCase):
    def test_needs_no_file_of_nvidia_to_start(self):
        needed = re.findall(r"\(NEEDED\).*\[(.*)\]",
                            output_of("readelf", "-d", PROGRAM))
        self.assertTrue(needed)
        self.assertFalse([name for name in needed if NVIDIA.match(name)])
        cases = output_of(PROGRAM, "--gtest_list_tests")
        self.assertIn("AgreesWithReference", cases)
        self.assertIn("BitIdentical", cases)
        self.assertIn("Small", cases)

    def test_has_kernels_for_ampere_and_hopper(self):
        listing = output_of(CUOBJDUMP, "--list-elf", PROGRAM)
        for architecture in ("sm_80", "sm_90a"):
            self.assertRegex(listing, rf"\.{architecture}\.cubin")

    def test_without_a_device_it_says_why(self):
        done = subprocess.run(
            [PROGRAM, "--gtest_filter=*Small*"], capture_output=True,
            text=True, check=False,
            env=dict(os.environ, CUDA_VISIBLE_DEVICES="", GTEST_OUTPUT=""))
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stdout + done.stderr,
                         r"(driver|no CUDA-capable device|device)")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
