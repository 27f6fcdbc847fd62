"""The device selector: automatic, or one of the devices that the child process found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from slicer.i18n import translate

AUTOMATIC = "auto"
CPU = "cpu"
MIB_PER_GB = 1024


class DeviceSelector:
    """Fills the device selector; `on_selected` gets the logic's `device`."""

    def __init__(self, ui: Any, on_selected: Callable[[str], None]) -> None:
        self.box = ui.deviceSelector
        self._on_selected = on_selected
        self._names: list[str] = []
        self._shown: list[Mapping[str, Any]] = []
        self.box.connect("activated(int)", lambda index: self._on_selected(self._names[index]))
        self.show_devices(())

    @property
    def current(self) -> str:
        """What the logic takes as `device`."""
        return self._names[self.box.currentIndex] if self._names else AUTOMATIC

    def show_devices(self, devices: Sequence[Mapping[str, Any]]) -> None:
        """The devices of the child's hello; before it, automatic and CPU."""
        if self._names and list(devices) == self._shown:
            return
        self._shown = list(devices)
        before = self.current
        known = list(devices) or [
            {"name": CPU, "description": translate("M3LungScreen", "CPU"), "free_mb": None}
        ]
        self._names = [AUTOMATIC, *(each["name"] for each in known)]
        self.box.clear()
        self.box.addItem(translate("M3LungScreen", "Automatic"))
        for each in known:
            self.box.addItem(device_text(each))
        self.select(before)

    def select(self, name: str) -> None:
        """Select a device; automatic if it is not on this computer."""
        self.box.currentIndex = self._names.index(name) if name in self._names else 0


def device_text(device: Mapping[str, Any]) -> str:
    """A device's description with its free memory."""
    if device["free_mb"] is None:
        return str(device["description"])
    free = f"{device['free_mb'] / MIB_PER_GB:.1f}"
    return translate("M3LungScreen", "{name}, {free} GB free").format(
        name=device["description"], free=free
    )
