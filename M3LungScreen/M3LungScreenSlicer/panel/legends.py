"""Small colour legends in the red slice view."""

from __future__ import annotations

from typing import Any

import slicer

from . import slice_views

# Shares of a view; the map's legend stands left, that of the diseases right.
LEGEND_WIDTH, LEGEND_WITH_NAMES, LEGEND_HEIGHT = 0.08, 0.16, 0.25
LEGEND_AT_LEFT, LEGEND_AT_RIGHT = 0.02, 0.98
# Points; at Slicer's 96 dpi about as high as the texts in the corners of a view.
LEGEND_FONT = 9


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
    legend.SetViewNodeIDs([view.GetID()] if view is not None else [])
    legend.SetVisibility(shown)


def _make_small(legend: Any, title: str, with_names: bool) -> None:
    """At the edge, where Slicer's own size would cover the lung."""
    legend.SetTitleText(title)
    legend.SetSize(LEGEND_WITH_NAMES if with_names else LEGEND_WIDTH, LEGEND_HEIGHT)
    legend.SetPosition(LEGEND_AT_RIGHT if with_names else LEGEND_AT_LEFT, 0.5)
    for text in (legend.GetTitleTextProperty(), legend.GetLabelTextProperty()):
        text.SetFontSize(LEGEND_FONT)
    legend.SetUseColorNamesForLabels(with_names)
    if not with_names:
        legend.SetNumberOfLabels(3)
        legend.SetLabelFormat("%.1f")
