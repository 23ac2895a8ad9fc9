#!/usr/bin/env python3
"""clang-format over every .h .cc .cu .cuh and .proto file.

usage: check_format.py SOURCE_DIR
"""

import subprocess
import sys

from check_text import files_of

SUFFIXES = (".h", ".cc", ".cu", ".cuh", ".proto")
# Not ours: kept as published.
VENDORED = ("proto/google/",)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    source = sys.argv[1]
    files = [path for path in files_of(source)
             if path.endswith(SUFFIXES) and not path.startswith(VENDORED)]
    if not files:
        sys.exit("no file to check")
    result = subprocess.run(
        ["clang-format-14", "--dry-run", "-Werror", "--style=file", *files],
        cwd=source, check=False)
    print(f"{len(files)} files")
    sys.exit(result.returncode)


if __name__ == "__main__":
    main()
