"""Tables of a result: slices, involvement, and the mark of the current slice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import vtk

# In the classes' order (M3LungScreenLib.classes); a test compares them.
CLASS_COLUMNS = {"healthy": "Healthy", "covid19": "COVID-19", "h1n1": "H1N1", "cap": "CAP"}
SLICE_COLUMNS = (
    "Slice",
    "R mm",
    "A mm",
    "S mm",
    "Class",
    "P(lesion)",
    *CLASS_COLUMNS.values(),
    "Weight",
    "Involvement",
)
INVOLVEMENT_COLUMNS = {
    "fraction": "Involvement",
    "ground_glass": "Ground glass",
    "consolidation": "Consolidation",
    "upper": "Upper",
    "middle": "Middle",
    "lower": "Lower",
    "central": "Central",
    "peripheral": "Peripheral",
}
LUNGS = {"right": "Right lung", "left": "Left lung", "total": "Both lungs"}


def fill_slices_table(node: Any, content: dict[str, Any]) -> None:
    """One row a slice in the order of result.json; numbers that are not there are NaN."""
    slices = content["slices"]
    positions = [each["position_mm"] for each in slices]
    probabilities = [each["probabilities"] or {} for each in slices]
    columns = [
        _integers("Slice", [each["index"] for each in slices]),
        _numbers("R mm", [-x for x, _, _ in positions]),
        _numbers("A mm", [-y for _, y, _ in positions]),
        _numbers("S mm", [z for _, _, z in positions]),
        _texts("Class", [CLASS_COLUMNS.get(each["predicted"], "") for each in slices]),
        _numbers("P(lesion)", [each["p_lesion"] for each in slices]),
        *(
            _numbers(name, [each.get(key) for each in probabilities])
            for key, name in CLASS_COLUMNS.items()
        ),
        _numbers("Weight", [each["weight"] for each in slices]),
        _numbers("Involvement", [each["involvement"] for each in slices]),
    ]
    _set_columns(node, columns)


def fill_involvement_table(node: Any, content: dict[str, Any]) -> None:
    """Rows: right, left, both lungs; shares of lung voxels that are lesion, and millilitres."""
    involvement, volumes = content["involvement"], content["lung_volume_ml"]
    columns = [_texts("Region", list(LUNGS.values()))]
    for key, name in INVOLVEMENT_COLUMNS.items():
        columns.append(_numbers(name, [involvement[lung][key] for lung in LUNGS]))
    columns.append(_numbers("Lung volume ml", [volumes[lung] for lung in LUNGS]))
    _set_columns(node, columns)


def fill_mark_table(node: Any, index: int) -> None:
    """A vertical line at slice `index` of the chart."""
    _set_columns(node, [_integers("Slice", [index, index]), _numbers("Current slice", [0.0, 1.0])])


def _set_columns(node: Any, columns: Sequence[Any]) -> None:
    table = vtk.vtkTable()
    for column in columns:
        table.AddColumn(column)
    node.SetUseColumnTitleAsColumnHeader(False)
    node.SetAndObserveTable(table)


def _numbers(name: str, values: Sequence[float | None]) -> Any:
    column = _named(vtk.vtkDoubleArray(), name, len(values))
    for i, value in enumerate(values):
        column.SetValue(i, math.nan if value is None else value)
    return column


def _integers(name: str, values: Sequence[int]) -> Any:
    column = _named(vtk.vtkIntArray(), name, len(values))
    for i, value in enumerate(values):
        column.SetValue(i, value)
    return column


def _texts(name: str, values: Sequence[str]) -> Any:
    column = _named(vtk.vtkStringArray(), name, len(values))
    for i, value in enumerate(values):
        column.SetValue(i, value)
    return column


def _named(column: Any, name: str, length: int) -> Any:
    column.SetName(name)
    column.SetNumberOfValues(length)
    return column
