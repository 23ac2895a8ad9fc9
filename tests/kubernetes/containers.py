"""The chart's pods as plain containers of containerd and runc: its images, its
arguments and its restrictions, without a Kubernetes around them."""

import json
import os
import pathlib
import signal
import sys

import chart_checks
from containerd import Containerd
from processes import Processes, await_that, free_port
from programs import run

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))

import e2e  # noqa: E402

USER = 10001  # of the images
TOKEN = "a-token-of-the-test"
STEPS = 60
VALUES = {
    "image": {"repository": "localhost/longspan"},
    "auth": {"existingSecret": "token"},
    "roots": {"outputs": {"volume": {"hostPath": {"path": "/x"}}},
              "corpus": {"volume": {"hostPath": {"path": "/x"}},
                         "readOnly": True}},
    "coordinator": {"lease": "3s"},
    "poolDefaults": {"threads": 1, "drainSeconds": 10}}


def job_text(ranks=2, steps=STEPS):
    return e2e.train_job(ranks=ranks, steps=steps,
                         more="  checkpoint: {interval: 20, keep_last: 2}\n")


class Containers:
    def __init__(self, folder, binaries):
        self.processes = Processes(folder)
        self.containerd = Containerd(self.processes)
        self.folder = self.processes.folder
        self.binaries = binaries
        self.ports = {name: free_port() for name in
                      ("7600", "7601", "worker-0", "worker-1")}
        self.environment = dict(
            os.environ, LONGSPAN_TOKEN_FILE=str(self.folder / "my-token"),
            LONGSPAN_COORDINATOR=f"127.0.0.1:{self.ports['7600']}")
        self.sets = {}

    def prepare(self, archives):
        for name in ("state", "outputs", "corpus", "worker-0", "worker-1"):
            (self.folder / name).mkdir(parents=True)
            os.chown(self.folder / name, USER, USER)
        corpus = ROOT / "deploy/corpus/devils-dictionary.txt.gz"
        (self.folder / "corpus" / corpus.name).write_bytes(corpus.read_bytes())
        for name, group, mode in (("token", USER, 0o440),
                                  ("my-token", 0, 0o600)):
            (self.folder / name).write_text(TOKEN + "\n")
            os.chown(self.folder / name, 0, group)
            (self.folder / name).chmod(mode)
        self.sets = {one["metadata"]["name"].removeprefix("test-longspan-"): one
                     for one in chart_checks.objects(VALUES)
                     if one["kind"] == "StatefulSet"}
        self.containerd.start()
        for archive in archives:
            self.containerd.load_image(archive)

    def container(self, part, name):
        """(image, arguments) as rendered, with this machine's addresses."""
        one = self.sets[part]["spec"]["template"]["spec"]["containers"][0]
        replaced = {"$(POD_NAME)": name, "$(POD_IP)": "127.0.0.1",
                    "test-longspan:7600": f"127.0.0.1:{self.ports['7600']}",
                    "0.0.0.0:7600": f"0.0.0.0:{self.ports['7600']}",
                    "0.0.0.0:7601": f"0.0.0.0:{self.ports['7601']}",
                    "0.0.0.0:7602": f"0.0.0.0:{self.ports.get(name)}"}
        arguments = one["args"]
        for old, new in replaced.items():
            arguments = [word.replace(old, new) for word in arguments]
        return one["image"], arguments

    def start(self, part, name, *mounts):
        image, arguments = self.container(part, name)
        program = f"longspan-{part.split('-')[0]}"
        self.containerd.start_container(
            name, image, [program, *arguments],
            [(self.folder / "token", "/etc/longspan/token", False),
             *((self.folder / source, place, writes)
               for source, place, writes in mounts)])

    def start_coordinator(self):
        self.start("coordinator", "coordinator",
                   ("state", "/var/lib/longspan", True))

    def start_worker(self, i):
        self.start("worker-cpu", f"worker-{i}",
                   (f"worker-{i}", "/var/lib/longspan", True),
                   ("outputs", "/roots/outputs", True),
                   ("corpus", "/roots/corpus", False))

    def longspan(self, *words, text=None, check=True):
        return run(self.binaries / "longspan", *words, input=text, check=check,
                   env=self.environment, timeout=300).stdout

    def job(self, name):
        return json.loads(self.longspan("get", "--json", name))

    def submit(self, text):
        return self.longspan("submit", "-", text=text).strip()

    # ---- steps

    def register(self):
        self.start_coordinator()
        for i in range(2):
            self.start_worker(i)
        await_that("two workers", lambda: self.longspan(
            "workers", "--json", check=False).count('"state":"READY"') == 2, 90)

    def health(self):
        """The images' health check, of a port that answers and one that does
        not."""
        for name, port in (("coordinator", self.ports["7601"]),
                           ("worker-0", self.ports["worker-0"])):
            for place, code in ((port, 0), (free_port(), 1)):
                done = self.containerd.ctr("tasks", "exec", "--exec-id",
                                           f"health-{place}", name, "health",
                                           place, check=False)
                chart_checks.expect(done.returncode == code,
                                    f"{name}: health {place}: {done}")

    def helm_test(self):
        """What the chart's test pod does: workers registered, a wrong token
        refused."""
        pod = chart_checks.of_kind(chart_checks.objects(VALUES), "Pod", "-test")
        script = pod["spec"]["containers"][0]["args"][0].replace(
            "/tmp/", f"{self.folder}/")
        run("bash", "-euc", script, env=dict(
            self.environment,
            PATH=f"{self.binaries}:{self.environment['PATH']}"))

    def train(self):
        """The loss and the parameters of the same job under `longspan up`."""
        with e2e.LocalCluster(self.binaries, workers=2) as local:
            expected = e2e.train_result(local.run_job(job_text()))
        name = self.submit(job_text())
        self.longspan("watch", name)
        self.expect_same(name, expected)
        self.expected = expected

    def expect_same(self, name, expected):
        got = self.job(name)["result"]["train"]
        for key in ("steps", "loss", "parameter_digest"):
            chart_checks.expect(got[key] == expected[key],
                                f"{key}: {got[key]}, not {expected[key]}")

    def lose(self, container, restart):
        """Kills a container in mid-job and starts it again, as kubelet does."""
        name = self.submit(job_text())
        await_that("the first checkpoint", lambda: int(self.job(name).get(
            "progress", {}).get("checkpoint_step", 0)) > 0, 120)
        self.containerd.kill_container(container)
        await_that("its end", lambda: container not in self.containerd.ctr(
            "containers", "ls", "-q").stdout.split(), 30)
        restart()
        self.longspan("watch", name)
        self.expect_same(name, self.expected)
        return self.job(name)["attempts"]

    def lose_a_worker(self):
        attempts = self.lose("worker-0", lambda: self.start_worker(0))
        chart_checks.expect(len(attempts) >= 2, f"attempts: {attempts}")

    def lose_the_coordinator(self):
        attempts = self.lose("coordinator", self.start_coordinator)
        chart_checks.expect(len(attempts) == 1, f"attempts: {attempts}")

    def pending(self):
        name = self.submit(job_text(ranks=3))
        reason = await_that("a reason", lambda: self.job(name).get(
            "pending_reason"), 30)
        chart_checks.expect("needs 3 cpu slots" in reason, reason)

    def stop(self):
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self.containerd.end_containers()
            for name in ("ctr", "containerd"):
                self.processes.end(name)
            self.processes.unmount()
        finally:
            signal.signal(signal.SIGINT, previous)


def run_all(report, folder, binaries, archives):
    """The steps in order: each needs the one before."""
    containers = Containers(folder, binaries)
    steps = (
        ("containerd starts and has the images", containers.prepare, archives),
        ("a coordinator and two workers as the chart has them",
         containers.register),
        ("the images' health check", containers.health),
        ("what `helm test` runs", containers.helm_test),
        ("a train job there equals one under `longspan up`", containers.train),
        ("a worker is killed: the job resumes", containers.lose_a_worker),
        ("the coordinator is killed: the job goes on",
         containers.lose_the_coordinator),
        ("a gang that does not fit says why", containers.pending))
    try:
        for name, action, *arguments in steps:
            if not report.step(name, action, *arguments):
                print(containers.processes.logs())
                return
    finally:
        report.step("everything is stopped", containers.stop)
