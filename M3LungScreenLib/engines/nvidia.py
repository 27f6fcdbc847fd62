"""The NVIDIA GPU that CUDA takes first, asked of the driver: no CUDA context is made for it.

A context holds some hundred MB of the GPU for as long as its process lives.
"""

import os
import subprocess

QUERY = ("--query-gpu=name,memory.free", "--format=csv,noheader,nounits")
TIMEOUT_S = 20
UNKNOWN = "NVIDIA GPU"


def describe_gpu() -> tuple[str, float | None]:
    """Its name and its free memory in MiB, None where nvidia-smi does not tell.

    CUDA must count as nvidia-smi does (CUDA_DEVICE_ORDER=PCI_BUS_ID) where there are several.
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
