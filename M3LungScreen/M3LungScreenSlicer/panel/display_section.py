"""The chosen CT in the slice views, and the lung window with its first result."""

from __future__ import annotations

from typing import Any

import slicer

from ..scene import overlays, volumes

Window = tuple[float, float]


class DisplaySection:
    """Window and level stay the user's until there is a result to look at; two buttons."""

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self._volume: Any = None
        self._window_before: dict[str, Window] = {}
        self._window_when_chosen: dict[str, Window] = {}
        ui.lungWindowButton.connect("clicked(bool)", self.onLungWindow)
        ui.windowBackButton.connect("clicked(bool)", self.onWindowBack)

    def show(self, volume: Any) -> None:
        """Another CT was chosen, or none; one that cannot be screened is left as it is."""
        able = not volumes.problem_with(volume)
        if able and volume is not self._volume:
            slicer.util.setSliceViewerLayers(background=volume)
        self._volume = volume
        # A volume that is being loaded may get its display node later.
        if able and volume.GetDisplayNode() is not None:
            self._window_when_chosen.setdefault(volume.GetID(), overlays.window_of(volume))
        self._update_buttons()

    def onResult(self, volume: Any) -> None:
        """The lung window for the first result, unless the user has chosen a window since."""
        display, identifier = volume.GetDisplayNode(), volume.GetID()
        if display is None or identifier in self._window_before:
            return
        automatic = bool(display.GetAutoWindowLevel())
        if automatic or self._window_when_chosen.get(identifier) == overlays.window_of(volume):
            self._window_before[identifier] = overlays.lung_window(volume)
        self._update_buttons()

    def reset(self) -> None:
        """The scene is closed."""
        self._volume, self._window_before, self._window_when_chosen = None, {}, {}

    def onLungWindow(self) -> None:
        if self._volume is not None and self._volume.GetDisplayNode() is not None:
            before = overlays.lung_window(self._volume)
            self._window_before.setdefault(self._volume.GetID(), before)
        self._update_buttons()

    def onWindowBack(self) -> None:
        if self._can_go_back():
            overlays.set_window(self._volume, *self._window_before[self._volume.GetID()])
        self._update_buttons()

    def _can_go_back(self) -> bool:
        volume = self._volume
        if volume is None or volume.GetDisplayNode() is None:
            return False
        now = overlays.window_of(volume)
        return self._window_before.get(volume.GetID(), now) != now

    def _update_buttons(self) -> None:
        self.ui.lungWindowButton.enabled = self._volume is not None
        self.ui.windowBackButton.enabled = self._can_go_back()


def proposed_volume() -> Any:
    """The volume that the slice views show, else the only one that can be screened."""
    logic = slicer.app.applicationLogic()
    selection = logic.GetSelectionNode() if logic else None
    active = selection.GetActiveVolumeID() if selection else None
    node = slicer.mrmlScene.GetNodeByID(active) if active else None
    if node is not None and not volumes.problem_with(node):
        return node
    candidates = volumes.screenable(slicer.mrmlScene)
    return candidates[0] if len(candidates) == 1 else None
