"""A real single-node Kubernetes, of plain processes of this machine.

    cluster = Kubernetes(folder)
    cluster.start()
    cluster.kubectl("get", "nodes")
    cluster.stop()

etcd, API server, controllers, scheduler, containerd with runc, kubelet,
kube-proxy, CoreDNS and kwok (fake nodes), all of whose files lie beneath the
folder. Needs root, and no other Kubernetes on the machine. stop() also ends what
a failed start has begun: each process by its own id, the containers, mounts,
network, packet rules and what kubelet has left in its fixed places.
"""

import contextlib
import json
import os
import pathlib
import secrets
import signal

from containerd import Containerd
from processes import Processes, free_port
from programs import run

NODE = "node-a"
NODE_ADDRESS = "10.244.77.1"
POD_NETWORK = "10.244.77.0/24"
SERVICE_NETWORK = "10.96.77.0/24"
BRIDGE = "longspan-cni0"
# Fixed places of kubelet and of CNI, and what kube-proxy makes of packet rules.
PLUGINS = pathlib.Path("/var/lib/kubelet/device-plugins")
LOG_LINKS = pathlib.Path("/var/log/containers")
NETWORK_RESULTS = pathlib.Path("/var/lib/cni/results")
PACKET_TABLES = {f"table {family} {name}" for family in ("ip", "ip6")
                 for name in ("kube-proxy", "mangle", "filter", "nat")}
PROXY_TABLES = {name for name in PACKET_TABLES if name.endswith("kube-proxy")}
FORWARDING = pathlib.Path("/proc/sys/net/ipv4/ip_forward")


