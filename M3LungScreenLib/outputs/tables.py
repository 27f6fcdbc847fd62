"""Writes slices.csv: one row per slice, as in result.json."""

import csv
import io
from dataclasses import asdict
from typing import Any

from M3LungScreenLib.classes import CLASS_KEYS
from M3LungScreenLib.result import Result, SliceResult

# The parts of fields that hold several numbers; columns are named field_part.
PARTS = {
    "position_mm": ("x", "y", "z"),
    "probabilities": CLASS_KEYS,
    "crop": ("row", "column", "rows", "columns"),
}
FIELDS = tuple(SliceResult.__dataclass_fields__)
COLUMNS = tuple(
    f"{name}_{part}" if part else name for name in FIELDS for part in PARTS.get(name, ("",))
)


def slices_csv(result: Result) -> str:
    """Header and rows in the order of `result.slices`; null is empty, booleans true or false."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows(_row(each) for each in result.slices)
    return text.getvalue()


def _row(one: SliceResult) -> list[str]:
    return [_cell(value) for name, held in asdict(one).items() for value in _flat(name, held)]


def _flat(name: str, held: Any) -> list[Any]:
    if name not in PARTS:
        return [held]
    if held is None:
        return [None] * len(PARTS[name])
    return list(held.values() if isinstance(held, dict) else held)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
