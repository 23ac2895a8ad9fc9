"""Processes of a test, with their files beneath one folder."""

import json
import os
import pathlib
import socket
import subprocess
import time

from programs import ProgramFailed, run


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def await_that(what, condition, seconds):
    """Polls until `condition()` is true and returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise ProgramFailed(f"{what}: not within {seconds} s")
        time.sleep(0.2)


def unmount_below(folder):
    lines = pathlib.Path("/proc/self/mounts").read_text().splitlines()
    for line in reversed(lines):
        place = line.split(" ")[1].replace("\\040", " ")
        if place.startswith(f"{folder}/"):
            run("umount", "--lazy", place, check=False)


class Processes:
    """Ended one by one, by their own ids; they also end with this process."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.processes = []
        self.environment = dict(os.environ)

    def spawn(self, *words):
        """Starts a process that ends with this one, whatever happens."""
        name = str(words[0])
        log = open(self.folder / f"{name}.log", "ab")
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *map(str, words)], stdout=log,
            stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            env=dict(self.environment, TMPDIR=str(self.folder)))
        log.close()
        self.processes.append((name, process))
        return process

    def await_that(self, what, condition, seconds):
        """As the function, but fails at once when a process has ended."""
        def checked():
            for name, process in self.processes:
                if process.poll() is not None:
                    log = (self.folder / f"{name}.log").read_text(
                        errors="replace").splitlines()[-15:]
                    raise ProgramFailed(
                        f"{name} ended with {process.returncode}:\n"
                        + "\n".join(log))
            return condition()
        return await_that(what, checked, seconds)

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if isinstance(text, str) else json.dumps(text))
        return path

    def end(self, name):
        for entry in [e for e in self.processes if e[0] == name]:
            self.processes.remove(entry)
            process = entry[1]
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def logs(self, lines=15):
        """The last lines of every process."""
        text = ""
        for path in sorted(self.folder.glob("*.log")):
            tail = path.read_text(errors="replace").splitlines()[-lines:]
            text += "".join(f"{path.name}: {line}\n" for line in tail)
        return text

    def unmount(self):
        unmount_below(self.folder)
