"""The same job on 1, 2, 3 and 4 ranks, and what the ranks send."""

import re
import unittest

import e2e


def settings(method):
    """A job's lines for "linear [softmax [layout]]"."""
    words = method.split()
    linear, softmax, layout = words + ["lasp2", "gather", "auto"][len(words):]
    return (f"  sequence_parallel: {linear}\n"
            f"  softmax_sequence_parallel: {softmax}\n"
            f"  layout: {layout}\n")


# Every method of linear and of softmax layers on 2 and on 4 processes; 3 divide
# neither heads nor tokens.
GANGS = [(ranks, method) for ranks in (2, 4) for method in (
    "lasp2 gather", "lasp2 gather zigzag", "lasp1 ring", "lasp1_serial gather",
    "all_scan ulysses", "scan ring", "ring megatron_sp", "ring_left ring",
    "ulysses ulysses", "megatron_sp megatron_sp")] + [
        (3, "lasp2 gather"), (3, "lasp2 gather zigzag"), (3, "scan ulysses")]
STEPS = 20
# What the worker's byte counters call the exchanges of layers.
EXCHANGES = ("state_exchange", "head_exchange", "row_exchange", "kv_exchange")
LINEAR_OPS = {"ulysses": "head_exchange", "megatron_sp": "head_exchange",
              "ring": "row_exchange", "ring_left": "row_exchange"}
SOFTMAX_OPS = {"gather": "kv_exchange", "ring": "kv_exchange",
               "ulysses": "head_exchange", "megatron_sp": "head_exchange"}


class EqualityTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = e2e.cluster(workers=4)

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    def losses_of(self, job):
        return e2e.losses(self.cluster, job)

    def run_job(self, text):
        job = self.cluster.submit(text)
        self.cluster.wait(job)
        return job

    def test_every_method_gives_the_losses_of_one_rank(self):
        # 103 tokens: no number of ranks, and no chunk, divides them.
        def job(ranks, method):
            return e2e.train_job(ranks=ranks, steps=STEPS, length=103, heads=4,
                                 more=settings(method))
        one = self.losses_of(self.run_job(job(1, "lasp2")))
        self.assertEqual(sorted(one), list(range(1, STEPS + 1)))
        for ranks, method in GANGS:
            with self.subTest(ranks=ranks, method=method):
                text = job(ranks, method)
                run = self.run_job(text)
                other = self.losses_of(run)
                for step, loss in one.items():
                    self.assertLess(abs(other[step] - loss) / loss, 1e-5,
                                    f"step {step}")
                self.check_bytes(run, text, ranks, method)
        with self.subTest("states as bf16, in 3 calls"):
            text = job(4, "lasp2 gather") + (
                "  state_exchange_precision: bf16\n"
                "  state_exchange_splits: 3\n")
            run = self.run_job(text)
            for step, loss in self.losses_of(run).items():
                # A rounding of a state is 2^-8 of it.
                self.assertLess(abs(one[step] - loss) / loss, 2 ** -8,
                                f"step {step}")
            self.check_bytes(run, text, 4, "lasp2 gather")

    def test_losses_do_not_depend_on_the_replicas(self):
        # In doubles: four sequences a step make rounding grow tenfold every
        # few steps, on one replica as on several.
        def losses(ranks, replicas):
            return self.losses_of(self.run_job(e2e.train_job(
                ranks=ranks, steps=20, length=103, batch=4, more=(
                    "  precision: f64\n" f"  data_parallel: {replicas}\n"))))
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
            for labels, value in pattern.findall(e2e.read(url)):
                label = dict(re.findall(r'(\w+)="([^"]*)"', labels))
                if (label["job_id"] == job.split("/")[-1] and
                        label["direction"] == "sent"):
                    key = int(label["rank"]), label["op"]
                    sent[key] = sent.get(key, 0) + float(value)
        return sent

    def check_bytes(self, job, text, ranks, method):
        """Each rank sent what `longspan plan` says, and as the method does."""
        linear, softmax = method.split()[:2]
        planned = {}
        for layer in self.cluster.plan(text)["layers"]:
            op = (SOFTMAX_OPS[softmax] if layer["mixer"] == "softmax"
                  else LINEAR_OPS.get(linear, "state_exchange"))
            for rank in range(ranks):
                sent = (int(layer["forward_bytes"][rank]) +
                        int(layer["backward_bytes"][rank]))
                planned[rank, op] = planned.get((rank, op), 0) + STEPS * sent
        measured = e2e.await_that(
            "the job's byte counters", lambda: self.transfers(job))
        for rank in range(ranks):
            for op in EXCHANGES:
                self.assertEqual(measured.get((rank, op), 0),
                                 planned.get((rank, op), 0), (rank, op))

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
