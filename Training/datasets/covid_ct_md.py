"""COVID-CT-MD: DICOM folders of three classes, slice labels of some in a NumPy array.

COVID-19 subjects/P001/*.dcm   Cap subjects/cap001/*.dcm   Normal subjects/normal001/*.dcm
Index.csv   Slice-level-labels.npy   (or Slice-level-labels-updated-1.npy)
"""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from M3LungScreenLib.errors import UsageError
from Training.datasets.dataset import Dataset, subfolders, wrong_layout
from Training.datasets.headers import dicom_files, dicom_person
from Training.datasets.index_file import Case

NAME = "covid-ct-md"
# Class folders end in 'subjects' or 'Cases', with varying capitals.
CLASSES_BY_START = {"covid": "COVID-19", "cap": "CAP", "normal": "Healthy"}


def cases(folder: Path) -> Iterator[Case]:
    """One case per patient, with slice labels where radiologists gave them."""
    classes = [(path, name) for path in subfolders(folder) if (name := _class(path))]
    if not classes:
        raise wrong_layout(NAME, folder, "there is no folder 'COVID-19 subjects'")
    labels = _labels(folder)
    for class_folder, name in classes:
        for patient in subfolders(class_folder):
            yield _case(patient, name, labels.get(patient.name))


def _class(folder: Path) -> str | None:
    return next(
        (name for start, name in CLASSES_BY_START.items() if folder.name.lower().startswith(start)),
        None,
    )


def _case(patient: Path, name: str, row: np.ndarray | None) -> Case:
    labels = None if row is None else _feet_first(patient, row, len(dicom_files(patient)))
    age, sex = dicom_person(patient)
    return Case(patient.name, patient, name, slice_labels=labels, age=age, sex=sex)


def _feet_first(patient: Path, row: np.ndarray, count: int) -> tuple[int, ...]:
    """The labels of `count` slices from feet to head; `row` runs from head to feet, padded."""
    if row[count:].any():
        raise UsageError(
            "slice_labels",
            f"{patient} has {count} slices, but its labels mark a lesion beyond the last. "
            "Download all its files.",
        )
    return tuple(int(each) for each in row[:count][::-1])


def _labels(folder: Path) -> dict[str, np.ndarray]:
    """The rows of the label array by patient; empty if the files are missing."""
    index = folder / "Index.csv"
    arrays = sorted(folder.glob("Slice-level-labels*.npy"))
    if not index.is_file() or not arrays:
        return {}
    # The corrected labels are called '...-updated-1'.
    array = _read_array(max(arrays, key=lambda each: ("updated" in each.name, each)))
    with index.open(newline="", encoding="utf-8-sig") as file:
        lines = list(csv.DictReader(file))
    # One release skips label index 43, and its array has no row for it.
    numbered = [int(each["Label Index"]) for each in lines]
    rows = range(len(lines)) if len(array) == len(lines) else numbered
    return {line["Folder/ID"]: array[k] for line, k in zip(lines, rows, strict=True)}


def _read_array(path: Path) -> np.ndarray:
    """0 or 1 by patient and slice; UsageError if loading could execute code."""
    try:
        return np.nan_to_num(np.load(path))
    except (ValueError, EOFError):
        raise UsageError(
            "slice_labels",
            f"{path} is damaged or contains Python objects, which could run code when read. "
            "Download it again, or save its labels as plain numbers.",
        ) from None


COVID_CT_MD = Dataset(
    name=NAME,
    licence="not stated with the images; research use with citation",
    citation="Afshar P. et al., Scientific Data 8 (2021) 121, doi 10.1038/s41597-021-00900-3",
    cases=cases,
    notes=(
        "slice labels run from head to feet in the data set, and from feet to head in the index",
        "a slice labelled 0 may show findings that were not counted, such as bronchiectasis",
    ),
)
