"""The Python client: its wheel, its README, and its calls, for real.

The wheel is built and used in .cache/python-client, an environment of its
own; python_client_cases.py runs in there.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile

import e2e

sys.path.insert(0, str(e2e.ROOT / "bench"))

import environment  # noqa: E402

CLIENT = e2e.ROOT / "cli/python"
CASES = pathlib.Path(__file__).with_name("python_client_cases.py")


class PythonClientTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.python = environment.python("python-client",
                                        CLIENT / "test_requirements.txt")
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="longspan-client-"))
        cls.wheel = cls.build_wheel()
        cls.installed = cls.folder / "installed"
        cls.pip("install", "--no-deps", "--target", cls.installed, cls.wheel)
        cls.cluster = e2e.cluster(workers=2)

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()
        shutil.rmtree(cls.folder)

    @classmethod
    def pip(cls, *words):
        subprocess.run([cls.python, "-m", "pip", "--quiet", *words],
                       check=True)

    @classmethod
    def build_wheel(cls):
        # A copy of what the build reads: it writes beside its sources.
        source = cls.folder / "source"
        shutil.copytree(e2e.ROOT / "proto", source / "proto")
        shutil.copytree(CLIENT, source / "cli/python",
                        ignore=shutil.ignore_patterns("__pycache__"))
        cls.pip("wheel", "--no-deps", "--no-build-isolation",
                "--wheel-dir", cls.folder, source / "cli/python")
        wheels = list(cls.folder.glob("longspan-*.whl"))
        assert len(wheels) == 1, wheels
        return wheels[0]

    def run_python(self, *words):
        variables = dict(os.environ, PYTHONPATH=str(self.installed),
                         LONGSPAN_COORDINATOR=self.cluster.address,
                         LONGSPAN_CORPUS=e2e.CORPUS)
        done = subprocess.run([self.python, *words], cwd=self.folder,
                              env=variables, capture_output=True, text=True,
                              check=False, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_the_wheel_has_the_package_and_its_stubs(self):
        names = zipfile.ZipFile(self.wheel).namelist()
        for name in ("longspan/client.py", "longspan/py.typed",
                     "longspan/v1/job_pb2.py", "longspan/v1/job_pb2.pyi",
                     "longspan/v1/job_service_pb2_grpc.py"):
            self.assertIn(name, names)
        self.assertFalse([name for name in names if "local_" in name])

    def test_the_example_of_the_readme_runs(self):
        text = (CLIENT / "README.md").read_text(encoding="utf-8")
        examples = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
        self.assertEqual(len(examples), 1)
        example = self.folder / "example.py"
        example.write_text(examples[0], encoding="utf-8")
        out = self.run_python(example)
        self.assertRegex(out, r"\nloss \d+\.\d\d\n")
        self.assertRegex(out, r"\n60 +\d+\.\d+ +\d+")
        self.assertIn("must be", out.splitlines()[-1])

    def test_calls(self):
        out = self.run_python(CASES)
        self.assertRegex(out, r"Ran \d+ tests")


if __name__ == "__main__":
    e2e.main()
