"""Probability along the volume as plot nodes, with a line at the current slice."""

from __future__ import annotations

from typing import Any

from .colors import hex_to_rgb
from .nodes import existing_or_new
from .scene_result import SceneResult
from .tables import CLASS_COLUMNS, fill_mark_table

GREY = (0.45, 0.45, 0.45)
# Each class has its own marker, for readers who cannot tell the colors apart.
MARKERS = ("Circle", "Square", "Diamond", "Cross")
# The legend is on the right; the x axis is longer by this share to make room for it.
ROOM_FOR_LEGEND = 0.25


def fill_series(scene: Any, result: SceneResult) -> list[Any]:
    """The plot series of a result: P(lesion), the four classes, the current slice."""
    from M3LungScreenLib.classes import CLASSES

    lesion = _series(scene, result, "P(lesion)", "slices_table", GREY)
    lesion.SetLineStyle(lesion.LineStyleDash)
    made = [lesion]
    for each, marker in zip(CLASSES, MARKERS, strict=True):
        name = CLASS_COLUMNS[each.key]
        series = _series(scene, result, name, "slices_table", hex_to_rgb(each.color))
        series.SetMarkerStyle(series.GetMarkerStyleFromString(marker.lower()))
        series.SetMarkerSize(6)
        made.append(series)
    return [*made, _series(scene, result, "Current slice", "mark_table", GREY)]


def fill_chart(chart: Any, series: list[Any], title: str, slice_count: int) -> None:
    """All series in one chart, y from 0 to 1, no curve under the legend."""
    chart.RemoveAllPlotSeriesNodeIDs()
    for each in series:
        chart.AddAndObservePlotSeriesNodeID(each.GetID())
    chart.SetTitle(title)
    chart.SetXAxisTitle("Slice")
    chart.SetYAxisTitle("Probability")
    chart.SetYAxisRangeAuto(False)
    chart.SetYAxisRange(0.0, 1.0)
    chart.SetXAxisRangeAuto(False)
    chart.SetXAxisRange(0.0, (1 + ROOM_FOR_LEGEND) * slice_count)
    chart.SetLegendVisibility(True)


def mark_slice(result: SceneResult, index: int) -> None:
    """Move the chart's line to slice `index`."""
    if result.mark_table is not None:
        fill_mark_table(result.mark_table, index)


def _series(scene: Any, result: SceneResult, column: str, table: str, color: Any) -> Any:
    role = f"series.{column}"
    node = existing_or_new(scene, result.part(role), "vtkMRMLPlotSeriesNode", column)
    result.set_part(role, node)
    node.SetName(column)  # in the legend, also of a second CT
    node.SetHideFromEditors(True)  # the chart is what people see
    node.SetAndObserveTableNodeID(result.part(table).GetID())
    node.SetXColumnName("Slice")
    node.SetYColumnName(column)
    node.SetPlotType(node.PlotTypeScatter)
    node.SetLineStyle(node.LineStyleSolid)
    node.SetMarkerStyle(node.MarkerStyleNone)
    node.SetColor(*color)
    return node
