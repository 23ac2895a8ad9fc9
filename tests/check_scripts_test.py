"""The checks of the tree must fail on trees that break their rules."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.environ["LONGSPAN_SOURCE_DIR"]

LAYERS = """
common/base:
proto:
worker/model: common/base
coordinator/plan: common/base
coordinator/rpc: coordinator/plan
pure: coordinator/plan
grpc: coordinator/rpc
protobuf: coordinator/rpc
cuda: kernels/cuda
"""


def target(directory, files, deps=(), kind="library"):
    return {"target": directory.replace("/", "_"), "kind": kind,
            "directory": directory, "files": files, "deps": list(deps),
            "external": []}


class TreeCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name

    def write(self, path, text):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)

    def run_script(self, name, *arguments):
        result = subprocess.run(
            [sys.executable, os.path.join(SOURCE, "cmake", name), self.root,
             *arguments], capture_output=True, text=True, check=False)
        return result.returncode, result.stdout

    def check_sources(self, subject):
        result = subprocess.run(
            [sys.executable, os.path.join(SOURCE, "cmake", "check_sources.py"),
             subject, self.root, self.root],
            capture_output=True, text=True, check=False)
        return result.returncode, result.stdout


class IncludesTest(TreeCase):
    def setUp(self):
        super().setUp()
        self.write("cmake/layers.txt", LAYERS)
        self.write("common/base/a.h", "#include <string>\n")
        self.base = target("common/base", ["a.h"])

    def check(self, *targets):
        record = os.path.join(self.root, "targets.json")
        with open(record, "w", encoding="utf-8") as file:
            json.dump([self.base, *targets], file)
        return self.run_script("check_includes.py", record)

    def plan(self, text, deps=("common_base",), name="p.cc"):
        self.write("coordinator/plan/" + name, text)
        return target("coordinator/plan", [name], deps)

    def test_declared_include_passes(self):
        code, said = self.check(self.plan('#include "common/base/a.h"\n'))
        self.assertEqual(code, 0, said)

    def expect(self, message, *targets):
        code, said = self.check(*targets)
        self.assertEqual(code, 1, said)
        self.assertIn(message, said)

    def test_undeclared_include(self):
        self.expect("lacks common_base in its DEPS",
                    self.plan('#include "common/base/a.h"\n', deps=()))

    def test_unused_dependency(self):
        self.expect("includes nothing of it", self.plan("int x;\n"))

    def test_edge_outside_the_layers(self):
        self.write("worker/model/m.h", "")
        self.expect("coordinator/plan may not include worker/model",
                    target("worker/model", ["m.h"]),
                    self.plan('#include "worker/model/m.h"\n',
                              deps=["worker_model"]))

    def test_nothing_includes_tests(self):
        self.write("tests/support/s.h", "")
        self.expect("tests/support: nothing may",
                    target("tests/support", ["s.h"]),
                    self.plan('#include "tests/support/s.h"\n',
                              deps=["tests_support"]))

    def test_unknown_directory(self):
        self.write("worker/new/n.cc", '#include "common/base/a.h"\n')
        self.expect("worker/new is not in cmake/layers.txt",
                    target("worker/new", ["n.cc"], ["common_base"]))

    def test_cycle(self):
        self.base["deps"] = ["coordinator_plan"]
        self.expect("cycle: ", self.plan('#include "common/base/a.h"\n'))

    def test_forbidden_headers(self):
        for header in ("grpcpp/grpcpp.h", "google/protobuf/message.h",
                       "cuda_runtime.h", "nccl.h"):
            self.expect(f"includes {header}; ",
                        self.plan(f"#include <{header}>\n", deps=()))

    def test_purity(self):
        self.expect("it must stay pure",
                    self.plan("#include <thread>\n", deps=()))

    def test_source_without_target(self):
        self.write("common/base/lost.cc", "")
        self.expect("common/base/lost.cc: belongs to no target")

    def test_missing_source(self):
        self.expect("listed in CMakeLists.txt but missing",
                    target("worker/model", ["gone.cc"]))


class HeadersTest(TreeCase):
    """A header that needs another one before it is found."""

    def check(self, source):
        self.write("common/base/needy.h", "inline std::string Name();\n")
        self.write("common/base/needy.cc", source)
        self.write("compile_commands.json", "[]")
        self.write("longspan_targets.json", json.dumps(
            [target("common/base", ["needy.h", "needy.cc", "plain.h"])]))
        self.write("common/base/plain.h", "inline int One() { return 1; }\n")
        return self.check_sources("headers")

    def test_header_after_what_it_needs(self):
        status, text = self.check(
            '#include <string>\n#include "common/base/needy.h"\n')
        self.assertEqual(status, 1, text)
        self.assertIn("common/base/needy.h", text)
        self.assertIn("2 files in 2 runs, 1 failed", text)

    def test_first_include_is_left_to_the_build(self):
        status, text = self.check('#include "common/base/needy.h"\n')
        self.assertEqual(status, 0, text)
        self.assertIn("1 files in 1 runs, 0 failed", text)


class ThreadsTest(TreeCase):
    """A read without the lock, in the first of two files looked at together."""

    def check(self, body):
        self.write("common/base/mutex.h", """#pragma once
