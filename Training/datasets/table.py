"""The paper's Table I: who is in a data set, and how many slices are annotated."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from Training.datasets.examination import Examined
from Training.datasets.index_file import CLASS_NAMES, HEALTHY, SPLITS

HEADER = ("class", "split", "patients", "slices", "age", "range", "men")


@dataclass(frozen=True)
class Row:
    """One class in one split; `ages` in years and `sexes` of patients that have them."""

    patient_class: str
    split: str
    patients: int
    slices: int
    ages: tuple[float, ...]
    sexes: tuple[str, ...]


def table_one(examined: Sequence[Examined]) -> list[Row]:
    """A row for each class and split with patients, in order."""
    groups: dict[tuple[str, str], list[Examined]] = {}
    for each in examined:
        groups.setdefault((each.case.patient_class, each.case.split or ""), []).append(each)
    ordered = [(name, split) for name in CLASS_NAMES for split in (*SPLITS, "")]
    return [_row(*key, groups[key]) for key in ordered if key in groups]


def annotated_slices(examined: Examined) -> int:
    """Slices usable for training: all of healthy patients, those with a lesion of the others."""
    if examined.case.patient_class == HEALTHY:
        return examined.slice_count
    return sum(examined.case.slice_labels or ())


def table_text(rows: Iterable[Row]) -> str:
    """The table for a terminal, columns aligned."""
    lines = [HEADER, *map(_cells, rows)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(HEADER))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _row(name: str, split: str, examined: list[Examined]) -> Row:
    cases = [each.case for each in examined]
    return Row(
        name,
        split,
        len(cases),
        sum(map(annotated_slices, examined)),
        tuple(each.age for each in cases if each.age is not None),
        tuple(each.sex for each in cases if each.sex is not None),
    )


def _cells(row: Row) -> tuple[str, ...]:
    ages, sexes = row.ages, row.sexes
    age = f"{np.mean(ages):.1f} ± {np.std(ages):.1f}" if ages else "unknown"
    span = f"{min(ages):.0f} to {max(ages):.0f}" if ages else ""
    men = f"{sexes.count('M')} of {len(sexes)}" if sexes else "unknown"
    counts = (str(row.patients), str(row.slices))
    return row.patient_class, row.split or "all", *counts, age, span, men
