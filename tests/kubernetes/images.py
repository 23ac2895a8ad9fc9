"""Longspan's images, built where there is neither an engine nor a registry.

A base is bootstrapped from Debian's mirror once (and cached), deploy/docker/build
runs on it through buildah, and the pause image is a program that sleeps.
"""

import contextlib
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile

from programs import run

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/bundle"))

import other_system  # noqa: E402

BASE = "localhost/base:1"
PAUSE = "localhost/pause:1"
REPOSITORY = "localhost/longspan"
# What no program of ours needs of a bootstrapped system.
LEFT_OUT = ("./dev/", "./var/cache/", "./var/lib/apt/lists/", "./usr/share/doc/",
            "./usr/share/man/", "./usr/share/locale/")
PAUSE_SOURCE = """
#include <signal.h>
#include <unistd.h>
int main(void) {
  signal(SIGTERM, _exit);
  signal(SIGINT, _exit);
  for (;;) pause();
}
"""


def base_archive(cache):
    """The root file system of this machine's release as a tar file."""
    archive = cache / f"base-{other_system.this_release()}.tar"
    if archive.exists():
        return archive
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        root = pathlib.Path(folder) / "root"
        run("debootstrap", "--variant=minbase", other_system.this_release(),
            root, other_system.mirror(), timeout=600,
            env=dict(os.environ, **other_system.apt_proxy()))
        part = pathlib.Path(folder) / "base.tar"
        with tarfile.open(part, "w") as tar:
            tar.add(root, ".", filter=wanted)
        part.rename(archive)
    return archive


def wanted(member):
    return None if f"{member.name}/".startswith(LEFT_OUT) else member


class Images:
    """Images in a store of their own beneath a folder."""

    def __init__(self, folder, bundle):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.bundle = bundle
        store = self.folder / "storage.conf"
        store.write_text(f'[storage]\ndriver = "overlay"\n'
                         f'graphroot = "{self.folder}/store"\n'
                         f'runroot = "{self.folder}/run"\n')
        self.environment = dict(
            os.environ, CONTAINERS_STORAGE_CONF=str(store), ENGINE="buildah",
            BUILDAH_ISOLATION="chroot", TMPDIR=str(self.folder))

    def buildah(self, *words, check=True):
        return run("buildah", *words, check=check, timeout=300,
                   env=self.environment)

    def make_base(self, archive):
        name = self.buildah("from", "scratch").stdout.strip()
        self.buildah("add", "--quiet", name, archive, "/")
        self.buildah("commit", "--quiet", "--rm", name, BASE)

    def make_pause(self):
        program = self.folder / "pause"
        subprocess.run(["gcc", "-static", "-O1", "-xc", "-", "-o", program],
                       input=PAUSE_SOURCE, text=True, check=True)
        name = self.buildah("from", "scratch").stdout.strip()
        self.buildah("copy", "--quiet", name, program, "/pause")
        self.buildah("config", "--entrypoint", '["/pause"]', name)
        self.buildah("commit", "--quiet", "--rm", name, PAUSE)

    def build(self, *targets):
        run(ROOT / "deploy/docker/build", "--base", BASE, "--bundle",
            self.bundle, "--repository", REPOSITORY, *targets,
            env=self.environment, timeout=600)
        return [f"{REPOSITORY}/{target}:{self.tag()}" for target in targets]

    def tag(self):
        return self.bundle.name.split("-")[1]

    def archive(self, image):
        """A file that containerd can import."""
        path = self.folder / (re.sub("[/:]", "-", image) + ".tar")
        self.buildah("push", "--quiet", image,
                     f"docker-archive:{path}:{image}")
        return path

    def size(self, image):
        """Of all its files, in words."""
        return self.buildah("images", "--format", "{{.Size}}",
                            image).stdout.strip()

    @contextlib.contextmanager
    def container(self, image):
        """run(*command, check=True) in a fresh container, as the image's user."""
        name = self.buildah("from", "--pull-never", image).stdout.strip()
        try:
            yield lambda *command, check=True: self.buildah(
                "run", name, "--", *command, check=check)
        finally:
            self.buildah("rm", name)
