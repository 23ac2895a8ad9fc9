"""Checks of the chart that need no cluster: what it renders for a table of
values, what it refuses, and that every object follows the published schemas."""

import json
import pathlib
import re
import tempfile

from programs import run
from report import expect
from schemas import as_json

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm/longspan"
KUBERNETES = "1.33.4"
OPEN = {"auth": {"insecure": True}}
OUTPUTS = {"claim": {"size": "10Gi"}}
GPU_POOL = {"devices": "cuda", "gpus": 4, "runtimeClassName": "nvidia",
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}]}

ACCEPTED = {
    "insecure": OPEN,
    "token": {"auth": {"existingSecret": "longspan-token"},
              "roots": {"outputs": OUTPUTS}},
    "no workers": {**OPEN, "pools": {"cpu": None}},
    "volumes": {**OPEN, "roots": {
        "outputs": {"claim": {"size": "1Ti", "storageClass": "fast",
                              "accessMode": "ReadWriteOnce"}},
        "corpus": {"volume": {"hostPath": {"path": "/srv/corpus"}},
                   "subPath": "books", "readOnly": True},
        "models": {"volume": {"nfs": {"server": "filer", "path": "/m"}}}}},
    "gpus": {**OPEN, "pools": {"cpu": None, "h100": GPU_POOL}},
    "rdma": {**OPEN,
             "networkPolicy": {"clients": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]},
             "pools": {"h100": {
                 **GPU_POOL, "ipcLock": True, "hostNetwork": True,
                 "extendedResources": {"rdma/hca": 8},
                 "env": {"NCCL_SOCKET_IFNAME": "eth0", "NCCL_IB_TIMEOUT": 22}}}},
    "a queue": {**OPEN, "poolDefaults": {
        "queue": "team-a", "queuePriority": "batch", "annotations": {
            "kueue.x-k8s.io/podset-required-topology": "rack"}}},
    "groups": {**OPEN, "pools": {"cpu": None, "h100": {
        **GPU_POOL, "kind": "LeaderWorkerSet", "replicas": 3, "groupSize": 4,
        "groupTopology": "example.com/rack"}}},
    "groups in a queue": {**OPEN, "pools": {"h100": {
        **GPU_POOL, "kind": "LeaderWorkerSet", "groupSize": 4,
        "queue": "team-a"}}},
    "monitoring": {**OPEN, "monitoring": {
        "monitors": True, "rules": True, "dashboards": True,
        "labels": {"release": "prometheus"}}},
    "names": {**OPEN, "fullnameOverride": "trainer", "networkPolicy": {
        "clients": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}],
        "enabled": True}},
    "placement": {**OPEN, "logFormat": "text",
                  "image": {"tag": "1", "pullSecrets": [{"name": "reg"}]},
                  "coordinator": {
                      "nodeSelector": {"zone": "a"}, "annotations": {"x": "y"},
                      "affinity": {"nodeAffinity": {}},
                      "priorityClassName": "high",
                      "tolerations": [{"operator": "Exists"}],
                      "service": {"type": "LoadBalancer",
                                  "annotations": {"lb": "internal"}}},
                  "poolDefaults": {"replicas": 5, "maxUnavailable": "20%",
                                   "annotations": {"x": "y"},
                                   "updateStrategy": "OnDelete"},
                  "serviceAccount": {"annotations": {"role": "r"}},
                  "networkPolicy": {"enabled": False}},
}

