"""The index of a data set: a CSV with a line a patient, and how it is read.

    case_id,path,patient_class[,split,slice_labels,mask,age,sex]

`path` and `mask` may be relative to the index; `split` is training, validation or test in
every line, or empty in all; `slice_labels` is a 0 or 1 for each
slice from feet to head, 1 where a lesion is, written in one word such as s0001110.
"""

import csv
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from M3LungScreenLib.classes import CLASSES
from M3LungScreenLib.errors import UsageError

CLASS_NAMES = tuple(each.name for each in CLASSES)
HEALTHY = CLASSES[0].name
SPLITS = ("training", "validation", "test")
REQUIRED = ("case_id", "path", "patient_class")
# The letter keeps spreadsheets from reading the labels as a number.
LABELS_MARK = "s"


@dataclass(frozen=True)
class Case:
    """One patient's CT: a DICOM folder, a volume file or a folder of slice images.

    `slice_labels` run from feet to head, None if slices are not annotated; `mask` is a volume file,
    non-zero in lesions; `age` in years; `sex` is F or M.
    """

    case_id: str
    path: Path
    patient_class: str
    split: str | None = None
    slice_labels: tuple[int, ...] | None = None
    mask: Path | None = None
    age: float | None = None
    sex: str | None = None


def files_of(case: Case) -> list[Path]:
    """All files of a CT, sorted by name, then its mask."""
    return [file for path in (case.path, case.mask) for file in _files(path)]


def stats_of(case: Case) -> list[tuple[str, int, int]]:
    """Name, size and time of each file: equal as long as no file changes."""
    found = [(os.path.abspath(each), each.stat()) for each in files_of(case)]
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in found]


def _files(path: Path | None) -> list[Path]:
    if path is None:
        return []
    if path.is_file():
        return [path]
    return sorted(each for each in path.rglob("*") if each.is_file())


def read_index(path: str | Path) -> list[Case]:
    """The cases of an index in order; UsageError names the line that is wrong."""
    path = Path(path)
    if not path.is_file():
        raise UsageError(
            "index", f"There is no index {path}. Create it with python -m Training.index."
        )
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = [each for each in REQUIRED if each not in (reader.fieldnames or [])]
        if missing:
            raise UsageError("index", f"{path} lacks the column {', '.join(missing)}. Add it.")
        cases = [_case(row, path, line) for line, row in enumerate(reader, start=2)]
    place = without_split(cases)
    if place is not None:
        raise UsageError(
            "index",
            f"Line {place + 2} of {path} has no split, but other lines do. Write one of "
            f"{', '.join(SPLITS)}, or leave the column empty everywhere.",
        )
    return cases


def without_split(cases: Sequence[Case]) -> int | None:
    """Index of the first case without a split although others have one; None if there is none."""
    missing = [place for place, each in enumerate(cases) if each.split is None]
    return missing[0] if 0 < len(missing) < len(cases) else None


def splits_there(cases: Sequence[Case]) -> str:
    """The splits that do exist, for an error message."""
    names = sorted({each.split for each in cases if each.split})
    return f"; it has {', '.join(names)}" if names else ""


def terms_file(index: Path) -> Path:
    """The file beside an index with the data set's name, licence and citation."""
    return index.with_suffix(".terms.json")


def read_terms(index: Path) -> dict[str, str]:
    """'dataset', 'licence', 'citation'; 'unknown' for an index made by hand."""
    path = terms_file(index)
    if not path.is_file():
        return {"dataset": index.name, "licence": "unknown", "citation": "unknown"}
    return dict(json.loads(path.read_text("utf-8")))


def _case(row: dict[str, str], index: Path, line: int) -> Case:
    if row["patient_class"] not in CLASS_NAMES:
        raise UsageError(
            "index",
            f"Line {line} of {index} has the class {row['patient_class']!r}. Write one of "
            f"{', '.join(CLASS_NAMES)}.",
        )
    return Case(
        case_id=row["case_id"],
        path=index.parent / row["path"],
        patient_class=row["patient_class"],
        split=_split(row.get("split") or "", index, line),
        slice_labels=_labels(row.get("slice_labels") or "", index, line),
        mask=index.parent / row["mask"] if row.get("mask") else None,
        age=_age(row.get("age") or "", index, line),
        sex=row.get("sex") or None,
    )


def _split(text: str, index: Path, line: int) -> str | None:
    if text and text not in SPLITS:
        raise UsageError(
            "index",
            f"Line {line} of {index} has the split {text!r}. Write one of {', '.join(SPLITS)}.",
        )
    return text or None


def _labels(text: str, index: Path, line: int) -> tuple[int, ...] | None:
    digits = text.removeprefix(LABELS_MARK)
    if set(digits) - {"0", "1"}:
        raise UsageError(
            "index",
            f"Line {line} of {index} has the slice labels {text!r}. Write 0 or 1 for each slice "
            f"from feet to head, such as {LABELS_MARK}0110.",
        )
    return tuple(int(each) for each in digits) or None


def _age(text: str, index: Path, line: int) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        raise UsageError(
            "index", f"Line {line} of {index} has the age {text!r}. Write years, or leave it empty."
        ) from None
