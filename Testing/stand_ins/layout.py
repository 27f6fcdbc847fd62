"""`slicer.app.layoutManager()`: slice views with texts, a plot view that can be clicked."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import slicer
import vtk

SELECTED = "dataSelected(vtkStringArray*, vtkCollection*)"


class PlotView:
    """Tells what was selected in it."""

    def __init__(self) -> None:
        self.listeners: list[Callable[..., None]] = []

    def connect(self, signature: str, slot: Callable[..., None]) -> bool:
        assert signature == SELECTED
        self.listeners.append(slot)
        return True

    def disconnect(self, signature: str, slot: Callable[..., None]) -> bool:
        self.listeners.remove(slot)
        return True


class LayoutManager:
    """`layout` is the number of the layout, `shown` the chart in the plot view."""

    FOUR_UP = 3
    WITH_PLOT = 36

    def __init__(self, corners: dict[str, vtk.vtkCornerAnnotation] | None = None) -> None:
        self.layout = self.FOUR_UP
        self.view = PlotView()
        self.shown: Any = None
        self._corners = corners or {}

    @property
    def plotViewCount(self) -> int:  # noqa: N802
        return int(self.layout == self.WITH_PLOT)

    def setLayout(self, layout: int) -> None:  # noqa: N802
        self.layout = layout

    def plotWidget(self, number: int) -> Any:  # noqa: N802
        return SimpleNamespace(plotView=lambda: self.view)

    def sliceWidget(self, name: str) -> Any:  # noqa: N802
        corner = self._corners.setdefault(name, vtk.vtkCornerAnnotation())
        view = SimpleNamespace(cornerAnnotation=lambda: corner, scheduleRender=lambda: None)
        return SimpleNamespace(sliceView=lambda: view)

    def edge_text(self, name: str) -> str:
        """What stands at the upper edge of a slice view."""
        return self._corners[name].GetText(vtk.vtkCornerAnnotation.UpperEdge) or ""

    def use_plots(self, monkeypatch: Any) -> None:
        """Let slicer.modules.plots show charts here."""
        logic = SimpleNamespace(ShowChartInLayout=self._show)
        plots = SimpleNamespace(logic=lambda: logic)
        monkeypatch.setattr(slicer.modules, "plots", plots, raising=False)

    def click_on_point(self, row: int, series: int = 0) -> None:
        """A reader clicks on the point that a row of the table of a series is."""
        ids, points, found = vtk.vtkStringArray(), vtk.vtkIdTypeArray(), vtk.vtkCollection()
        ids.InsertNextValue(self.shown.GetNthPlotSeriesNodeID(series))
        points.InsertNextValue(row)
        found.AddItem(points)
        for each in list(self.view.listeners):
            each(ids, found)

    def _show(self, chart: Any) -> None:
        self.shown = chart
        self.layout = self.WITH_PLOT
