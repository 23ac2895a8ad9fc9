"""Private Python environments of the benches, below .cache."""

import contextlib
import fcntl
import pathlib
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parents[1]


@contextlib.contextmanager
def one_at_a_time(folder):
    """Two tests may want the same environment."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{folder}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def python(name, requirements):
    """The interpreter of .cache/NAME, made when it is missing or outdated.

    `requirements` is a file's path, or its name in bench.
    """
    folder = ROOT / ".cache" / name
    with one_at_a_time(folder):
        return make(folder, ROOT / "bench" / requirements)


def make(folder, file):
    stamp = folder / "longspan-requirements"
    interpreter = folder / "bin/python"
    wanted = file.read_text(encoding="utf-8")
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return interpreter
    print(f"installing {file.name} into {folder} (once)", file=sys.stderr)
    venv.create(folder, with_pip=True, clear=True)
    subprocess.run([interpreter, "-m", "pip", "install", "--quiet",
                    "-r", file], check=True)
    stamp.write_text(wanted, encoding="utf-8")
    return interpreter
