"""A hospital's own data: one folder per class, in it DICOM folders or volume files.

data/COVID-19/patient-17/*.dcm      data/Healthy/patient-3.nii.gz
"""

from collections.abc import Iterator
from pathlib import Path

from M3LungScreenLib.classes import CLASSES
from M3LungScreenLib.dicom.files import is_dicom
from M3LungScreenLib.errors import UsageError
from M3LungScreenLib.files.reading import SUFFIXES
from Training.datasets.dataset import Dataset, subfolders, wrong_layout
from Training.datasets.headers import dicom_person
from Training.datasets.index_file import CLASS_NAMES, Case

MASK = "-mask"  # patient-3-mask.nii.gz lies beside patient-3.nii.gz


def cases(folder: Path) -> Iterator[Case]:
    """A case for each DICOM folder and volume file in a folder named as a class."""
    named = {name.lower(): each.name for each in CLASSES for name in (each.name, each.key)}
    found = [each for each in subfolders(folder) if each.name.lower() in named]
    if not found:
        raise wrong_layout("folder of classes", folder, f"it has none of {', '.join(CLASS_NAMES)}")
    for class_folder in found:
        _check_no_loose_slices(class_folder)
        for path in sorted(class_folder.iterdir()):
            if _is_case(path):
                yield _case(path, named[class_folder.name.lower()])


def _check_no_loose_slices(folder: Path) -> None:
    """UsageError where DICOM files lie in a class's folder itself: whose they are is not told."""
    files = (each for each in sorted(folder.iterdir()) if each.is_file())
    loose = next(filter(is_dicom, files), None)
    if loose is not None:
        raise UsageError(
            "layout",
            f"{loose.name} lies in {folder} itself. Make a folder of each patient in it, with the "
            "patient's DICOM files.",
        )


def _is_case(path: Path) -> bool:
    if path.name.startswith(".") or _stem(path).endswith(MASK):
        return False
    return path.is_dir() or path.name.lower().endswith(SUFFIXES)


def _case(path: Path, name: str) -> Case:
    age, sex = dicom_person(path) if path.is_dir() else (None, None)
    return Case(_stem(path), path, name, mask=_mask(path), age=age, sex=sex)


def _mask(path: Path) -> Path | None:
    masks = (path.with_name(_stem(path) + MASK + suffix) for suffix in SUFFIXES)
    return next((each for each in masks if each.is_file()), None)


def _stem(path: Path) -> str:
    if path.is_dir():
        return path.name
    suffix = next((each for each in SUFFIXES if path.name.lower().endswith(each)), "")
    return path.name[: len(path.name) - len(suffix)]


FOLDERS = Dataset(
    name="folders",
    licence="that of your own data",
    citation="none",
    cases=cases,
)
