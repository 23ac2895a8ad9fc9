"""What a release of the chart must live through, on a real cluster."""

import json
import os
import pathlib
import sys
import tempfile

from kubernetes import Kubernetes
from monitors import Monitors
from processes import await_that
from programs import ProgramFailed, run
from report import expect, expect_equal

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))

import e2e  # noqa: E402
from local_prometheus import LocalPrometheus  # noqa: E402

CHART = ROOT / "helm/longspan"
NAMESPACE = "longspan-test"
USER = 10001  # of the images
WAIT = ("--wait", "--timeout", "5m")
RELEASE = "ls"
JOB_SECONDS = 15  # undisturbed: what is done to a job must hit it in time
TOKEN = "a-token-of-the-test"


def job_text(ranks=2, steps=100):
    return e2e.train_job(ranks=ranks, steps=steps,
                         more="  checkpoint: {interval: 50, keep_last: 2}\n")


def values(folder):
    """Those of the test: host paths as storage, nothing from a registry."""
    def host_path(name):
        return {"volume": {"hostPath": {"path": str(folder / name)}}}
    return {
        "image": {"repository": "localhost/longspan", "pullPolicy": "Never"},
        "auth": {"existingSecret": "token"},
        "roots": {"outputs": host_path("outputs"),
                  "corpus": {**host_path("corpus"), "readOnly": True}},
        "coordinator": {
            "lease": "3s", "persistence": {"size": "1Gi",
                                           "storageClass": "test"},
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}}},
        "poolDefaults": {
            "threads": 1, "drainSeconds": 20, "sharedMemory": "64Mi",
            "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}}}}


class Release:
    """The chart, installed in a cluster, and the command line beside it."""

    def __init__(self, cluster, folder, binaries):
        self.cluster = cluster
        self.folder = pathlib.Path(folder)
        self.binaries = pathlib.Path(binaries)
        self.steps = 0
        self.undisturbed = None
        self.first = None
        self.environment = dict(cluster.environment,
                                LONGSPAN_TOKEN_FILE=str(self.folder / "token"))

    # ---- tools

    def helm(self, *words, timeout=420):
        return run("helm", "--namespace", NAMESPACE, *words, timeout=timeout,
                   env=self.environment).stdout

    def upgrade(self, changes, *flags):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(changes, file)
            file.flush()
            self.helm("upgrade", "--install", RELEASE, CHART,
                      "--reuse-values", "--values", file.name, *flags)

    def kubectl(self, *words, **options):
        return self.cluster.kubectl("--namespace", NAMESPACE, *words,
                                    **options)

    def longspan(self, *words, text=None, timeout=300):
        return run(self.binaries / "longspan", *words, input=text,
                   env=self.environment, timeout=timeout).stdout

    def submit(self, text=None):
        """The name of a new job: that of run_locally unless told otherwise."""
        return self.longspan("submit", "-", text=text or job_text(
            steps=self.steps)).strip()

    def submit_and_start(self):
        """The name of such a job, when it has written a checkpoint."""
        name = self.submit()
        self.cluster.await_that("the first checkpoint", lambda: int(
            self.job(name).get("progress", {}).get("checkpoint_step", 0)) > 0,
                                180)
        return name

    def job(self, name):
        return json.loads(self.longspan("get", "--json", name))

    def finish(self, name):
        """Waits for success with the undisturbed run's bits; returns it."""
        self.longspan("watch", "--json", name)
        job = self.job(name)
        for key in ("parameter_digest", "steps", "loss"):
            expect_equal(key, job["result"]["train"][key],
                         self.undisturbed[key])
        return job

    def finish_undisturbed(self, name):
        """As finish(), and no rank was started again."""
        expect_equal("attempts", len(self.finish(name)["attempts"]), 1)

    def finish_resumed(self, name):
        """As finish(), and it went on from a checkpoint on the way."""
        attempts = self.finish(name)["attempts"]
        expect(len(attempts) >= 2 and
               int(attempts[-1].get("resumed_step", 0)) >= 50,
               f"it did not resume: {attempts}")

    def expect_running(self, name):
        """Else what was done came too late to disturb the job."""
        expect_equal("state", self.job(name)["state"], "RUNNING")

    def pod_ids(self):
        return {pod["metadata"]["name"]: pod["metadata"]["uid"]
                for pod in self.cluster.get("--namespace", NAMESPACE,
                                            "pods")["items"]}

    # ---- steps

    def prepare(self):
        """Storage, a token and a namespace."""
        for name in ("state", "outputs", "corpus"):
            (self.folder / name).mkdir()
            os.chown(self.folder / name, USER, USER)
        corpus = ROOT / "deploy/corpus/devils-dictionary.txt.gz"
        (self.folder / "corpus" / corpus.name).write_bytes(corpus.read_bytes())
        (self.folder / "token").write_text(TOKEN + "\n")
        (self.folder / "token").chmod(0o600)
        self.cluster.apply(
            {"apiVersion": "v1", "kind": "Namespace",
             "metadata": {"name": NAMESPACE, "labels": {
                 "pod-security.kubernetes.io/warn": "restricted"}}},
            {"apiVersion": "v1", "kind": "PersistentVolume",
             "metadata": {"name": "state"},
             "spec": {"capacity": {"storage": "1Gi"},
                      "accessModes": ["ReadWriteOnce"],
                      "storageClassName": "test",
                      "persistentVolumeReclaimPolicy": "Retain",
                      "hostPath": {"path": str(self.folder / "state")}}})
        self.kubectl("create", "secret", "generic", "token",
                     f"--from-literal=token={TOKEN}")

    def run_locally(self):
        """The same job under `longspan up`, as long as this machine needs for
        some JOB_SECONDS."""
        with e2e.LocalCluster(self.binaries, workers=2) as local:
            probe = e2e.train_result(local.run_job(job_text()))
            tokens = float(probe["tokens"]) / float(probe["steps"])
            wanted = JOB_SECONDS * probe["tokens_per_second"] / tokens
            self.steps = min(max(round(wanted), 200), 2000)
            self.undisturbed = e2e.train_result(
                local.run_job(job_text(steps=self.steps)))

    def install(self):
        self.upgrade(values(self.folder), *WAIT)
        service = self.cluster.get("--namespace", NAMESPACE, "service",
                                   "ls-longspan")
        self.environment["LONGSPAN_COORDINATOR"] = (
            service["spec"]["clusterIP"] + ":7600")

    def helm_test(self):
        self.helm("test", RELEASE, "--timeout", "3m")

    def health(self):
        """The images' health check, of a port that answers and one that does
        not."""
        for pod, port in (("ls-longspan-coordinator-0", "7601"),
                          ("ls-longspan-worker-cpu-0", "7602")):
            for asked, code in ((port, 0), ("1", 1)):
                done = self.cluster.run_in(NAMESPACE, pod, "health", asked)
                expect_equal(f"{pod}: health {asked}: {done.stderr}exit code",
                             done.returncode, code)

    def wrong_token_is_refused(self):
        wrong = self.folder / "wrong"
        wrong.write_text("another-token-of-the-test\n")
        wrong.chmod(0o600)
        done = run(self.binaries / "longspan", "workers", check=False, env=dict(
            self.environment, LONGSPAN_TOKEN_FILE=str(wrong)))
        expect_equal("exit code", done.returncode, 7)

    def train(self):
        self.first = self.submit()
        self.finish_undisturbed(self.first)

    def worker_pod_deleted(self):
        name = self.submit_and_start()
        self.kubectl("delete", "pod", "ls-longspan-worker-cpu-0")
        self.finish_resumed(name)

    def coordinator_pod_deleted(self):
        name = self.submit_and_start()
        before = self.pod_ids()
        self.kubectl("delete", "pod", "ls-longspan-coordinator-0")
        self.kubectl("rollout", "status", "--timeout=120s",
                     "statefulset/ls-longspan-coordinator")
        self.expect_running(name)
        self.finish_undisturbed(name)
        self.expect_replaced(before, "ls-longspan-coordinator-0")

    def upgrade_of_the_coordinator(self):
        """Its pod is replaced; ranks compute on and never notice."""
        name = self.submit_and_start()
        before = self.pod_ids()
        self.upgrade({"coordinator": {"lease": "4s"}}, *WAIT)
        self.expect_running(name)
        self.finish_undisturbed(name)
        self.expect_replaced(before, "ls-longspan-coordinator-0")

    def upgrade_of_the_workers(self):
        """They are replaced one after another; the job resumes."""
        name = self.submit_and_start()
        before = self.pod_ids()
        self.upgrade({"poolDefaults": {"env": {"NCCL_DEBUG": "WARN"}}}, *WAIT)
        self.expect_replaced(before, "ls-longspan-worker-cpu-0",
                             "ls-longspan-worker-cpu-1")
        self.finish_resumed(name)

    def rollback(self):
        """To the installation: both upgrades are undone at once."""
        name = self.submit_and_start()
        before = self.pod_ids()
        self.helm("rollback", RELEASE, "1", *WAIT)
        self.expect_replaced(before, *before)
        self.finish_resumed(name)

    def expect_replaced(self, before, *names):
        """These pods are others now, and only these."""
        changed = {name for name, uid in self.pod_ids().items()
                   if before.get(name) != uid}
        expect_equal("pods replaced", sorted(changed), sorted(names))

    def scraped(self):
        """By a Prometheus, at the ports that the monitors name."""
        monitors = Monitors(self.cluster, NAMESPACE, RELEASE,
                            values(self.folder))
        with LocalPrometheus(monitors.targets()) as prometheus:
            def by_pod(expression):
                return {labels["pod"]: value
                        for labels, value in prometheus.query(expression)}
            prometheus.await_scrapes(60)
            pods = dict.fromkeys(sorted(self.pod_ids()), 1.0)
            expect_equal("up", by_pod("up"), pods)
            expect_equal("builds", by_pod("longspan_build_info"), pods)
            expect_equal("workers", by_pod('longspan_workers{state="READY"}'),
                         {"ls-longspan-coordinator-0": 2.0})

    def gpu_pool(self):
        """On nodes that kwok pretends: two of three pods find their GPUs."""
        for i in range(2):
            self.cluster.add_fake_node(f"gpu-{i}", **{"nvidia.com/gpu": "8"})
        self.upgrade({"pools": {"h100": {
            "devices": "cuda", "gpus": 8, "replicas": 3, "tolerations": [
                {"key": "fake", "operator": "Exists"}]}}})

        def nodes_and_reasons():
            pods = self.cluster.get("--namespace", NAMESPACE, "pods",
                                    "--selector", "longspan/pool=h100")
            return sorted(
                (pod["spec"].get("nodeName", ""), scheduling.get("message", ""))
                for pod in pods["items"]
                for scheduling in pod["status"].get("conditions", ())
                if scheduling["type"] == "PodScheduled")
        self.cluster.await_that("three decisions", lambda: len(
            nodes_and_reasons()) == 3, 60)
        (nowhere, reason), *placed = nodes_and_reasons()
        expect_equal("nodes", (nowhere, *placed),
                     ("", ("gpu-0", ""), ("gpu-1", "")))
        expect("Insufficient nvidia.com/gpu" in reason, reason)

    def gang_that_does_not_fit(self):
        """Pending, with what it needs and what there is."""
        name = self.submit(job_text(ranks=3))
        reason = self.cluster.await_that("a reason", lambda: self.job(name).get(
            "pending_reason"), 30)
        expect("needs 3 cpu slots" in reason, reason)
        self.longspan("cancel", name)

    def uninstall(self):
        self.helm("uninstall", RELEASE, "--wait", "--timeout", "3m")
        kinds = self.kubectl("api-resources", "--verbs=list", "--namespaced",
                             "--output=name").stdout.split()
        kinds = [kind for kind in kinds if not kind.startswith("events")]

        def left():
            out = self.kubectl("get", ",".join(kinds), "--ignore-not-found",
                               "--output=name", "--show-kind").stdout.split()
            return sorted(out)
        expected = ["configmap/kube-root-ca.crt",
                    "persistentvolumeclaim/state-ls-longspan-coordinator-0",
                    "secret/token", "serviceaccount/default"]
        try:
            await_that("an empty namespace", lambda: left() == expected, 60)
        except ProgramFailed:
            expect_equal("what is left", left(), expected)

    def install_again(self):
        """On the claim that is left: the journal knows the jobs."""
        self.install()
        self.finish_undisturbed(self.first)


STEPS_IN_ORDER = (
    ("the same job under `longspan up`", Release.run_locally),
    ("helm install --wait: a coordinator and two workers", Release.install),
    ("helm test", Release.helm_test),
    ("the images' health check", Release.health),
    ("a wrong token is refused", Release.wrong_token_is_refused),
    ("a train job through the Service equals the local one", Release.train),
    ("a worker pod is deleted: the job resumes", Release.worker_pod_deleted),
    ("the coordinator pod is deleted: the job goes on",
     Release.coordinator_pod_deleted),
    ("helm upgrade of the coordinator under a running job",
     Release.upgrade_of_the_coordinator),
    ("helm upgrade of the workers under a running job",
     Release.upgrade_of_the_workers),
    ("helm rollback under a running job", Release.rollback),
    ("Prometheus scrapes the pods that the monitors choose", Release.scraped),
    ("a gang that does not fit says why", Release.gang_that_does_not_fit),
    ("a CUDA pool goes to GPU nodes (kwok)", Release.gpu_pool),
    ("helm uninstall leaves nothing but the claim", Release.uninstall),
    ("helm install on that claim finds the old jobs", Release.install_again),
)


def run_all(report, cluster: Kubernetes, folder, binaries):
    """Steps build on one another: without an install the others are skipped."""
    release = Release(cluster, folder, binaries)
    if not report.step("storage, namespace and token", release.prepare):
        return
    needed = ("`longspan up`", "helm install")
    for i, (name, action) in enumerate(STEPS_IN_ORDER):
        if report.step(name, action, release) or not name.startswith(needed):
            continue
        if "install" in name:
            for later, _ in STEPS_IN_ORDER[i + 1:]:
                report.skip(later, "nothing is installed")
            return
