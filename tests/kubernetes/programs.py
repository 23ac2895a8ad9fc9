"""Programs that the tests call."""

import subprocess


class ProgramFailed(RuntimeError):
    """A sentence, and what the program in question said."""


def run(*words, check=True, timeout=120, **options):
    """Returns the finished process; raises with its output if it failed."""
    words = [str(word) for word in words]
    done = subprocess.run(words, capture_output=True, text=True, check=False,
                          errors="replace", timeout=timeout, **options)
    if check and done.returncode != 0:
        raise ProgramFailed(f"{' '.join(words)}: exit {done.returncode}\n"
                              f"{done.stdout}{done.stderr}")
    return done
