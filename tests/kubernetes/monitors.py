"""What a Prometheus operator would scrape: the pods that the chart's monitors
choose. Debian's Prometheus has no discovery through Kubernetes, so the
operator's part is played here: the monitors' selectors and port names are asked
of the API server."""

import chart_checks


class Monitors:
    """`values` are those of the release; the monitors are rendered of them."""

    def __init__(self, cluster, namespace, release, values):
        self.cluster = cluster
        self.namespace = namespace
        self.rendered = [one for one in chart_checks.objects(
            {**values, "monitoring": {"monitors": True}}, release)
            if one["kind"].endswith("Monitor")]

    def targets(self):
        """{monitor: [("host:port", labels)]}"""
        return {one["metadata"]["name"]: [
            (f"{address}:{number}", {"namespace": self.namespace, "pod": pod})
            for pod, address, number in self.chosen(one["kind"], one["spec"])]
            for one in self.rendered}

    def chosen(self, kind, spec):
        labels = spec["selector"]["matchLabels"]
        if kind == "PodMonitor":
            return self.pods(labels, spec["podMetricsEndpoints"][0]["port"])
        return self.endpoints(labels, spec["endpoints"][0]["port"])

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
