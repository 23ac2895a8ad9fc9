"""The bundle, unpacked and run on another release of the distribution.

Nothing of this machine is visible there, and no network: what is missing in
the bundle is missing.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

import other_system

ROOT = pathlib.Path(os.environ["LONGSPAN_SOURCE_DIR"])
BUILD = pathlib.Path(os.environ["LONGSPAN_BINARY_DIR"])
MEGABYTES = 55
NO_GPU = 77


class BundleTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="longspan-bundle-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        done = subprocess.run(
            [ROOT / "deploy/bundle", "--build-dir", BUILD, "--out",
             cls.folder], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stdout + done.stderr)
        print(done.stdout, end="")
        cls.said = done.stdout
        cls.tarball = next(cls.folder.glob("longspan-*.tar.*"))
        cls.system = other_system.OtherSystem(cls.folder / "root")
        with tarfile.open(cls.tarball) as tar:
            cls.top = tar.next().name
            tar.extractall(cls.system.root / "opt")
        cls.tree = cls.system.root / "opt" / cls.top
        shutil.copy(pathlib.Path(__file__).with_name("cuda_job.py"),
                    cls.tree / "tests")
        cls.manifest = json.loads((cls.tree / "MANIFEST.json").read_text())

    def run_inside(self, program, *arguments):
        return self.system.run(f"/opt/{self.top}/{program}", *arguments)

    def test_size(self):
        self.assertLess(self.tarball.stat().st_size, MEGABYTES * 10**6)

    def test_it_is_for_gpus(self):
        self.assertTrue(self.manifest["cuda"])
        self.assertIn(", with CUDA\n", self.said)
        for program in ("longspan-worker", "longspan-nccl-check",
                        "longspan-bench-kernels", "longspan-bench-model"):
            self.assertIn(program, self.manifest["programs"])

    def test_tarball_depends_on_nothing_but_its_contents(self):
        with tarfile.open(self.tarball) as tar:
            members = tar.getmembers()
        names = [tuple(member.name.split("/")) for member in members]
        self.assertEqual(names, sorted(names))
        self.assertEqual(len({member.mtime for member in members}), 1)
        self.assertEqual({member.uid for member in members}, {0})
        self.assertFalse([m.name for m in members if m.islnk() or m.issym()])

    def test_contents_are_what_the_sums_say(self):
        done = self.system.run("sh", "-c", f"cd /opt/{self.top} && "
                               "sha256sum -c --quiet SHA256SUMS")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_every_library_has_a_package_and_a_licence(self):
        named = {entry["name"] for entry in self.manifest["libraries"]}
        self.assertEqual(named, {p.name for p in (self.tree / "lib").iterdir()})
        self.assertRegex(self.manifest["distribution"], r"^[a-z]+-[\w.]+$")
        for entry in self.manifest["libraries"]:
            text = self.tree / "licenses" / (entry["package"] + ".txt")
            self.assertGreater(text.stat().st_size, 100, text)
            self.assertRegex(entry["source_version"], r"\d")

    def test_programs_find_their_libraries_in_the_bundle(self):
        for program in self.manifest["programs"]:
            done = self.system.run("ldd", f"/opt/{self.top}/bin/{program}")
            self.assertNotIn("not found", done.stdout, program)
            for path in re.findall(r"=> (/\S+)", done.stdout):
                if other_system_owns(path):
                    continue
                self.assertTrue(path.startswith("/opt/"), path)

    def test_quickstart(self):
        done = self.run_inside(
            "deploy/quickstart", "--seconds", "6", "--long-tokens", "8192",
            "--short-steps", "50", "--run-dir", "/tmp/run")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"held-out bits per byte: [\d.]+")

    def test_a_cuda_job_waits_and_says_for_what(self):
        done = self.run_inside("tests/cuda_job.py")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        devices, note = done.stdout.splitlines()
        self.assertEqual(devices, "cpu")
        self.assertIn("needs 2 cuda slots", note)

    def test_no_gpu_is_said_in_a_line(self):
        done = self.run_inside("tests/gpu/run", "--out", "/tmp/gpu-results")
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, NO_GPU, said)
        self.assertEqual(len(said.strip().splitlines()), 1, said)
        self.assertIn("no GPU", said)


def other_system_owns(path):
    """The parts of the C library, which are always the target's."""
    return re.search(r"/(ld-linux-x86-64|lib(c|m|mvec|dl|rt|pthread|resolv))"
                     r"\.so", path)


if __name__ == "__main__":
    try:
        unittest.main(verbosity=2)
    except other_system.NotPossible as error:
        sys.exit(f"bundle test: {error}")
