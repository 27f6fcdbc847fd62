"""Small chests as the DICOM files a scanner would write."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
LEGACY_CT = "1.2.840.10008.5.1.4.1.1.2.2"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
AXIAL = (1, 0, 0, 0, 1, 0)
CORONAL = (1, 0, 0, 0, 0, -1)
CORNER = (-160.0, -150.0, 37.5)

Change = Callable[[int, Dataset], None]


def a_chest(slices: int = 12) -> np.ndarray:
    """HU int16: air around, a body with a lung in it, noise so that no slice is another."""
    hu = np.full((slices, 64, 64), -990, np.int16)
    hu[:, 10:54, 10:54] = 40
    hu[:, 20:40, 15:30] = -850
    return hu + np.random.default_rng(0).integers(-20, 20, hu.shape).astype(np.int16)


def a_dataset(uid: str, number: int, modality: str = "CT", sop_class: str = CT_IMAGE) -> Dataset:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = sop_class
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    data.StudyInstanceUID, data.SeriesInstanceUID = generate_uid(), uid
    data.SeriesNumber, data.Modality = number, modality
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation, data.SamplesPerPixel = 15, 0, 1
    data.PhotometricInterpretation = "MONOCHROME2"
    return data


def set_pixels(data: Dataset, hu: np.ndarray) -> None:
    data.Rows, data.Columns = hu.shape[-2:]
    data.PixelData = (hu.astype(np.int32) + 1024).astype(np.uint16).tobytes()


def write_series(
    folder: Path,
    hu: np.ndarray,
    *,
    uid: str | None = None,
    number: int = 2,
    modality: str = "CT",
    orientation: tuple[float, ...] = AXIAL,
    places: np.ndarray | None = None,
    rescale: bool = True,
    image_type: str = "AXIAL",
    shift: float = 0.0,
    pixel_mm: float = 5.0,
    thickness_mm: float = 3.0,
    change: Change = lambda k, data: None,
    **tags: Any,
) -> str:
    """A DICOM series, slices `thickness_mm` apart along its normal, names in a random order.

    `tags` are more of them by keyword, such as PatientAge; `change` gets each slice's number
    and dataset last, before it is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    uid, study = uid or generate_uid(), generate_uid()
    normal = np.cross(orientation[:3], orientation[3:])
    places = thickness_mm * np.arange(len(hu)) if places is None else places
    names = random.Random(number).sample(range(1000), len(hu))
    for k, (name, place) in enumerate(zip(names, places, strict=True)):
        data = a_dataset(uid, number, modality)
        data.StudyInstanceUID, data.ImageType = study, ["ORIGINAL", "PRIMARY", image_type]
        data.ImageOrientationPatient = list(orientation)
        corner = np.array(CORNER) + (0, shift * k, 0) + place * normal
        data.ImagePositionPatient = [float(round(each, 4)) for each in corner]
        data.PixelSpacing, data.SliceThickness = [pixel_mm, pixel_mm], thickness_mm
        data.InstanceNumber = k + 1
        for keyword, value in tags.items():
            setattr(data, keyword, value)
        if rescale:
            data.RescaleIntercept, data.RescaleSlope = -1024, 1
        set_pixels(data, hu[k])
        change(k, data)
        data.save_as(folder / f"{number}-{name:03d}", enforce_file_format=True)
    return uid


def group(**values: object) -> Dataset:
    data = Dataset()
    for key, value in values.items():
        setattr(data, key, [value] if isinstance(value, Dataset) else value)
    return data


def an_enhanced(
    hu: np.ndarray,
    places: Sequence[float] | None = None,
    *,
    sop_class: str = ENHANCED_CT,
    **each_frame: Sequence[Dataset],
) -> Dataset:
    """A multi-frame CT: what a series has in files, it has in functional groups.

    `places` (mm along the patient) of the frames in the order in which they are stored;
    `each_frame` adds a macro's sequence to each frame's groups, such as
    FrameContentSequence.
    """
    places = 3.0 * np.arange(len(hu)) if places is None else places
    data = a_dataset(generate_uid(), 7, sop_class=sop_class)
    data.NumberOfFrames = len(hu)
    shared = group(
        PlaneOrientationSequence=group(ImageOrientationPatient=list(AXIAL)),
        PixelMeasuresSequence=group(PixelSpacing=[5.0, 5.0], SliceThickness=6.0),
        PixelValueTransformationSequence=group(
            RescaleIntercept=-1024, RescaleSlope=1, RescaleType="HU"
        ),
    )
    data.PerFrameFunctionalGroupsSequence = [
        group(
            PlanePositionSequence=group(ImagePositionPatient=[*CORNER[:2], CORNER[2] + place]),
            **{name: macros[k] for name, macros in each_frame.items()},
        )
        for k, place in enumerate(places)
    ]
    for name in each_frame:  # a macro is either shared or each frame's own
        if name in shared:
            del shared[name]
    data.SharedFunctionalGroupsSequence = [shared]
    set_pixels(data, hu)
    return data


def write_enhanced(path: Path, hu: np.ndarray, *arguments: Any, **options: Any) -> None:
    an_enhanced(hu, *arguments, **options).save_as(path, enforce_file_format=True)


@contextmanager
def changed(path: Path) -> Iterator[Dataset]:
    """The dataset of a file, written back at the end."""
    data = dcmread(path)
    yield data
    data.save_as(path)
