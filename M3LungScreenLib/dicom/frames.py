"""One record per frame, from single-frame files and multi-frame objects."""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID

from M3LungScreenLib.dicom.files import DAMAGED, is_dicom, read_dataset
from M3LungScreenLib.dicom.header_values import (
    FUNCTIONAL_GROUPS,
    NAMES,
    PHASES,
    TAGS,
    Numbers,
    Values,
)

# A number above is a damaged one.
_MOST_FRAMES = 100_000

DICOMDIR = "1.2.840.10008.1.3.10"


@dataclass(frozen=True)
class Frame:
    """What the header says about one frame; '' or None if it says nothing.

    `orientation` and `position_mm` are in LPS, `pixel_spacing_mm` is rows, then columns; `wrong`
    lists tags that should be numbers but are not, with their content.
    """

    path: Path
    index: int  # of the frame in its file, from 0
    sop_class: str
    sop_class_name: str
    sop_uid: str
    modality: str
    patient_id: str
    study_uid: str
    series_uid: str
    series_number: str
    description: str  # of the series
    names: str  # of the series, the protocol and the body part
    body_part: str
    image_type: tuple[str, ...]
    acquisition: str
    acquired: str  # the time
    instance: str
    frame_of_reference: str
    object_uid: str  # of the multi-frame object
    kernel: str
    kilovolts: str
    stack: str
    phase: tuple[str, ...]
    thickness_mm: float | None
    orientation: Numbers | None
    position_mm: Numbers | None
    pixel_spacing_mm: Numbers | None
    matrix: tuple[int, int]
    is_grey: bool
    bits: int
    slope: float | None
    intercept: float | None
    rescale_type: str
    calculation: str  # of a derived volume, such as MAX_IP
    is_place_assumed: bool
    wrong: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class NoImage:
    """A DICOM file without pixels, such as a report or a structure set."""

    path: Path
    modality: str
    sop_class_name: str

    def __str__(self) -> str:
        name = self.sop_class_name or "no image"
        return f"{self.modality} ({name})" if self.modality else name


@dataclass(frozen=True)
class Damaged:
    """A DICOM file whose header cannot be read, or a file or folder without read permission."""

    path: Path
    is_locked: bool = False


def look_at(path: Path) -> list[Frame] | NoImage | Damaged | None:
    """The frames of a DICOM file, or what it is instead; None if it is not DICOM."""
    if not os.access(path, os.R_OK) or path.is_dir():
        return Damaged(path, is_locked=True)
    if not is_dicom(path):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's; what matters of odd values is noted
        try:
            data = read_dataset(path, TAGS)
            is_image = "Rows" in data and "Columns" in data
            return _frames_of(path, data) if is_image else _no_image(path, data)
        except DAMAGED:
            return Damaged(path)


def _no_image(path: Path, data: Dataset) -> NoImage | Damaged:
    if "SOPClassUID" not in data and "Modality" not in data:
        is_directory = data.file_meta.get("MediaStorageSOPClassUID") == DICOMDIR
        return NoImage(path, "", "DICOMDIR") if is_directory else Damaged(path)
    return NoImage(path, str(data.get("Modality", "")), UID(str(data.get("SOPClassUID", ""))).name)


def _frames_of(path: Path, data: Dataset) -> list[Frame]:
    count = int(data.get("NumberOfFrames") or 1)
    shared, each_frame = (list(data.get(name) or []) for name in FUNCTIONAL_GROUPS)
    if count > _MOST_FRAMES or (each_frame and len(each_frame) != count):
        raise ValueError(f"{count} frames, but {len(each_frame)} functional groups")
    whole = [*_macros(shared[0] if shared else None), data]
    return [
        _frame(path, i, count, Values([*_macros(each_frame[i] if each_frame else None), *whole]))
        for i in range(count)
    ]


def _macros(group: Dataset | None) -> list[Dataset]:
    """The datasets of a functional group: positions, measures, rescale and so on."""
    items = () if group is None else (group[tag] for tag in group.keys())  # noqa: SIM118
    return [each.value[0] for each in items if each.VR == "SQ" and each.value]


def _frame(path: Path, index: int, count: int, said: Values) -> Frame:
    orientation = said.numbers("ImageOrientationPatient", 6)
    position, is_assumed = _position(said, index, count, orientation)
    return Frame(
        path=path,
        index=index,
        sop_class=said.text("SOPClassUID"),
        sop_class_name=UID(said.text("SOPClassUID")).name,
        sop_uid=said.text("SOPInstanceUID"),
        modality=said.text("Modality").upper(),
        patient_id=said.text("PatientID"),
        study_uid=said.text("StudyInstanceUID"),
        series_uid=said.text("SeriesInstanceUID"),
        series_number=said.text("SeriesNumber") or "?",
        description=said.text("SeriesDescription"),
        names=" ".join(said.text(each) for each in NAMES),
        body_part=said.text("BodyPartExamined"),
        image_type=said.words("FrameType") or said.words("ImageType"),
        acquisition=said.text("FrameAcquisitionNumber", "AcquisitionNumber"),
        acquired=said.text("AcquisitionTime", "ContentTime"),
        instance=said.text("InstanceNumber"),
        frame_of_reference=said.text("FrameOfReferenceUID"),
        object_uid=said.text("ConcatenationUID", "SOPInstanceUID") if count > 1 else "",
        kernel=said.text("ConvolutionKernel"),
        kilovolts=said.text("KVP"),
        stack=said.text("StackID"),
        phase=tuple(said.text(each) for each in PHASES),
        thickness_mm=said.number("SliceThickness"),
        orientation=orientation,
        position_mm=position,
        pixel_spacing_mm=said.numbers("PixelSpacing", 2),
        matrix=(int(said.text("Rows")), int(said.text("Columns"))),
        is_grey=said.text("SamplesPerPixel") in ("", "1")
        and said.text("PhotometricInterpretation") in ("", "MONOCHROME1", "MONOCHROME2"),
        bits=int(said.text("BitsAllocated") or 16),
        slope=1.0 if not said.text("RescaleSlope") else said.number("RescaleSlope"),
        intercept=said.number("RescaleIntercept"),
        rescale_type=said.text("RescaleType").upper(),
        calculation=said.text("VolumeBasedCalculationTechnique").upper(),
        is_place_assumed=is_assumed,
        wrong=tuple(said.wrong),
    )


def _position(
    said: Values, index: int, count: int, orientation: Numbers | None
) -> tuple[Numbers | None, bool]:
    """The frame's own position. If many frames share one, it is computed from the spacing.

    Plain CT storage has room for only one position.
    """
    position = said.numbers("ImagePositionPatient", 3)
    if position is None or count == 1 or said.is_of_frame("ImagePositionPatient"):
        return position, False
    step = said.number("SpacingBetweenSlices")
    if orientation is None or not step:
        return None, False
    normal = np.cross(orientation[:3], orientation[3:])
    return tuple(np.asarray(position) + index * step * normal), True
