"""The peak memory of a part of a run, also in a process that did other work before."""

from __future__ import annotations

import threading
import time
import weakref
from pathlib import Path

import psutil

# Linux keeps the peak itself, and starts again when 5 is written here (man 5 proc).
CLEAR_REFS = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")
# Elsewhere the system's peak is that of the whole process, so memory is looked at this often.
SAMPLE_S = 0.02


class PeakMemory:
    """Peak memory of this process since this was created.

    On Linux the kernel counts, since the latest PeakMemory was created: read `mb` before the next
    one is, and take the larger. Elsewhere a thread samples for as long as this object lives.
    """

    def __init__(self) -> None:
        self._largest = 0.0
        self._kernel_counts = _restart_kernel()
        if not self._kernel_counts:
            self.look()
            threading.Thread(target=_sample, args=(weakref.ref(self),), daemon=True).start()

    @property
    def mb(self) -> float:
        """MiB."""
        return _kernels_peak_mb() if self._kernel_counts else self.look()

    def look(self) -> float:
        """Count what the process uses now; the largest so far in MiB."""
        self._largest = max(self._largest, psutil.Process().memory_info().rss / 2**20)
        return self._largest


def _restart_kernel() -> bool:
    try:
        CLEAR_REFS.write_text("5")
        return _kernels_peak_mb() > 0
    except (OSError, ValueError):  # not Linux, or not allowed
        return False


def _kernels_peak_mb() -> float:
    """Raises ValueError if the kernel does not tell."""
    for line in STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise ValueError("no VmHWM")


def _sample(of: weakref.ref[PeakMemory]) -> None:
    while (peak := of()) is not None:
        peak.look()
        del peak
        time.sleep(SAMPLE_S)
