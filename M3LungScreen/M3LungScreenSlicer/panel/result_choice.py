"""Which result of the CT is shown, where earlier ones were kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..scene.scene_result import SceneResult
from . import wording


class ResultChoice:
    """Lists the results of a CT where there are several; `chosen` hears of another choice."""

    def __init__(self, ui: Any, chosen: Callable[[], None]) -> None:
        self.ui = ui
        self._chosen = chosen
        self._listed: list[SceneResult] = []
        self._current: SceneResult | None = None
        ui.resultSelector.connect("activated(int)", self._activated)

    def of(self, results: Sequence[SceneResult]) -> SceneResult | None:
        """The one of `results` that was chosen last, else the latest; lists them all."""
        if self._current not in results:
            self._current = results[-1] if results else None
        self._listed = list(results)
        box = self.ui.resultSelector
        box.clear()
        for number, each in enumerate(results, start=1):
            box.addItem(f"{number}: {wording.listed_result(each.content, each.frame)}")
        box.currentIndex = self._listed.index(self._current) if self._current else -1
        box.visible = len(results) > 1
        return self._current

    def choose(self, result: SceneResult) -> None:
        """Show this one from now on."""
        self._current = result

    def _activated(self, index: int) -> None:
        self._current = self._listed[index]
        self._chosen()
