"""A Prometheus on this machine.

    with LocalPrometheus(targets_of(cluster), rules) as prometheus:
        prometheus.await_scrapes()
        rows = prometheus.query("sum(longspan_jobs)")

Used by tests and plots; standard library and the program `prometheus` only.
"""

import json
import pathlib
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request

from local_cluster import await_that, end, free_ports

INTERVAL = "500ms"


class QueryRefused(RuntimeError):
    """Prometheus does not understand the expression."""


def targets_of(cluster):
    """A LocalCluster's daemons, as deploy/prometheus/prometheus.yml has them."""
    hosts = [urllib.parse.urlsplit(url).netloc for url in cluster.metrics]
    labels = {"namespace": "test"}
    return {"longspan-coordinator": [(hosts[0], labels)],
            "longspan-worker": [(host, labels) for host in hosts[1:]]}


def config_of(targets, rules):
    """As JSON, which is YAML."""
    return json.dumps({
        "global": {"scrape_interval": INTERVAL,
                   "evaluation_interval": INTERVAL},
        "rule_files": [str(pathlib.Path(path).resolve()) for path in rules],
        "scrape_configs": [
            {"job_name": job, "static_configs": [
                {"targets": [host], "labels": labels}
                for host, labels in hosts]}
            for job, hosts in targets.items()]})


class LocalPrometheus:
    """`targets` is {job: [("host:port", labels)]}. Ends with this process,
    whatever happens."""

    def __init__(self, targets, *rules):
        program = shutil.which("prometheus")
        if program is None:
            raise RuntimeError("prometheus is missing: run deploy/install-deps")
        self.targets = sum(map(len, targets.values()))
        self.run = pathlib.Path(tempfile.mkdtemp(prefix="longspan-prom-"))
        config = self.run / "prometheus.yml"
        config.write_text(config_of(targets, rules))
        address = f"127.0.0.1:{free_ports(1)}"
        self.url = f"http://{address}"
        self.log = open(self.run / "prometheus.log", "wb")
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", program,
             f"--config.file={config}",
             f"--storage.tsdb.path={self.run / 'data'}",
             f"--web.listen-address={address}", "--log.level=warn"],
            stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL,
            start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.stop()

    def stop(self):
        end(self.process)
        self.log.close()
        shutil.rmtree(self.run, ignore_errors=True)

    def get(self, path, **parameters):
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}",
                                        timeout=20) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:  # it starts
                raise
            text = error.read().decode(errors="replace")
            raise QueryRefused(f"{parameters}: {text}") from error

    def await_scrapes(self, seconds=30):
        """Until every target has been scraped."""
        def all_up():
            try:
                rows = self.query("up == 1")
            except OSError:
                return False
            return len(rows) == self.targets
        await_that("scrapes of every daemon", all_up, seconds)

    def query(self, expression):
        """[(labels, value)] of an instant vector."""
        found = self.get("query", query=expression)
        if found["resultType"] == "scalar":
            return [({}, float(found["result"][1]))]
        return [(row["metric"], float(row["value"][1]))
                for row in found["result"]]

    def query_range(self, expression, start, end_time, step):
        """[(labels, [(time, value)])] between two Unix times."""
        found = self.get("query_range", query=expression, start=start,
                         end=end_time, step=step)
        return [(row["metric"], [(t, float(v)) for t, v in row["values"]])
                for row in found["result"]]

    def label_values(self, series, label):
        found = self.get("series", **{"match[]": series})
        return sorted({row[label] for row in found if row.get(label)})