# Values, and what the refusal must say.
REFUSED = {
    "nothing about access": ({}, "auth.existingSecret"),
    "both kinds of access": (
        {"auth": {"existingSecret": "x", "insecure": True}}, "not both"),
    "an unknown key": ({**OPEN, "typo": 1}, "typo is not allowed"),
    "an unknown key of a pool": (
        {**OPEN, "pools": {"cpu": {"replica": 2}}}, "replica is not allowed"),
    "an unknown key of the coordinator": (
        {**OPEN, "coordinator": {"replicas": 2}}, "replicas is not allowed"),
    "a duration without unit": (
        {**OPEN, "coordinator": {"lease": "15"}}, "coordinator.lease"),
    "no such device": (
        {**OPEN, "pools": {"x": {"devices": "tpu"}}}, "pools.x.devices"),
    "a wrong quantity": (
        {**OPEN, "pools": {"x": {"sharedMemory": "1 GB"}}},
        "pools.x.sharedMemory"),
    "a name of a pool in capitals": (
        {**OPEN, "pools": {"H100": {}}}, "H100"),
    "a root without source": (
        {**OPEN, "roots": {"outputs": {}}}, "roots.outputs: give one of"),
    "a root with two sources": (
        {**OPEN, "roots": {"outputs": {
            **OUTPUTS, "volume": {"emptyDir": {}}}}},
        "roots.outputs: give one of"),
    "a source with two kinds": (
        {**OPEN, "roots": {"outputs": {
            "volume": {"emptyDir": {}, "hostPath": {"path": "/x"}}}}},
        "roots.outputs.volume"),
    "pods that a policy would lock out": (
        {**OPEN, "pools": {"x": {"hostNetwork": True}}},
        "pools.x.hostNetwork: "),
    "pods that end": (
        {**OPEN, "pools": {"x": {"kind": "JobSet"}}}, "pools.x.kind"),
    "groups of a StatefulSet": (
        {**OPEN, "pools": {"x": {"groupSize": 4}}},
        "pools.x: a StatefulSet has no groups"),
    "an update that a LeaderWorkerSet does not know": (
        {**OPEN, "pools": {"x": {"kind": "LeaderWorkerSet",
                                 "updateStrategy": "OnDelete"}}},
        "pools.x.updateStrategy: "),
    "groups and a queue that wait for each other": (
        {**OPEN, "pools": {"x": {"kind": "LeaderWorkerSet", "groupSize": 2,
                                 "groupTopology": "rack", "queue": "q"}}},
        "pools.x.groupTopology: "),
    "a priority without a queue": (
        {**OPEN, "pools": {"x": {"queuePriority": "high"}}},
        "pools.x.queuePriority: "),
    "a name that no pod can have": (
        {**OPEN, "fullnameOverride": "n" * 40, "pools": {"fourteen-chars": {}}},
        "pools.fourteen-chars: a StatefulSet of it"),
    "an unknown pull policy": (
        {**OPEN, "image": {"pullPolicy": "Sometimes"}}, "image.pullPolicy"),
}


def render(values, check=True, release="test"):
    """The finished `helm template` with these values."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(values, file)
        file.flush()
        return run("helm", "template", release, CHART, "--kube-version",
                   KUBERNETES, "--values", file.name, check=check)


def objects(values, release="test"):
    """What is rendered, as values."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        text = render(values, release=release).stdout
        for i, text in enumerate(re.split(r"(?m)^---\n", text)):
            if re.search(r"(?m)^kind:", text):
                files.append(pathlib.Path(folder) / f"{i:03}.yaml")
                files[-1].write_text(text)
        return as_json(files)


def of_kind(all_objects, kind, part):
    return next(one for one in all_objects if one["kind"] == kind
                and one["metadata"]["name"].endswith(part))


# ---- the checks

def lint():
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(OPEN, file)
        file.flush()
        run("helm", "lint", "--strict", CHART, "--values", file.name)


def schemas(cache):
    """Every accepted set, by the schemas of every minor."""
    folders = sorted(cache.glob("schemas-v*"))
    expect(len(folders) >= 3, f"schemas of three minors in {cache}")
    pattern = "{{.ResourceKind}}{{.KindSuffix}}.json"
    custom = [f"-schema-location={one}/{pattern}"
              for one in cache.glob("schemas-*-v*")]
    for name, values in ACCEPTED.items():
        text = render(values).stdout
        for folder in folders:
            done = run("kubeconform", "-strict", "-summary", *custom,
                       "-schema-location", f"{folder}/{pattern}",
                       input=text, check=False)
            expect(done.returncode == 0 and "Skipped: 0" in done.stdout,
                   f"{name}, {folder.name}: {done.stdout}{done.stderr}")


def refusals():
    for name, (values, words) in REFUSED.items():
        done = render(values, check=False)
        expect(done.returncode != 0, f"{name}: not refused")
        expect(words in done.stderr, f"{name}: {done.stderr}")


def pods_are_restricted():
    """By the rules of the Pod Security Standard of that name."""
    for one in objects(ACCEPTED["token"]):
        spec = one.get("spec", {})
        if one["kind"] == "StatefulSet":
            spec = spec["template"]["spec"]
        if "containers" not in spec:
            continue
        name = one["metadata"]["name"]
        expect(spec["securityContext"]["runAsNonRoot"], name)
        expect(not spec["automountServiceAccountToken"], name)
        for container in spec["containers"]:
            security = container["securityContext"]
            expect(security["readOnlyRootFilesystem"], name)
            expect(not security["allowPrivilegeEscalation"], name)
            expect(security["capabilities"] == {"drop": ["ALL"]}, name)


def a_token_is_by_reference():
    for name in ("coordinator", "worker-cpu"):
        pod = of_kind(objects(ACCEPTED["token"]), "StatefulSet", name)[
            "spec"]["template"]["spec"]
        arguments = pod["containers"][0]["args"]
        expect("--token-file=/etc/longspan/token" in arguments, name)
        expect("--insecure" not in arguments, name)
        secrets = [volume["secret"]["secretName"] for volume in pod["volumes"]
                   if "secret" in volume]
        expect(secrets == ["longspan-token"], name)


