"""Slicer's slice view and plot view drawn offscreen from a real scene, as a window shows them."""

from pathlib import Path
from typing import Any

import slicer
import vtk

LINES = {1: vtk.vtkPen.SOLID_LINE, 2: vtk.vtkPen.DASH_LINE}
MARKERS = {
    "Circle": vtk.vtkPlotPoints.CIRCLE,
    "Square": vtk.vtkPlotPoints.SQUARE,
    "Diamond": vtk.vtkPlotPoints.DIAMOND,
    "Cross": vtk.vtkPlotPoints.CROSS,
}
DISPLAYABLE_MANAGERS = (
    "vtkMRMLColorLegendDisplayableManager",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
)


class SliceView:
    """A slice view with its layers, legends, markups and texts, by Slicer's displayable managers.

    `corner` is the annotation that `sliceView().cornerAnnotation()` gives in Slicer.
    """

    def __init__(self, scene: Any, node: Any, size: tuple[int, int]) -> None:
        self.corner = vtk.vtkCornerAnnotation()
        self.window, self._renderer = _offscreen(size)
        self._logic = slicer.vtkMRMLSliceLogic()
        self._logic.SetMRMLScene(scene)
        self._logic.SetSliceNode(node)
        node.SetDimensions(*size, 1)
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        picture = vtk.vtkActor2D()
        picture.SetMapper(self._mapper)
        self._renderer.AddViewProp(picture)
        self._renderer.AddViewProp(self.corner)
        self.corner.SetMaximumFontSize(14)
        self.corner.SetMinimumFontSize(14)
        self.corner.GetTextProperty().ShadowOn()
        self._managers = _managers(node, self._logic, self._renderer)

    def fit(self) -> None:
        """The whole CT in the view."""
        self._logic.FitSliceToAll()

    def save(self, path: Path) -> None:
        self._logic.UpdatePipeline()
        self._mapper.SetInputConnection(self._logic.GetImageDataConnection())
        _save(self.window, path)


def save_chart(chart: Any, path: Path, size: tuple[int, int] = (800, 360)) -> None:
    """The plots of a vtkMRMLPlotChartNode, with its series' styles, axes and legend."""
    drawn = vtk.vtkChartXY()
    drawn.SetTitle(chart.GetTitle())
    drawn.SetShowLegend(chart.GetLegendVisibility())
    for i in range(chart.GetNumberOfPlotSeriesNodes()):
        _add_series(drawn, chart.GetNthPlotSeriesNode(i))
    for place, title, span in (
        (vtk.vtkAxis.BOTTOM, chart.GetXAxisTitle(), chart.GetXAxisRange()),
        (vtk.vtkAxis.LEFT, chart.GetYAxisTitle(), chart.GetYAxisRange()),
    ):
        axis = drawn.GetAxis(place)
        axis.SetTitle(title)
        axis.SetBehavior(vtk.vtkAxis.FIXED)
        axis.SetRange(*span)
    view = vtk.vtkContextView()
    view.SetRenderWindow(_offscreen(size)[0])
    view.GetRenderer().SetBackground(1.0, 1.0, 1.0)
    view.GetScene().AddItem(drawn)
    _save(view.GetRenderWindow(), path)


def _add_series(drawn: Any, node: Any) -> None:
    table = node.GetTableNode()
    names = [table.GetColumnName(i) for i in range(table.GetNumberOfColumns())]
    plot = drawn.AddPlot(vtk.vtkChart.LINE)
    x, y = names.index(node.GetXColumnName()), names.index(node.GetYColumnName())
    plot.SetInputData(table.GetTable(), x, y)
    plot.SetColorF(*node.GetColor())
    plot.SetWidth(node.GetLineWidth())
    plot.GetPen().SetLineType(LINES.get(node.GetLineStyle(), vtk.vtkPen.SOLID_LINE))
    marker = node.GetMarkerStyleAsString(node.GetMarkerStyle()).capitalize()
    plot.SetMarkerStyle(MARKERS.get(marker, vtk.vtkPlotPoints.NONE))
    plot.SetMarkerSize(node.GetMarkerSize())
    plot.SetLabel(node.GetName())


def _managers(node: Any, logic: Any, renderer: Any) -> Any:
    """Slicer's displayable managers of a slice view, bound to `renderer`."""
    factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory()
    application = slicer.vtkMRMLApplicationLogic()
    application.SetMRMLScene(node.GetScene())
    logics = vtk.vtkCollection()
    logics.AddItem(logic)
    application.SetSliceLogics(logics)
    factory.SetMRMLApplicationLogic(application)
    markups = slicer.vtkSlicerMarkupsLogic()  # the markups' manager asks for it
    markups.SetMRMLApplicationLogic(application)
    markups.SetMRMLScene(node.GetScene())
    application.SetModuleLogic("Markups", markups)
    for name in DISPLAYABLE_MANAGERS:
        factory.RegisterDisplayableManager(name)
    group = slicer.vtkMRMLDisplayableManagerGroup()
    group.Initialize(factory, renderer)
    group.SetMRMLDisplayableNode(node)
    return application, factory, group, markups


def _offscreen(size: tuple[int, int]) -> tuple[Any, Any]:
    window, renderer = vtk.vtkRenderWindow(), vtk.vtkRenderer()
    window.SetOffScreenRendering(1)
    window.SetSize(*size)
    window.AddRenderer(renderer)
    interactor = vtk.vtkGenericRenderWindowInteractor()
    interactor.SetRenderWindow(window)
    return window, renderer


def _save(window: Any, path: Path) -> None:
    window.Render()
    grabbed = vtk.vtkWindowToImageFilter()
    grabbed.SetInput(window)
    grabbed.ReadFrontBufferOff()
    writer = vtk.vtkPNGWriter()
    writer.SetFileName(str(path))
    writer.SetInputConnection(grabbed.GetOutputPort())
    writer.Write()
