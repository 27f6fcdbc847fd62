"""The chosen CT in the slice views, in the lung window and back."""

from __future__ import annotations

from typing import Any

import slicer

from ..scene import overlays, volumes


class DisplaySection:
    """Two buttons; each CT is brought into view once, and the user may go back."""

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self._volume: Any = None
        self._before: dict[str, tuple[float, float]] = {}
        self._seen: set[str] = set()
        ui.lungWindowButton.connect("clicked(bool)", self._lung_window)
        ui.windowBackButton.connect("clicked(bool)", self._window_back)

    def show(self, volume: Any) -> None:
        """Another CT was chosen, or none; one that cannot be screened is left as it is."""
        able = not volumes.why_not(volume)
        if able and volume is not self._volume:
            slicer.util.setSliceViewerLayers(background=volume)
        self._volume = volume
        # A volume that is being loaded may get its display node later.
        if able and volume.GetDisplayNode() is not None and volume.GetID() not in self._seen:
            self._seen.add(volume.GetID())
            self._lung_window()
        self._show_buttons()

    def forget(self) -> None:
        """The scene is closed."""
        self._volume, self._before, self._seen = None, {}, set()

    def _lung_window(self) -> None:
        if self._volume is not None and self._volume.GetDisplayNode() is not None:
            before = overlays.lung_window(self._volume)
            self._before.setdefault(self._volume.GetID(), before)
        self._show_buttons()

    def _window_back(self) -> None:
        if self._volume is not None and self._volume.GetID() in self._before:
            overlays.set_window(self._volume, *self._before.pop(self._volume.GetID()))
        self._show_buttons()

    def _show_buttons(self) -> None:
        chosen = self._volume is not None
        self.ui.lungWindowButton.enabled = chosen
        self.ui.windowBackButton.enabled = chosen and self._volume.GetID() in self._before


def proposed_volume() -> Any:
    """The volume that the slice views show, else the only one that can be screened."""
    logic = slicer.app.applicationLogic()
    selection = logic.GetSelectionNode() if logic else None
    active = selection.GetActiveVolumeID() if selection else None
    node = slicer.mrmlScene.GetNodeByID(active) if active else None
    if node is not None and not volumes.why_not(node):
        return node
    candidates = volumes.screenable(slicer.mrmlScene)
    return candidates[0] if len(candidates) == 1 else None
