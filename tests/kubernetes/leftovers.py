"""What runs that were killed have left: their containers, mounts and files."""

import os
import pathlib
import signal

from processes import unmount_below
from programs import run


def remove(folders):
    """Nothing else may be using these folders of dead runs."""
    for folder in folders:
        for process in processes_of(folder):
            os.kill(process, signal.SIGKILL)
        unmount_below(folder)
        run("rm", "-rf", "--one-file-system", folder, check=False)


def processes_of(folder):
    """containerd's shims that name it, and what runs in containers whose root
    file systems lie in it; everything else ended with the run."""
    ours = os.readlink("/proc/self/ns/mnt")
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text().split("\0")
            mounts = ((process / "mountinfo").read_text()
                      if os.readlink(process / "ns/mnt") != ours else "")
        except OSError:  # it has ended
            continue
        if (f"{folder}/" in mounts or "containerd-shim" in words[0]
                and any(word.startswith(f"{folder}/") for word in words)):
            yield int(process.name)
