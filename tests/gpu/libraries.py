"""Where cuBLASLt and NCCL lie on this machine.

The programs look for them as docs/gpu.md says. What they would not find by
themselves, because only a Python environment has it, is handed to them in the
variables of that page.
"""

import os
import pathlib
import site
import subprocess
import sys

# variable: names of the file, newest first
WANTED = {
    "LONGSPAN_CUBLASLT_LIBRARY": ("libcublasLt.so.13",),
    "LONGSPAN_NCCL_LIBRARY": ("libnccl.so.2",),
}


def toolkit_folders():
    homes = [os.environ.get("CUDA_HOME"), "/usr/local/cuda"]
    return [pathlib.Path(home, part) for home in homes if home
            for part in ("lib64", "targets/x86_64-linux/lib", "lib")]


def package_folders():
    """The `nvidia` folders of the Python packages that python3 would use."""
    places = [*site.getsitepackages(), site.getusersitepackages()]
    for name in ("python3", "python"):
        try:
            done = subprocess.run(
                [name, "-c", "import site; print(*site.getsitepackages(), "
                 "sep='\\n')"], capture_output=True, text=True, check=False)
        except OSError:
            continue
        places += done.stdout.split("\n")
    return [folder for place in dict.fromkeys(filter(None, places))
            for folder in sorted(pathlib.Path(place, "nvidia").glob("*/lib"))]


def known_to_the_loader(name):
    done = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True,
                          text=True, check=False)
    for line in done.stdout.splitlines():
        if line.strip().startswith(name + " ") and "x86-64" in line:
            return line.split("=> ")[-1].strip()
    return None


def find(names):
    """The path of the first that exists, or None."""
    folders = [*toolkit_folders(), *package_folders()]
    for name in names:
        found = known_to_the_loader(name) or next(
            (str(folder / name) for folder in folders
             if (folder / name).exists()), None)
        if found:
            return found
    return None


def environment():
    """The variables to set: those that are unset and whose file was found."""
    found = {variable: os.environ.get(variable) or find(names)
             for variable, names in WANTED.items()}
    return {variable: path for variable, path in found.items() if path}


if __name__ == "__main__":
    for variable_name, where in environment().items():
        print(f"{variable_name}={where}")
    sys.exit(0)
