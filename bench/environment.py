"""Private Python environments of the benches, below .cache."""

import pathlib
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parents[1]


def python(name, requirements):
    """The interpreter of .cache/NAME, made when it is missing or outdated."""
    folder = ROOT / ".cache" / name
    stamp = folder / "longspan-requirements"
    interpreter = folder / "bin/python"
    file = ROOT / "bench" / requirements
    wanted = file.read_text(encoding="utf-8")
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return interpreter
    print(f"installing {file.name} into {folder} (once)", file=sys.stderr)
    venv.create(folder, with_pip=True, clear=True)
    subprocess.run([interpreter, "-m", "pip", "install", "--quiet",
                    "-r", file], check=True)
    stamp.write_text(wanted, encoding="utf-8")
    return interpreter
