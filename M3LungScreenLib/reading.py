"""The one front door: any CT in, a CTVolume that may be screened out."""

import hashlib
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from M3LungScreenLib.ct import CTVolume, Geometry
from M3LungScreenLib.dicom.series import (
    DicomSeries,
    DicomSlice,
    check_positions,
    choose_series,
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
        return _checked(_read_file(path), "file")
    header = read_header(path)
    if header is None:
        raise InputRefused(
            "unreadable",
            f"{path.name} is no DICOM image and none of {' '.join(SUFFIXES)}. Save the CT as one "
            "of these.",
        )
    _check_header(header, path.name)
    digest = _digest(header.series_uid)
    return _checked(_read_file(path), "dicom_file", digest)


def _read_folder(folder: Path, wanted: str | None) -> CTVolume:
    chosen, others = choose_series(folder, wanted)
    _check_header(chosen.slices[0], str(chosen))
    warnings = (*check_positions(chosen), *_several(chosen, others))
    return _checked(_read_series(chosen), "dicom_series", _digest(chosen.uid), warnings)


def _read_series(series: DicomSeries) -> sitk.Image:
    if len(series.slices) == 1:
        return _read_file(series.slices[0].path)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(each.path) for each in series.slices])
    try:
        return reader.Execute()
    except RuntimeError:
        raise _unreadable(str(series)) from None


def _read_file(path: Path) -> sitk.Image:
    _check_length(path)
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError:
        raise _unreadable(path.name) from None
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
    if not header.has_rescale:
        raise InputRefused(
            "not_hu",
            f"{name} has no rescale intercept: its values cannot be turned into Hounsfield "
            "units. Load the original CT series.",
        )


def _check_length(path: Path) -> None:
    """Refuse an uncompressed file that is shorter than its header says.

    ITK's readers fill the rest with zeros or old memory.
    """
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        raise _unreadable(path.name) from None
    data = _raw_data_file(path)
    if data is None:
        return
    pixel_bytes = np.dtype(_NUMPY_TYPES.get(reader.GetPixelID(), "u1")).itemsize
    expected = int(np.prod(reader.GetSize())) * pixel_bytes * reader.GetNumberOfComponents()
    found = data.stat().st_size if data.is_file() else 0
    if found < expected:
        raise InputRefused(
            "truncated",
            f"{path.name} promises {expected:,} bytes of pixels, {data.name} holds {found:,}. "
            "Copy it again from where it came.",
        )


_NUMPY_TYPES = {
    sitk.sitkInt16: "i2",
    sitk.sitkUInt16: "u2",
    sitk.sitkInt32: "i4",
    sitk.sitkUInt32: "u4",
    sitk.sitkInt64: "i8",
    sitk.sitkUInt64: "u8",
    sitk.sitkFloat32: "f4",
    sitk.sitkFloat64: "f8",
}


def _raw_data_file(path: Path) -> Path | None:
    """Where uncompressed pixels lie, None where they are compressed (and checked by that)."""
    name = path.name.lower()
    if name.endswith(".nii"):
        return path
    if not name.endswith((".nrrd", ".mha", ".mhd")):
        return None
    head = path.read_bytes()[:8192].decode("latin-1").replace(" ", "").lower().splitlines()
    if name.endswith(".nrrd"):
        return path if "encoding:raw" in head else None
    if "compresseddata=true" in head:
        return None
    for line in path.read_bytes()[:8192].decode("latin-1").splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "ElementDataFile" and value.strip().upper() != "LOCAL":
            return path.with_name(value.strip())
    return path


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


def _unreadable(name: str) -> InputRefused:
    return InputRefused(
        "unreadable",
        f"{name} cannot be read: it is damaged, cut short or in an unknown format. Copy it again "
        "from where it came.",
    )


def _digest(uid: str) -> str:
    return hashlib.sha256(uid.encode()).hexdigest()
