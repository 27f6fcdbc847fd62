"""The slice views: where the axial one stands, jumps, and text in its corner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
import vtk

AXIAL = "Axial"


def slice_nodes() -> list[Any]:
    """All slice views of the scene."""
    return slicer.util.getNodesByClass("vtkMRMLSliceNode")


def axial_node() -> Any:
    """The first axial slice view, None where there is none."""
    return next((each for each in slice_nodes() if each.GetOrientation() == AXIAL), None)


def center_of(node: Any) -> tuple[float, float, float]:
    """RAS mm of the middle of a slice view."""
    matrix = node.GetSliceToRAS()
    return tuple(matrix.GetElement(row, 3) for row in range(3))  # type: ignore[return-value]


def jump_to(ras_mm: tuple[float, float, float]) -> None:
    """Bring all slice views to a position without moving what they are centred on."""
    for node in slice_nodes():
        node.JumpSliceByOffsetting(*ras_mm)


def write_in_corner(node: Any, text: str) -> None:
    """Text in the lower right corner, which Slicer itself leaves free."""
    manager = slicer.app.layoutManager()
    widget = manager.sliceWidget(node.GetLayoutName()) if manager and node else None
    if widget is None:
        return
    view = widget.sliceView()
    view.cornerAnnotation().SetText(vtk.vtkCornerAnnotation.LowerRight, text)
    view.scheduleRender()


class SliceFollower:
    """Calls `moved` when an axial slice view has moved, as long as it follows."""

    def __init__(self, moved: Callable[[], None]) -> None:
        self._moved = moved
        self._observed: list[tuple[Any, int]] = []
        self._last: tuple[float, float, float] | None = None

    def follow(self) -> None:
        """Begin, or take in views that have come since."""
        self.rest()
        for node in slice_nodes():
            tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._modified)
            self._observed.append((node, tag))

    def rest(self) -> None:
        """Stop; no observer is left."""
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        self._observed = []
        self._last = None

    def _modified(self, node: Any, event: str) -> None:
        if node.GetOrientation() != AXIAL:
            return
        here = center_of(node)
        if here != self._last:
            self._last = here
            self._moved()
