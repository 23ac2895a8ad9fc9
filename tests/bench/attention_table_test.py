"""bench/run attention: the table, the bars and the last line, with processes
that answer as ours and PyTorch's do."""

import importlib.machinery
import importlib.util
import os
import pathlib
import sys
import unittest

ROOT = pathlib.Path(os.environ["LONGSPAN_SOURCE_DIR"])
sys.path.insert(0, str(ROOT / "bench"))

import attention  # noqa: E402


def bench_run():
    loader = importlib.machinery.SourceFileLoader("bench_run",
                                                  str(ROOT / "bench/run"))
    spec = importlib.util.spec_from_loader("bench_run", loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


class FakeServer:
    """Answers from a table, and remembers what it was asked."""

    def __init__(self, answers, log=None, name=""):
        self.answers, self.name = answers, name
        self.log = [] if log is None else log

    def ask(self, request):
        self.log.append((self.name, request))
        return self.answers[request]


def case(transition="scalar", dim=128, group="linear", tokens=4096):
    return {"group": group, "transition": transition, "dim": dim,
            "name": f"{transition} {dim}", "tokens": tokens, "heads": 4,
            "decay": transition, "dense": False, "forward_operations": 8e8,
            "backward_operations": 2e9}


def row(transition="scalar", dim=128, direction="both", ours=70.0, gemm=100.0,
        torch_ms=40.0, ours_ms=10.0, group="linear"):
    return {"case": case(transition, dim, group), "direction": direction,
            "ours_gflops": ours, "gemm_gflops": gemm, "ours_ms": ours_ms,
            "ours_mib": 50.0, "torch_ms": torch_ms, "torch_mib": 200.0,
            "form": "loop"}


def without_torch(one):
    return {key: value for key, value in one.items() if
            not key.startswith("torch") and key != "form"}


def length(tokens, forward, both):
    return {"case": case(group="length", tokens=tokens), "forward": forward,
            "both": both, "mib": 1.0}


class MeasureTest(unittest.TestCase):
    def measure(self):
        log = []
        ours = FakeServer({"both": 0.02, "gemm both": 0.01, "peak": 12.0,
                           "gemm operations both": 1e9}, log, "ours")
        torch = FakeServer({"loop both": 0.1, "chunks both": 0.08,
                            "peak": 34.0}, log, "torch")
        return attention.measure_direction(case(), "both", ours, torch, 3), log

    def test_a_row(self):
        measured, _ = self.measure()
        self.assertEqual(measured["form"], "chunks")
        self.assertAlmostEqual(measured["ours_gflops"], 140.0)
        self.assertAlmostEqual(measured["gemm_gflops"], 100.0)
        self.assertAlmostEqual(attention.ratio(measured), 4.0)
        self.assertEqual((measured["ours_mib"], measured["torch_mib"]),
                         (12.0, 34.0))

    def test_they_take_turns(self):
        _, log = self.measure()
        timed = [entry for entry in log if entry[1] in
                 ("both", "gemm both", "chunks both")]
        turn = [("ours", "both"), ("ours", "gemm both"),
                ("torch", "chunks both")]
        self.assertEqual(timed[-9:], turn * 3)

    def test_medians(self):
        answers = iter([1.0, 9.0, 2.0])
        self.assertEqual(attention.alternate(3, {"a": lambda: next(answers)}),
                         {"a": 2.0})


class TableTest(unittest.TestCase):
    def test_a_line_has_every_column(self):
        line = attention.table_line(row())
        self.assertEqual(line.split(), ["scalar", "128", "fwd+bwd", "70.0",
                                        "100.0", "0.70", "40.00", "loop",
                                        "10.00", "4.00", "50", "200"])
        self.assertEqual(len(line), len(attention.header(attention.COLUMNS)))

    def test_without_torch_its_columns_are_empty(self):
        line = attention.table_line(without_torch(row()))
        self.assertEqual(line.split()[-2:], ["10.00", "50"])

    def test_lengths(self):
        line = attention.length_line(length(8192, 1000.0, 2500.5))
        self.assertEqual(line.split(), ["scalar", "128", "8192", "1000.0",
                                        "2500.5", "1"])

    def test_selection(self):
        self.assertTrue(attention.is_selected(case(), []))
        self.assertTrue(attention.is_selected(case(), ["scalar 128"]))
        self.assertTrue(attention.is_selected(case(), ["x", "linear"]))
        self.assertFalse(attention.is_selected(case(), ["vector"]))
        growing = case(group="length")
        self.assertFalse(attention.is_selected(growing, ["scalar"]))
        self.assertTrue(attention.is_selected(growing, ["length scalar"]))


class BarTest(unittest.TestCase):
    def test_bars_that_are_met(self):
        rows = [row(), row(direction="forward", ours=80.0, torch_ms=11.0),
                row(dim=64, ours=60.0), row("vector", ours=50.0),
                row(dim=64, direction="forward", ours=70.0),
                row("dense", ours=10.0, torch_ms=30.0),
                row("softmax", group="softmax", ours=10.0, torch_ms=10.0)]
        self.assertEqual(attention.missed_bars(
            rows, [length(8192, 100.0, 100.0), length(16384, 102.9, 100.0)]),
            [])

    def test_bars_that_are_missed(self):
        rows = [row(ours=69.0), row(direction="forward", ours=79.0),
                row(torch_ms=29.0), row("vector", ours=49.0),
                row("softmax", group="softmax", torch_ms=9.8),
                row("dense scalar", torch_ms=25.0)]
        missed = attention.missed_bars(
            rows, [length(8192, 100.0, 100.0), length(16384, 103.1, 100.0)])
        self.assertEqual(missed, [
            "scalar 128 fwd+bwd: 0.69 of GEMM, wanted 0.7",
            "scalar 128 forward: 0.79 of GEMM, wanted 0.8",
            "scalar 128 fwd+bwd: 2.90 of PyTorch's speed, wanted 3.0",
            "vector 128 fwd+bwd: 0.49 of GEMM, wanted 0.5",
            "softmax 128 fwd+bwd: 0.98 of PyTorch's speed, wanted 1.0",
            "dense scalar 128 fwd+bwd: 2.50 of PyTorch's speed, wanted 3.0",
            "scalar forward: cost per token spreads 3.1 %, wanted 3 %"])


class LastLineTest(unittest.TestCase):
    def parse(self, rows, lengths=()):
        line = attention.last_line(rows, lengths)
        return bench_run().LAST_LINE.match(line), line

    def test_smallest_ratio_of_linear_forward_and_backward(self):
        rows = [row(torch_ms=35.0), row("vector", torch_ms=31.0),
                row(direction="forward", torch_ms=5.0),
                row("softmax", group="softmax", torch_ms=10.0)]
        match, line = self.parse(rows)
        self.assertIsNotNone(match, line)
        self.assertEqual(line, "attention: ours 10.00 ms, peer 31.00 ms, "
                               "ratio 3.10")

    def test_without_torch_it_is_gemm(self):
        match, line = self.parse([without_torch(row()),
                                  without_torch(row("vector", ours=44.0))])
        self.assertIsNotNone(match, line)
        self.assertEqual(line, "attention: ours 44.0 GFLOP/s, peer 100.0 "
                               "GFLOP/s, ratio 0.44")

    def test_softmax_alone(self):
        match, line = self.parse([row("softmax", group="softmax",
                                      torch_ms=11.0)])
        self.assertEqual(line, "attention: ours 10.00 ms, peer 11.00 ms, "
                               "ratio 1.10")
        self.assertEqual(match[5], "1.10")

    def test_lengths_alone_have_no_peer(self):
        match, line = self.parse([], [length(8192, 100.0, 205.0),
                                      length(16384, 100.0, 210.0)])
        self.assertEqual(line, "attention: ours 210.0 ns/token, no peer")
        self.assertEqual((match[2], match[3], match[4]),
                         ("210.0", "ns/token", None))


class FlagsTest(unittest.TestCase):
    def command(self, *words):
        run = bench_run()
        run.build = lambda *targets: None
        arguments, flags = run.parser().parse_known_args(words)
        return run.command_of(arguments.name, arguments, flags)

    def test_attention_is_given_what_was_said(self):
        command = self.command("attention", "--seconds=0.2", "--cases=softmax")
        self.assertEqual(command[3:], ["--seconds=0.2", "--cases=softmax"])

    def test_others_have_their_own_defaults(self):
        self.assertEqual(self.command("train")[2:], [])
        self.assertEqual(self.command("decode", "--rounds=2")[2:],
                         ["--rounds=2"])


if __name__ == "__main__":
    unittest.main()
