"""Reads any supported CT as a CTVolume that can be screened."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import SimpleITK as sitk

from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.dicom.files import is_dicom
from M3LungScreenLib.dicom.reading import DicomImage, read_dicom
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.files.reading import check_format, is_volume_file, read_image
from M3LungScreenLib.suitability import check_pixels, suitable


def read_ct(path: str | Path | Sequence[Path], series: str | None = None) -> CTVolume:
    """A CT from a DICOM folder, one DICOM file or a volume file (files.reading.SUFFIXES).

    `path` can also be a list of DICOM files, such as those of one study in a large archive.
    `series` (UID, number, or the [index] in a message) selects one of several in a folder;
    without it the best axial chest CT is used, and a warning lists the others. Raises
    InputRefused if the input cannot be screened, UsageError for an unknown series.
    """
    if not isinstance(path, str | Path):
        return _of_dicom(read_dicom(*path, wanted=series))
    path = Path(path)
    # ITK would print its own warnings to stderr.
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    check_exists(path)
    if not (path.is_file() or path.is_dir()):
        raise InputRefused(
            "unreadable",
            f"{path.name} is a pipe or device, not a file or folder. Save the CT to a file first.",
        )
    if path.is_file() and is_volume_file(path):
        image, warnings = read_image(path)
        return _checked(image, "file", warnings=warnings)
    if path.is_file() and not is_dicom(path):
        check_format(path)
    return _of_dicom(read_dicom(path, wanted=series))


def check_exists(path: Path) -> None:
    """Raise InputRefused unless there is such a file or folder."""
    if not path.exists():
        raise InputRefused("not_found", f"There is no file or folder {path}. Check the path.")


def _of_dicom(found: DicomImage) -> CTVolume:
    volume = _checked(found.image, found.kind, found.series_uid_sha256, found.warnings)
    return replace(volume, dicom_files=found.files)


def _checked(
    image: sitk.Image,
    kind: str,
    series_uid_sha256: str | None = None,
    warnings: tuple[tuple[str, str], ...] = (),
) -> CTVolume:
    check_pixels(image)
    return suitable(CTVolume.from_image(image, kind, series_uid_sha256, warnings))
