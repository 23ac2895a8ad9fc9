"""Checks of deploy/docker that need no engine: the Dockerfile's form, and what
deploy/docker/build asks of one."""

import os
import pathlib
import tempfile

from programs import run
from report import expect

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCKER = ROOT / "deploy/docker"
# Writes down its arguments and what the context holds.
ENGINE = """#!/bin/sh
for last; do :; done
{ echo "$*"; (cd "$last" && find . -maxdepth 3 -type f -printf '%P\\n'); } >>said
"""


def lint():
    run("hadolint", DOCKER / "Dockerfile")
    for script in ("build", "grpc", "health", "sbom", "take"):
        run("bash", "-n", DOCKER / script)


def build(*arguments, check=True):
    """(finished build, what it asked of an engine)."""
    with tempfile.TemporaryDirectory() as folder:
        engine = pathlib.Path(folder, "engine")
        engine.write_text(ENGINE)
        engine.chmod(0o755)
        done = run(DOCKER / "build", "--base", "base@sha256:0", *arguments,
                   cwd=folder, check=check,
                   env=dict(os.environ, ENGINE=str(engine)))
        said = pathlib.Path(folder, "said")
        return done, said.read_text() if said.exists() else ""


def one_argument_asks_for_a_newer_grpc():
    """The context then holds the source, and the stage that builds it runs."""
    done, said = build("--grpc", "v1.66.2", "coordinator")
    expect("--build-arg GRPC_VERSION=v1.66.2 " in said, said)
    expect("source/deploy/bundle\n" in said and ".tar" not in said, said)
    expect(":0.1.0-grpc-1.66.2" in done.stdout, done.stdout)
    with tempfile.NamedTemporaryFile(
            prefix="longspan-9.8.7-linux-x86_64.tar.") as bundle:
        name = pathlib.Path(bundle.name)
        done, said = build("--bundle", name, "coordinator")
        expect("--build-arg GRPC_VERSION= " in said, said)
        expect(f"{name.name}\n" in said and "source" not in said, said)
        expect("longspan/coordinator:9.8.7" in done.stdout, done.stdout)


def mistakes_are_refused():
    for words, reason in (
            (("--grpc", "1.66"), "--grpc '1.66' is no release"),
            (("--grpc", "v1.66.2", "--bundle", "x"), "no --bundle"),
            (("--bundle", "/etc/hostname", "--cuda", "/etc/apt", "worker-cuda"),
             "/etc/apt has no libcublasLt.so.13"),
            (("--colour", "red"), "unknown argument '--colour'")):
        done, said = build(*words, check=False)
        expect(done.returncode == 1 and reason in done.stderr, f"{done}")
        expect(not said, said)


def check_all(report):
    for check in (lint, one_argument_asks_for_a_newer_grpc,
                  mistakes_are_refused):
        report.step(f"deploy/docker: {check.__name__.replace('_', ' ')}", check)
