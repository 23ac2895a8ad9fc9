"""A Prometheus that scrapes the pods that the chart's monitors choose. Debian's
has no discovery through Kubernetes, so the operator's part is played here: the
monitors' selectors and port names are asked of the API server."""

import json
import urllib.parse
import urllib.request

import chart_checks
from processes import free_port


class Scraper:
    """`values` are those of the release; the monitors are rendered of them."""

    def __init__(self, cluster, namespace, release, values):
        self.cluster = cluster
        self.namespace = namespace
        address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{address}"
        rendered = chart_checks.objects(
            {**values, "monitoring": {"monitors": True}}, release)
        config = cluster.write("prometheus.yml", {
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [
                {"job_name": one["metadata"]["name"],
                 "static_configs": list(self.targets(one["kind"], one["spec"]))}
                for one in rendered if one["kind"].endswith("Monitor")]})
        cluster.spawn("prometheus", f"--config.file={config}",
                      f"--storage.tsdb.path={cluster.folder}/prometheus",
                      f"--web.listen-address={address}")

    def targets(self, kind, spec):
        """Static configurations, one for each address."""
        if kind == "PodMonitor":
            port = spec["podMetricsEndpoints"][0]["port"]
            found = self.pods(spec["selector"]["matchLabels"], port)
        else:
            found = self.endpoints(spec["selector"]["matchLabels"],
                                   spec["endpoints"][0]["port"])
        for pod, address, number in found:
            yield {"targets": [f"{address}:{number}"], "labels": {
                "namespace": self.namespace, "pod": pod}}

    def pods(self, labels, port):
        for pod in self.get("pods", labels):
            for container in pod["spec"]["containers"]:
                for one in container["ports"]:
                    if one["name"] == port:
                        yield (pod["metadata"]["name"], pod["status"]["podIP"],
                               one["containerPort"])

    def endpoints(self, labels, port):
        """Of the Services with these labels, which their endpoints inherit."""
        for part in self.get("endpointslices", labels):
            for one in part["ports"]:
                for endpoint in part["endpoints"]:
                    if one["name"] == port:
                        yield (endpoint["targetRef"]["name"],
                               endpoint["addresses"][0], one["port"])

    def get(self, kind, labels):
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        return self.cluster.get("--namespace", self.namespace, kind,
                                "--selector", selector)["items"]

    def query(self, expression):
        """{pod: value}, or {} while it starts."""
        words = urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/query?{words}",
                                        timeout=10) as reply:
                rows = json.load(reply)["data"]["result"]
        except OSError:
            return {}
        return {row["metric"].get("pod", ""): float(row["value"][1])
                for row in rows}

    def stop(self):
        self.cluster.end("prometheus")
