"""The one front door: any CT in, a CTVolume that may be screened out."""

import hashlib
from pathlib import Path

import SimpleITK as sitk

from M3LungScreenLib.completeness import check_complete, unreadable
from M3LungScreenLib.ct import CTVolume, Geometry
from M3LungScreenLib.dicom.series import (
    DicomSeries,
    DicomSlice,
    check_positions,
    choose_series,
    is_dicom,
    read_header,
)
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.suitability import check_geometry, check_pixels, check_values

SUFFIXES = (".nrrd", ".nii", ".nii.gz", ".mha", ".mhd")


def read_ct(path: str | Path, series: str | None = None) -> CTVolume:
    """A CT from a DICOM folder, one DICOM file, .nrrd, .nii, .nii.gz, .mha or .mhd.

    `series` (UID or number) names one of several in a folder; without it the axial
    CT with the most slices is taken and the others are named in a warning. Raises
    InputRefused with what is wrong and what to do, UsageError for an unknown series.
    """
    path = Path(path)
    # Refusals are ours to word: ITK's own warnings would go to stderr.
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    if path.is_dir():
        return _read_folder(path, series)
    if not path.is_file():
        raise InputRefused("not_found", f"There is no file or folder {path}. Check the name.")
    if path.name.lower().endswith(SUFFIXES):
        return _checked(read_image(path), "file")
    return _read_dicom(path)


def read_image(path: Path) -> sitk.Image:
    """A volume file as it is stored, a flat one as one slice; InputRefused unless it is whole."""
    check_complete(path)
    return _read_image(path)


def check_image(image: sitk.Image) -> CTVolume:
    """A CT that is in memory already, checked as a file's would be; raises as `read_ct`."""
    return _checked(image, "array")


def _read_dicom(path: Path) -> CTVolume:
    header = read_header(path)
    if header is None and is_dicom(path):
        raise unreadable(path.name)
    if header is None:
        raise InputRefused(
            "unreadable",
            f"{path.name} is no DICOM image and none of {' '.join(SUFFIXES)}. Save the CT as one "
            "of these.",
        )
    _check_header(header, path.name)
    return _checked(_read_image(path), "dicom_file", _digest(header.series_uid))


def _read_folder(folder: Path, wanted: str | None) -> CTVolume:
    chosen, others = choose_series(folder, wanted)
    _check_header(chosen.slices[0], str(chosen))
    warnings = (*check_positions(chosen), *_several(chosen, others))
    return _checked(_read_series(chosen), "dicom_series", _digest(chosen.uid), warnings)


def _read_series(series: DicomSeries) -> sitk.Image:
    if len(series.slices) == 1:
        return _read_image(series.slices[0].path)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(each.path) for each in series.slices])
    try:
        return reader.Execute()
    except RuntimeError:
        raise unreadable(str(series)) from None


def _read_image(path: Path) -> sitk.Image:
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise (
            _sheared(path.name) if "orthonormal" in str(error) else unreadable(path.name)
        ) from None
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        return image[:, :, :, 0]
    return sitk.JoinSeries(image) if image.GetDimension() == 2 else image


def _checked(
    image: sitk.Image,
    kind: str,
    series_uid_sha256: str | None = None,
    warnings: tuple[tuple[str, str], ...] = (),
) -> CTVolume:
    check_pixels(image)
    warnings = (*warnings, *check_geometry(Geometry.of(image)))
    check_values(sitk.GetArrayViewFromImage(image))
    return CTVolume.from_image(image, kind, series_uid_sha256, warnings)


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


def _sheared(name: str) -> InputRefused:
    return InputRefused(
        "sheared",
        f"{name} has axes that are not at right angles. Resample it to a straight grid first.",
    )


def _digest(uid: str) -> str:
    return hashlib.sha256(uid.encode()).hexdigest()
