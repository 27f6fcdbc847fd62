"""The overlays in the slice and 3D views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import translate

from ..scene import overlays, segmentation
from ..scene.attention import attention_node
from ..scene.scene_result import SceneResult
from ..scene.shown_map import map_to_show, remove_shown_map, shown_map
from . import slice_views
from .legends import show_legend
from .view_layout import show_3d_view

LABEL_OPACITY = 0.7


class OverlaySection:
    """Shows the overlays as the parameter node says; `show_message` shows a sentence.

    A layer is set only when its parameters have changed: the user may have set it otherwise.
    """

    def __init__(self, ui: Any, show_message: Callable[[str], None]) -> None:
        self.ui = ui
        self._show_message = show_message
        self._result: SceneResult | None = None
        self._applied: dict[str, Any] = {}
        self._hidden_segmentations: set[str] = set()  # IDs of segmentations
        ui.surfaceCheckBox.connect("toggled(bool)", self.onShowSurfaces)
        ui.segmentationButton.connect("clicked(bool)", self.onConvertToSegmentation)

    def show_result(self, result: SceneResult | None) -> None:
        """Show the overlays of this result; those of another are removed from the views."""
        if self._result is not None and (result is None or result.node is not self._result.node):
            self._hide_result(self._result)
        self._result, self._applied = result, {}
        if result is not None:
            self._restore_segmentation(result.segmentation)
        self.ui.surfaceCheckBox.blockSignals(True)
        self.ui.surfaceCheckBox.checked = result is not None and segmentation.is_in_3d(result)
        self.ui.surfaceCheckBox.blockSignals(False)

    def apply(self, parameters: Any, attention: Any = None) -> None:
        """Layers, opacity, threshold and legend.

        `attention` is a volume to be shown in the place of the location map.
        """
        result = self._result
        if result is None or result.volume is None:
            return
        foreground = attention
        if result.location_map is not None:
            overlays.set_threshold(result.location_map, parameters.locationThreshold)
            if attention is None and parameters.showLocationMap:
                foreground = map_to_show(result, parameters.showOnHealthy)
        label = result.label_map if parameters.showLabelMap else None
        self._set_layer("foreground", foreground, parameters.locationOpacity)
        self._set_layer("label", label, LABEL_OPACITY)
        for node, title in self._legends():
            shown = parameters.showLegend and node in (foreground, label)
            show_legend(node, title, shown)

    def _set_layer(self, layer: str, node: Any, opacity: float) -> None:
        """`layer` is 'foreground' or 'label'; without a node only our own leave it."""
        views = tuple(each.GetID() for each in slice_views.composite_nodes())
        wanted = (node.GetID() if node is not None else "", opacity, views)
        if self._applied.get(layer) == wanted:
            return
        self._applied[layer] = wanted
        if node is None:
            self._clear_layers([layer.capitalize()])
        else:
            slicer.util.setSliceViewerLayers(**{layer: node, f"{layer}Opacity": opacity})

    def _legends(self) -> list[tuple[Any, str]]:
        result, scene = self._result, slicer.mrmlScene
        if result is None:
            return []
        titled = [
            (result.location_map, translate("M3LungScreen", "Lesion")),
            (shown_map(scene), translate("M3LungScreen", "Lesion")),
            (attention_node(scene), translate("M3LungScreen", "Attention")),
            (result.label_map, translate("M3LungScreen", "Disease")),
        ]
        return [each for each in titled if each[0] is not None]

    def _hide_result(self, result: SceneResult) -> None:
        """Remove the layers and legends of `result`, and nothing else."""
        for node, title in self._legends():
            show_legend(node, title, False)
        self._clear_layers(["Foreground", "Label"])
        remove_shown_map(slicer.mrmlScene)
        segments = result.segmentation
        if segments is not None and segments.GetDisplayNode().GetVisibility():
            segments.GetDisplayNode().SetVisibility(False)
            self._hidden_segmentations.add(segments.GetID())

    def _clear_layers(self, layers: list[str]) -> None:
        """Empty these layers of all slice views where they show a node of the result."""
        ours = [node.GetID() for node, _title in self._legends()]
        for views in slice_views.composite_nodes():
            for layer in layers:
                if getattr(views, f"Get{layer}VolumeID")() in ours:
                    getattr(views, f"Set{layer}VolumeID")(None)

    def _restore_segmentation(self, segments: Any) -> None:
        """Show a segmentation that was hidden with its CT, unless it is outdated."""
        if segments is not None and segments.GetID() in self._hidden_segmentations:
            self._hidden_segmentations.remove(segments.GetID())
            if not segmentation.is_outdated(segments):
                segments.GetDisplayNode().SetVisibility(True)

    def onShowSurfaces(self, shown: bool) -> None:
        if self._result is not None:
            segmentation.show_in_3d(self._result, shown)
            if shown:
                show_3d_view()

    def onConvertToSegmentation(self) -> None:
        if self._result is not None:
            node = segmentation.convert_to_segmentation(self._result)
            self._show_message(
                translate("M3LungScreen", "Segmentation {name} was created.").format(
                    name=node.GetName()
                )
            )
