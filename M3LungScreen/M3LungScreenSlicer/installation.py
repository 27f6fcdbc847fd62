"""The packages: what is missing, what pip is told, and why it may not start.

Everybody needs `requirements.txt`. `requirements-torch.txt` and `requirements-resnet.txt` are the
extras 'torch' (an NVIDIA GPU, or a model without ONNX graphs) and 'resnet' (torchvision beside it);
`requirements-dicom.txt` is the extra 'dicom' (DICOM objects).
"""

from __future__ import annotations

import importlib
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slicer.i18n import translate

from . import packages

REQUESTER = "M3LungScreen"
DICOM = "dicom"
TORCH_FAMILY = ("torch", "torchvision")
# The PyTorch extension's own tool: it picks the build for this machine's GPU. 0.8.1 knows CUDA 13.
TORCH_INSTALLER = "light-the-torch>=0.8.1"
# Wheels only: nobody has a compiler.
PIP_OPTIONS = ("--only-binary=:all:", "--no-input", "--disable-pip-version-check")
# This pip and later ones tell their progress in lines, one for each quarter of a second.
PIP_WITH_RAW_PROGRESS = "24.1"


class InstallationRefused(Exception):
    """Nothing was installed; the message is one sentence with the way out."""


@dataclass(frozen=True)
class Plan:
    """What is to be installed and how.

    `missing` are requirements, `steps` the arguments of Python, one process after the
    other. `folder` holds the wheels where nothing may be downloaded.
    """

    missing: tuple[Any, ...]
    steps: tuple[tuple[str, ...], ...]
    folder: Path | None = None

    @property
    def names(self) -> str:
        """What is missing, for a sentence."""
        return ", ".join(map(str, self.missing))


def missing_packages(requirements: Path, extras: Sequence[str] = ()) -> list[str]:
    """Requirements that this Python does not satisfy; reads metadata, imports nothing.

    `extras` are the chosen model's. An empty list means that a run can start.
    """
    return [str(each) for each in _missing(requirements, extras)]


def plan(requirements: Path, extras: Sequence[str] = ()) -> Plan:
    """How to install what is missing from the internet; InstallationRefused says why not."""
    missing = _missing(requirements, extras)
    _check(missing)
    torch = [str(each) for each in missing if each.name in TORCH_FAMILY]
    others = [str(each) for each in missing if each.name not in TORCH_FAMILY]
    steps = []
    if torch:
        _check_extension()
        others.append(TORCH_INSTALLER)
        # PyTorchUtils.installTorch runs the same, but it holds the window until it is done,
        # adds torchvision and imports torch into Slicer.
        steps.append(("-m", "light_the_torch", "install", *pip_options(), *torch))
    if others:
        steps.insert(0, ("-m", "pip", "install", *pip_options(), *others))
    return Plan(tuple(missing), tuple(steps))


def plan_from_folder(folder: Path, requirements: Path, extras: Sequence[str] = ()) -> Plan:
    """The same from a folder of wheels, for machines with no internet; nothing is downloaded."""
    missing = _missing(requirements, extras)
    _check(missing)
    if missing and not any(folder.glob("*.whl")):
        words = translate(
            "M3LungScreen",
            "{folder} contains no .whl files. On a computer with internet access, the same "
            "Slicer and the same system, run 'PythonSlicer -m pip download -d FOLDER -r "
            "{name}' and copy the folder.",
        )
        raise InstallationRefused(words.format(folder=folder, name=requirements.name))
    source = ("--no-index", "--find-links", str(folder))
    step = ("-m", "pip", "install", *pip_options(), *source, *map(str, missing))
    return Plan(tuple(missing), (step,) if missing else (), folder)


def offers_torch(requirements: Path) -> bool:
    """Whether this computer has an NVIDIA GPU that only lacks PyTorch."""
    from M3LungScreenLib.engines.nvidia import has_driver

    return bool(_missing(requirements, ("torch",))) and has_driver()


