"""Chest CT that Python packages contain for their own tests, downloaded from PyPI."""

import json
import tarfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin
from urllib.request import urlopen

from M3LungScreenLib.errors import UsageError
from M3LungScreenLib.writing import writer_errors

if TYPE_CHECKING:  # a machine that trains on what was gathered needs no reader of CT
    import SimpleITK as sitk

# Largest matrix and smallest slice spacing of a background.
LARGEST_MATRIX, LEAST_THICKNESS_MM = 256, 4.0
TIMEOUT_S = 60


@dataclass(frozen=True)
class Package:
    """A source distribution on PyPI, identified by its SHA-256."""

    project: str
    file: str
    sha256: str


PYRADIOMICS = Package(
    "pyradiomics",
    "pyradiomics-3.0.1.tar.gz",
    "47c57f441d6cb7973fa3b2ea48d3948df78e3348e1c69e1e2ff19001601fc2f5",
)
TOTALSEGMENTATOR = Package(
    "totalsegmentator",
    "totalsegmentator-2.18.0.tar.gz",
    "5d4223ef93973bc36d710869d11e7742ead2c154c72f7f9edcaaadd5b6c4bd03",
)


def packaged_volume(package: Package, member: str, target: Path) -> None:
    """Write the CT `member` of a package to `target`, downsampled by averaging.

    The distribution is kept beside `target`. UsageError if the download fails.
    """
    import SimpleITK as sitk

    archive = fetch(package, target.parent)
    suffix = "".join(Path(member).suffixes[-2:])
    inside = archive.with_name(f"{target.stem}-whole{suffix}")
    with tarfile.open(archive) as files:
        found = files.extractfile(member)
        assert found is not None
        inside.write_bytes(found.read())
    made = thinned(sitk.ReadImage(str(inside)))
    with writer_errors(target):
        sitk.WriteImage(made, str(target), useCompression=True)
    inside.unlink()


def thinned(image: "sitk.Image") -> "sitk.Image":
    """At most 256 pixels across and slices of about 4 mm or more, by averaging voxels."""
    import SimpleITK as sitk

    across = -(-max(image.GetSize()[:2]) // LARGEST_MATRIX)
    along = max(1, round(LEAST_THICKNESS_MM / image.GetSpacing()[2]))
    smaller = sitk.BinShrink(sitk.Cast(image, sitk.sitkFloat32), [across, across, along])
    return sitk.Cast(sitk.Round(smaller), sitk.sitkInt16)


def fetch(package: Package, folder: Path) -> Path:
    """The distribution in `folder`, downloaded if missing, with its digest checked."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / package.file
    if not path.exists():
        path.write_bytes(_download(package))
    if sha256(path.read_bytes()).hexdigest() != package.sha256:
        raise UsageError(
            "package",
            f"{path} differs from the published file. Delete it and run this again.",
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
            f"{package.file} could not be downloaded from pypi.org ({wrong}). Check the network, "
            "download the file by hand, or do without these chests: omit --packages, or use make "
            "with PACKAGES= .",
        ) from None
