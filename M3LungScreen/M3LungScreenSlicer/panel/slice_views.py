"""The slice views: the position of the axial one, jumps, and its annotation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
import vtk

AXIAL = "Axial"
RED = "Red"

Point = tuple[float, float, float]


def slice_nodes() -> list[Any]:
    """All slice views of the scene."""
    return slicer.util.getNodesByClass("vtkMRMLSliceNode")


def axial_node() -> Any:
    """The first axial slice view, None where there is none."""
    return next((each for each in slice_nodes() if each.GetOrientation() == AXIAL), None)


def red_node() -> Any:
    """The red slice view, the first one where no view is called so, None without views."""
    nodes = slice_nodes()
    return next((each for each in nodes if each.GetLayoutName() == RED), next(iter(nodes), None))


def composite_nodes() -> list[Any]:
    """The layers of all slice views."""
    return slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")


def nearest_point(node: Any, anchor: Point) -> Point:
    """The point of a slice view's plane nearest to `anchor`, RAS mm.

    Not the center of the view: the user may have moved the CT out of it.
    """
    matrix = node.GetSliceToRAS()
    normal = [matrix.GetElement(row, 2) for row in range(3)]
    origin = [matrix.GetElement(row, 3) for row in range(3)]
    away = sum((o - a) * n for o, a, n in zip(origin, anchor, normal, strict=True))
    r, a, s = (a + away * n for a, n in zip(anchor, normal, strict=True))
    return r, a, s


def jump_to(ras_mm: Point) -> None:
    """Bring the axial slice views to a position; what they are centred on stays."""
    for node in slice_nodes():
        if node.GetOrientation() == AXIAL:
            node.JumpSliceByOffsetting(*ras_mm)


def set_annotation(node: Any, text: str) -> None:
    """Text at the upper edge: Slicer's data probe overwrites all four corners."""
    manager = slicer.app.layoutManager()
    widget = manager.sliceWidget(node.GetLayoutName()) if manager and node else None
    if widget is None:
        return
    view = widget.sliceView()
    view.cornerAnnotation().SetText(vtk.vtkCornerAnnotation.UpperEdge, text)
    view.scheduleRender()


class SliceObserver:
    """Calls `on_moved` when an axial slice view has moved."""

    def __init__(self, on_moved: Callable[[], None]) -> None:
        self._on_moved = on_moved
        self._observed: list[tuple[Any, int]] = []
        self._last = ""

    @property
    def observed(self) -> list[Any]:
        """The slice nodes under observation."""
        return [node for node, _ in self._observed]

    def observe(self) -> None:
        """Observe all slice views, also those added since the last call."""
        self.removeObservers()
        for node in slice_nodes():
            tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, self.onSliceNodeModified)
            self._observed.append((node, tag))

    def removeObservers(self) -> None:
        """No slice view is observed any more."""
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        self._observed = []
        self._last = ""

    def onSliceNodeModified(self, node: Any, event: str) -> None:
        if node.GetOrientation() != AXIAL:
            return
        here = str([node.GetSliceToRAS().GetElement(i // 4, i % 4) for i in range(12)])
        if here != self._last:
            self._last = here
            self._on_moved()