def ask(plan: Plan) -> None:
    """Ask the user once; InstallationRefused where the answer is no."""
    import slicer.util

    question = translate(
        "M3LungScreen", "{requester} needs to install {packages} into Slicer's Python."
    )
    words = [question.format(requester=REQUESTER, packages=plan.names)]
    if any(each.name in TORCH_FAMILY for each in plan.missing):
        size = translate(
            "M3LungScreen", "PyTorch is a download of 0.2 GB, or of 2 to 3 GB with an NVIDIA GPU."
        )
        words.append(size)
    words.append(translate("M3LungScreen", "Install now?"))
    if not slicer.util.confirmOkCancelDisplay(" ".join(words)):
        raise InstallationRefused(
            translate(
                "M3LungScreen", "Nothing was installed. To install the packages later, try again."
            )
        )


def still_missing(plan: Plan) -> str:
    """A sentence on what a pip that succeeded has not brought, '' where all is there."""
    importlib.invalidate_caches()
    missing = packages.unsatisfied(plan.missing)
    if not missing:
        return ""
    words = translate(
        "M3LungScreen",
        "{packages} is still missing. Restart Slicer and try again, or install the packages "
        "from a folder.",
    )
    return words.format(packages=", ".join(map(str, missing)))


def pip_options() -> tuple[str, ...]:
    """What every pip is told, as far as the installed one knows it."""
    from packaging.version import Version

    tells = Version(packages.version_of("pip") or "0") >= Version(PIP_WITH_RAW_PROGRESS)
    return (*PIP_OPTIONS, f"--progress-bar={'raw' if tells else 'off'}")


def _missing(path: Path, extras: Sequence[str]) -> list[Any]:
    more = [path.with_name(f"{path.stem}-{each}.txt") for each in extras]
    return packages.unsatisfied(packages.required(path, *more))


def _check(missing: list[Any]) -> None:
    """InstallationRefused where pip must not or cannot help."""
    for each in missing:
        if packages.is_slicer_package(each.name) and packages.version_of(each.name) is not None:
            words = translate(
                "M3LungScreen",
                "This version of Slicer is too old: {package} is required. Install Slicer "
                "5.10 or later.",
            )
            raise InstallationRefused(words.format(package=each))
        if each.name == "torch":
            _check_torch(each)
    if _pip_is_running():
        raise InstallationRefused(
            translate(
                "M3LungScreen",
                "Another module is installing packages. Try again when it has finished.",
            )
        )


def _check_torch(wanted: Any) -> None:
    if sys.platform == "darwin" and platform.machine() == "x86_64":
        words = translate(
            "M3LungScreen",
            "This model has no ONNX graphs, so it needs {wanted}. Slicer for macOS is an Intel "
            "build, for which PyTorch stops at version 2.2.2. Choose a model with ONNX graphs, or "
            "use Slicer on Windows or Linux.",
        )
        raise InstallationRefused(words.format(wanted=wanted))
    found = packages.version_of("torch")
    if found is not None:
        words = translate(
            "M3LungScreen",
            "PyTorch {found} is installed, but {wanted} is required. Uninstall it in the "
            "module 'PyTorch Utils', restart Slicer and try again.",
        )
        raise InstallationRefused(words.format(found=found, wanted=wanted.specifier))


def _check_extension() -> None:
    try:
        import PyTorchUtils  # noqa: F401
    except ImportError:
        words = translate(
            "M3LungScreen",
            "PyTorch is missing. Install the extension 'PyTorch' from the Extensions "
            "Manager, restart Slicer and try again; or install the packages from a folder.",
        )
        raise InstallationRefused(words) from None


def _pip_is_running() -> bool:
    """Whether Slicer installs for another module; Slicer 5.12 and later can tell."""
    try:
        from slicer.packaging import isPipInstallInProgress
    except ImportError:
        return False
    return bool(isPipInstallInProgress())
