"""A DICOM folder or file as one image in HU."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from M3LungScreenLib.completeness import unreadable
from M3LungScreenLib.dicom.series import (
    DicomSeries,
    DicomSlice,
    Warned,
    check_positions,
    choose_series,
    is_dicom,
    read_header,
)
from M3LungScreenLib.errors import InputRefused


@dataclass(frozen=True)
class DicomImage:
    """HU in 3D where they lie, and what is to be said of how they were found."""

    image: sitk.Image
    series_uid_sha256: str
    warnings: Warned = ()


def read_dicom_file(path: Path) -> DicomImage:
    """The slice or the frames of one file; InputRefused where it is no whole CT in HU."""
    header = read_header(path)
    if header is None and is_dicom(path):
        raise unreadable(path.name)
    if header is None:
        raise InputRefused(
            "unreadable",
            f"{path.name} is no DICOM image and no volume file that this tool reads. Save the CT "
            "as DICOM, .nrrd, .nii, .nii.gz, .mha or .mhd.",
        )
    _check_header(header, path.name)
    return DicomImage(_read_file(path), _digest(header.series_uid))


def read_dicom_folder(folder: Path, wanted: str | None) -> DicomImage:
    """The chest CT below `folder`, or the series `wanted` by UID or number."""
    chosen, others = choose_series(folder, wanted)
    _check_header(chosen.slices[0], str(chosen))
    warnings = (*check_positions(chosen), *_several(chosen, others))
    return DicomImage(_read_series(chosen), _digest(chosen.uid), warnings)


def _read_series(series: DicomSeries) -> sitk.Image:
    if len(series.slices) == 1:
        return _read_file(series.slices[0].path)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(each.path) for each in series.slices])
    try:
        return reader.Execute()
    except RuntimeError:
        raise unreadable(str(series)) from None


def _read_file(path: Path) -> sitk.Image:
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError:
        raise unreadable(path.name) from None
    return sitk.JoinSeries(image) if image.GetDimension() == 2 else image


def _check_header(header: DicomSlice, name: str) -> None:
    if header.modality != "CT":
        raise InputRefused(
            "not_ct", f"{name} is {header.modality or 'of no modality'}, not CT. Choose a chest CT."
        )
    if header.is_localizer:
        raise InputRefused(
            "not_axial", f"{name} is a localizer (scout). Choose the axial chest series."
        )
    if not header.has_rescale:
        raise InputRefused(
            "not_hu",
            f"{name} has no rescale intercept: its values cannot be turned into Hounsfield "
            "units. Load the original CT series.",
        )


def _several(chosen: DicomSeries, others: list[DicomSeries]) -> tuple[tuple[str, str], ...]:
    if not others:
        return ()
    names = ", ".join(str(each) for each in others)
    return (
        (
            "several_series",
            f"The folder holds several CT series; {chosen} was screened, not {names}. Name one "
            "with --series NUMBER.",
        ),
    )


def _digest(uid: str) -> str:
    return hashlib.sha256(uid.encode()).hexdigest()
