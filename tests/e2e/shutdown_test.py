"""SIGTERM ends every daemon cleanly, and nothing is left running."""

import os
import pathlib
import signal
import subprocess
import tempfile
import unittest

import e2e


def alive(pid):
    return pathlib.Path(f"/proc/{pid}").exists()


class ShutdownTest(unittest.TestCase):
    def test_up_takes_everything_with_it(self):
        cluster = e2e.cluster(workers=2)
        job = cluster.submit(e2e.train_job(ranks=2, steps=1000000))
        e2e.await_that("a running job",
                       lambda: cluster.get(job)["state"] == "RUNNING")
        pids = list(cluster.processes())
        self.assertEqual(len(cluster.pids_of("longspan-executor")), 2)
        self.assertEqual(cluster.stop(), 0, cluster.logs())
        self.assertEqual([pid for pid in pids if alive(pid)], [])

    def test_a_killed_up_takes_everything_with_it(self):
        cluster = e2e.cluster(workers=1)
        pids = list(cluster.processes())
        cluster.process.kill()
        cluster.process.wait()
        e2e.await_that("the end of all daemons",
                       lambda: not any(alive(pid) for pid in pids), 40)
        cluster.stop()

    def test_daemons_exit_with_0(self):
        for program, flags in (("longspan-coordinator", []),
                               ("longspan-worker", ["--slots=1"])):
            with self.subTest(program):
                self.assertEqual(self.exit_code(program, flags), 0)

    def exit_code(self, program, flags):
        with tempfile.TemporaryDirectory() as state:
            listen = (["--listen=127.0.0.1:0"]
                      if program.endswith("coordinator") else
                      ["--coordinator=127.0.0.1:9", "--name=w",
                       "--metrics-listen=127.0.0.1:0"])
            process = subprocess.Popen(
                [e2e.BINARIES / program, f"--state-dir={state}", *listen,
                 *flags], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            e2e.await_that("its first output", lambda: os.read(
                process.stdout.fileno(), 1))
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=40)
            return process.returncode

    def test_every_binary_has_help_and_version(self):
        for program in ("longspan", "longspan-coordinator", "longspan-worker",
                        "longspan-executor"):
            for flag in ("--help", "--version"):
                done = subprocess.run([e2e.BINARIES / program, flag],
                                      capture_output=True, check=False,
                                      timeout=20)
                self.assertEqual(done.returncode, 0, (program, flag))
                self.assertIn(b"longspan", done.stdout.lower())

    def test_addresses_beyond_loopback_are_refused(self):
        for program, flag in (("longspan-coordinator", "--listen=0.0.0.0:0"),
                              ("longspan-worker",
                               "--metrics-listen=0.0.0.0:0")):
            done = subprocess.run(
                [e2e.BINARIES / program, flag, "--state-dir=/tmp/longspan-no"],
                capture_output=True, check=False, timeout=20)
            self.assertNotEqual(done.returncode, 0, program)
            self.assertIn(b"--insecure", done.stdout + done.stderr)


if __name__ == "__main__":
    e2e.main()
