"""Age and sex as the files themselves tell them.

Of a damaged file they are unknown: that it is damaged is said where its pixels are wanted.
"""

import re
import warnings
from pathlib import Path

import pydicom
import SimpleITK as sitk

from M3LungScreenLib.dicom.files import DAMAGED, is_dicom
from M3LungScreenLib.errors import InputRefused

Person = tuple[float | None, str | None]
UNKNOWN: Person = (None, None)
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


def read_tags(path: Path, *keywords: str) -> dict[str, str]:
    """These tags of a DICOM file, '' for what it has not; InputRefused where it is damaged."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # values that break the standard are no concern here
            data = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(keywords))
            return {each: str(data.get(each) or "") for each in keywords}
    except DAMAGED as error:
        raise InputRefused("unreadable", f"{path} is damaged. Fetch it again.") from error


def dicom_person(path: Path) -> Person:
    """Age in years and sex of a DICOM file, or of the first one in a folder."""
    files = dicom_files(path) if path.is_dir() else [path]
    if not files:
        return UNKNOWN
    try:
        told = read_tags(files[0], "PatientAge", "PatientSex")
    except InputRefused:
        return UNKNOWN
    return age_in_years(told["PatientAge"]), sex_of(told["PatientSex"])


def volume_person(path: Path) -> Person:
    """Age in years and sex of a volume file whose header has PatientAge and PatientSex."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return UNKNOWN
    values = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}
    return age_in_years(values.get("PatientAge", "")), sex_of(values.get("PatientSex", ""))
