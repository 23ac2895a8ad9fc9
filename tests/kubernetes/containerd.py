"""containerd with runc, of our own: its files lie beneath the folder of the
processes, and nothing of the machine's is used or changed."""

from programs import run

# Capabilities that ctr gives unless told otherwise.
CAPABILITIES = ("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID",
                "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW", "SETFCAP",
                "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT")
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

    def start_container(self, name, image, command, mounts):
        """As the chart's pods: the image's user, no capabilities, nothing to
        write to but the mounts, (source, place, may write); the host's
        network. Returns the process that shows its output."""
        words = ["run", "--rm", "--read-only", "--net-host", "--seccomp"]
        for capability in CAPABILITIES:
            words += ["--cap-drop", f"CAP_{capability}"]
        for source, place, writes in mounts:
            words += ["--mount", f"type=bind,src={source},dst={place},"
                      f"options=rbind:{'rw' if writes else 'ro'}"]
        words += ["--mount", "type=tmpfs,src=tmpfs,dst=/tmp,options=mode=1777"]
        return self.processes.spawn("ctr", "--address", self.socket,
                                    "--namespace", "k8s.io", *words, image,
                                    name, *command)

    def kill_container(self, name):
        self.ctr("tasks", "kill", "--signal", "KILL", name)

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
