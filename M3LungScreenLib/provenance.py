"""Time and memory of a run, and its packages."""

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec

from M3LungScreenLib import __version__
from M3LungScreenLib.peak_memory import PeakMemory

PACKAGES = ("numpy", "scipy", "SimpleITK", "scikit-image")
RUNTIMES = ("onnxruntime", "torch")  # one is enough


class Stopwatch:
    """Seconds of each named step, and in total and the peak of memory since it was created."""

    def __init__(self) -> None:
        self._memory = PeakMemory()
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

    @property
    def peak_memory_mb(self) -> float:
        """MiB; as PeakMemory, which another Stopwatch restarts on Linux."""
        return self._memory.mb


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
