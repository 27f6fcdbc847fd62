"""Slicer's layout of views: what it shows, and one that shows more."""

from __future__ import annotations

from typing import Any

import slicer

VIEWS = slicer.vtkMRMLLayoutNode
# Slicer's layouts with a plot, and what they are without it.
WITHOUT_PLOT = {
    VIEWS.SlicerLayoutConventionalPlotView: VIEWS.SlicerLayoutConventionalView,
    VIEWS.SlicerLayoutFourUpPlotView: VIEWS.SlicerLayoutFourUpView,
    VIEWS.SlicerLayoutFourUpPlotTableView: VIEWS.SlicerLayoutFourUpTableView,
    VIEWS.SlicerLayoutThreeOverThreePlotView: VIEWS.SlicerLayoutThreeOverThreeView,
}


def visible_views(kind: str) -> list[Any]:
    """The view nodes of class `kind` in the present layout.

    The layout manager counts views that another layout once had, too.
    """
    views = slicer.util.getNodesByClass(kind)
    return [each for each in views if each.IsViewVisibleInLayout()]


def layout_without_plot(layout: int) -> int:
    """The layout that `layout` is beside its plot; itself where it has none."""
    if not visible_views("vtkMRMLPlotViewNode"):
        return layout
    return int(WITHOUT_PLOT.get(layout, VIEWS.SlicerLayoutFourUpView))


def show_3d_view() -> None:
    """A layout with a 3D view where there is none now; a chart stays in view."""
    manager = slicer.app.layoutManager()
    if manager is None or visible_views("vtkMRMLViewNode"):
        return
    has_plot = bool(visible_views("vtkMRMLPlotViewNode"))
    manager.setLayout(
        VIEWS.SlicerLayoutConventionalPlotView if has_plot else VIEWS.SlicerLayoutFourUpView
    )
