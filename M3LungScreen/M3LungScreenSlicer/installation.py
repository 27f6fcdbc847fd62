"""PyTorch and the other packages: checked first, asked for, installed at the point of use."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

REQUESTER = "M3LungScreen"
# The range of requirements.txt's own line for torch is given to PyTorchUtils.
TORCH_FAMILY = ("torch", "torchvision")
NOT_WANTED = "Nothing was installed. Screen again when you want it."


class InstallationRefused(Exception):
    """Nothing was installed; the message is one sentence with the way out."""


def missing_packages(requirements: Path) -> list[str]:
    """Lines of `requirements` that this Python does not satisfy; uses no network.

    An empty list means that a run can start.
    """
    return [str(each) for each in _requirements(requirements) if not _is_satisfied(each)]


def ensure_packages(requirements: Path, with_torch: bool = True) -> None:
    """Install what is missing, after asking; InstallationRefused says what to do otherwise.

    torch and torchvision by the PyTorch extension's PyTorchUtils, the rest by
    slicer.packaging (Slicer 5.12) or slicer.util.pip_install.
    """
    wanted = _requirements(requirements)
    torch = [each for each in wanted if each.name in TORCH_FAMILY] if with_torch else []
    others = [each for each in wanted if each.name not in TORCH_FAMILY]
    if not all(map(_is_satisfied, torch)):
        _install_torch(next(each for each in torch if each.name == "torch"))
    if not all(map(_is_satisfied, others)):
        _install([each for each in others if not _is_satisfied(each)])
    still = [str(each) for each in (*torch, *others) if not _is_satisfied(each)]
    if still:
        raise InstallationRefused(
            f"{', '.join(still)} is still missing. Restart Slicer and try again, or install from a "
            "folder of wheels."
        )


def install_from_folder(folder: Path, requirements: Path) -> None:
    """The same from a folder of wheels, for machines with no internet; nothing is downloaded."""
    missing = missing_packages(requirements)
    if not missing:
        return
    if not any(folder.glob("*.whl")):
        raise InstallationRefused(
            f"{folder} holds no .whl files. On a machine with internet and the same system, run "
            f"'PythonSlicer -m pip download -d FOLDER -r {requirements.name}' and copy the folder."
        )
    _pip(["--no-index", "--find-links", str(folder), *missing])
    if missing_packages(requirements):
        raise InstallationRefused(
            f"{folder} lacks wheels for Python {sys.version_info[0]}.{sys.version_info[1]} on this "
            "system. Download them with this machine's PythonSlicer version."
        )


def _requirements(path: Path) -> list[Any]:
    from packaging.requirements import Requirement

    lines = (line.strip() for line in path.read_text("utf-8").splitlines())
    made = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return [each for each in made if each.marker is None or each.marker.evaluate()]


def _is_satisfied(requirement: Any) -> bool:
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return False
    return requirement.specifier.contains(found, prereleases=True)


def _install_torch(requirement: Any) -> None:
    """By PyTorchUtils, which chooses the build for this machine's GPU."""
    try:
        import PyTorchUtils
    except ImportError:
        raise InstallationRefused(
            "PyTorch is missing. Install the extension 'PyTorch' from the Extensions Manager, "
            "restart Slicer and try again; or install from a folder of wheels."
        ) from None
    logic = PyTorchUtils.PyTorchUtilsLogic()
    wanted = str(requirement.specifier)
    if logic.torchInstalled() and not _is_satisfied(requirement):
        raise InstallationRefused(
            f"PyTorch {version('torch')} is installed, {wanted} is needed. Uninstall it in the "
            "module 'PyTorch Utils', restart Slicer and try again."
        )
    try:
        torch = logic.installTorch(askConfirmation=True, torchVersionRequirement=wanted)
    except Exception as failed:
        raise _pip_failed(failed) from failed
    if torch is None:
        raise InstallationRefused("PyTorch was not installed. Screen again when you want it.")


def _install(requirements: list[Any]) -> None:
    lines = [str(each) for each in requirements]
    try:
        from slicer import packaging
    except ImportError:  # before Slicer 5.12
        _ask_and_pip(lines)
        return
    try:
        packaging.pip_ensure(lines, requester=REQUESTER)
    except RuntimeError as declined:
        raise InstallationRefused(NOT_WANTED) from declined
    except Exception as failed:
        raise _pip_failed(failed) from failed


def _ask_and_pip(lines: list[str]) -> None:
    import slicer.util

    question = f"{REQUESTER} needs to install {', '.join(lines)}. Install now?"
    if not slicer.util.confirmOkCancelDisplay(question):
        raise InstallationRefused(NOT_WANTED)
    _pip(lines)


def _pip(arguments: list[str]) -> None:
    import slicer.util

    try:
        slicer.util.pip_install(arguments)
    except Exception as failed:
        raise _pip_failed(failed) from failed


def _pip_failed(failed: Exception) -> InstallationRefused:
    return InstallationRefused(
        "The packages could not be installed. Check the connection or the proxy, or install from "
        f"a folder of wheels; the Python console says more ({type(failed).__name__})."
    )
