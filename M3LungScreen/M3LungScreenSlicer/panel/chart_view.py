"""The chart along the volume and the table of slices in Slicer's layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer

from ..scene.scene_result import SceneResult
from .view_layout import layout_without_plot, visible_views

SELECTED = "dataSelected(vtkStringArray*, vtkCollection*)"
LAYOUT_CHANGED = "layoutChanged(int)"


class ChartView:
    """Shows a result's chart beside the slices; a click on it calls `jump` with the index."""

    def __init__(self, jump: Callable[[int], None]) -> None:
        self._jump = jump
        self._result: SceneResult | None = None
        self._former_layout: int | None = None
        self._views: list[Any] = []

    @property
    def shown(self) -> bool:
        """Whether a chart was asked for and not hidden since."""
        return self._result is not None

    def show(self, result: SceneResult) -> None:
        """The chart in a layout with a plot; the user's layout is remembered."""
        manager = slicer.app.layoutManager()
        if manager is None or result.chart is None:
            return
        if self._former_layout is None:
            self._former_layout = layout_without_plot(manager.layout)
            manager.connect(LAYOUT_CHANGED, self._connect_views)
        self._result = result
        slicer.modules.plots.logic().ShowChartInLayout(result.chart)
        self._connect_views()

    def hide(self) -> None:
        """Restore the user's layout, unless the user has chosen another one since."""
        self._disconnect_views()
        manager = slicer.app.layoutManager()
        if manager is not None and self._former_layout is not None:
            manager.disconnect(LAYOUT_CHANGED, self._connect_views)
            if visible_views("vtkMRMLPlotViewNode"):
                manager.setLayout(self._former_layout)
        self._former_layout = self._result = None

    def _connect_views(self) -> None:
        """Connect to the plots of the current layout, which exist once it was shown."""
        self._disconnect_views()
        manager = slicer.app.layoutManager()
        for number in range(manager.plotViewCount):
            view = manager.plotWidget(number).plotView()
            view.connect(SELECTED, self.onDataSelected)
            self._views.append(view)

    def _disconnect_views(self) -> None:
        for view in self._views:
            view.disconnect(SELECTED, self.onDataSelected)
        self._views = []

    def onDataSelected(self, series_ids: Any, selections: Any) -> None:
        if self._result is None:
            return
        for i in range(min(series_ids.GetNumberOfValues(), selections.GetNumberOfItems())):
            series = slicer.mrmlScene.GetNodeByID(series_ids.GetValue(i))
            points = selections.GetItemAsObject(i)
            table = self._result.slices_table
            # The line at the current slice is another series, with its own table.
            if series and series.GetTableNode() is table and points.GetNumberOfValues():
                self._jump(slice_of_row(table, points.GetValue(0)))
                return


def is_in_view(result: SceneResult | None) -> bool:
    """Whether the present layout shows the chart of `result`, as after opening a scene."""
    if result is None or result.chart is None:
        return False
    return any(
        each.GetPlotChartNode() is result.chart for each in visible_views("vtkMRMLPlotViewNode")
    )


def slice_of_row(table: Any, row: int) -> int:
    """The slice's index in a row of the table of slices."""
    names = [table.GetColumnName(i) for i in range(table.GetNumberOfColumns())]
    return int(float(table.GetCellText(row, names.index("Slice"))))
