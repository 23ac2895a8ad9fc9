"""tests/gpu/run as a command: without a GPU, and with one that pretends."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import programs

HERE = pathlib.Path(__file__).resolve().parent


class CommandTest(unittest.TestCase):
    def command(self, *flags, **environment):
        return subprocess.run(
            [sys.executable, HERE / "run", *flags], capture_output=True,
            text=True, check=False, cwd=tempfile.gettempdir(),
            env=dict(os.environ, CUDA_VISIBLE_DEVICES="", **environment))

    def test_no_gpu_is_a_line_and_a_code(self):
        done = self.command()
        self.assertEqual(done.returncode, 77, done.stdout + done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"\A.*no GPU here: .*\n\Z")

    def test_unknown_section(self):
        done = self.command("--sections", "kernel")
        self.assertEqual(done.returncode, 2)
        self.assertIn("no section 'kernel'; choices: environment",
                      done.stderr)

    def test_limits_fit_in_nine_minutes(self):
        done = self.command("--help")
        self.assertEqual(done.returncode, 0)
        limits = [int(line.split()[1]) for line in done.stdout.splitlines()
                  if line.startswith("    ") and len(line.split()) > 2
                  and line.split()[2] == "s"]
        self.assertEqual(len(limits), 7)
        self.assertLess(sum(limits), 540)


# One GPU, as the driver lists it.
FAKE_DRIVER = """
int cuInit(unsigned flags) { return 0; }
int cuDeviceGetCount(int* count) { return *count = 1, 0; }
int cuDeviceGet(int* device, int ordinal) { return *device = ordinal, 0; }
int cuDeviceGetName(char* name, int size, int device) {
  return *name++ = 'G', *name = 0;
}
int cuDeviceTotalMem_v2(unsigned long* bytes, int device) {
  return *bytes = 80ul << 30, 0;
}
int cuDeviceGetAttribute(int* value, int attribute, int device) {
  return *value = attribute == 75 ? 9 : 0, 0;
}
"""
# A test program with one case, which passes.
FAKE_GOOD_PROGRAM = """#!/usr/bin/env python3
import json, os, sys
flags = dict(word[2:].split("=", 1) for word in sys.argv[1:])
with open(flags["gtest_output"][5:], "w") as file:
    json.dump({"testsuites": [{"name": "Suite", "testsuite": [
        {"name": "Case", "status": "RUN", "time": "0s"}]}]}, file)
"""


class WithFakeDriver(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "bin").mkdir()
        source = self.folder / "driver.c"
        source.write_text(FAKE_DRIVER)
        subprocess.run(["cc", "-shared", "-fPIC", "-o",
                        self.folder / "libcuda.so.1", source], check=True)

    def add_program(self, name="fake_gpu", text=FAKE_GOOD_PROGRAM):
        path = self.folder / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def run_sections(self, sections):
        """Exit status, what was said, results.md."""
        done = subprocess.run(
            [sys.executable, HERE / "run", f"--sections={sections}",
             f"--bin-dir={self.folder}/bin", f"--out={self.folder}/out"],
            capture_output=True, text=True, check=False,
            env=dict(os.environ, PATH="/usr/bin:/bin",
                     LD_LIBRARY_PATH=str(self.folder)))
        page = (self.folder / "out/results.md").read_text()
        return done.returncode, done.stdout + done.stderr, page

    def test_good_programs(self):
        self.add_program()
        self.add_program("longspan", "#!/bin/sh\necho 'longspan 1.0 (abc)'\n")
        code, said, page = self.run_sections("conformance")
        self.assertEqual(code, 0, said)
        self.assertIn("1 passed, 0 failed, 0 not run; ", said)
        self.assertIn("- gpus: G (80 GiB, sm_90)\n", page)
        self.assertIn(f"- programs: {self.folder}/bin\n"
                      "- build: longspan 1.0 (abc)\n", page)

    def test_a_build_without_cuda_fails(self):
        code, said, page = self.run_sections("conformance,determinism,nccl")
        self.assertEqual(code, 1, said)
        self.assertIn("0 passed, 3 failed, 0 not run; ", said)
        self.assertIn("has no *_gpu: it was built without CUDA", page)
        self.assertIn("has no longspan-nccl-check", page)

    def test_a_tool_that_the_machine_lacks_is_no_failure(self):
        self.add_program()
        code, said, page = self.run_sections("conformance,sanitizer")
        self.assertEqual(code, 0, said)
        self.assertIn("1 passed, 0 failed, 1 not run; ", said)
        self.assertIn("| sanitizer | not run |", page)

    def test_that_nothing_was_tested_is_no_success(self):
        self.add_program()
        code, said, _ = self.run_sections("sanitizer")
        self.assertEqual(code, 1, said)
        self.assertIn("0 passed, 0 failed, 1 not run; ", said)

    def test_a_driver_that_the_loader_does_not_know(self):
        code = (f"import sys; sys.path.insert(0, {str(HERE)!r})\n"
                "import driver; driver.FOLDERS = ('', "
                f"{str(self.folder)!r} + '/')\n"
                "print(driver.environment().get('LD_LIBRARY_PATH'))")
        for known, wanted in (
                ("", f"{self.folder}/"), ("/a:/b", f"{self.folder}/:/a:/b"),
                (str(self.folder), None)):
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True,
                check=True, env=dict(os.environ, LD_LIBRARY_PATH=known))
            self.assertEqual(done.stdout.strip(), str(wanted))


class DefaultProgramsTest(unittest.TestCase):
    def test_the_newest_build_is_taken(self):
        with tempfile.TemporaryDirectory() as folder:
            tree = pathlib.Path(folder)
            self.assertEqual(programs.default_bin_dir(tree),
                             tree / "build/release/bin")
            for age, name in ((30, "old"), (10, "release"), (20, "cuda")):
                path = tree / f"build/{name}/bin/x_gpu"
                path.parent.mkdir(parents=True)
                path.touch()
                os.utime(path, (1e9 - age, 1e9 - age))
            (tree / "build/dev/bin").mkdir(parents=True)
            self.assertEqual(programs.default_bin_dir(tree),
                             tree / "build/release/bin")
            os.utime(tree / "build/cuda/bin/x_gpu")
            self.assertEqual(programs.default_bin_dir(tree),
                             tree / "build/cuda/bin")
            (tree / "bin").mkdir()
            self.assertEqual(programs.default_bin_dir(tree), tree / "bin")

    def test_a_bundle_knows_its_commit(self):
        with tempfile.TemporaryDirectory() as folder:
            tree = pathlib.Path(folder)
            (tree / "MANIFEST.json").write_text(
                '{"version": "0.1", "commit": "abc"}')
            self.assertEqual(programs.build_of(tree / "bin"),
                             "0.1, commit abc")


if __name__ == "__main__":
    unittest.main()
