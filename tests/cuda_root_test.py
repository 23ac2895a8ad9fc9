"""Where cmake/LongspanCuda.cmake looks for nvcc: the folder may be named when
the build folder is there already."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.environ["LONGSPAN_SOURCE_DIR"]
CMAKE = sys.argv.pop(1)

PROJECT = f"""
cmake_minimum_required(VERSION 3.25)
project(root_test LANGUAGES NONE)
include("{SOURCE}/cmake/LongspanCuda.cmake")
"""


class CudaRootTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        (self.root / "CMakeLists.txt").write_text(PROJECT, encoding="utf-8")

    def configure(self, cuda, **environment):
        """What the project says of CUDA."""
        # Without the compilers that this machine may have.
        environment["PATH"] = str(self.root / "empty")
        done = subprocess.run(
            [CMAKE, "-S", self.root, "-B", self.root / "build",
             "-DCMAKE_MAKE_PROGRAM=true", f"-DLONGSPAN_CUDA={cuda}"],
            env=environment, capture_output=True, text=True, check=True)
        return next(line for line in done.stdout.splitlines()
                    if "CUDA backend:" in line)

    def toolkit(self, release):
        """A folder whose nvcc says so; it compiles nothing."""
        nvcc = self.root / release / "bin" / "nvcc"
        nvcc.parent.mkdir(parents=True)
        nvcc.write_text(f"#!/bin/sh\necho 'release {release}, V{release}'\n",
                        encoding="utf-8")
        nvcc.chmod(0o755)
        return str(nvcc.parent.parent)

    def test_the_folder_is_named_later(self):
        self.configure("OFF")
        root = self.toolkit("12.4")
        self.assertIn(f"{root}/bin/nvcc is release '12.4'",
                      self.configure("AUTO", LONGSPAN_CUDA_ROOT=root))
        self.assertIn(f"{root}/bin/nvcc", self.configure("AUTO"))


if __name__ == "__main__":
    unittest.main()
