"""The packages that screening needs: what is missing, the question, and the button for a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import translate

from .. import installation
from ..installation import InstallationRefused, Plan


class PackageSection:
    """Asks, then hands a plan to `install`; `say` shows a sentence where nothing is installed.

    `backbone` tells that of the chosen model, which decides what it needs.
    """

    def __init__(
        self,
        ui: Any,
        requirements: Path,
        backbone: Callable[[], str],
        install: Callable[[Plan], None],
        say: Callable[[str], None],
    ) -> None:
        self.ui = ui
        self._requirements = requirements
        self._backbone = backbone
        self._install = install
        self._say = say
        ui.installButton.connect("clicked(bool)", self._from_folder)
        ui.restartButton.connect("clicked(bool)", restart)

    @property
    def complete(self) -> bool:
        """Whether the chosen model can run."""
        return not installation.missing_packages(self._requirements, self._backbone())

    def install_missing(self) -> None:
        """Ask, and install from the internet if the answer is yes."""
        self._try(lambda: installation.plan(self._requirements, self._backbone()), ask=True)

    def _from_folder(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(
            self.ui.installButton, translate("M3LungScreen", "A folder of Python wheels")
        )
        if folder:
            place = Path(folder)
            backbone = self._backbone()
            self._try(lambda: installation.plan_from_folder(place, self._requirements, backbone))

    def _try(self, make_plan: Callable[[], Plan], ask: bool = False) -> None:
        try:
            plan = make_plan()
            if ask:
                installation.ask(plan)
            self._install(plan)
        except InstallationRefused as refusal:
            self._say(str(refusal))


def restart() -> None:
    """Slicer asks about unsaved changes itself."""
    import slicer.util

    slicer.util.restart()
