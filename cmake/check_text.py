#!/usr/bin/env python3
"""Looks for text that must not be in the tree.

usage: check_text.py SOURCE_DIR

Paths of one machine, hosts of package and image registries, skipped tests,
unfinished work, and sources that outgrew one concept (600 lines).
"""

import os
import re
import subprocess
import sys

LONGEST = 600
SOURCES = (".h", ".cc", ".cu", ".cuh", ".proto", ".py")
# Written in pieces, so that this file does not match itself.
RULES = (
    (re.compile(r"(?<![\w.$}/])/(work|home|Users)/" + r"\w|/root/\w"),
     "names a path of one machine", None),
    (re.compile(r"\b(docker\.io|ghcr\.io|quay\.io|gcr\.io|nvcr\.io|"
                r"registry\.[\w.-]+\.?(io|com|org|net)\b|[\w-]+\.pkg\.dev|pypi\.|artifact"
                r"ory|jfrog\.)"),
     "names a registry", None),
    (re.compile("GTEST_" + "SKIP|DISABLED" + r"_\w|unittest\.skip|"
                r"pytest\.(mark\.)?skip"),
     "skips a test", SOURCES),
    (re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b"),
     "is unfinished", SOURCES),
)
EXEMPT = ("cmake/check_text.py",)


def files_of(source):
    """Tracked and new files; every file where there is no git."""
    result = subprocess.run(
        ["git", "-C", source, "ls-files", "-co", "--exclude-standard"],
        capture_output=True, text=True, check=False)
    if result.returncode == 0:
        return result.stdout.splitlines()
    found = []
    for folder, folders, files in os.walk(source):
        folders[:] = [f for f in folders if f not in ("build", "install")]
        found += [os.path.relpath(os.path.join(folder, f), source)
                  for f in files]
    return found


def check_file(source, path):
    try:
        with open(os.path.join(source, path), encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
        return
    for number, line in enumerate(lines, 1):
        for pattern, message, suffixes in RULES:
            if suffixes is None or path.endswith(suffixes):
                match = pattern.search(line)
                if match:
                    yield f"{path}:{number}: {message}: {match.group()}"
    if path.endswith(SOURCES) and len(lines) > LONGEST:
        yield f"{path}: has {len(lines)} lines; the limit is {LONGEST}"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    source = sys.argv[1]
    files = [path for path in files_of(source) if path not in EXEMPT]
    errors = [e for path in sorted(files) for e in check_file(source, path)]
    for error in errors:
        print(error)
    print(f"{len(files)} files, {len(errors)} violations")
    sys.exit(1 if errors or not files else 0)


if __name__ == "__main__":
    main()
