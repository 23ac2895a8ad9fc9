"""Programs written in Go that benches and tests use, in the versions below.

Built once by `go install`, outside the tree: one folder for each tool and
version in ${XDG_CACHE_HOME:-~/.cache}/longspan/bench-tools.
"""

import os
import pathlib
import shutil
import subprocess
import sys

import environment

MODULES = {
    "grpcurl": "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3",
    "ghz": "github.com/bojand/ghz/cmd/ghz@v0.120.0",
}


def program(name):
    """Where the tool is, once it is installed."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or
                         pathlib.Path.home() / ".cache")
    version = MODULES[name].rsplit("@", 1)[1]
    return cache / "longspan/bench-tools" / f"{name}-{version}" / name


def install(name):
    """The tool's path; builds it when it is missing."""
    path = program(name)
    with environment.one_at_a_time(path.parent):
        if not path.exists():
            build(name, path)
    return path


def build(name, path):
    if shutil.which("go") is None:
        sys.exit(f"{name} is built with Go: install Go 1.24 or newer "
                 "(https://go.dev/dl)")
    print(f"installing {MODULES[name]} (once)", file=sys.stderr)
    # Renamed when complete: what was interrupted is not taken for done.
    part = path.parent.with_name(path.parent.name + ".part")
    subprocess.run(["go", "install", "-trimpath", "-ldflags", "-s -w",
                    MODULES[name]],
                   env=dict(os.environ, GOBIN=str(part)), check=True)
    part.rename(path.parent)
