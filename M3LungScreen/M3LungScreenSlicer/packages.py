"""What is installed and what is required, read from metadata: nothing is imported for it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distributions, packages_distributions, version
from pathlib import Path
from typing import Any

BUILD_TOOLS = frozenset({"pip", "setuptools", "wheel"})  # Slicer loads none of them
# What Slicer 5.10, 5.11 or 5.12 brings and may have loaded; a test compares with their lists.
SLICER_PACKAGES = frozenset(
    (
        *("certifi", "cffi", "chardet", "charset-normalizer", "couchdb", "cryptography", "dcmqi"),
        *("deprecated", "dicomweb-client", "gitdb", "gitpython", "highdicom", "idna", "numpy"),
        *("packaging", "pillow", "pycparser", "pydicom", "pygithub", "pyjpegls", "pyjwt", "pynacl"),
        *("pyparsing", "python-dateutil", "requests", "retrying", "scipy", "simpleitk", "six"),
        *("smmap", "typing-extensions", "urllib3", "vtk", "wrapt"),
    )
)


def required(*files: Path) -> list[Any]:
    """The requirements in `files` that hold on this system."""
    from packaging.requirements import Requirement

    lines = (line.strip() for each in files for line in each.read_text("utf-8").splitlines())
    made = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return [each for each in made if each.marker is None or each.marker.evaluate()]


def unsatisfied(requirements: Iterable[Any]) -> list[Any]:
    """Those that this Python does not satisfy."""
    return [each for each in requirements if not _is_satisfied(each)]


def version_of(name: str) -> str | None:
    """The installed version, None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def is_slicer_package(name: str) -> bool:
    """Whether Slicer brings it."""
    return _canonical(name) in SLICER_PACKAGES


def installed_versions() -> dict[str, str]:
    """Version by canonical name of every installed distribution, as of now."""
    importlib.invalidate_caches()
    return dict(_named_versions())


def replaced_while_loaded(before: dict[str, str]) -> tuple[str, ...]:
    """Packages whose version is another than in `before` although this process loaded them."""
    after = installed_versions()
    changed = {name for name in before if after.get(name, before[name]) != before[name]}
    return tuple(sorted(changed & _loaded()))


def constraints(changing: Iterable[Any]) -> list[str]:
    """Lines for pip's --constraint: what Slicer brings or has loaded stays at its version.

    `changing` are the requirements that are to be installed.
    """
    free = BUILD_TOOLS | {_canonical(each.name) for each in changing}
    kept = (SLICER_PACKAGES | _loaded()) - free
    found = sorted(installed_versions().items())
    return [f"{name}=={number}" for name, number in found if name in kept]


def _is_satisfied(requirement: Any) -> bool:
    found = version_of(requirement.name)
    return found is not None and requirement.specifier.contains(found, prereleases=True)


def _named_versions() -> Iterator[tuple[str, str]]:
    """Without distributions that have no name, or a version that pip cannot compare."""
    from packaging.version import InvalidVersion, Version

    for each in distributions():
        name, number = each.metadata["Name"], each.metadata["Version"]
        try:
            Version(number or "")
        except InvalidVersion:
            continue
        if name:
            yield _canonical(name), number


def _loaded() -> frozenset[str]:
    """Canonical names of the distributions of which this process has imported something."""
    owners = packages_distributions().items()
    loaded = (name for top, names in owners if top in sys.modules for name in names)
    return frozenset(map(_canonical, loaded))


def _canonical(name: str) -> str:
    from packaging.utils import canonicalize_name

    return canonicalize_name(name)
