"""PyTorch and the other packages: checked first, asked for, installed at the point of use."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

REQUESTER = "M3LungScreen"
# The range of requirements.txt's own line for torch is given to PyTorchUtils.
TORCH_FAMILY = ("torch", "torchvision")
# Slicer itself runs on these; another version could break it. 5.10 brings pydicom 2.4.
SLICERS_OWN = ("numpy", "SimpleITK", "pydicom")


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
    _leave_slicers_own(others)
    if not all(map(_is_satisfied, torch)):
        _install_torch({each.name: each for each in torch})
    if not all(map(_is_satisfied, others)):
        _install([each for each in others if not _is_satisfied(each)])
    still = [str(each) for each in (*torch, *others) if not _is_satisfied(each)]
    if still:
        words = _(
            "{packages} is still missing. Restart Slicer and try again, or install from a folder "
            "of wheels."
        )
        raise InstallationRefused(words.format(packages=", ".join(still)))


def install_from_folder(folder: Path, requirements: Path) -> None:
    """The same from a folder of wheels, for machines with no internet; nothing is downloaded."""
    missing = missing_packages(requirements)
    if not missing:
        return
    _leave_slicers_own(_requirements(requirements))
    if not any(folder.glob("*.whl")):
        words = _(
            "{folder} holds no .whl files. On a machine with internet and the same system, run "
            "'PythonSlicer -m pip download -d FOLDER -r {name}' and copy the folder."
        )
        raise InstallationRefused(words.format(folder=folder, name=requirements.name))
    _pip(["--no-index", "--find-links", str(folder), *missing])
    if missing_packages(requirements):
        words = _(
            "{folder} lacks wheels for Python {python} on this system. Download them with this "
            "machine's PythonSlicer version."
        )
        python = f"{sys.version_info[0]}.{sys.version_info[1]}"
        raise InstallationRefused(words.format(folder=folder, python=python))


def _leave_slicers_own(wanted: list[Any]) -> None:
    """InstallationRefused where what Slicer brings would have to be replaced."""
    for each in wanted:
        if each.name in SLICERS_OWN and not _is_satisfied(each):
            words = _("This Slicer is too old: {package} is needed. Install Slicer 5.10 or later.")
            raise InstallationRefused(words.format(package=each))


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


def _install_torch(family: dict[str, Any]) -> None:
    """By PyTorchUtils, which chooses the build for this machine's GPU."""
    try:
        import PyTorchUtils
    except ImportError:
        words = _(
            "PyTorch is missing. Install the extension 'PyTorch' from the Extensions Manager, "
            "restart Slicer and try again; or install from a folder of wheels."
        )
        raise InstallationRefused(words) from None
    logic = PyTorchUtils.PyTorchUtilsLogic()
    wanted = str(family["torch"].specifier)
    if logic.torchInstalled() and not _is_satisfied(family["torch"]):
        words = _(
            "PyTorch {found} is installed, {wanted} is needed. Uninstall it in the module "
            "'PyTorch Utils', restart Slicer and try again."
        )
        raise InstallationRefused(words.format(found=version("torch"), wanted=wanted))
    try:
        # Without a bound for torchvision an old one, without any build, may be found.
        torch = logic.installTorch(
            askConfirmation=True,
            torchVersionRequirement=wanted,
            torchvisionVersionRequirement=str(family["torchvision"].specifier),
        )
    except Exception as failed:
        raise _pip_failed(failed) from failed
    if torch is None:
        raise InstallationRefused(_("PyTorch was not installed. Screen again when you want it."))


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
        raise _not_wanted() from declined
    except Exception as failed:
        raise _pip_failed(failed) from failed


def _ask_and_pip(lines: list[str]) -> None:
    import slicer.util

    question = _("{requester} needs to install {packages}. Install now?")
    words = question.format(requester=REQUESTER, packages=", ".join(lines))
    if not slicer.util.confirmOkCancelDisplay(words):
        raise _not_wanted()
    _pip(lines)


def _pip(arguments: list[str]) -> None:
    import slicer.util

    try:
        slicer.util.pip_install(arguments)
    except Exception as failed:
        raise _pip_failed(failed) from failed


def _not_wanted() -> InstallationRefused:
    return InstallationRefused(_("Nothing was installed. Screen again when you want it."))


def _pip_failed(failed: Exception) -> InstallationRefused:
    words = _(
        "The packages could not be installed. Check the connection or the proxy, or install from "
        "a folder of wheels; the Python console says more ({error})."
    )
    return InstallationRefused(words.format(error=type(failed).__name__))
