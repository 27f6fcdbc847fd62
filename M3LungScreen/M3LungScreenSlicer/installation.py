"""PyTorch and the other packages: checked first, asked for, installed at the point of use."""

from __future__ import annotations

from pathlib import Path


def missing_packages(requirements: Path) -> list[str]:
    """Lines of `requirements` that are not satisfied, and 'torch' where it is missing.

    Uses no network; an empty list means that a run can start.
    """
    raise NotImplementedError


def ensure_packages(requirements: Path) -> None:
    """Install what is missing, after asking; InstallationRefused says what to do otherwise.

    torch by the PyTorch extension's PyTorchUtils, the rest by slicer.packaging
    (Slicer 5.12) or slicer.util.pip_install.
    """
    raise NotImplementedError


def install_from_folder(folder: Path, requirements: Path) -> None:
    """The same from a folder of wheels, for machines with no internet."""
    raise NotImplementedError


class InstallationRefused(Exception):
    """Nothing was installed; the message is one sentence with the way out."""
