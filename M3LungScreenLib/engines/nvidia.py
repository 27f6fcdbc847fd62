"""Describes the first NVIDIA GPU through nvidia-smi, without creating a CUDA context.

A context would occupy several hundred MB of the GPU until the process ends.
"""

import ctypes
import os
import subprocess
import sys

QUERY = ("--query-gpu=name,memory.free", "--format=csv,noheader,nounits")
TIMEOUT_S = 20
UNKNOWN = "NVIDIA GPU"


def has_driver() -> bool:
    """Whether NVIDIA's driver is installed, which CUDA needs; takes milliseconds."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def describe_gpu() -> tuple[str, float | None]:
    """Name and free memory in MiB, or None if nvidia-smi does not report them.

    With several GPUs, CUDA must use nvidia-smi's order (CUDA_DEVICE_ORDER=PCI_BUS_ID).
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip()
    command = ["nvidia-smi", f"--id={visible or 0}", *QUERY]
    flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # no console on Windows
    try:
        told = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, creationflags=flags
        )
    except (OSError, subprocess.TimeoutExpired):
        return UNKNOWN, None
    name, _, free = told.stdout.strip().partition(", ")
    if told.returncode or not free:
        return UNKNOWN, None
    return name, float(free) if free.isdigit() else None
