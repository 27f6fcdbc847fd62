"""pip's output in words: how far a download is, and why an installation failed."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from slicer.i18n import translate

PROGRESS = "Progress "
# Once pip says this it writes packages; a process that is ended then leaves half of one.
WRITING = "Installing collected packages"
# "Retrying … after connection broken by" comes before "No matching distribution".
CONNECTION_SIGNS = ("connection broken", "Timeout", "ProxyError", "SSLError", "ConnectionError")


def progress_text(shown: str, line: str) -> str:
    """What to show after pip's `line`; its raw 'Progress 5 of 20' becomes '…, 25 %'.

    Of an address the file's name is enough.
    """
    if not line.startswith(PROGRESS):
        return re.sub(r"https?://\S*/", "", line.strip())
    done, _of, total = line.removeprefix(PROGRESS).partition(" of ")
    if not (done.strip().isdigit() and total.strip().isdigit() and int(total)):
        return shown
    before = shown.rpartition(", ")[0] if shown.endswith(" %") else shown
    return f"{before}, {100 * int(done) // int(total)} %"


def failure_message(output: str, folder: Path | None = None) -> str:
    """Why pip failed, in one sentence with what to do; `output` is what it printed.

    `folder` held the wheels, or was None where they came from the internet.
    """
    for signs, sentence in (
        (("No space left on device", "Errno 28"), _disk_full),
        (("Long Path support",), _long_paths),
        (("Permission denied", "Access is denied", "WinError 5"), _not_writable),
        (CONNECTION_SIGNS, _no_connection),
        (("ResolutionImpossible", "conflicting dependencies"), _conflict),
        (("No matching distribution", "Could not find a version"), lambda: _no_wheels(folder)),
    ):
        if any(sign.lower() in output.lower() for sign in signs):
            return sentence()
    return translate(
        "M3LungScreen",
        "The packages could not be installed. Restart Slicer and try again, or install the "
        "packages from a folder. The reason is under Details.",
    )


def _disk_full() -> str:
    return translate(
        "M3LungScreen",
        "The disk is full. Free some space (PyTorch with CUDA needs 8 GB) and try again.",
    )


def _long_paths() -> str:
    return translate(
        "M3LungScreen",
        "A file path is too long for Windows. Enable long paths in Windows, or install "
        "Slicer in a folder with a shorter path, and try again.",
    )


def _not_writable() -> str:
    return translate(
        "M3LungScreen",
        "Slicer's folder is not writable, or a package is in use. Restart Slicer and install "
        "the packages before you open another module. You need write permission for the "
        "folder where Slicer is installed.",
    )


def _no_connection() -> str:
    return translate(
        "M3LungScreen",
        "The packages could not be downloaded. Check the internet connection and the proxy, "
        "or install the packages from a folder.",
    )


def _conflict() -> str:
    return translate(
        "M3LungScreen",
        "The packages conflict with those that come with Slicer, which were not changed. "
        "Update Slicer and try again.",
    )


def _no_wheels(folder: Path | None) -> str:
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if folder is None:
        words = translate(
            "M3LungScreen",
            "The packages are not available for Python {python} on this system. Update Slicer.",
        )
        return words.format(python=python)
    words = translate(
        "M3LungScreen",
        "{folder} does not contain all wheels for Python {python} on this system. Download "
        "them with PythonSlicer of the same version on the same system.",
    )
    return words.format(folder=folder, python=python)
