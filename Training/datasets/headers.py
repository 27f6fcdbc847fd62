"""Age and sex as the files themselves tell them."""

import re
import warnings
from pathlib import Path

import pydicom
import SimpleITK as sitk
from pydicom.errors import InvalidDicomError

from M3LungScreenLib.dicom.series import is_dicom
from M3LungScreenLib.errors import UsageError

YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}


def age_in_years(text: str) -> float | None:
    """Years of a DICOM age such as 055Y or 008M, or of plain years; None for anything else."""
    match = re.fullmatch(r"\s*(\d+)([DWMY]?)\s*", text)
    return int(match[1]) * YEARS[match[2] or "Y"] if match else None


def sex_of(text: str) -> str | None:
    """F or M of a header's or a table's word; None for anything else."""
    first = text.strip().upper()[:1]
    return first if first in ("F", "M") else None


def dicom_files(folder: Path) -> list[Path]:
    """All files below `folder` by name that are DICOM by their first bytes."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and is_dicom(path)]


def read_tags(path: Path, *keywords: str) -> pydicom.Dataset:
    """These tags of a DICOM file; UsageError where it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # values that break the standard are no concern here
            return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(keywords))
    except (InvalidDicomError, EOFError) as error:
        raise UsageError("unreadable", f"{path} is damaged. Fetch it again.") from error


def dicom_person(path: Path) -> tuple[float | None, str | None]:
    """Age in years and sex of a DICOM file, or of the first one in a folder."""
    files = dicom_files(path) if path.is_dir() else [path]
    if not files:
        return None, None
    data = read_tags(files[0], "PatientAge", "PatientSex")
    return age_in_years(str(data.get("PatientAge", ""))), sex_of(str(data.get("PatientSex", "")))


def volume_person(path: Path) -> tuple[float | None, str | None]:
    """Age in years and sex of a volume file whose header has PatientAge and PatientSex."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    values = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}
    return age_in_years(values.get("PatientAge", "")), sex_of(values.get("PatientSex", ""))
