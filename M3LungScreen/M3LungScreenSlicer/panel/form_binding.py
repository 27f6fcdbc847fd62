"""Connects the form to the scene's parameter node, and disconnects it completely."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vtk import vtkCommand

PROPERTY = "SlicerParameterName"


class FormBinding:
    """Connected both ways until `disconnect`; `changed` is called after the form was updated.

    `connectGui` is not used because of two bugs of Slicer 5.10: it returns no tag for
    `disconnectGui`, and its observers are never removed (Slicer's pull requests 8667 and 9063).
    """

    def __init__(self, parameters: Any, ui: Any, changed: Callable[..., None]) -> None:
        self._parameters = parameters
        self._observers: list[int] = []
        parameters.AddObserver = self._observe
        self._gui_tag = parameters.connectParametersToGui(bound_widgets(ui))
        del parameters.AddObserver
        self._observe(vtkCommand.ModifiedEvent, changed)

    def disconnect(self) -> None:
        """Remove all connections and observers; the values are kept."""
        self._parameters.disconnectGui(self._gui_tag)
        for tag in self._observers:
            self._parameters.parameterNode.RemoveObserver(tag)

    def _observe(self, event: Any, callback: Any, priority: float = 0.0) -> int:
        tag: int = self._parameters.parameterNode.AddObserver(event, callback, priority)
        self._observers.append(tag)
        return tag


def bound_widgets(ui: Any) -> dict[str, Any]:
    """The widgets of the form by the parameter that their property names."""
    named = ((widget.property(PROPERTY), widget) for widget in vars(ui).values())
    return {name: widget for name, widget in named if name}
