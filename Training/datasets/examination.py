"""Each CT looked at once before it counts: may it be used, and whose is it?"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.lungs import segment_lungs
from M3LungScreenLib.reading import read_ct
from M3LungScreenLib.suitability import check_lungs
from Training.datasets.headers import dicom_files, read_tags
from Training.datasets.index_file import Case

IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True)
class Fingerprint:
    """What tells that two cases are one: DICOM's patient and series, the pixels of slices."""

    patient: str = ""
    series: frozenset[str] = frozenset()
    slices: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Examined:
    """A case, why it cannot be used (None if it can), its number of slices and fingerprint."""

    case: Case
    refusal: str | None = None
    slice_count: int = 0
    fingerprint: Fingerprint = Fingerprint()


def examine(case: Case) -> Examined:
    """Read the CT, look for lungs in it, hold its slice labels to its slices.

    Slices that lie there as pictures are no HU: they are counted, not looked at.
    """
    try:
        slices = _slices(case.path)
        _check_labels(case, len(slices))
    except InputRefused as refusal:
        return Examined(case, refusal.message)
    fingerprint = Fingerprint(*_identity(case.path), frozenset(filter(None, slices)))
    return Examined(case, None, len(slices), fingerprint)


def slice_images(folder: Path) -> list[Path]:
    """The pictures of slices in `folder`, by name; none where it is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES)


def _slices(path: Path) -> list[str]:
    """A digest of each slice's pixels, empty where all have one value: that tells nothing."""
    images = slice_images(path)
    if images:
        return [hashlib.sha256(each.read_bytes()).hexdigest() for each in images]
    volume = read_ct(path)
    check_lungs(segment_lungs(volume), volume)
    return [hashlib.sha256(each.tobytes()).hexdigest() * bool(np.ptp(each)) for each in volume.hu]


def _check_labels(case: Case, count: int) -> None:
    labels = case.slice_labels
    if labels is not None and len(labels) != count:
        raise InputRefused(
            "labels",
            f"There are labels for {len(labels)} slices, but {count} slices. Take the CT that was "
            "labelled.",
        )


def _identity(path: Path) -> tuple[str, frozenset[str]]:
    files = dicom_files(path) if path.is_dir() else []
    if not files:
        return "", frozenset()
    headers = [read_tags(each, "PatientID", "SeriesInstanceUID") for each in files]
    series = frozenset(str(each.get("SeriesInstanceUID", "")) for each in headers)
    return str(headers[0].get("PatientID", "")), series - {""}
