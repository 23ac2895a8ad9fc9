"""The root file system of another release, and programs inside it.

    system = OtherSystem(folder)          # debootstrap: root, and a mirror
    done = system.run("/opt/x/bin/y", "--help")

Which release: that of LONGSPAN_OTHER_RELEASE, or the successor of this
machine's. From where: LONGSPAN_OTHER_MIRROR, or the mirror that apt uses here.
Programs see nothing of this machine and no network but their own loopback.

    python3 other_system.py ROOT COMMAND...   in fresh namespaces: what run() does
"""

import fcntl
import os
import pathlib
import re
import shlex
import socket
import struct
import subprocess
import sys

SUCCESSORS = {"bookworm": "trixie", "trixie": "forky", "noble": "questing"}
INSIDE = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
          "LANG": "C.UTF-8"}


class NotPossible(RuntimeError):
    """A sentence that says what this machine lacks."""


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True,
                          check=True).stdout


def this_release():
    text = pathlib.Path("/etc/os-release").read_text(encoding="utf-8")
    return dict(line.split("=", 1) for line in shlex.split(text))[
        "VERSION_CODENAME"]


def other_release():
    chosen = os.environ.get("LONGSPAN_OTHER_RELEASE")
    release = chosen or SUCCESSORS.get(this_release())
    if not release:
        raise NotPossible(f"no successor of the release '{this_release()}' is "
                          "known; name one in LONGSPAN_OTHER_RELEASE")
    return release


def mirror():
    """The site from which apt gets this release's packages."""
    chosen = os.environ.get("LONGSPAN_OTHER_MIRROR")
    if chosen:
        return chosen
    targets = output_of("apt-get", "indextargets", "--format",
                        "$(CODENAME) $(SITE)", "Created-By: Packages")
    for line in targets.splitlines():
        codename, site = line.split(" ", 1)
        if codename == this_release():
            return site
    raise NotPossible("apt knows no mirror of this release; name one in "
                      "LONGSPAN_OTHER_MIRROR")


def apt_proxy():
    """The proxy of apt's configuration, as environment variables."""
    found = re.search(r"proxy='(.*)'", output_of(
        "apt-config", "shell", "proxy", "Acquire::http::Proxy"))
    return {"http_proxy": found[1]} if found else {}


class OtherSystem:
    """A root file system, and how to run something in it."""

    def __init__(self, root):
        if os.geteuid() != 0:
            raise NotPossible("a root file system is made by root only; run "
                              "this test as root")
        self.root = pathlib.Path(root)
        self.release = other_release()
        site = mirror()
        done = subprocess.run(
            ["debootstrap", "--variant=minbase", "--include=python3",
             self.release, str(self.root), site], capture_output=True,
            text=True, check=False, env=dict(os.environ, **apt_proxy()))
        if done.returncode != 0:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-5:])
            raise NotPossible(f"debootstrap {self.release} from {site} failed; "
                              f"is the mirror reachable?\n{tail}")

    def run(self, *command, timeout=300):
        """Runs a program in the tree; returns what subprocess.run returns."""
        words = ["unshare", "--mount", "--net", "--pid", "--fork",
                 "--kill-child", sys.executable, __file__, str(self.root),
                 *map(str, command)]
        return subprocess.run(words, capture_output=True, text=True,
                              errors="replace", check=False, timeout=timeout)


# ---- in the new namespaces

def loopback_up():
    """`ip link set lo up`, without ip."""
    get_flags, set_flags, up = 0x8913, 0x8914, 0x1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack_from(
            "h", fcntl.ioctl(sock, get_flags, request), 16)[0]
        fcntl.ioctl(sock, set_flags, struct.pack("16sh14x", b"lo", flags | up))


def enter(root, command):
    loopback_up()
    os.makedirs(f"{root}/dev/shm", exist_ok=True)
    subprocess.run(["mount", "-t", "proc", "proc", f"{root}/proc"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", f"{root}/dev/shm"],
                   check=True)
    os.chroot(root)
    os.chdir("/")
    os.execvpe(command[0], command, INSIDE)


if __name__ == "__main__":
    enter(sys.argv[1], sys.argv[2:])
