"""The GPUs of this machine, asked of the driver itself (libcuda.so.1)."""

import ctypes
import os
import pathlib

# Where the driver's library lies when the loader does not know it.
FOLDERS = ("", "/usr/local/nvidia/lib64/", "/usr/local/cuda/compat/",
           "/usr/lib/wsl/lib/")


class NoGpu(Exception):
    """Why no GPU can be used, as a sentence."""


def load():
    """The library, and the folder that the loader had to be told or ""."""
    for folder in FOLDERS:
        try:
            return ctypes.CDLL(folder + "libcuda.so.1"), folder
        except OSError:
            continue
    raise NoGpu("the NVIDIA driver's library libcuda.so.1 is not here")


def environment():
    """What our programs need to find the library, too: {variable: value}."""
    folder = load()[1]
    if not folder:
        return {}
    known = os.environ.get("LD_LIBRARY_PATH")
    return {"LD_LIBRARY_PATH": folder + (f":{known}" if known else "")}


def devices():
    """[{name, memory_bytes, capability}]; raises NoGpu if there is none."""
    cuda, _ = load()
    code = cuda.cuInit(0)
    if code != 0:
        raise NoGpu(f"the NVIDIA driver does not start (cuInit: error {code})")
    count = ctypes.c_int(0)
    cuda.cuDeviceGetCount(ctypes.byref(count))
    if count.value == 0:
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        raise NoGpu("the driver lists no device" + (
            "" if hidden is None else f" (CUDA_VISIBLE_DEVICES={hidden!r})"))
    return [describe(cuda, ordinal) for ordinal in range(count.value)]


def describe(cuda, ordinal):
    device, total = ctypes.c_int(0), ctypes.c_size_t(0)
    name = ctypes.create_string_buffer(256)
    cuda.cuDeviceGet(ctypes.byref(device), ordinal)
    cuda.cuDeviceGetName(name, len(name), device)
    cuda.cuDeviceTotalMem_v2(ctypes.byref(total), device)
    numbers = []
    for attribute in (75, 76):  # compute capability, major and minor
        value = ctypes.c_int(0)
        cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
        numbers.append(value.value)
    return {"name": name.value.decode(), "memory_bytes": total.value,
            "capability": "%d.%d" % tuple(numbers)}


def version():
    """The driver's own version, as its kernel module states it."""
    try:
        text = pathlib.Path("/sys/module/nvidia/version").read_text()
    except OSError:
        return "unknown"
    return text.strip()
