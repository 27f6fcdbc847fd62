"""Writes the index of a data set as a CSV, with its terms beside it."""

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path

from M3LungScreenLib.errors import UsageError
from Training.datasets.dataset import Dataset
from Training.datasets.index_file import LABELS_MARK, Case, terms_file

COLUMNS = ("case_id", "path", "patient_class", "split", "slice_labels", "mask", "age", "sex")


def write_index(path: Path, cases: Sequence[Case]) -> None:
    """Write an index for `read_index`, whole or not at all; paths below its folder are relative.

    UsageError without any case.
    """
    if not cases:
        raise UsageError(
            "index", "No case is left for the index. See the list of exclusions above."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(_line(each, path.parent) for each in cases)
    part.replace(path)


def write_terms(index: Path, dataset: Dataset) -> None:
    """Write what the card of a model trained on this index has to name."""
    told = {"dataset": dataset.name, "licence": dataset.licence, "citation": dataset.citation}
    terms_file(index).write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _line(case: Case, folder: Path) -> tuple[str, ...]:
    labels = case.slice_labels
    return (
        case.case_id,
        _relative(case.path, folder),
        case.patient_class,
        case.split or "",
        LABELS_MARK + "".join(map(str, labels)) if labels is not None else "",
        _relative(case.mask, folder) if case.mask else "",
        f"{case.age:g}" if case.age is not None else "",
        case.sex or "",
    )


def _relative(path: Path, folder: Path) -> str:
    # Links are not resolved: their targets may differ on another machine.
    whole, base = Path(os.path.abspath(path)), Path(os.path.abspath(folder))
    return (whole.relative_to(base) if whole.is_relative_to(base) else whole).as_posix()