def gpus_and_rdma():
    pod = of_kind(objects(ACCEPTED["rdma"]), "StatefulSet", "worker-h100")[
        "spec"]["template"]["spec"]
    worker = pod["containers"][0]
    expect(worker["image"].startswith("longspan/worker-cuda:"), "image")
    expect("--devices=cuda" in worker["args"], "devices")
    limits = worker["resources"]["limits"]
    expect(limits == {"nvidia.com/gpu": 4, "rdma/hca": 8}, f"limits: {limits}")
    expect(worker["securityContext"]["capabilities"]["add"] == ["IPC_LOCK"],
           "IPC_LOCK")
    expect(pod["hostNetwork"] and pod["runtimeClassName"] == "nvidia", "pod")
    env = {one["name"]: one.get("value") for one in worker["env"]}
    expect(env["NCCL_IB_TIMEOUT"] == "22", f"env: {env}")


def queues_and_groups():
    """Kueue's labels, and a group that keeps its pods when one is lost."""
    labels = of_kind(objects(ACCEPTED["a queue"]), "StatefulSet", "worker-cpu")[
        "metadata"]["labels"]
    expect(labels["kueue.x-k8s.io/queue-name"] == "team-a"
           and labels["kueue.x-k8s.io/priority-class"] == "batch", f"{labels}")
    rendered = objects(ACCEPTED["groups"])
    one = of_kind(rendered, "LeaderWorkerSet", "worker-h100")
    expect(one["metadata"]["annotations"] == {
        "leaderworkerset.sigs.k8s.io/exclusive-topology": "example.com/rack"},
           f"{one['metadata']}")
    group = one["spec"]["leaderWorkerTemplate"]
    expect((one["spec"]["replicas"], group["size"], group["restartPolicy"])
           == (3, 4, "None"), f"{one['spec']}")
    alone = of_kind(objects(ACCEPTED["gpus"]), "StatefulSet", "worker-h100")
    expect(group["workerTemplate"] == alone["spec"]["template"],
           "the pods of a group differ from those of a StatefulSet")
    test = of_kind(rendered, "Pod", "-test")["spec"]["containers"][0]["args"][0]
    expect("of 12 workers are ready" in test, test)


def only_scrapers_may_scrape():
    """A rule without peers would admit everyone."""
    for scrapers, ports in (([{"podSelector": {}}], {7601, 7602}), ([], set())):
        rules = [rule for one in objects(
                     {**OPEN, "networkPolicy": {"scrapers": scrapers}})
                 if one["kind"] == "NetworkPolicy"
                 for rule in one["spec"]["ingress"]]
        expect(all(rule["from"] for rule in rules), f"{rules}")
        open_ports = {port["port"] for rule in rules
                      for port in rule.get("ports", [])}
        expect(open_ports - {7600} == ports, f"{scrapers}: {open_ports}")


def the_status_page_can_be_left_out():
    for value in (True, False):
        pod = of_kind(objects({**OPEN, "coordinator": {"statusPage": value}}),
                      "StatefulSet", "coordinator")["spec"]["template"]["spec"]
        expect(("--no-status-page" not in pod["containers"][0]["args"])
               == value, f"statusPage: {value}")


def only_what_changes_restarts():
    """A value of the coordinator leaves the workers' pods as they are."""
    before = objects(OPEN)
    after = objects({**OPEN, "coordinator": {"lease": "20s"}})
    for name, same in (("worker-cpu", True), ("coordinator", False)):
        pods = [of_kind(one, "StatefulSet", name)["spec"]["template"]
                for one in (before, after)]
        expect((pods[0] == pods[1]) == same, name)


def rules_and_dashboards_are_those_of_the_files():
    """Their {{ $labels }} are Prometheus' and Grafana's, not Helm's."""
    rendered = objects(ACCEPTED["monitoring"])
    rule = next(one for one in rendered if one["kind"] == "PrometheusRule")
    expect(rule["spec"] == as_json([CHART / "files/rules.yaml"])[0], "rules")
    expect(rule["metadata"]["labels"]["release"] == "prometheus", "labels")
    maps = [one for one in rendered if one["kind"] == "ConfigMap"]
    dashboards = sorted((CHART / "files/dashboards").glob("*.json"))
    expect(len(maps) == len(dashboards) > 0, f"{len(maps)} dashboards")
    for path in dashboards:
        one = of_kind(maps, "ConfigMap", f"-dashboard-{path.stem}")
        expect(one["data"] == {path.name: path.read_text()}, path.name)


def check_all(report, cache):
    report.step("helm lint", lint)
    report.step(f"{len(ACCEPTED)} sets of values follow the schemas of three "
                "Kubernetes minors and of the custom resources", schemas, cache)
    report.step(f"{len(REFUSED)} mistakes are refused with a reason", refusals)
    for check in (pods_are_restricted, a_token_is_by_reference, gpus_and_rdma,
                  queues_and_groups,
                  rules_and_dashboards_are_those_of_the_files,
                  only_scrapers_may_scrape, only_what_changes_restarts,
                  the_status_page_can_be_left_out):
        report.step(check.__name__.replace("_", " "), check)
