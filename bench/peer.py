"""The PyTorch peer: a private environment and its programs."""

import json
import pathlib
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".cache/peer-torch"
REQUIREMENTS = ROOT / "bench/requirements.txt"


def python():
    """The interpreter of the environment, installed when it is missing."""
    stamp = ENVIRONMENT / "longspan-requirements"
    interpreter = ENVIRONMENT / "bin/python"
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return interpreter
    print(f"installing the peer into {ENVIRONMENT} (once)", file=sys.stderr)
    venv.create(ENVIRONMENT, with_pip=True, clear=True)
    subprocess.run([interpreter, "-m", "pip", "install", "--quiet",
                    "-r", REQUIREMENTS], check=True)
    stamp.write_text(wanted, encoding="utf-8")
    return interpreter


def run(program, *arguments):
    """Runs bench/PROGRAM in the environment; returns the JSON it prints."""
    done = subprocess.run(
        [python(), "-W", "ignore", ROOT / "bench" / program,
         *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])
