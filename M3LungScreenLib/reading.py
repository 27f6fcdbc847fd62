"""The one front door: any CT in, a CTVolume that may be screened out."""

from pathlib import Path

import SimpleITK as sitk

from M3LungScreenLib.completeness import check_complete, unreadable
from M3LungScreenLib.ct import CTVolume, Geometry
from M3LungScreenLib.dicom.reading import read_dicom
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.suitability import check_geometry, check_pixels, check_values

SUFFIXES = (".nrrd", ".nii", ".nii.gz", ".mha", ".mhd")


def read_ct(path: str | Path, series: str | None = None) -> CTVolume:
    """A CT from a DICOM folder, one DICOM file, .nrrd, .nii, .nii.gz, .mha or .mhd.

    `series` (UID, number, or the index that a message prints) names one of several in a
    folder; without it the fittest axial CT is taken, and the others are named in a
    warning. Raises InputRefused with what is wrong and what to do, UsageError for an
    unknown series.
    """
    path = Path(path)
    # Refusals are ours to word: ITK's own warnings would go to stderr.
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    if not path.exists():
        raise InputRefused("not_found", f"There is no file or folder {path}. Check the name.")
    if path.is_file() and path.name.lower().endswith(SUFFIXES):
        return _checked(read_image(path), "file")
    found = read_dicom(path, series)
    return _checked(found.image, found.kind, found.series_uid_sha256, found.warnings)


def read_image(path: Path) -> sitk.Image:
    """A volume file as it is stored, a flat one as one slice; InputRefused unless it is whole."""
    check_complete(path)
    return _read_image(path)


def check_image(image: sitk.Image) -> CTVolume:
    """A CT that is in memory already, checked as a file's would be; raises as `read_ct`."""
    return _checked(image, "array")


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


def _sheared(name: str) -> InputRefused:
    return InputRefused(
        "sheared",
        f"{name} has axes that are not at right angles. Resample it to a straight grid first.",
    )
