"""Installs the packages that screening needs, from the internet or from a folder.

PyTorch is offered, for an NVIDIA GPU; the CPU does without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import translate

from .. import installation
from ..installation import InstallationRefused, Plan


class PackageSection:
    """Asks, then calls `install` with a plan; `show_message` gets the reason if it cannot.

    `extras` returns what the selected model needs beside the small runtime.
    """

    def __init__(
        self,
        ui: Any,
        requirements: Path,
        extras: Callable[[], tuple[str, ...]],
        install: Callable[[Plan], None],
        show_message: Callable[[str], None],
    ) -> None:
        self.ui = ui
        self._requirements = requirements
        self._extras = extras
        self._install = install
        self._show_message = show_message
        ui.installButton.connect("clicked(bool)", self.onInstallFromFolder)
        ui.gpuButton.connect("clicked(bool)", self.onInstallTorch)
        ui.restartButton.connect("clicked(bool)", restart)
        self.update()

    def update(self) -> None:
        """Offer PyTorch where a GPU is waiting for it."""
        self.ui.gpuButton.visible = installation.offers_torch(self._requirements)

    @property
    def complete(self) -> bool:
        """Whether the chosen model can run."""
        return self.has(self._extras())

    def has(self, extras: Sequence[str]) -> bool:
        """Whether the small runtime and `extras` are there."""
        return not installation.missing_packages(self._requirements, extras)

    def install_missing(self, extras: Sequence[str]) -> None:
        """Ask, and install the runtime and `extras` from the internet if the answer is yes."""
        self._install_plan(lambda: installation.plan(self._requirements, extras), ask=True)

    def onInstallTorch(self) -> None:
        self.install_missing(tuple(dict.fromkeys(("torch", *self._extras()))))

    def onInstallFromFolder(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(
            self.ui.installButton,
            translate("M3LungScreen", "Select the folder with the Python wheels (.whl)"),
        )
        if folder:
            place = Path(folder)
            extras = self._extras()
            if any(place.glob("highdicom-*.whl")):
                extras = (*extras, installation.DICOM)
            self._install_plan(
                lambda: installation.plan_from_folder(place, self._requirements, extras)
            )

    def _install_plan(self, make_plan: Callable[[], Plan], ask: bool = False) -> None:
        try:
            plan = make_plan()
            if ask:
                installation.ask(plan)
            self._install(plan)
        except InstallationRefused as refusal:
            self._show_message(str(refusal))


def restart() -> None:
    """Slicer asks about unsaved changes itself."""
    import slicer.util

    slicer.util.restart()
