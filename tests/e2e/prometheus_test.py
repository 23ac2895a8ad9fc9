"""Every question of the dashboards and rules, asked of a real Prometheus.

A cluster trains, generates, restarts a killed rank, fails a job and holds one
back; Prometheus scrapes it. No expression of a panel, variable or recording
rule may be empty. Of an alert every series that it asks for must be there,
and a unit test (promtool) must show it fire: that nothing is wrong here makes
its own expression empty.
"""

import math
import os
import re
import shutil
import signal
import subprocess
import time
import unittest

import e2e
import promql
from local_prometheus import LocalPrometheus, targets_of

RULES = e2e.ROOT / "deploy/prometheus/rules.yaml"
RULE_TESTS = e2e.ROOT / "deploy/prometheus/rules_test.yaml"
RUNBOOK = e2e.ROOT / "docs/operations.md"
# Histograms and phases say NaN where nothing happened in the window.
SECONDS = 40
# Selectors of faults that are not made here; without the words in braces
# they have series.
FAULTS_OF_OURS = 'code=~"INTERNAL|UNKNOWN|DATA_LOSS|RESOURCE_EXHAUSTED"'

LONG = e2e.train_job(ranks=2, steps=1000000, more=f"""
  checkpoint: {{interval: 100}}
  validation: {{uri: "{e2e.CORPUS}", begin: 345741, end: 347741}}
  validation_interval: 100
""")


def exported(cluster):
    """Our metrics that the daemons serve."""
    text = "".join(map(e2e.read, cluster.metrics))
    return set(re.findall(r"^# TYPE (longspan_\w+)", text, re.M))


def documented():
    text = (e2e.ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    return set(re.findall(r"^\| `(\w+)` \|", text, re.M))


class PrometheusTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = e2e.cluster(workers=2, slots=2)
        try:
            cls.prometheus = LocalPrometheus(targets_of(cls.cluster), RULES)
            cls.prometheus.await_scrapes()
            cls.make_history()
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        if hasattr(cls, "prometheus"):
            cls.prometheus.stop()
        cls.cluster.stop()

    @classmethod
    def make_history(cls):
        """One of everything that an operator may ask about."""
        cluster = cls.cluster
        cls.model = cluster.run_job(e2e.train_job(ranks=2, steps=40))["name"]
        # Asks for more than there is.
        cluster.submit(e2e.train_job(ranks=9, steps=10))
        cls.kill_a_rank(e2e.train_job(ranks=1, steps=1000000) +
                        "max_failures: 1\n", "FAILED")
        cls.kill_a_rank(LONG, "RUNNING")
        cls.generate()

    @classmethod
    def kill_a_rank(cls, text, then):
        """Starts a job, kills a rank of it and awaits a state."""
        cluster = cls.cluster
        job = cluster.submit(text)
        e2e.await_that("a job that trains",
                       lambda: cluster.progress(job) > 100, 60)
        os.kill(cluster.pids_of("longspan-executor")[0], signal.SIGKILL)
        e2e.await_that(f"a second attempt or {then}", lambda: (
            cluster.get(job)["state"] == then and
            (then != "RUNNING" or len(cluster.get(job)["attempts"]) > 1)))
        return job

    @classmethod
    def generate(cls):
        cls.cluster.command(
            "generate", "--model-job", cls.model, "--prompt", "The devil",
            "--max-new-tokens", 16, "--seed", 1)

    def has_data(self, expression):
        rows = self.prometheus.query(expression)
        return any(math.isfinite(value) for _, value in rows)

    def assert_data(self, expressions):
        """All have a finite value while the cluster works."""
        waiting = list(expressions)
        self.assertTrue(waiting)
        end = time.monotonic() + SECONDS
        while waiting and time.monotonic() < end:
            self.generate()
            waiting = [one for one in waiting if not self.has_data(one.text)]
        self.assertEqual(waiting, [], "no data")

    def rules(self, kind):
        groups = self.prometheus.get("rules")["groups"]
        return [rule for group in groups for rule in group["rules"]
                if rule["type"] == kind]

    def test_panels_have_data(self):
        self.assert_data(promql.expressions())

    def test_variables_have_values(self):
        for variable in promql.variables():
            self.assertTrue(
                self.prometheus.label_values(variable.series, variable.label),
                variable)

    def test_recorded_series_have_data(self):
        self.assert_data(promql.Expression(rule["name"], rule["name"])
                         for rule in self.rules("recording"))

    def test_series_of_alerts_are_there(self):
        asked = {text.replace(FAULTS_OF_OURS, "").replace("\n", " ")
                 for rule in self.rules("alerting")
                 for _, text in promql.selectors(rule["query"])}
        self.assert_data(promql.Expression("alerts", text)
                         for text in sorted(asked))

    def test_rules_are_evaluated(self):
        rules = self.rules("recording") + self.rules("alerting")
        e2e.await_that("an evaluation of every rule", lambda: all(
            rule["health"] == "ok"
            for rule in self.rules("recording") + self.rules("alerting")))
        self.assertEqual([rule["name"] for rule in rules
                          if rule.get("lastError")], [])

    def test_alerts_of_faults_that_are_made_here(self):
        pending = {rule["name"] for rule in self.rules("alerting")
                   if rule["state"] != "inactive"}
        self.assertIn("LongspanJobCannotRun", pending)
        self.assertNotIn("LongspanCoordinatorDown", pending)
        self.assertNotIn("LongspanWorkerLost", pending)

    def test_every_alert_has_a_unit_test_and_a_section(self):
        tests = RULE_TESTS.read_text(encoding="utf-8")
        runbook = RUNBOOK.read_text(encoding="utf-8")
        for rule in self.rules("alerting"):
            name = rule["name"]
            self.assertRegex(
                tests, rf"alertname: {name}\n +exp_alerts:\n +- exp_labels")
            self.assertIn(f"\n### {name}\n", runbook)
            self.assertEqual(rule["annotations"]["runbook_url"],
                             f"docs/operations.md#{name.lower()}")

    def test_every_metric_is_used_and_every_used_one_exists(self):
        texts = [one.text for one in promql.expressions()]
        texts += [rule["query"] for rule in
                  self.rules("recording") + self.rules("alerting")]
        used = {promql.family(name) for text in texts
                for name, _ in promql.selectors(text) if ":" not in name}
        e2e.await_that(
            "all metrics of docs/metrics.md",
            lambda: exported(self.cluster) >= documented())
        self.assertEqual(exported(self.cluster), documented())
        self.assertEqual(documented() - used, set(), "used by no panel or rule")
        self.assertEqual(used - documented(), set(), "not a metric")

    def test_bytes_are_those_of_the_plan(self):
        job_id = self.model.split("/")[-1]
        ratio = self.prometheus.query(
            "sum by (rank) (longspan_collective_bytes_total{"
            f'job_id="{job_id}", direction="sent", op=~".*_exchange"}}) / '
            f'sum by (rank) (longspan_step_planned_bytes{{job_id="{job_id}"}}'
            " * on(job_id) group_left() sum by (job_id) "
            "(longspan_steps_total))")
        self.assertEqual([value for _, value in ratio], [1.0, 1.0])

    def test_promtool(self):
        promtool = shutil.which("promtool")
        self.assertIsNotNone(promtool, "promtool comes with install-deps")
        for words in (["check", "rules", RULES],
                      ["check", "config",
                       e2e.ROOT / "deploy/prometheus/prometheus.yml"],
                      ["test", "rules", RULE_TESTS]):
            done = subprocess.run([promtool, *words], capture_output=True,
                                  text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    e2e.main()
