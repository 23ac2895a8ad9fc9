"""containerd with runc, of our own: its files lie beneath the folder of the
processes, and nothing of the machine's is used or changed."""

import secrets

from programs import run

CONFIG = """
version = 2
root = "{folder}/containerd/root"
state = "{folder}/containerd/state"
[grpc]
address = "{folder}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
path = "{folder}/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "localhost/pause:1"
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{folder}/cni"
"""


class Containerd:
    def __init__(self, processes):
        self.processes = processes
        self.socket = processes.folder / "containerd.sock"

    def start(self):
        config = self.processes.write(
            "containerd.toml", CONFIG.format(folder=self.processes.folder))
        self.processes.spawn("containerd", "--config", config)
        self.processes.await_that("containerd", lambda: self.ctr(
            "version", check=False).returncode == 0, 60)

    def ctr(self, *words, **options):
        return run("ctr", "--address", self.socket, "--namespace", "k8s.io",
                   *words, **options)

    def load_image(self, archive):
        self.ctr("images", "import", archive, timeout=300)

    def run_in(self, container, *command):
        """Returns the finished process, whatever its exit code."""
        return self.ctr("tasks", "exec", "--exec-id", secrets.token_hex(8),
                        container, *command, check=False)

    def end_containers(self):
        """Whatever runs or is left; returns their names."""
        if not self.socket.exists():
            return []
        tasks = self.ctr("tasks", "ls", "-q", check=False).stdout.split()
        for task in tasks:
            self.ctr("tasks", "kill", "--signal", "KILL", task, check=False)
        for task in tasks:
            self.ctr("tasks", "delete", "--force", task, check=False)
        left = self.ctr("containers", "ls", "-q", check=False).stdout.split()
        for container in left:
            self.ctr("containers", "delete", container, check=False)
        return left
