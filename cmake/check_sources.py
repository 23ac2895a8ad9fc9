#!/usr/bin/env python3
"""Runs clang over our headers and sources, and remembers what has passed.

usage: check_sources.py headers|threads|tidy SOURCE_DIR BINARY_DIR

headers  every header compiles alone; those that a source of ours includes
         before anything else are proven by the build, and not compiled again.
         Sources of test programs prove nothing: they may be built joined
threads  clang's thread-safety analysis of the sources that reach mutex.h, but
         for those of test programs; several of a target at a time
tidy     clang-tidy with .clang-tidy over the directories of TIDY below

A file that passed is not looked at again until it, something it includes, or
the command changes: stamps lie in BINARY_DIR/check-stamps.
"""

import concurrent.futures
import hashlib
import json
import os
import re
import subprocess
import sys

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.M)
ANY_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*["<]([^">]+)[">]',
                         re.M)
TOPS = ("common", "kernels", "worker", "coordinator", "cli", "tests", "bench")
CLANG = "clang++-14"
# Cheap to analyse, and where a mistake would be costly to find later. Sources
# with protobuf or gRPC headers take ten times as long each.
TIDY = ("common/base", "common/config", "common/metrics", "common/model_spec",
        "coordinator/job", "coordinator/plan", "coordinator/schedule",
        "worker/parallel", "worker/collective", "worker/checkpoint",
        "worker/data", "kernels/select")
JOINED = 8  # sources of a target at a time
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wthread-safety",
            "-Wno-missing-field-initializers",
            "-Wno-pragma-once-outside-header"]


class Tree:
    """Our files and what they include."""

    def __init__(self, source, binary):
        self.source, self.binary = source, binary
        with open(os.path.join(binary, "longspan_targets.json"),
                  encoding="utf-8") as file:
            targets = json.load(file)
        self.machine_flags = self.read_machine_flags()
        self.files = sorted({
            os.path.normpath(os.path.join(target["directory"], file))
            for target in targets for file in target["files"]
            if target["directory"].startswith(TOPS)})
        self.test_programs = {
            os.path.normpath(os.path.join(target["directory"], file))
            for target in targets for file in target["files"]
            if target["kind"] == "test"}
        self.targets = [
            sorted({os.path.normpath(os.path.join(target["directory"], file))
                    for file in target["files"]})
            for target in targets if target["kind"] != "test"
            and target["directory"].startswith(TOPS)]

    def read_machine_flags(self):
        """Instruction-set flags and macros, by directory."""
        flags = {}
        path = os.path.join(self.binary, "compile_commands.json")
        with open(path, encoding="utf-8") as file:
            for entry in json.load(file):
                file = entry["file"]
                folder = os.path.dirname(os.path.relpath(file, self.source))
                if "/Unity/" in file:  # joined sources of a target
                    folder = os.path.relpath(
                        file.split("/CMakeFiles/")[0], self.binary)
                found = re.findall(r"\s(-m[\w.=-]+|-D[\w=\\\"/.-]+)",
                                   entry["command"])
                flags.setdefault(folder, set()).update(found)
        return {folder: sorted(f.replace('\\"', '"') for f in found)
                for folder, found in flags.items()}

    def path(self, file):
        """Where an included file lies; None for files of the system."""
        for root in (self.source, os.path.join(self.binary, "generated"),
                     os.path.join(self.binary, "generated", "proto")):
            full = os.path.join(root, file)
            if os.path.isfile(full):
                return full
        return None

    def closure(self, file):
        """The files of ours that `file` includes, directly or not."""
        seen, stack = set(), [file]
        while stack:
            name = stack.pop()
            full = self.path(name)
            if name in seen or full is None:
                continue
            seen.add(name)
            if not name.endswith((".pb.h", ".inc")):
                with open(full, encoding="utf-8") as content:
                    stack.extend(INCLUDE.findall(content.read()))
        return seen

    def digest(self, files, command):
        digest = hashlib.sha256(repr(command).encode())
        for name in sorted(set().union(*map(self.closure, files))):
            with open(self.path(name), "rb") as content:
                digest.update(name.encode() + b"\0" + content.read())
        return digest.hexdigest()

    def flags(self, file):
        generated = os.path.join(self.binary, "generated")
        return ["-std=c++20", "-I" + self.source, "-I" + generated,
                "-isystem", os.path.join(generated, "proto"),
                *self.machine_flags.get(os.path.dirname(file), [])]


def syntax_command(tree, *files):
    """The last file, with those before it included."""
    paths = [os.path.join(tree.source, file) for file in files]
    included = [word for path in paths[:-1] for word in ("-include", path)]
    return [CLANG, "-fsyntax-only", *tree.flags(files[-1]), *WARNINGS,
            *included, "-x", "c++", paths[-1]]


def tidy_command(tree, file):
    return ["clang-tidy-14", "--quiet", os.path.join(tree.source, file), "--",
            *tree.flags(file)]


def proven_by_build(tree):
    """The headers that are the first include of a source that is built."""
    proven = set()
    for file in tree.files:
        if file.endswith(".cc") and file not in tree.test_programs:
            with open(os.path.join(tree.source, file),
                      encoding="utf-8") as content:
                first = ANY_INCLUDE.search(content.read())
            if first:
                proven.add(first.group(1))
    return proven


def headers(tree):
    proven = proven_by_build(tree)
    return [([file], syntax_command(tree, file)) for file in tree.files
            if file.endswith(".h") and file not in proven]


def threads(tree):
    groups = []
    for files in tree.targets:
        locking = [file for file in files if file.endswith(".cc")
                   and "common/base/mutex.h" in tree.closure(file)]
        groups += [locking[first:first + JOINED]
                   for first in range(0, len(locking), JOINED)]
    return [(group, syntax_command(tree, *group)) for group in groups]


def tidy(tree):
    return [([file], tidy_command(tree, file)) for file in tree.files
            if file.endswith(".cc") and os.path.dirname(file) in TIDY]


def check(tree, files, command):
    """None if the files pass, else what the tool said."""
    key = tree.digest(files, command)
    if "tidy" in command[0]:
        with open(os.path.join(tree.source, ".clang-tidy"), "rb") as content:
            key = hashlib.sha256(key.encode() + content.read()).hexdigest()
    stamp = os.path.join(tree.binary, "check-stamps", key)
    if os.path.exists(stamp):
        return None
    result = subprocess.run(command, capture_output=True, text=True,
                            check=False)
    if result.returncode != 0:
        return f"{' '.join(files)}\n{result.stdout}{result.stderr}"
    with open(stamp, "w", encoding="utf-8"):
        pass
    return None


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ("headers", "threads", "tidy"):
        sys.exit(__doc__)
    tree = Tree(os.path.abspath(sys.argv[2]), os.path.abspath(sys.argv[3]))
    os.makedirs(os.path.join(tree.binary, "check-stamps"), exist_ok=True)
    jobs = {"headers": headers, "threads": threads, "tidy": tidy}[sys.argv[1]](
        tree)
    jobs = [job for job in jobs
            if all(os.path.exists(os.path.join(tree.source, file))
                   for file in job[0])]
    if not jobs:
        sys.exit("no file to check: is BINARY_DIR configured?")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda job: check(tree, *job), jobs))
    failures = [result for result in results if result]
    print("\n".join(failures))
    count = sum(len(files) for files, _ in jobs)
    print(f"{count} files in {len(jobs)} runs, {len(failures)} failed")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
