"""262,144 tokens in one sequence: memory is what the plan says."""

import unittest

import e2e

TOKENS = 262144


class MemoryTest(unittest.TestCase):
    def test_peak_memory_is_within_ten_percent_of_the_plan(self):
        with e2e.cluster(workers=2) as cluster:
            job = cluster.run_job(e2e.train_job(
                ranks=2, steps=2, length=TOKENS, pattern="L"), timeout=200)
            result = e2e.train_result(job)
            peak = int(result["memory_peak_bytes"])
            planned = int(result["memory_planned_bytes"])
            self.assertGreater(planned, 50 << 20)
            self.assertLess(abs(peak - planned) / planned, 0.10,
                            f"peak {peak}, planned {planned}")


if __name__ == "__main__":
    e2e.main()
