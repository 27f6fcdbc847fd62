"""The selector of results, for a CT whose earlier results were kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..scene.scene_result import SceneResult
from . import wording


class ResultChoice:
    """Lists the results of a CT if there are several; `on_selected` gets the selected one."""

    def __init__(self, ui: Any, on_selected: Callable[[SceneResult], None]) -> None:
        self.ui = ui
        self._on_selected = on_selected
        self._listed: list[SceneResult] = []
        self._current: SceneResult | None = None
        ui.resultSelector.connect("activated(int)", self.onResultActivated)

    def of(self, results: Sequence[SceneResult]) -> SceneResult | None:
        """List `results`; returns the one selected last, else the latest."""
        if self._current not in results:
            self._current = results[-1] if results else None
        self._listed = list(results)
        box = self.ui.resultSelector
        box.clear()
        for number, each in enumerate(results, start=1):
            box.addItem(f"{number}: {wording.result_line(each.content, each.frame)}")
        box.currentIndex = self._listed.index(self._current) if self._current else -1
        box.visible = len(results) > 1
        return self._current

    def select(self, result: SceneResult) -> None:
        """Select this one when its CT is shown next."""
        self._current = result

    def onResultActivated(self, index: int) -> None:
        self._current = self._listed[index]
        self._on_selected(self._listed[index])
