"""The overlays in the slice and 3D views as the user wants them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ..scene import overlays, segmentation, slices
from ..scene.attention import attention_node
from ..scene.scene_result import SceneResult

LABEL_OPACITY = 0.7
# Shares of a view; the map's legend stands left, that of the diseases right.
LEGEND_WIDTH, LEGEND_WITH_NAMES, LEGEND_HEIGHT = 0.1, 0.2, 0.3
LEGEND_AT_LEFT, LEGEND_AT_RIGHT = 0.02, 0.98
LEGEND_FONT = 12


class OverlaySection:
    """Applies the parameter node's wishes to a result; `say` shows a sentence."""

    def __init__(self, ui: Any, say: Callable[[str], None]) -> None:
        self.ui = ui
        self._say = say
        self._result: SceneResult | None = None
        self._hide_healthy = True
        self._taken_away: set[str] = set()  # IDs of segmentations
        ui.surfaceCheckBox.connect("toggled(bool)", self._show_surfaces)
        ui.segmentationButton.connect("clicked(bool)", self._convert)

    def show_result(self, result: SceneResult | None) -> None:
        """The result whose overlays are meant; those of another leave the views."""
        if self._result is not None and (result is None or result.node is not self._result.node):
            self._take_away(self._result)
        self._result = result
        if result is not None:
            self._bring_back(result.segmentation)
        self.ui.surfaceCheckBox.blockSignals(True)
        self.ui.surfaceCheckBox.checked = result is not None and segmentation.is_in_3d(result)
        self.ui.surfaceCheckBox.blockSignals(False)

    def apply(self, wishes: Any, attention: Any = None) -> None:
        """Layers, opacity, threshold and legend.

        `attention` is a volume to be shown in the place of the location map.
        """
        if self._result is None or self._result.volume is None:
            return
        location_map, label_map = self._result.location_map, self._result.label_map
        shown = attention is not None or wishes.showLocationMap
        slicer.util.setSliceViewerLayers(
            background=self._result.volume,
            foreground=location_map if attention is None else attention,
            foregroundOpacity=wishes.locationOpacity if shown else 0.0,
            label=label_map if wishes.showLabelMap else None,
            labelOpacity=LABEL_OPACITY,
        )
        if location_map is not None:
            overlays.set_threshold(location_map, wishes.locationThreshold)
            self._hide_healthy = not wishes.showOnHealthy
            # On its own, so that a large result does not stop the window for longer.
            qt.QTimer.singleShot(0, self._hide_slices)
            seen = wishes.showLocationMap and attention is None
            show_legend(location_map, _("Lesion"), wishes.showLegend and seen)
        if attention is not None:
            show_legend(attention, _("Attention"), wishes.showLegend)
        if label_map is not None:
            show_legend(label_map, _("Disease"), wishes.showLegend and wishes.showLabelMap)

    def _hide_slices(self) -> None:
        result = self._result
        if result is None or result.volume is None or result.location_map is None:
            return
        axis, healthy = slices.feet_head_axis(result.volume), slices.called_healthy(result)
        overlays.hide_slices(result.location_map, axis, healthy, self._hide_healthy)

    def _take_away(self, result: SceneResult) -> None:
        """The layers and legends of `result`, and nothing that is not its own."""
        ours = [each for each in (result.location_map, result.label_map) if each is not None]
        for node in ours:
            show_legend(node, "", False)
        ids = [each.GetID() for each in (*ours, attention_node(slicer.mrmlScene)) if each]
        for layers in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            if layers.GetForegroundVolumeID() in ids:
                layers.SetForegroundVolumeID(None)
            if layers.GetLabelVolumeID() in ids:
                layers.SetLabelVolumeID(None)
        segments = result.segmentation
        if segments is not None and segments.GetDisplayNode().GetVisibility():
            segments.GetDisplayNode().SetVisibility(False)
            self._taken_away.add(segments.GetID())

    def _bring_back(self, segments: Any) -> None:
        """Show a segmentation that was hidden with its CT, unless a later run outdated it."""
        if segments is not None and segments.GetID() in self._taken_away:
            self._taken_away.remove(segments.GetID())
            if not segmentation.is_outdated(segments):
                segments.GetDisplayNode().SetVisibility(True)

    def _show_surfaces(self, shown: bool) -> None:
        if self._result is not None:
            segmentation.show_in_3d(self._result, shown)

    def _convert(self) -> None:
        if self._result is not None:
            node = segmentation.convert_to_segmentation(self._result)
            self._say(_("The segmentation {name} is ready.").format(name=node.GetName()))


def show_legend(node: Any, title: str, shown: bool) -> None:
    """The colour legend of `node` in the views, by the Colors module's logic."""
    logic = slicer.modules.colors.logic()
    legend = logic.GetColorLegendDisplayNode(node)
    if legend is None and shown:
        legend = logic.AddDefaultColorLegendDisplayNode(node)
        legend.SetSaveWithScene(node.GetSaveWithScene())
        _make_small(legend, title, node.IsA("vtkMRMLLabelMapVolumeNode"))
    if legend is not None:
        legend.SetVisibility(shown)


def _make_small(legend: Any, title: str, with_names: bool) -> None:
    """At the edge, where Slicer's own size would cover the lung."""
    legend.SetTitleText(title)
    legend.SetSize(LEGEND_WITH_NAMES if with_names else LEGEND_WIDTH, LEGEND_HEIGHT)
    legend.SetPosition(LEGEND_AT_RIGHT if with_names else LEGEND_AT_LEFT, 0.5)
    for text in (legend.GetTitleTextProperty(), legend.GetLabelTextProperty()):
        text.SetFontSize(LEGEND_FONT)
    legend.SetUseColorNamesForLabels(with_names)
    if not with_names:
        legend.SetNumberOfLabels(3)
        legend.SetLabelFormat("%.1f")
