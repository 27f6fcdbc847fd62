"""`slicer.app.layoutManager()` over Slicer's own layout logic, plot views that can be clicked."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import slicer
import vtk

SELECTED = "dataSelected(vtkStringArray*, vtkCollection*)"
LAYOUT_CHANGED = "layoutChanged(int)"


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
    """`layout` is that of the scene's layout node, so that it is saved and comes with a scene.

    As in Slicer, views that a layout does not show stay, and are counted.
    """

    FOUR_UP = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
    WITH_PLOT = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpPlotView

    def __init__(self, corners: dict[str, vtk.vtkCornerAnnotation] | None = None) -> None:
        self._corners = corners or {}
        self._listeners: list[Callable[..., None]] = []
        self._plots: dict[str, PlotView] = {}
        application = slicer.vtkMRMLApplicationLogic()
        application.SetMRMLScene(slicer.mrmlScene)
        self._logic = slicer.vtkMRMLLayoutLogic()
        self._logic.SetMRMLApplicationLogic(application)
        self._logic.SetMRMLScene(slicer.mrmlScene)
        self._shown_layout = 0
        ended = slicer.vtkMRMLScene.EndBatchProcessEvent
        self._tag = slicer.mrmlScene.AddObserver(ended, self._set_up)
        self.setLayout(self.FOUR_UP)

    def close(self) -> None:
        """Before the scene goes for good."""
        slicer.mrmlScene.RemoveObserver(self._tag)
        self._logic.SetMRMLScene(None)

    @property
    def layout(self) -> int:
        return int(self._logic.GetLayoutNode().GetViewArrangement())

    def setLayout(self, layout: int) -> None:  # noqa: N802
        self._logic.GetLayoutNode().SetViewArrangement(layout)
        self._set_up()

    def connect(self, signature: str, slot: Callable[..., None]) -> bool:
        assert signature == LAYOUT_CHANGED
        self._listeners.append(slot)
        return True

    def disconnect(self, signature: str, slot: Callable[..., None]) -> bool:
        assert signature == LAYOUT_CHANGED
        self._listeners.remove(slot)
        return True

    @property
    def plotViewCount(self) -> int:  # noqa: N802
        return len(self._plots)

    def plotWidget(self, number: int) -> Any:  # noqa: N802
        view = list(self._plots.values())[number]
        return SimpleNamespace(plotView=lambda: view)

    def sliceWidget(self, name: str) -> Any:  # noqa: N802
        corner = self._corners.setdefault(name, vtk.vtkCornerAnnotation())
        view = SimpleNamespace(cornerAnnotation=lambda: corner, scheduleRender=lambda: None)
        return SimpleNamespace(sliceView=lambda: view)

    @property
    def listeners(self) -> list[Callable[..., None]]:
        """All who hear of clicks on plots or of another layout."""
        heard = [slot for view in self._plots.values() for slot in view.listeners]
        return [*heard, *self._listeners]

    @property
    def shown(self) -> Any:
        """The chart in a plot view of the present layout, None where there is none."""
        plots = [each for each in self._present() if each.IsA("vtkMRMLPlotViewNode")]
        return plots[0].GetPlotChartNode() if plots else None

    def annotation(self, name: str) -> str:
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
        for view in self._plots.values():
            for each in list(view.listeners):
                each(ids, found)

    def _show(self, chart: Any) -> None:
        self.setLayout(slicer.vtkSlicerPlotsLogic.GetLayoutWithPlot(self.layout))
        for each in self._present():
            if each.IsA("vtkMRMLPlotViewNode"):
                each.SetPlotChartNodeID(chart.GetID())

    def _present(self) -> list[Any]:
        views = self._logic.GetViewNodes()
        return [views.GetItemAsObject(i) for i in range(views.GetNumberOfItems())]

    def _set_up(self, *_: Any) -> None:
        """The views of the layout node's layout are shown, all others hidden."""
        if slicer.mrmlScene.IsBatchProcessing():
            return
        present = self._present()
        for each in slicer.util.getNodesByClass("vtkMRMLAbstractViewNode"):
            each.SetMappedInLayout(each in present)
            if each in present and each.IsA("vtkMRMLPlotViewNode"):
                self._plots.setdefault(each.GetID(), PlotView())
        if self.layout != self._shown_layout:
            self._shown_layout = self.layout
            for slot in list(self._listeners):
                slot()
