"""Two named colour nodes, saved with the scene: one for the map, one for the diseases."""

from __future__ import annotations

from typing import Any

import numpy as np

from .nodes import RESULT_ATTRIBUTE, nodes_of_class

# From dark to light, so that the order survives a print in grey and any colour blindness.
WARM = {0.0: "#3B0F00", 0.3: "#A63603", 0.6: "#F16913", 0.8: "#FDAE6B", 1.0: "#FFF5B1"}
WARM_STEPS = 256


def warm_colors(scene: Any) -> Any:
    """The colours of the location map, dark red to pale yellow."""
    node = _find(scene, "location map colours")
    if node is None:
        node = _new(scene, "location map colours", "M3LungScreen lesion location", WARM_STEPS)
        stops = np.array([hex_to_rgb(color) for color in WARM.values()])
        for i, x in enumerate(np.linspace(0, 1, WARM_STEPS)):
            rgb = [float(np.interp(x, list(WARM), stops[:, channel])) for channel in range(3)]
            node.SetColor(i, f"{x:.2f}", *rgb, 1.0)
    return node


def disease_colors(scene: Any) -> Any:
    """The label map's names and colours: its value is the class's index; 0 is transparent."""
    from M3LungScreenLib.classes import CLASSES

    node = _find(scene, "disease colours")
    if node is None:
        node = _new(scene, "disease colours", "M3LungScreen diseases", len(CLASSES))
        node.SetColor(0, "no lesion", 0.0, 0.0, 0.0, 0.0)
        node.SetColorDefined(0, False)  # no row of the legend
        for each in CLASSES[1:]:
            node.SetColor(each.index, each.name, *hex_to_rgb(each.color), 1.0)
    return node


def hex_to_rgb(color: str) -> tuple[float, float, float]:
    """'#RRGGBB' as three numbers from 0 to 1."""
    red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def _find(scene: Any, role: str) -> Any:
    for node in nodes_of_class(scene, "vtkMRMLColorTableNode"):
        if node.GetAttribute(RESULT_ATTRIBUTE) == role:
            return node
    return None


def _new(scene: Any, role: str, name: str, count: int) -> Any:
    node = scene.AddNewNodeByClass("vtkMRMLColorTableNode", name)
    node.SetTypeToUser()
    node.SetNumberOfColors(count)
    node.SetAttribute(RESULT_ATTRIBUTE, role)
    return node
