"""For researchers: the network's own maps, the crop rectangle, how a crop came about."""

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
STAGES_IN_A_ROW = 3
STAGE_PIXELS = 128
SHOWN_HU = (-1200, 0)


class ResearcherSection:
    """`show_slice` keeps all up with the slice; `changed` hears of another attention map.

    None of its nodes is saved with the scene.
    """

    def __init__(self, ui: Any, changed: Callable[[], None]) -> None:
        self.ui = ui
        ui.attentionSelector.connect("activated(int)", lambda index: changed())
        self._result: SceneResult | None = None
        self._entry: Mapping[str, Any] | None = None
        ui.stagesButton.connect("toggled(bool)", self._show_stages)

    def show_result(self, result: SceneResult | None) -> None:
        """The windows of another result to choose from; at first no map is shown."""
        centers = result.content["settings"]["window_centers_hu"] if result else []
        self.ui.attentionSelector.clear()
        for name in (
            translate("M3LungScreen", "Off"),
            translate("M3LungScreen", "Mean of the windows"),
            *map(window_name, centers),
        ):
            self.ui.attentionSelector.addItem(name)

    @property
    def shows_attention(self) -> bool:
        """Whether a map is chosen, which every slice has of its own."""
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
        """The `slices` entry where the axial view stands."""
        self._result, self._entry = result, entry
        crop = entry["crop"] if entry else None
        if with_crop and result is not None and entry is not None and crop is not None:
            draw_crop(crop_corners(result.volume, entry["index"], crop))
        else:
            remove_crop()
        self._show_stages(self.ui.stagesButton.checked)

    def _show_stages(self, shown: bool) -> None:
        can = shown and self._result is not None and self._entry is not None
        self.ui.stagesLabel.visible = can
        self.ui.stagesTextLabel.visible = can
        if not can or self._result is None or self._entry is None:
            return
        hu = axial_slice(self._result.volume, self._entry["index"])
        settings = self._result.content["settings"]["model"]["preprocessing"]
        self.ui.stagesLabel.setPixmap(pixmap_of(sheet(stages_of(hu, settings))))
        self.ui.stagesTextLabel.text = translate(
            "M3LungScreen",
            "Slice · threshold · opening<br>background removed · second opening · crop",
        )


def window_name(center_hu: int) -> str:
    """An HU window for people."""
    return translate("M3LungScreen", "Window centred at {hu} HU").format(
        hu=str(center_hu).replace("-", "−")
    )


def stages_of(hu: np.ndarray, settings: Mapping[str, Any]) -> list[np.ndarray]:
    """The six stages of Figure 4 of one slice, grey 0 to 255, uint8 `[row, column]`."""
    from M3LungScreenLib.preprocessing import crop_stages
    from M3LungScreenLib.settings import PreprocessingSettings, from_dict

    stages = crop_stages(hu, from_dict(PreprocessingSettings, dict(settings)))
    return [grey(stage) for stage in stages.values()]


def grey(stage: np.ndarray) -> np.ndarray:
    """A mask in black and white, HU in the lung window."""
    if stage.dtype == bool:
        return stage.astype(np.uint8) * 255
    low, high = SHOWN_HU
    return np.asarray(np.clip((stage - low) / (high - low), 0, 1) * 255, np.uint8)


def sheet(stages: list[np.ndarray]) -> np.ndarray:
    """All stages in rows of three, each fitted into a square without distortion."""
    cells = [fitted(each) for each in stages]
    rows = [cells[i : i + STAGES_IN_A_ROW] for i in range(0, len(cells), STAGES_IN_A_ROW)]
    return np.vstack([np.hstack(row) for row in rows])


def fitted(image: np.ndarray) -> np.ndarray:
    """Nearest pixels of `image` in a square with a margin of two."""
    inside = STAGE_PIXELS - 4
    shape = [max(1, round(inside * each / max(image.shape))) for each in image.shape]
    rows, columns = (
        np.minimum((np.arange(new) + 0.5) * old / new, old - 1).astype(int)
        for new, old in zip(shape, image.shape, strict=True)
    )
    cell = np.zeros((STAGE_PIXELS, STAGE_PIXELS), np.uint8)
    top, left = ((STAGE_PIXELS - each) // 2 for each in shape)
    cell[top : top + shape[0], left : left + shape[1]] = image[np.ix_(rows, columns)]
    return cell


def pixmap_of(image: np.ndarray) -> Any:
    """A Qt pixmap of grey values; by a file, which every Qt binding reads."""
    import SimpleITK as sitk

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "stages.png")
        sitk.WriteImage(sitk.GetImageFromArray(image), path)
        return qt.QPixmap(path)


def draw_crop(corners: list[tuple[float, float, float]]) -> Any:
    """A closed line through four points, RAS mm; one node, moved from slice to slice."""
    node = slicer.mrmlScene.GetFirstNodeByName(CROP_NODE)
    if node is None:
        node = new_unsaved(slicer.mrmlScene, "vtkMRMLMarkupsClosedCurveNode", CROP_NODE)
        node.SetLocked(True)
        node.SetCurveTypeToLinear()
        node.CreateDefaultDisplayNodes()
        _make_plain(node.GetDisplayNode())
    was_modified = node.StartModify()
    node.RemoveAllControlPoints()
    for corner in corners:
        node.AddControlPointWorld(*corner)
    node.EndModify(was_modified)
    return node


def _make_plain(display: Any) -> None:
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
