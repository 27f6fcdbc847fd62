"""For researchers: the network's own maps, the crop rectangle, and the stages of the crop."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import qt
import slicer
from slicer.i18n import translate

from ..scene.attention import remove_attention, show_attention
from ..scene.axial import axial_slice, crop_corners
from ..scene.colors import hex_to_rgb
from ..scene.nodes import new_unsaved, remove_nodes
from ..scene.scene_result import SceneResult

# In the selector: off, the mean, then the windows from 0.
FIRST_WINDOW = 2
MEAN = -1
CROP_NODE = "M3LungScreen crop"
CROP_COLOR = "#F0E442"  # yellow of the same palette as the classes, none of theirs
CROP_LINE_MM = 1.5


class ResearcherSection:
    """Updated by `show_slice`; `on_map_selected` is called when another map is selected.

    None of its nodes is saved with the scene.
    """

    def __init__(self, ui: Any, on_map_selected: Callable[[], None]) -> None:
        self.ui = ui
        ui.attentionSelector.connect("activated(int)", lambda index: on_map_selected())
        self._result: SceneResult | None = None
        self._entry: Mapping[str, Any] | None = None
        ui.stagesButton.connect("toggled(bool)", self.onShowStages)

    def show_result(self, result: SceneResult | None) -> None:
        """The windows of another result to choose from; at first no map is shown."""
        centers = result.content["settings"]["window_centers_hu"] if result else []
        self.ui.attentionSelector.clear()
        for name in (
            translate("M3LungScreen", "Off"),
            translate("M3LungScreen", "Mean of all windows"),
            *map(window_name, centers),
        ):
            self.ui.attentionSelector.addItem(name)

    @property
    def shows_attention(self) -> bool:
        """Whether a map is selected; every slice has its own."""
        return self.ui.attentionSelector.currentIndex >= FIRST_WINDOW + MEAN

    def attention(self, result: SceneResult | None, entry: dict[str, Any] | None) -> Any:
        """The volume with the chosen map of a slice; None if none is chosen or it has none."""
        chosen = self.ui.attentionSelector.currentIndex - FIRST_WINDOW
        if result is None or entry is None or chosen < MEAN:
            remove_attention(slicer.mrmlScene)
            return None
        return show_attention(result, entry, None if chosen == MEAN else chosen)

    def show_slice(
        self, result: SceneResult | None, entry: Mapping[str, Any] | None, with_crop: bool
    ) -> None:
        """Show the `slices` entry of the axial view's position."""
        self._result, self._entry = result, entry
        crop = entry["crop"] if entry else None
        if with_crop and result is not None and entry is not None and crop is not None:
            draw_crop(crop_corners(result.volume, entry["index"], crop))
        else:
            remove_crop()
        self.onShowStages(self.ui.stagesButton.checked)

    def onShowStages(self, shown: bool) -> None:
        can = shown and self._result is not None and self._entry is not None
        self.ui.stagesLabel.visible = can
        self.ui.stagesTextLabel.visible = can
        if not can or self._result is None or self._entry is None:
            return
        hu = axial_slice(self._result.volume, self._entry["index"])
        settings = self._result.content["settings"]["model"]["preprocessing"]
        self.ui.stagesLabel.setPixmap(stages_pixmap(hu, settings))
        self.ui.stagesTextLabel.text = translate(
            "M3LungScreen",
            "Slice · threshold · opening<br>background removed · second opening · crop",
        )


def window_name(center_hu: int) -> str:
    """The name of an HU window."""
    return translate("M3LungScreen", "Window level {hu} HU").format(
        hu=str(center_hu).replace("-", "−")
    )


def stages_pixmap(hu: np.ndarray, settings: Mapping[str, Any]) -> Any:
    """The six stages of the lung crop of a slice; from a file, which every Qt binding reads."""
    from M3LungScreenLib.outputs.pictures import crop_stages_picture
    from M3LungScreenLib.settings import PreprocessingSettings, from_dict

    picture = crop_stages_picture(hu, from_dict(PreprocessingSettings, dict(settings)))
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "stages.png")
        picture.save(path)
        return qt.QPixmap(path)


def draw_crop(corners: list[tuple[float, float, float]]) -> Any:
    """A closed line through four points, RAS mm; one node, moved from slice to slice."""
    node = slicer.mrmlScene.GetFirstNodeByName(CROP_NODE)
    if node is None:
        node = new_unsaved(slicer.mrmlScene, "vtkMRMLMarkupsClosedCurveNode", CROP_NODE)
        node.SetLocked(True)
        node.SetCurveTypeToLinear()
        node.CreateDefaultDisplayNodes()
        _set_line_style(node.GetDisplayNode())
    was_modified = node.StartModify()
    node.RemoveAllControlPoints()
    for corner in corners:
        node.AddControlPointWorld(*corner)
    node.EndModify(was_modified)
    return node


def _set_line_style(display: Any) -> None:
    """A line in slice views without points and names; Slicer's would be thin as the points."""
    display.SetSaveWithScene(False)
    display.SetGlyphScale(0.0)
    display.SetCurveLineSizeMode(display.UseLineDiameter)
    display.SetLineDiameter(CROP_LINE_MM)
    display.SetSelectedColor(*hex_to_rgb(CROP_COLOR))
    display.SetPropertiesLabelVisibility(False)
    display.SetPointLabelsVisibility(False)
    display.SetVisibility3D(False)


def remove_crop() -> None:
    """Take the rectangle out of the scene."""
    node = slicer.mrmlScene.GetFirstNodeByName(CROP_NODE)
    if node is not None:
        remove_nodes(slicer.mrmlScene, [node])
