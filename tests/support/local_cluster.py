"""A Longspan cluster on this machine, driven through the command line.

    with LocalCluster("build/release/bin", workers=2) as cluster:
        job = cluster.submit(text)
        result = cluster.wait(job)["result"]["train"]

Used by the benches and the end-to-end tests; standard library only.
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


class CommandFailed(RuntimeError):
    """A command that exited with another code than 0."""

    def __init__(self, words, code, output):
        super().__init__(f"{' '.join(words)}: exit {code}\n{output}")
        self.code = code
        self.output = output


def free_ports(count):
    """The first of `count` neighbouring ports that are free now."""
    for first in range(21000 + os.getpid() % 500 * 16, 60000, 16):
        sockets = [socket.socket() for _ in range(count)]
        try:
            for i, one in enumerate(sockets):
                one.bind(("127.0.0.1", first + i))
            return first
        except OSError:
            continue
        finally:
            for one in sockets:
                one.close()
    raise RuntimeError(f"no {count} neighbouring ports are free")


def await_that(what, condition, seconds=30.0):
    """Polls until `condition()` is true and returns its value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise TimeoutError(f"{what}: not within {seconds} s")


def end(process):
    """SIGTERM, and SIGKILL after a minute; returns the exit code."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


class LocalCluster:
    """`longspan up` in a directory of its own, ended with the object."""

    def __init__(self, binaries, workers=2, threads=1, slots=1, roots=None,
                 run_directory=None, environment=None, devices="cpu",
                 slots_per_device=1, log_format="text", start_seconds=60):
        self.binaries = pathlib.Path(binaries).resolve()
        self.workers = workers
        self.temporary = run_directory is None
        self.run = pathlib.Path(run_directory or tempfile.mkdtemp(
            prefix="longspan-")).resolve()
        first = free_ports(workers + 2)
        self.address = f"127.0.0.1:{first}"
        self.metrics = [f"http://127.0.0.1:{first + 1 + i}/metrics"
                        for i in range(workers + 1)]
        self.environment = dict(os.environ, **(environment or {}),
                                LONGSPAN_COORDINATOR=self.address)
        roots = roots or {"corpus": ROOT / "deploy/corpus"}
        words = [str(self.binaries / "longspan"), "up",
                 f"--workers={workers}", f"--threads={threads}",
                 f"--slots={slots}", f"--devices={devices}",
                 f"--slots-per-device={slots_per_device}",
                 f"--log-format={log_format}",
                 f"--bin-dir={self.binaries}", f"--port={first}",
                 f"--metrics-port={first + 1}", f"--run-dir={self.run}"]
        words += [f"--root={name}={path}" for name, path in roots.items()]
        self.roots = dict(roots, outputs=self.run / "outputs",
                          models=self.run / "models")
        self.added = []
        self.log = open(self.run / "up.log", "wb")
        self.process = subprocess.Popen(
            words, stdout=self.log, stderr=self.log, env=self.environment,
            stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            self.await_workers(workers, start_seconds)
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.stop()
        if self.temporary and kind is None:
            shutil.rmtree(self.run, ignore_errors=True)

    # ---- commands

    def command(self, *words, check=True, text=None, timeout=300):
        """Runs `longspan WORDS`; returns (exit code, stdout, stderr)."""
        words = [str(self.binaries / "longspan"), *map(str, words)]
        done = subprocess.run(
            words, input=text, capture_output=True, text=True, check=False,
            errors="replace", env=self.environment, timeout=timeout)
        if check and done.returncode != 0:
            raise CommandFailed(words, done.returncode,
                                done.stdout + done.stderr)
        return done.returncode, done.stdout, done.stderr

    def start(self, *words):
        """`longspan WORDS` as a running process with piped output."""
        return subprocess.Popen(
            [str(self.binaries / "longspan"), *map(str, words)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            errors="replace", env=self.environment)

    def submit(self, text, *flags):
        """Submits the text of a job file; returns the job's name."""
        _, out, _ = self.command("submit", "-", *flags, text=text)
        return out.strip()

    def get(self, job):
        return json.loads(self.command("get", "--json", job)[1])

    def progress(self, job, figure="done"):
        """One of the newest figures of a job, 0 before there are any."""
        return int(self.get(job).get("progress", {}).get(figure, 0))

    def await_checkpoint(self, job, step=1):
        """Until the job's newest checkpoint is of this step or a later one."""
        await_that(f"a checkpoint of step {step} or more", lambda:
                   self.progress(job, "checkpoint_step") >= step, 60)

    def wait(self, job, timeout=300):
        """Follows a job to its end; returns it. Raises unless it succeeded."""
        self.command("watch", "--json", job, timeout=timeout)
        return self.get(job)

    def run_job(self, text, timeout=300):
        return self.wait(self.submit(text), timeout)

    def plan(self, text):
        return json.loads(self.command("plan", "--json", "-", text=text)[1])

    # ---- processes

    def add_worker(self, name, *flags):
        """One more worker daemon, beside those that `up` looks after."""
        words = [str(self.binaries / "longspan-worker"), f"--name={name}",
                 f"--coordinator={self.address}", "--drain-timeout=10s",
                 f"--state-dir={self.run / name}", *flags]
        words += [f"--root={root}={path}" for root, path in self.roots.items()]
        (self.run / name).mkdir()
        self.workers += 1
        self.added.append(subprocess.Popen(
            words, stdout=self.log, stderr=self.log, env=self.environment,
            stdin=subprocess.DEVNULL, start_new_session=True))
        self.await_workers(self.workers)

    def await_workers(self, count, seconds=60):
        def ready():
            if self.process.poll() is not None:
                raise RuntimeError("the cluster ended:\n" + self.logs())
            code, out, _ = self.command("workers", "--json", check=False,
                                        timeout=seconds)
            return code == 0 and out.count('"state":"READY"') >= count
        await_that(f"{count} ready workers", ready, seconds)

    def logs(self, lines=40):
        """The last lines of what `longspan up` and its daemons printed."""
        text = ""
        for path in sorted(self.run.glob("*.log")):
            tail = path.read_text(errors="replace").splitlines()[-lines:]
            text += "".join(f"{path.name}: {line}\n" for line in tail)
        return text

    def processes(self):
        """{pid: command line} of all descendants of `longspan up`."""
        children, lines = {}, {}
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                stat = (entry / "stat").read_text()
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            parent = int(stat.rsplit(")", 1)[1].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
            lines[int(entry.name)] = b" ".join(words).decode(errors="replace")
        found, todo = {}, [self.process.pid]
        while todo:
            for pid in children.get(todo.pop(), []):
                found[pid] = lines[pid]
                todo.append(pid)
        return found

    def pids_of(self, program):
        """Process ids of a daemon's program, oldest first."""
        return sorted(pid for pid, line in self.processes().items()
                      if line.split(" ")[0].endswith("/" + program))

    def stop(self):
        """SIGTERM; returns the exit code of `longspan up`."""
        for process in self.added:
            end(process)
        code = end(self.process)
        self.log.close()
        return code
