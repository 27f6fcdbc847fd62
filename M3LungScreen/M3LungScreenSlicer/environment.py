"""The environment variables of a child process."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


def worker_environment() -> dict[str, str]:
    """One core stays free for Slicer's window, and a GPU is looked for without a CUDA context.

    What the user has set is left as it is.
    """
    threads = str(max(1, core_count() - 1))
    wanted = {
        "OMP_NUM_THREADS": threads,  # PyTorch, NumPy and SciPy
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": threads,  # SimpleITK
        "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # nvidia-smi's order
    }
    return {name: value for name, value in wanted.items() if name not in os.environ}


def core_count() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def added_to_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """`variables` are in os.environ meanwhile; a process started now inherits them."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
