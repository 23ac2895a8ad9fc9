"""bench/run sequence_parallel over a network of 10 s: virtual time, counted in
messages that wait for each other, whatever this machine's speed."""

import json
import os
import pathlib
import select
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LATENCY = 10

LONGEST_END_MS = 60_000

BENCH = sys.argv.pop()
COMMAND = [sys.executable, str(ROOT / "bench/run"), "sequence_parallel",
           f"--bin-dir={pathlib.Path(BENCH).parent}"]


def run(*flags):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "points.json"
        done = subprocess.run(
            [*COMMAND, f"--json={file}", *flags],
            capture_output=True, text=True, check=True)
        return done.stdout, json.loads(file.read_text("utf-8"))["points"]


def children(parent):
    """Processes begun by one, and by those."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text("utf-8").rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found + [pid for child in found for pid in children(child)]


class SequenceParallelBenchTest(unittest.TestCase):
    def test_steps_take_the_messages_that_wait_for_each_other(self):
        table, points = run("--tokens=64", f"--networks={LATENCY}:1e12",
                            "--methods=lasp2,lasp1", "--rounds=1")
        # The sum of the gradients has two rounds. Forward and backward, LASP-2
        # has a gather in each of two layers; LASP-1's three hops are the same
        # for both, because ranks go on to the next layer as they have sent.
        messages = {"lasp2": 2 * 2 + 2, "lasp1": 2 * 3 + 2}
        self.assertEqual([point["method"] for point in points],
                         list(messages))
        for point in points:
            with self.subTest(point["method"]):
                self.assertEqual(point["tokens"], 64)
                self.assertEqual(point["latency_s"], LATENCY)
                self.assertEqual(point["bandwidth_bytes_per_s"], 1e12)
                hops = point["seconds"] / LATENCY
                self.assertEqual(int(hops), messages[point["method"]])
                self.assertLess(hops % 1, 0.5)
                self.assertGreaterEqual(point["worst_seconds"],
                                        point["seconds"])
                self.assertLessEqual(point["exposed_seconds"],
                                     point["seconds"])
        lines = [line for line in table.splitlines() if line.endswith("*")]
        self.assertEqual(len(lines), 1)
        self.assertIn("lasp2", lines[0])
        self.assertIn("fastest of all: lasp2 1 times", table)

    def test_its_ranks_end_with_it(self):
        with tempfile.TemporaryDirectory() as folder, subprocess.Popen(
                [*COMMAND, "--tokens=64", "--networks=1e-3:1e9",
                 "--methods=lasp2", "--rounds=1000000"],
                stderr=subprocess.PIPE, text=True,
                env={**os.environ, "TMPDIR": folder}) as bench:
            self.assertIn(" s left", bench.stderr.readline())
            ranks = [os.pidfd_open(pid) for pid in children(bench.pid)]
            self.assertEqual(len(ranks), 4)
            bench.terminate()
            self.assertEqual(bench.wait(), 143)
            self.assertEqual(os.listdir(folder), [])
            for rank in ranks:
                ended = select.poll()
                ended.register(rank, select.POLLIN)
                self.assertTrue(ended.poll(LONGEST_END_MS))
                os.close(rank)

    def test_what_it_does_not_know_is_refused(self):
        with self.assertRaises(subprocess.CalledProcessError):
            run("--tokens=64", "--networks=slow", "--methods=lasp2")
        with self.assertRaises(subprocess.CalledProcessError):
            run("--tokens=64", "--networks=1:1e9", "--methods=telepathy")


if __name__ == "__main__":
    unittest.main()
