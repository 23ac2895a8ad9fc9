"""deploy/compose: its files fit together, and the daemons know their flags.

No engine runs here. What an engine would find missing is looked for: files,
flags (asked of the programs themselves), ports, volumes, what Prometheus
scrapes, where Grafana looks. `docker compose config` reads it too where there
is one.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import e2e

COMPOSE = e2e.ROOT / "deploy/compose"
sys.path.insert(0, str(e2e.ROOT / "bench"))

try:
    import yaml
except ImportError:
    import environment
    OWN = environment.python(
        "compose", e2e.ROOT / "tests/e2e/compose_requirements.txt")
    os.execv(OWN, [str(OWN), *sys.argv])

PROGRAMS = {"coordinator": "longspan-coordinator",
            "worker-1": "longspan-worker", "worker-2": "longspan-worker"}


def load(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def mounts(service):
    """[(source, target)] of what comes from a folder of the tree."""
    found = []
    for mount in service.get("volumes", []):
        source, target = mount.split(":")[:2]
        if source.startswith("."):
            found.append(((COMPOSE / source).resolve(), target))
    return found


class ComposeTest(unittest.TestCase):
    def setUp(self):
        self.compose = load(COMPOSE / "compose.yaml")
        self.services = self.compose["services"]

    def test_images_are_named_by_variables(self):
        for name, service in self.services.items():
            self.assertTrue(service["image"].startswith("${"), name)

    def test_everything_is_published_on_loopback(self):
        for service in self.services.values():
            for port in service.get("ports", []):
                self.assertTrue(port.startswith("127.0.0.1:"), port)

    def test_files_and_volumes_exist(self):
        volumes = set(self.compose["volumes"])
        for service in self.services.values():
            for source, _ in mounts(service):
                self.assertTrue(source.exists(), source)
            named = {mount.split(":")[0]
                     for mount in service.get("volumes", [])
                     if not mount.startswith(".")}
            self.assertLessEqual(named, volumes)

    def test_daemons_know_their_flags(self):
        for name, program in PROGRAMS.items():
            text = subprocess.run([e2e.BINARIES / program, "--help"], text=True,
                                  capture_output=True, check=True).stdout
            for word in self.services[name]["command"]:
                flag = word.split("=")[0]
                self.assertRegex(text, rf"(?m)[ ,]{flag}[ ,\n]")

    def test_addresses_are_those_of_the_network(self):
        for name in ("worker-1", "worker-2"):
            service = self.services[name]
            address = service["networks"]["cluster"]["ipv4_address"]
            self.assertIn(f"--data-address={address}", service["command"])
            self.assertIn(f"--name={name}", service["command"])

    def test_prometheus_scrapes_every_daemon(self):
        config = load(COMPOSE / "prometheus.yml")
        scraped = {target for job in config["scrape_configs"]
                   for group in job["static_configs"]
                   for target in group["targets"]}
        served = set()
        for name in PROGRAMS:
            for word in self.services[name]["command"]:
                match = re.fullmatch(r"--metrics-listen=0\.0\.0\.0:(\d+)", word)
                if match:
                    served.add(f"{name}:{match[1]}")
        self.assertEqual(scraped, served)

    def test_prometheus_accepts_its_files(self):
        promtool = shutil.which("promtool")
        self.assertIsNotNone(promtool, "promtool comes with install-deps")
        with tempfile.TemporaryDirectory() as folder:
            for source, target in mounts(self.services["prometheus"]):
                shutil.copy(source, folder + "/" + target.split("/")[-1])
            done = subprocess.run(
                [promtool, "check", "config", f"{folder}/prometheus.yml"],
                capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_grafana_finds_source_and_dashboards(self):
        grafana = self.services["grafana"]
        found = dict((target, source) for source, target in mounts(grafana))
        provisioning = found["/etc/grafana/provisioning"]
        source = load(provisioning / "datasources/prometheus.yaml")
        self.assertEqual(source["datasources"][0]["url"],
                         "http://prometheus:9090")
        provider = load(provisioning / "dashboards/longspan.yaml")
        folder = found[provider["providers"][0]["options"]["path"]]
        home = grafana["environment"][
            "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
        self.assertTrue((folder / home.split("/")[-1]).exists())
        self.assertEqual(len(list(folder.glob("*.json"))), 4)

    def test_the_engine_reads_it_where_there_is_one(self):
        if shutil.which("docker") is None or subprocess.run(
                ["docker", "compose", "version"], check=False,
                capture_output=True).returncode != 0:
            self.skipTest("no docker compose on this machine")
        subprocess.run(
            ["docker", "compose", "-f", COMPOSE / "compose.yaml", "config",
             "--quiet"], env=dict(os.environ, LONGSPAN_TAG="dev"), check=True)


if __name__ == "__main__":
    e2e.main()
