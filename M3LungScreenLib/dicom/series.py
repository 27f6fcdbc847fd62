"""Which CT series lie in a folder, by their headers, and which is the chest CT."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError

from M3LungScreenLib.errors import InputRefused, UsageError

TAGS = [
    "Modality",
    "SeriesInstanceUID",
    "SeriesNumber",
    "ImageType",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "Rows",
    "Columns",
    "RescaleIntercept",
    "PhotometricInterpretation",
    "NumberOfFrames",
]
# A slice's normal within about 45 degrees of feet–head is axial.
AXIAL_COSINE = 0.7
# Neighbouring distances that differ more than this have a slice missing between them.
LARGEST_GAP_SHARE = 0.25


@dataclass(frozen=True)
class DicomSlice:
    """One file's header, as far as a series is chosen by it."""

    path: Path
    modality: str
    series_uid: str
    series_number: str
    is_axial: bool
    is_localizer: bool
    place_mm: float  # along the slice's normal
    matrix: tuple[int, int]
    has_rescale: bool


@dataclass(frozen=True)
class DicomSeries:
    """Slices of one series, from feet to head."""

    uid: str
    number: str
    slices: tuple[DicomSlice, ...]

    @property
    def is_chest_candidate(self) -> bool:
        first = self.slices[0]
        return first.modality == "CT" and first.is_axial and not first.is_localizer

    def __str__(self) -> str:
        return f"series {self.number} ({len(self.slices)} slices)"


def read_header(path: Path) -> DicomSlice | None:
    """The header of a DICOM image, None for any other file."""
    try:
        data = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=TAGS)
    except (InvalidDicomError, OSError, ValueError, AttributeError, KeyError):
        return None
    if "SeriesInstanceUID" not in data or "Rows" not in data:
        return None
    orientation = [
        float(each) for each in data.get("ImageOrientationPatient") or (1, 0, 0, 0, 1, 0)
    ]
    position = [float(each) for each in data.get("ImagePositionPatient") or (0, 0, 0)]
    normal = np.cross(orientation[:3], orientation[3:])
    return DicomSlice(
        path=path,
        modality=str(data.get("Modality", "")),
        series_uid=str(data.SeriesInstanceUID),
        series_number=str(data.get("SeriesNumber", "?")),
        is_axial=abs(float(normal[2])) > AXIAL_COSINE,
        is_localizer="LOCALIZER" in (data.get("ImageType") or []),
        place_mm=float(np.dot(normal, position)),
        matrix=(int(data.Rows), int(data.Columns)),
        has_rescale="RescaleIntercept" in data,
    )


def find_series(folder: Path) -> list[DicomSeries]:
    """All image series below `folder`, the likeliest chest CT first."""
    headers = (read_header(path) for path in sorted(folder.rglob("*")) if path.is_file())
    grouped: dict[tuple[str, tuple[int, int], bool], list[DicomSlice]] = {}
    for each in headers:
        if each is not None:
            grouped.setdefault((each.series_uid, each.matrix, each.is_axial), []).append(each)
    found = [_series(slices) for slices in grouped.values()]
    return sorted(found, key=lambda one: (not one.is_chest_candidate, -len(one.slices), one.uid))


def choose_series(folder: Path, wanted: str | None) -> tuple[DicomSeries, list[DicomSeries]]:
    """The series `wanted` by UID or number, else the chest CT; and what else might be meant.

    Raises InputRefused where there is no CT, UsageError for a series that is not there.
    """
    found = find_series(folder)
    if not found:
        raise InputRefused(
            "not_found", f"There is no DICOM image in {folder}. Name the folder of a chest CT."
        )
    if wanted is not None:
        named = [each for each in found if wanted in (each.uid, each.number)]
        if not named:
            raise UsageError(
                "series", f"There is no series {wanted} in {folder}; there is {_listed(found)}."
            )
        return named[0], []
    candidates = [each for each in found if each.is_chest_candidate]
    if not candidates:
        _refuse_others(folder, found)
    return candidates[0], [each for each in candidates[1:] if len(each.slices) > 1]


def check_positions(series: DicomSeries) -> tuple[tuple[str, str], ...]:
    """Refuse two slices at one place; warn where one is missing."""
    places = np.array([each.place_mm for each in series.slices])
    if len(places) < 3:
        return ()
    steps = np.diff(places)
    usual = float(np.median(steps))
    if (steps < 0.01).any():
        raise InputRefused(
            "duplicate_slices",
            f"{series} has several slices at one place, as two scans in one series have. Split "
            "them, or choose another series with --series.",
        )
    if np.abs(steps - usual).max() <= LARGEST_GAP_SHARE * usual:
        return ()
    return (
        (
            "uneven_spacing",
            f"Slices lie {steps.min():.1f} to {steps.max():.1f} mm apart: some may be missing. "
            "Volumes and positions are computed as if they were even.",
        ),
    )


def _series(slices: list[DicomSlice]) -> DicomSeries:
    ordered = sorted(slices, key=lambda each: (each.place_mm, each.path))
    return DicomSeries(ordered[0].series_uid, ordered[0].series_number, tuple(ordered))


def _refuse_others(folder: Path, found: list[DicomSeries]) -> None:
    axial = any(each.slices[0].modality == "CT" for each in found)
    if axial:
        raise InputRefused(
            "not_axial",
            f"The CT in {folder} is a localizer, sagittal or coronal: {_listed(found)}. Name the "
            "folder of an axial chest CT.",
        )
    modalities = ", ".join(sorted({each.slices[0].modality or "no modality" for each in found}))
    raise InputRefused(
        "not_ct", f"There is no CT in {folder}, but {modalities}. Name the folder of a chest CT."
    )


def _listed(found: Iterable[DicomSeries]) -> str:
    return ", ".join(str(each) for each in found)
