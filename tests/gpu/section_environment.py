"""Driver, GPU, clocks, libraries, tools: what the figures depend on."""

import importlib.metadata
import os
import pathlib
import platform
import subprocess

import driver
import libraries
import section

QUERY = ("name", "driver_version", "memory.total", "memory.used",
         "clocks.sm", "clocks.mem", "clocks.max.sm", "clocks.max.mem",
         "power.limit", "temperature.gpu", "compute_mode", "mig.mode.current",
         "utilization.gpu")
PACKAGES = ("torch", "triton", "flash-linear-attention", "fla-core", "einops",
            "nvidia-cublas", "nvidia-nccl-cu13", "nvidia-cudnn-cu13")
TOOLS = ("nvcc", "compute-sanitizer", "ncu", "cuobjdump")
FOLDERS = ("/usr/local/cuda/bin", "/usr/local/cuda/compute-sanitizer")


def add_gpus(report):
    table = report.table("GPUs", ["ordinal", "name", "GiB", "capability"])
    for ordinal, device in enumerate(driver.devices()):
        table.add(ordinal, device["name"],
                  round(device["memory_bytes"] / 2**30, 1),
                  device["capability"])


def add_clocks(report):
    tool = section.find_tool("nvidia-smi", "/usr/local/nvidia/bin")
    if tool is None:
        print("nvidia-smi is not here: no clocks")
        return
    done = subprocess.run(
        [tool, f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader"],
        capture_output=True, text=True, check=False)
    print(done.stdout + done.stderr)
    table = report.table("nvidia-smi", ["what", "value"])
    for line in done.stdout.splitlines():
        for name, value in zip(QUERY, line.split(", ")):
            table.add(name, value.strip())


def add_libraries(report):
    table = report.table("libraries", ["variable", "file"])
    for name in libraries.WANTED:
        found = os.environ.get(name)
        table.add(name, found or "not found")
        if found is None:
            report.fail(f"{name.split('_')[1]} is not on this machine; set "
                        f"{name} to its file")


def add_machine(report):
    table = report.table("machine", ["what", "value"])
    table.add("kernel", platform.release())
    table.add("C library", " ".join(platform.libc_ver()))
    table.add("cores", os.cpu_count())
    for name in PACKAGES:
        try:
            table.add(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            table.add(name, "-")
    for name in TOOLS:
        table.add(name, section.find_tool(name, *FOLDERS) or "-")
    manifest = pathlib.Path(section.TREE, "MANIFEST.json")
    if manifest.exists():
        print(manifest.read_text())


def check_programs(report):
    """The programs start, and say what they see."""
    table = report.table("programs", ["program", "says"])
    for name in ("longspan", "longspan-worker"):
        done = subprocess.run([section.bin_dir() / name, "--version"],
                              capture_output=True, text=True, check=False)
        table.add(name, (done.stdout + done.stderr).strip())
        if done.returncode != 0:
            report.fail(f"{name} --version: exit {done.returncode}")


def main():
    report = section.Report()
    add_gpus(report)
    add_clocks(report)
    add_libraries(report)
    add_machine(report)
    check_programs(report)
    report.end()


if __name__ == "__main__":
    main()
