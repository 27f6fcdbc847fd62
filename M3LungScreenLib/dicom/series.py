"""Which CT series lie in a folder, by their headers, and which is the chest CT."""

import struct
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.errors import BytesLengthException, InvalidDicomError

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
    "NumberOfFrames",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
]
# What pydicom raises for a header that is cut short or whose bytes are wrong.
DAMAGED = (
    InvalidDicomError,
    BytesLengthException,
    struct.error,
    NotImplementedError,
    OSError,
    EOFError,
    ValueError,
    TypeError,
    AttributeError,
    KeyError,
)
# A slice's normal within about 45 degrees of feet–head is axial.
AXIAL_COSINE = 0.7
# The first corners of straight slices lie above each other; a tilted gantry shifts them.
LARGEST_SHIFT_MM = 5.0
# Neighbouring distances that differ more than this have a slice missing between them.
LARGEST_GAP_SHARE = 0.25

Warned = tuple[tuple[str, str], ...]


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
    shift_mm: tuple[float, ...]  # LPS, across it
    matrix: tuple[int, int]
    has_rescale: bool
    frames: int


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

    @property
    def slice_count(self) -> int:
        return sum(each.frames for each in self.slices)

    @property
    def spacing_mm(self) -> float:
        """The usual distance between slices; 0 of a single file."""
        places = [each.place_mm for each in self.slices]
        return float(np.median(np.diff(places))) if len(places) > 1 else 0.0

    def __str__(self) -> str:
        count, first = self.slice_count, self.slices[0]
        what = "localizer" if first.is_localizer else first.modality or "no modality"
        return f"series {self.number} ({what}, {count} {'slice' if count == 1 else 'slices'})"


def is_dicom(path: Path) -> bool:
    """Whether the file says it is DICOM, however damaged the rest may be."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def read_header(path: Path) -> DicomSlice | None:
    """The header of a DICOM image, None for any other file and for a damaged header."""
    try:
        # pydicom warns of values that break the standard; ITK reads the pixels anyhow.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=TAGS)
            return _slice_of(path, data) if _is_image(data) else None
    except DAMAGED:
        return None


def _is_image(data: pydicom.Dataset) -> bool:
    return "SeriesInstanceUID" in data and "Rows" in data and "Columns" in data


def _slice_of(path: Path, data: pydicom.Dataset) -> DicomSlice:
    orientation = _numbers(_frame_value(data, "PlaneOrientation", "ImageOrientationPatient"), 6)
    position = _numbers(_frame_value(data, "PlanePosition", "ImagePositionPatient"), 3)
    normal = np.cross(orientation[:3], orientation[3:]) if orientation else np.array((0, 0, 1))
    place = float(np.dot(normal, position)) if position else 0.0
    rescale = _frame_value(data, "PixelValueTransformation", "RescaleIntercept")
    return DicomSlice(
        path=path,
        modality=str(data.get("Modality", "")),
        series_uid=str(data.SeriesInstanceUID),
        series_number=str(data.get("SeriesNumber", "?")),
        is_axial=abs(float(normal[2])) > AXIAL_COSINE,
        is_localizer="LOCALIZER" in (data.get("ImageType") or []),
        place_mm=place,
        shift_mm=tuple(np.array(position or (0, 0, 0)) - place * normal),
        matrix=(int(data.Rows), int(data.Columns)),
        has_rescale=rescale is not None,
        frames=int(data.get("NumberOfFrames") or 1),
    )


def _frame_value(data: pydicom.Dataset, group: str, keyword: str) -> object:
    """A value of the image, or of the first frame of an enhanced (multi-frame) one."""
    if keyword in data:
        return data[keyword].value
    for frames in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for frame in (data.get(frames) or [])[:1]:
            for each in frame.get(f"{group}Sequence") or []:
                if keyword in each:
                    return each[keyword].value
    return None


def _numbers(value: object, count: int) -> list[float]:
    numbers = [float(each) for each in value] if isinstance(value, Iterable) else []
    return numbers if len(numbers) == count else []


def find_series(folder: Path) -> list[DicomSeries]:
    """All image series below `folder`, the likeliest chest CT first."""
    headers = (read_header(path) for path in sorted(folder.rglob("*")) if path.is_file())
    grouped: dict[tuple[object, ...], list[DicomSlice]] = {}
    for each in headers:
        if each is not None:
            alone = each.path if each.frames > 1 else None
            key = (each.series_uid, each.matrix, each.is_axial, each.is_localizer, alone)
            grouped.setdefault(key, []).append(each)
    return sorted(map(_series, grouped.values()), key=_preference)


def _preference(series: DicomSeries) -> tuple[object, ...]:
    """Sorts the chest CT first: axial CT in HU, most slices, then thinnest."""
    first = series.slices[0]
    return (
        not series.is_chest_candidate,
        not first.has_rescale,
        -series.slice_count,
        series.spacing_mm,
        series.uid,
        first.path,
    )


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
    return candidates[0], [each for each in candidates[1:] if each.slice_count > 1]


def check_positions(series: DicomSeries) -> Warned:
    """Refuse two slices at one place; warn where one is missing or they are shifted."""
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
    return (*_uneven(steps, usual), *_tilted(series))


def _uneven(steps: np.ndarray, usual: float) -> Warned:
    if np.abs(steps - usual).max() <= LARGEST_GAP_SHARE * usual:
        return ()
    return (
        (
            "uneven_spacing",
            f"Slices lie {steps.min():.1f} to {steps.max():.1f} mm apart: some may be missing. "
            "Volumes and positions are computed as if they were even.",
        ),
    )


def _tilted(series: DicomSeries) -> Warned:
    shift = float(np.ptp([each.shift_mm for each in series.slices], axis=0).max())
    if shift <= LARGEST_SHIFT_MM:
        return ()
    return (
        (
            "tilted_gantry",
            f"Slices are shifted by up to {shift:.0f} mm, as by a tilted gantry. Positions are "
            "computed as if they lay straight above each other.",
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
