"""The PyTorch peer's programs."""

import json
import subprocess

import environment


def run(program, *arguments):
    """Runs bench/PROGRAM in its environment; returns the JSON it prints."""
    interpreter = environment.python("peer-torch", "requirements.txt")
    done = subprocess.run(
        [interpreter, "-W", "ignore", environment.ROOT / "bench" / program,
         *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])
