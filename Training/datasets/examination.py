"""Every CT is read once before use: is it usable, and whose is it?"""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from M3LungScreenLib.coverage import check_lungs, measure_coverage
from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.lungs import segment_lungs
from M3LungScreenLib.reading import read_ct
from Training.atomic_files import write_atomically
from Training.datasets.headers import dicom_files, read_tags
from Training.datasets.index_file import Case, stats_of
from Training.datasets.masks import read_mask

IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True)
class Fingerprint:
    """Identifies equal cases: DICOM patient and series, and pixels of slices."""

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
    """Read the CT, check for lungs, and compare its labels and mask with its slices.

    Without labels the mask labels the slices. Slices stored as images are not HU: they are counted,
    but not checked for lungs.
    """
    try:
        patient, series = _identity(case.path)
        images = slice_images(case.path)
        case, slices = (case, _digests(images)) if images else _look_at_volume(case)
        _check_labels(case, len(slices))
    except InputRefused as refusal:
        return Examined(case, refusal.message)
    fingerprint = Fingerprint(patient, series, frozenset(filter(None, slices)))
    return Examined(case, None, len(slices), fingerprint)


def examine_kept(case: Case, work: Path) -> Examined:
    """Like `examine`; results are kept in `work`, so that unchanged files are not read again."""
    known = hashlib.sha256(repr((case, stats_of(case))).encode()).hexdigest()[:32]
    path = work / f"{known}.json"
    if not path.is_file():
        write_atomically(path, _told(examine(case)))
    return _read(case, json.loads(path.read_text("utf-8")))


def slice_images(folder: Path) -> list[Path]:
    """The slice images in `folder`, by name; empty if there are none."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES)


def _digests(images: list[Path]) -> list[str]:
    return [hashlib.sha256(each.read_bytes()).hexdigest() for each in images]


def _look_at_volume(case: Case) -> tuple[Case, list[str]]:
    """The case with labels from its mask, and slice digests; empty for constant slices."""
    volume = read_ct(case.path)
    lungs = segment_lungs(volume)
    check_lungs(lungs, measure_coverage(lungs, volume))
    slices = [hashlib.sha256(each.tobytes()).hexdigest() * bool(np.ptp(each)) for each in volume.hu]
    return _labelled(case, volume), slices


def _labelled(case: Case, volume: CTVolume) -> Case:
    if case.mask is None:
        return case
    lesion = np.any(read_mask(case.mask, volume), axis=(1, 2)).astype(int)
    return replace(case, slice_labels=case.slice_labels or tuple(lesion.tolist()))


def _check_labels(case: Case, count: int) -> None:
    labels = case.slice_labels
    if labels is not None and len(labels) != count:
        raise InputRefused(
            "labels",
            f"The CT has {count} slices, but there are labels for {len(labels)}. Use the CT "
            "that was labelled.",
        )


def _identity(path: Path) -> tuple[str, frozenset[str]]:
    """DICOM patient and series; InputRefused for a damaged file or several patients."""
    files = dicom_files(path) if path.is_dir() else []
    if not files:
        return "", frozenset()
    headers = [read_tags(each, "PatientID", "SeriesInstanceUID") for each in files]
    patients = {each["PatientID"] for each in headers} - {""}
    if len(patients) > 1:
        raise InputRefused(
            "patients",
            f"The folder contains {len(patients)} patients ({min(patients)} and others). Put each "
            "in a folder of its own.",
        )
    series = frozenset(each["SeriesInstanceUID"] for each in headers)
    return next(iter(patients), ""), series - {""}


def _told(examined: Examined) -> dict[str, Any]:
    fingerprint = examined.fingerprint
    return {
        "labels": examined.case.slice_labels,
        "refusal": examined.refusal,
        "slice_count": examined.slice_count,
        "patient": fingerprint.patient,
        "series": sorted(fingerprint.series),
        "slices": sorted(fingerprint.slices),
    }


def _read(case: Case, told: dict[str, Any]) -> Examined:
    labels = None if told["labels"] is None else tuple(told["labels"])
    slices, series = frozenset(told["slices"]), frozenset(told["series"])
    fingerprint = Fingerprint(told["patient"], series, slices)
    examined = replace(case, slice_labels=labels)
    return Examined(examined, told["refusal"], told["slice_count"], fingerprint)
