"""Time, memory and package versions of a run."""

import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec

from M3LungScreenLib import __version__

PACKAGES = ("numpy", "scipy", "SimpleITK", "scikit-image")
RUNTIMES = ("onnxruntime", "torch")  # one is enough


class Stopwatch:
    """Seconds of each named step, and in total since it was created."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start

    @property
    def total(self) -> float:
        return time.perf_counter() - self._start


def peak_memory_mb() -> float:
    """Peak memory (MiB) of this process."""
    if sys.platform == "win32":
        import psutil

        return float(psutil.Process().memory_info().peak_wset) / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # bytes there, KiB elsewhere


def package_versions() -> dict[str, str]:
    """Versions of this library, Python and the packages that affect the numbers.

    Raises PackageNotFoundError, an ImportError, if one is missing.
    """
    return {
        "M3LungScreen": __version__,
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
        **{package: version(package) for package in RUNTIMES if find_spec(package)},
    }