class Kubernetes(Processes):
    def __init__(self, folder):
        super().__init__(folder)
        self.etcd_port, self.api_port = free_port(), free_port()
        self.kubeconfig = self.folder / "kubeconfig"
        self.environment["KUBECONFIG"] = str(self.kubeconfig)
        self.containerd = Containerd(self)
        self.tables = packet_tables()
        self.forwarding = FORWARDING.read_text()

    # ---- for the tests

    def kubectl(self, *words, check=True, timeout=120, text=None):
        return run("kubectl", *words, check=check, timeout=timeout,
                   env=self.environment, input=text)

    def get(self, *words):
        """`kubectl get` as a value."""
        return json.loads(self.kubectl("get", *words, "-o", "json").stdout)

    def apply(self, *objects):
        self.kubectl("apply", "-f", "-", text=json.dumps(
            {"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def load_image(self, archive):
        self.containerd.load_image(archive)

    def run_in(self, namespace, pod, *command):
        """In the pod's first container; returns the finished process."""
        status = self.get("--namespace", namespace, "pod", pod)["status"]
        container = status["containerStatuses"][0]["containerID"]
        return self.containerd.run_in(container.split("://")[1], *command)

    def add_fake_node(self, name, **resources):
        """A node that kwok pretends to run: pods there become ready."""
        capacity = {"cpu": "64", "memory": "512Gi", "pods": "110", **resources}
        self.apply({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {
                             "kubernetes.io/hostname": name, "type": "kwok"},
                         "annotations": {"kwok.x-k8s.io/node": "fake"}},
            "spec": {"taints": [{"key": "fake", "effect": "NoSchedule"}]},
            "status": {"capacity": capacity, "allocatable": capacity}})

    # ---- start

    def start(self):
        self.make_bridge()
        self.start_etcd()
        self.start_api_server()
        self.start_controllers()
        self.start_containerd()
        self.start_kubelet()
        self.start_network()
        self.spawn("kwok", "--kubeconfig", self.kubeconfig, "--config",
                   self.write("kwok.yaml", ""), "--manage-all-nodes=false",
                   "--manage-nodes-with-annotation-selector="
                   "kwok.x-k8s.io/node=fake")

    def await_node(self):
        def ready():
            done = self.kubectl(
                "get", "node", NODE, "-o", "jsonpath={.status.conditions"
                '[?(@.type=="Ready")].status}', check=False)
            return done.stdout == "True"
        self.await_that("a ready node", ready, 120)

    def make_bridge(self):
        """The pods' network; its address is the node's, which everything that
        pods call listens on, and nothing on another network."""
        if run("ip", "link", "delete", BRIDGE, check=False).returncode == 0:
            self.tables -= PROXY_TABLES  # of a run that was killed, as the bridge
        run("ip", "link", "add", BRIDGE, "type", "bridge")
        run("ip", "address", "add", NODE_ADDRESS + "/24", "dev", BRIDGE)
        run("ip", "link", "set", BRIDGE, "up")
        FORWARDING.write_text("1")

    def start_etcd(self):
        url = f"http://127.0.0.1:{self.etcd_port}"
        peer = f"http://127.0.0.1:{free_port()}"
        self.spawn("etcd", "--data-dir", self.folder / "etcd",
                   "--listen-client-urls", url, "--advertise-client-urls", url,
                   "--listen-peer-urls", peer, "--unsafe-no-fsync",
                   "--initial-advertise-peer-urls", peer,
                   "--initial-cluster", f"default={peer}")

    def start_api_server(self):
        key = self.folder / "sa.key"
        run("openssl", "genrsa", "-out", key, "2048")
        token = secrets.token_hex(16)
        tokens = self.write("tokens.csv", f"{token},admin,1,system:masters\n")
        self.write("kubeconfig", {
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {
                "server": f"https://{NODE_ADDRESS}:{self.api_port}",
                "insecure-skip-tls-verify": True}}],
            "users": [{"name": "admin", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {
                "cluster": "test", "user": "admin"}}]})
        self.spawn(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self.etcd_port}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            f"--cert-dir={self.folder}/certs", f"--token-auth-file={tokens}",
            "--authorization-mode=RBAC", f"--secure-port={self.api_port}",
            f"--service-cluster-ip-range={SERVICE_NETWORK}",
            f"--advertise-address={NODE_ADDRESS}",
            f"--bind-address={NODE_ADDRESS}",
            "--kubelet-preferred-address-types=InternalIP")
        self.await_that("the API server", lambda: self.kubectl(
            "get", "--raw", "/readyz", check=False).stdout == "ok", 240)

    def start_controllers(self):
        self.spawn("kube-controller-manager", "--kubeconfig", self.kubeconfig,
                   "--service-account-private-key-file",
                   self.folder / "sa.key", "--root-ca-file",
                   self.folder / "certs/apiserver.crt", "--secure-port=0",
                   "--leader-elect=false")
        self.spawn("kube-scheduler", "--kubeconfig", self.kubeconfig,
                   "--secure-port=0", "--leader-elect=false")

    def start_containerd(self):
        self.write("cni/10-bridge.conflist", {
            "cniVersion": "0.4.0", "name": "pods", "plugins": [
                {"type": "bridge", "bridge": BRIDGE, "isGateway": True,
                 "hairpinMode": True,
                 "ipam": {"type": "host-local",
                          "ranges": [[{"subnet": POD_NETWORK}]],
                          "dataDir": str(self.folder / "ipam"),
                          "routes": [{"dst": "0.0.0.0/0"}]}}]})
        self.containerd.start()

    def start_kubelet(self):
        config = self.write("kubelet.yaml", {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration", "cgroupDriver": "cgroupfs",
            "failCgroupV1": False, "cgroupsPerQOS": False,
            "enforceNodeAllocatable": [], "failSwapOn": False,
            "makeIPTablesUtilChains": False,
            "oomScoreAdj": 0, "podLogsDir": str(self.folder / "pod-logs"),
            "evictionHard": {"memory.available": "50Mi",
                             "nodefs.available": "1%",
                             "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "clusterDNS": [NODE_ADDRESS], "clusterDomain": "cluster.local",
            "resolvConf": str(self.write("resolv.conf", "")),
            "address": NODE_ADDRESS, "port": free_port(), "healthzPort": 0,
            "volumePluginDir": str(self.folder / "volume-plugins"),
            "containerRuntimeEndpoint": f"unix://{self.containerd.socket}",
            "authentication": {"anonymous": {"enabled": True},
                               "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"}})
        self.spawn("kubelet", "--config", config, "--kubeconfig",
                   self.kubeconfig, "--root-dir", self.folder / "kubelet",
                   "--cert-dir", self.folder / "kubelet-certs",
                   "--hostname-override", NODE, "--node-ip", NODE_ADDRESS)

    def start_network(self):
        proxy = self.write("kube-proxy.yaml", {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration", "mode": "nftables",
            "clientConnection": {"kubeconfig": str(self.kubeconfig)},
            "clusterCIDR": POD_NETWORK, "hostnameOverride": NODE,
            "healthzBindAddress": f"127.0.0.1:{free_port()}",
            "metricsBindAddress": f"127.0.0.1:{free_port()}",
            "conntrack": {"maxPerCore": 0, "min": 0,
                          "tcpEstablishedTimeout": "0s",
                          "tcpCloseWaitTimeout": "0s"}})
        self.spawn("kube-proxy", "--config", proxy)
        corefile = self.write("Corefile", f""".:53 {{
    bind {NODE_ADDRESS}
    errors
    kubernetes cluster.local {{
        kubeconfig {self.kubeconfig}
    }}
}}
""")
        self.spawn("coredns", "-conf", corefile)

    # ---- stop

    def stop(self):
        """In reverse order; does all it can, whatever fails."""
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self.end("kubelet")
            containers = self.containerd.end_containers()
            while self.processes:
                self.end(self.processes[-1][0])
            self.unmount()
            run("ip", "link", "delete", BRIDGE, check=False)
            FORWARDING.write_text(self.forwarding)
            for table in packet_tables() - self.tables:
                run("nft", "delete", *table.split(), check=False)
            self.remove_files(containers)
        finally:
            signal.signal(signal.SIGINT, previous)

    def remove_files(self, containers):
        """Those outside the folder, and their directories if empty then."""
        for link in LOG_LINKS.glob("*.log"):
            if os.readlink(link).startswith(f"{self.folder}/"):
                link.unlink()
        for name in containers:
            for file in NETWORK_RESULTS.glob(f"*-{name}-*"):
                file.unlink()
        (PLUGINS / "kubelet.sock").unlink(missing_ok=True)
        for place in (LOG_LINKS, NETWORK_RESULTS, NETWORK_RESULTS.parent,
                      PLUGINS, PLUGINS.parent):
            with contextlib.suppress(OSError):
                place.rmdir()


def packet_tables():
    """Those that exist, of the names that may be ours."""
    return PACKET_TABLES.intersection(
        run("nft", "list", "tables").stdout.splitlines())
