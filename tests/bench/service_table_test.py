"""bench/run service reads ghz's reports."""

import os
import pathlib
import sys
import unittest

ROOT = pathlib.Path(os.environ["LONGSPAN_SOURCE_DIR"])
sys.path.insert(0, str(ROOT / "bench"))

import service  # noqa: E402

REPORT = {
    "count": 1000, "rps": 1234.56,
    "latencyDistribution": [
        {"percentage": percent, "latency": latency}
        for percent, latency in ((50, 1500000), (90, 2000000), (95, 2500000),
                                 (99, 12340000))],
    "statusCodeDistribution": {"OK": 1000},
}


class ServiceTableTest(unittest.TestCase):
    def test_a_row_has_rate_and_latencies_in_milliseconds(self):
        self.assertEqual(service.row("GetJob", 8, REPORT).split(),
                         ["GetJob", "8", "1000", "1235", "1.50", "2.50",
                          "12.34", "0"])
        self.assertEqual(len(service.row("GetJob", 8, REPORT)),
                         len(service.HEADER))

    def test_every_call_that_is_not_ok_is_an_error(self):
        failed = dict(REPORT, statusCodeDistribution={"OK": 990,
                                                      "Unavailable": 10},
                      errorDistribution={"the journal is full": 10})
        with self.assertRaisesRegex(
                SystemExit, "10 of 1000 calls failed:.*the journal is full"):
            service.show("GetJob", 8, failed)


if __name__ == "__main__":
    unittest.main()
