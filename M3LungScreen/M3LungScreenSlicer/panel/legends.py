"""Small colour legends in the red slice view."""

from __future__ import annotations

from typing import Any

import slicer

from . import slice_views

# Pixels. Slicer scales a legend's texts with its box, whatever their font size, and the box
# with the view.
WIDTH, WIDTH_WITH_NAMES, HEIGHT = 44, 88, 110
# Fractions of a view: the legend of the map is on the left, that of the diseases on the right.
AT_LEFT, AT_RIGHT, LARGEST = 0.02, 0.98, 0.3


def show_legend(node: Any, title: str, shown: bool) -> None:
    """The colour legend of `node` in the red view alone, by the Colors module's logic."""
    logic = slicer.modules.colors.logic()
    legend = logic.GetColorLegendDisplayNode(node)
    if legend is None and shown:
        legend = logic.AddDefaultColorLegendDisplayNode(node)
        legend.SetSaveWithScene(node.GetSaveWithScene())
        _make_small(legend, title, node.IsA("vtkMRMLLabelMapVolumeNode"))
    if legend is None:
        return
    view = slice_views.red_node()
    if shown and view is not None:
        legend.SetViewNodeIDs([view.GetID()])
        if not legend.GetVisibility():
            _fit(legend, view)
    legend.SetVisibility(shown)


def _make_small(legend: Any, title: str, with_names: bool) -> None:
    """At the edge, where Slicer's own size would cover the lung."""
    legend.SetTitleText(title)
    legend.SetPosition(AT_RIGHT if with_names else AT_LEFT, 0.5)
    legend.SetUseColorNamesForLabels(with_names)
    legend.SetVisibility(False)
    if not with_names:
        legend.SetNumberOfLabels(3)
        legend.SetLabelFormat("%.1f")


def _fit(legend: Any, view: Any) -> None:
    """The same number of pixels in every view, but no more than a part of it."""
    width = WIDTH_WITH_NAMES if legend.GetUseColorNamesForLabels() else WIDTH
    across, down = (max(1, each) for each in view.GetDimensions()[:2])
    legend.SetSize(min(LARGEST, width / across), min(LARGEST, HEIGHT / down))
