"""Which build tests/gpu/run takes, and what it was built from."""

import json
import pathlib
import subprocess


def newest_test(folder):
    """When the newest GPU test in a folder was built; 0 without one."""
    return max((path.stat().st_mtime for path in folder.glob("*_gpu")),
               default=0)


def default_bin_dir(tree):
    """bin of a bundle; in the sources the build with the newest GPU tests."""
    tree = pathlib.Path(tree)
    if (tree / "bin").is_dir():
        return tree / "bin"
    return max([tree / "build/release/bin", *tree.glob("build/*/bin")],
               key=newest_test)


def build_of(bin_dir):
    """The version and commit of the programs."""
    manifest = pathlib.Path(bin_dir).resolve().parent / "MANIFEST.json"
    if manifest.exists():
        data = json.loads(manifest.read_text(encoding="utf-8"))
        return f"{data['version']}, commit {data['commit']}"
    try:
        done = subprocess.run([pathlib.Path(bin_dir, "longspan"), "--version"],
                              capture_output=True, text=True, check=False)
    except OSError as error:
        return f"unknown: {error}"
    return (done.stdout + done.stderr).strip()
