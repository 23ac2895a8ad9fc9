#!/usr/bin/env python3
"""Compares every #include with the DEPS of its target and with layers.txt.

usage: check_includes.py SOURCE_DIR TARGETS_JSON

TARGETS_JSON is what the build wrote (build/<preset>/longspan_targets.json).
Prints one line per violation; exit status 1 if there is any.
"""

import json
import os
import re
import sys

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.M)
TOPS = ("proto", "common", "kernels", "worker", "coordinator", "cli")
SUFFIXES = (".h", ".cc", ".cu", ".cuh")
RULES = {
    "grpc": re.compile(r"^grpc(pp)?/|\.grpc\.pb\.h$"),
    "protobuf": re.compile(r"^google/(protobuf|rpc)/|\.pb\.h$"),
    "cuda": re.compile(r"^(cuda|cublas|nccl|nvtx|cooperative_groups)"
                       r"[\w/]*\.h$"),
}
IMPURE = re.compile(
    r"^(thread|mutex|shared_mutex|condition_variable|future|chrono|fstream|"
    r"iostream|filesystem|ctime|unistd\.h|fcntl\.h|absl/time/clock\.h|"
    r"common/(log|config|http|metrics|rpc)/.*|"
    r"common/base/(clock|mutex|safe_path|unique_fd)\.h)$")


class Layers:
    """The table of layers.txt."""

    def __init__(self, path):
        self.edges = {}
        self.rules = {}
        with open(path, encoding="utf-8") as file:
            for line in file:
                line = line.split("#")[0].strip()
                if not line:
                    continue
                name, _, rest = line.partition(":")
                table = (self.rules if name in RULES or name == "pure"
                         else self.edges)
                table[name] = rest.split()

    def reachable(self, directory, seen=None):
        seen = set() if seen is None else seen
        for below in self.edges.get(directory, ()):
            if below not in seen:
                seen.add(below)
                self.reachable(below, seen)
        return seen

    def covers(self, rule, path):
        return any(path == place or path.startswith(place + "/")
                   for place in self.rules[rule])


def includes_of(path):
    with open(path, encoding="utf-8") as file:
        return [name for _, name in INCLUDE.findall(file.read())]


def generated_owner(name):
    if name.endswith(".grpc.pb.h"):
        return "proto_grpc"
    if name.endswith(".pb.h") and name.startswith(("longspan/", "google/rpc/")):
        return "proto"
    return None


class Checker:
    def __init__(self, source, targets):
        self.source = source
        self.layers = Layers(os.path.join(source, "cmake", "layers.txt"))
        self.targets = {target["target"]: target for target in targets}
        self.owners = {}  # file -> targets that list it
        self.errors = []
        for target in targets:
            for file in target["files"]:
                path = os.path.normpath(
                    os.path.join(target["directory"], file))
                self.owners.setdefault(path, []).append(target["target"])

    def error(self, path, message):
        self.errors.append(f"{path}: {message}")

    def run(self):
        for target in self.targets.values():
            self.check_target(target)
        self.check_cycles()
        self.check_orphans()
        return self.errors

    def check_target(self, target):
        used = set()
        for file in target["files"]:
            path = os.path.normpath(os.path.join(target["directory"], file))
            full = os.path.join(self.source, path)
            if not os.path.exists(full):
                if not os.path.isabs(file):
                    self.error(path, "listed in CMakeLists.txt but missing")
                continue
            for name in includes_of(full):
                self.check_include(target, path, name, used)
        self.check_unused(target, used)

    def check_include(self, target, path, name, used):
        if target["directory"].startswith(TOPS):
            self.check_rules(path, name)
        owners = self.owners.get(name)
        if generated_owner(name):
            owners = [generated_owner(name)]
        if not owners:
            if name.startswith(tuple(top + "/" for top in TOPS)) and (
                    os.path.exists(os.path.join(self.source, name))):
                self.error(path, f"includes {name}, which no target lists")
            return
        used.update(owners)
        if target["target"] in owners:
            return
        if not set(owners) & set(target["deps"]):
            self.error(path, f"includes {name}, but target "
                       f"{target['target']} lacks {owners[0]} in its DEPS")
        self.check_edge(target["directory"], path,
                        self.targets[owners[0]]["directory"])

    def check_rules(self, path, name):
        for rule, pattern in RULES.items():
            if pattern.search(name) and not self.layers.covers(rule, path):
                self.error(path, f"includes {name}; {rule} headers are not "
                           "allowed here (cmake/layers.txt)")
        if IMPURE.match(name) and self.layers.covers("pure", path):
            self.error(path, f"includes {name}, but it must stay pure")

    def check_edge(self, directory, path, below):
        if directory == below or not directory.startswith(TOPS):
            return
        if below.startswith(("tests", "bench")):
            self.error(path, f"includes {below}: nothing may")
        elif directory not in self.layers.edges:
            self.error(path, f"{directory} is not in cmake/layers.txt")
        elif below not in self.layers.reachable(directory):
            self.error(path, f"{directory} may not include {below} "
                       "(cmake/layers.txt)")

    def check_unused(self, target, used):
        if target["kind"] != "library" or target["directory"] == "proto":
            return
        for dep in target["deps"]:
            below = self.targets.get(dep)
            has_headers = below and (below["directory"] == "proto" or any(
                file.endswith((".h", ".cuh")) for file in below["files"]))
            if has_headers and dep not in used:
                self.error(target["directory"] + "/CMakeLists.txt",
                           f"{target['target']} declares {dep} in its DEPS "
                           "but includes nothing of it")

    def check_cycles(self):
        graph = {}
        for target in self.targets.values():
            below = graph.setdefault(target["directory"], set())
            for dep in target["deps"]:
                if dep in self.targets:
                    below.add(self.targets[dep]["directory"])
            below.discard(target["directory"])
        done, path = set(), []

        def visit(directory):
            if directory in path:
                cycle = path[path.index(directory):] + [directory]
                self.error(directory, "cycle: " + " -> ".join(cycle))
                return
            if directory in done:
                return
            path.append(directory)
            for below in sorted(graph.get(directory, ())):
                visit(below)
            path.pop()
            done.add(directory)

        for directory in sorted(graph):
            visit(directory)

    def check_orphans(self):
        """Every source belongs to a target, in its directory's list."""
        for top in TOPS + ("tests", "bench"):
            for folder, _, files in os.walk(os.path.join(self.source, top)):
                for file in sorted(files):
                    if file.endswith(SUFFIXES):
                        self.check_orphan(folder, file)

    def check_orphan(self, folder, file):
        path = os.path.relpath(os.path.join(folder, file), self.source)
        if path in self.owners:
            return
        # Sources of a backend that is not built are named all the same.
        lists = os.path.join(folder, "CMakeLists.txt")
        if os.path.exists(lists):
            with open(lists, encoding="utf-8") as content:
                if re.search(r"(?<![\w/])" + re.escape(file), content.read()):
                    return
        self.error(path, "belongs to no target")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, record = sys.argv[1:]
    with open(record, encoding="utf-8") as file:
        targets = json.load(file)
    errors = Checker(source, targets).run()
    for error in errors:
        print(error)
    print(f"{len(targets)} targets, {len(errors)} violations")
    sys.exit(1 if errors else 0)


if __name__ == "__main__":
    main()
