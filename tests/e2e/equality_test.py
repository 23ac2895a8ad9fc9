"""The same job on 1, 2, 3 and 4 ranks, and what the ranks send."""

import re
import unittest
import urllib.request

import e2e


def settings(method):
    """A job's lines for "linear [softmax [layout]]"."""
    words = method.split()
    linear, softmax, layout = words + ["lasp2", "gather", "auto"][len(words):]
    return (f"  sequence_parallel: {linear}\n"
            f"  softmax_sequence_parallel: {softmax}\n"
            f"  layout: {layout}\n")


STEP_LOSS = re.compile(r"step (\d+)\S* +loss ([\d.eE+-]+)")


class EqualityTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = e2e.cluster(workers=4)

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    def losses(self, ranks, steps=50, batch=1, more=""):
        # 103 tokens: no number of ranks, and no chunk, divides them.
        job = self.cluster.submit(e2e.train_job(
            ranks=ranks, steps=steps, length=103, batch=batch, more=more))
        self.cluster.wait(job)
        log = self.cluster.command("logs", job)[1]
        return {int(step): float(loss)
                for step, loss in STEP_LOSS.findall(log)}

    def test_losses_do_not_depend_on_the_ranks(self):
        one = self.losses(1)
        self.assertEqual(sorted(one), list(range(1, 51)))
        for ranks, method in ((2, "lasp2"), (3, "lasp2"), (4, "lasp2"),
                              (2, "lasp2 gather zigzag"),
                              (3, "lasp2 gather zigzag"),
                              (4, "lasp2 gather zigzag"),
                              (3, "lasp1"), (2, "lasp1_serial"),
                              (4, "all_scan"), (3, "scan"), (2, "ulysses"),
                              (2, "ring"), (4, "ring"),
                              (4, "lasp2 ring"), (3, "lasp1 ring"),
                              (2, "scan ulysses"),
                              (2, "megatron_sp megatron_sp")):
            other = self.losses(ranks, more=settings(method))
            for step, loss in one.items():
                self.assertLess(abs(other[step] - loss) / loss, 1e-5,
                                f"{ranks} ranks, {method}, step {step}")

    def test_losses_do_not_depend_on_the_replicas(self):
        # In doubles: four sequences a step make rounding grow tenfold every
        # few steps, on one replica as on several.
        def losses(ranks, replicas):
            return self.losses(ranks, steps=20, batch=4, more=(
                "  precision: f64\n" f"  data_parallel: {replicas}\n"))
        one = losses(1, 1)
        self.assertEqual(sorted(one), list(range(1, 21)))
        for ranks, replicas in ((2, 2), (4, 2), (4, 4)):
            other = losses(ranks, replicas)
            for step, loss in one.items():
                self.assertLess(abs(other[step] - loss) / loss, 1e-8,
                                f"{ranks} ranks, {replicas} replicas, {step}")

    def test_greedy_tokens_do_not_depend_on_the_ranks(self):
        job = self.cluster.submit(e2e.train_job(ranks=2, steps=60))
        self.cluster.wait(job)

        def continued(ranks):
            return self.cluster.command(
                "generate", "--model-job", job, "--prompt-uri", e2e.CORPUS,
                "--prompt-end", 1001, "--ranks", ranks, "--temperature", 0,
                "--max-new-tokens", 40)[1]
        one = continued(1)
        self.assertGreaterEqual(len(one), 40)
        self.assertEqual(continued(3), one)

    def transfers(self, job):
        """{(rank, op): bytes sent} of a job, from the workers' metrics."""
        pattern = re.compile(
            r'longspan_collective_bytes_total\{([^}]*)\} ([\d.e+]+)')
        sent = {}
        for url in self.cluster.metrics[1:]:
            with urllib.request.urlopen(url, timeout=10) as answer:
                text = answer.read().decode()
            for labels, value in pattern.findall(text):
                label = dict(re.findall(r'(\w+)="([^"]*)"', labels))
                if (label["job_id"] == job.split("/")[-1] and
                        label["direction"] == "sent"):
                    key = int(label["rank"]), label["op"]
                    sent[key] = sent.get(key, 0) + float(value)
        return sent

    def test_bytes_are_those_of_the_plan(self):
        steps = 10
        for length, method, ranks in (
                (64, "lasp2", 3), (103, "lasp2", 3), (512, "lasp2", 3),
                (103, "all_scan", 3), (103, "lasp2 ring", 3),
                (103, "ring", 3),
                (103, "ulysses", 2), (103, "lasp1 ulysses", 2),
                (103, "megatron_sp megatron_sp", 2),
                (103, "lasp2 gather zigzag", 3)):
            linear, softmax = (method + " gather").split()[:2]
            text = e2e.train_job(
                ranks=ranks, steps=steps, length=length, pattern="LNL",
                more=settings(method))
            plan = self.cluster.plan(text)
            job = self.cluster.submit(text)
            self.cluster.wait(job)
            planned = {}
            for layer in plan["layers"]:
                method, tokens = ((softmax, "kv_exchange")
                                  if layer["mixer"] == "softmax"
                                  else (linear, "state_exchange"))
                op = ("head_exchange" if method in ("ulysses", "megatron_sp")
                      else "row_exchange" if linear == "ring" and
                      tokens == "state_exchange" else tokens)
                for rank in range(ranks):
                    sent = (int(layer["forward_bytes"][rank]) +
                            int(layer["backward_bytes"][rank]))
                    planned[rank, op] = planned.get((rank, op), 0) + sent
            measured = e2e.await_that(
                "the job's byte counters", lambda: self.transfers(job))
            for key, value in planned.items():
                self.assertEqual(measured.get(key, 0), steps * value,
                                 (length, key))

    def test_long_hybrids_are_zigzag(self):
        def ranges(more=""):
            plan = self.cluster.plan(e2e.train_job(
                ranks=4, length=65536, window=0, more=more))
            self.assertIn("1.75 of the mean of attention contiguous, 1.00 "
                          "zigzag", plan["reasons"][-1])
            return [[int(r.get("begin", 0)) for r in rank["token_ranges"]]
                    for rank in plan["ranks"]]
        self.assertEqual(ranges(), [[0, 57344], [8192, 49152],
                                    [16384, 40960], [24576, 32768]])
        self.assertEqual(ranges("  layout: contiguous\n"),
                         [[0], [16384], [32768], [49152]])

    def test_linear_layers_send_the_same_at_any_length(self):
        def layers(length):
            plan = self.cluster.plan(e2e.train_job(
                ranks=4, length=length, window=0,
                more="  layout: contiguous\n"))
            return {mixer: [layer["forward_bytes"] + layer["backward_bytes"]
                            for layer in plan["layers"]
                            if (layer["mixer"] == "softmax") ==
                            (mixer == "softmax")]
                    for mixer in ("softmax", "linear")}
        short, long = layers(512), layers(262144)
        self.assertEqual(short["linear"], long["linear"])
        for a, b in zip(short["softmax"][0], long["softmax"][0]):
            self.assertEqual(int(a) * 512, int(b))


if __name__ == "__main__":
    e2e.main()
