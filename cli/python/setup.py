"""Generates the stubs of proto/longspan/v1 while the wheel is built."""

import pathlib

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = pathlib.Path(__file__).resolve().parent
PROTOS = HERE.parents[1] / "proto"


class BuildWithStubs(build_py):
    def run(self):
        import grpc_tools
        from grpc_tools import protoc
        found = sorted((PROTOS / "longspan/v1").glob("*.proto"))
        if not found:
            raise SystemExit("no protos: build the wheel in the source tree")
        super().run()
        well_known = str(
            pathlib.Path(grpc_tools.__file__).parent / "_proto")
        words = ["protoc", f"-I{PROTOS}", f"-I{well_known}",
                 f"--python_out={self.build_lib}",
                 f"--pyi_out={self.build_lib}",
                 f"--grpc_python_out={self.build_lib}",
                 *map(str, found)]
        if protoc.main(words) != 0:
            raise SystemExit("protoc failed")


setup(cmdclass={"build_py": BuildWithStubs})