struct __attribute__((capability("mutex"))) Mutex {
  void lock() __attribute__((acquire_capability()));
  void unlock() __attribute__((release_capability()));
};
""")
        self.write("common/base/first.cc", f"""
#include "common/base/mutex.h"
struct Counter {{
  Mutex mutex;
  int count __attribute__((guarded_by(mutex))) = 0;
}};
int Read(Counter& counter) {{ {body} }}
""")
        self.write("common/base/second.cc",
                   '#include "common/base/mutex.h"\nint Two() { return 2; }\n')
        self.write("compile_commands.json", "[]")
        self.write("longspan_targets.json", json.dumps(
            [target("common/base", ["mutex.h", "first.cc", "second.cc"])]))
        return self.check_sources("threads")

    def test_read_without_the_lock(self):
        status, text = self.check("return counter.count;")
        self.assertEqual(status, 1, text)
        self.assertIn("requires holding mutex", text)
        self.assertIn("2 files in 1 runs, 1 failed", text)

    def test_read_with_the_lock(self):
        status, text = self.check(
            "counter.mutex.lock(); const int count = counter.count; "
            "counter.mutex.unlock(); return count;")
        self.assertEqual(status, 0, text)


# What cuobjdump prints, for a kernel `{name}` of fold.cu.
USAGE = """
member lib.a:fold.cu.o:
arch = {arch}
 Function {name}:
  REG:40 STACK:{stack} SHARED:0 LOCAL:0 CONSTANT[0]:400 TEXTURE:0
"""
CODE = """
arch = {arch}
\t\tFunction : {name}
        /*0010*/              @!P0 {instruction} R1, R2 ;
"""


class CudaReportTest(TreeCase):
    """The report over a disassembler that prints what a test says."""

    def report(self, *kernels):
        """Kernels are (architecture, name, stack, instruction)."""
        usage = code = ""
        for arch, name, stack, instruction in kernels:
            usage += USAGE.format(arch=arch, name=name, stack=stack)
            code += CODE.format(arch=arch, name=name, instruction=instruction)
        self.write("-res-usage", usage)
        self.write("-sass", code)
        tool = os.path.join(self.root, "cuobjdump")
        self.write("cuobjdump", f'#!/bin/sh\ncat "{self.root}/$1"\n')
        os.chmod(tool, 0o755)
        result = subprocess.run(
            [sys.executable,
             os.path.join(SOURCE, "cmake", "check_cuda_report.py"), tool,
             "lib.a", os.path.join(self.root, "report.md")],
            capture_output=True, text=True, check=False)
        return result.returncode, result.stdout

    def both(self, stack=0, instruction="FADD"):
        return self.report(("sm_80", "_Z4Foldv", stack, instruction),
                           ("sm_90a", "_Z4Foldv", stack, instruction))

    def test_good_kernels_pass(self):
        status, text = self.both()
        self.assertEqual(status, 0, text)
        self.assertIn("| fold: Fold | 40 |", text)

    def test_spills(self):
        for stack, instruction in ((16, "FADD"), (0, "STL"), (0, "LDL")):
            status, text = self.both(stack, instruction)
            self.assertEqual(status, 1)
            self.assertIn("sm_80 fold: Fold: uses local memory", text)

    def test_matrix_kernel_without_matrix_instructions(self):
        name = "_Z10ScanKernelv"
        status, text = self.report(("sm_80", name, 0, "HMMA.16816.F32.BF16"),
                                   ("sm_90a", name, 0, "FADD"))
        self.assertEqual(status, 1)
        self.assertIn("sm_90a fold: ScanKernel: no HMMA", text)
        self.assertNotIn("sm_80 fold: ScanKernel: no HMMA", text)

    def test_kernel_that_one_architecture_lacks(self):
        status, text = self.report(("sm_80", "_Z4Foldv", 0, "FADD"),
                                   ("sm_90a", "_Z4Scanv", 0, "FADD"))
        self.assertEqual(status, 1)
        self.assertIn("sm_90a lacks fold: Fold", text)

    def test_no_kernel(self):
        self.assertNotEqual(self.report()[0], 0)


class TextTest(TreeCase):
    def expect(self, message, path, text):
        self.write(path, text)
        code, said = self.run_script("check_text.py")
        self.assertEqual(code, 1, said)
        self.assertIn(message, said)

    def test_plain_text_passes(self):
        self.write("a.cc", "// reads ${HOME}/work and http://example.com\n")
        code, said = self.run_script("check_text.py")
        self.assertEqual(code, 0, said)

    def test_machine_path(self):
        self.expect("names a path of one machine", "a.md", "see /ho" "me/me\n")

    def test_registry(self):
        self.expect("names a registry", "a.yaml", "image: gh" "cr.io/x/y\n")

    def test_skipped_test(self):
        self.expect("skips a test", "a.cc", "GTEST_" "SKIP();\n")
        self.expect("skips a test", "a.cc", "TEST(A, DISABLED" "_B) {}\n")

    def test_unfinished_work(self):
        self.expect("is unfinished", "a.h", "// TO" "DO: later\n")

    def test_long_file(self):
        self.expect("the limit is 600", "a.cc", "\n" * 601)


if __name__ == "__main__":
    unittest.main()
