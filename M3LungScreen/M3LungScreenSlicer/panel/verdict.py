"""The classification panel: verdict, four bars, slice count, involvement, origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import qt
from slicer.i18n import translate

from M3LungScreenLib.classes import CLASSES, class_by_key
from M3LungScreenLib.outputs.wording import percent

from . import wording
from .details import Details

BAR_STEPS = 1000
BAR_HEIGHT = 12
BAR_LEAST_WIDTH = 60


class VerdictPanel:
    """Shows one of: nothing, a run without a verdict, a provisional verdict, a result."""

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        for each in CLASSES:
            bar = self._widget(each.key, "Bar")
            bar.setFixedHeight(BAR_HEIGHT)
            bar.setMinimumWidth(BAR_LEAST_WIDTH)
            palette = qt.QPalette()  # all other colours stay the theme's
            palette.setColor(qt.QPalette.Highlight, qt.QColor(each.color))
            bar.setPalette(palette)
            self._widget(each.key, "Label").text = wording.class_name(each.key)
        self._details = Details(ui.originDetailsButton, ui.originDetailsLabel)
        self.show_nothing()

    def show_nothing(self) -> None:
        """No result for this CT."""
        self._show_words(
            translate("M3LungScreen", "No result yet."),
            translate("M3LungScreen", "Select a chest CT and click Screen."),
        )

    def show_waiting(self) -> None:
        """A screening has started and has no result yet."""
        self._show_words(
            translate("M3LungScreen", "Screening…"),
            translate("M3LungScreen", "A provisional verdict will appear shortly."),
        )

    def show_stopped(self) -> None:
        """A screening ended without a result; the reason is in the message below the button."""
        self._show_words(
            translate("M3LungScreen", "No result."),
            translate("M3LungScreen", "See the message above."),
        )

    def show_provisional(self, event: Mapping[str, Any], unverified: Sequence[str]) -> None:
        """A first verdict from part of the slices; `unverified` are keys of classes."""
        self._show_words(wording.verdict_text(event["verdict"]), wording.provisional(event))
        self.ui.verdictLabel.text = wording.large_text(
            event["verdict"], wording.verdict_text(event["verdict"])
        )
        self._show_bars(event["probabilities"], unverified)
        self._fill(self.ui.unverifiedLabel, wording.unverified_legend(unverified))

    def show_frame(self, frame: Mapping[str, Any], another_is_shown: bool) -> None:
        """Which frame of a sequence the result is of."""
        self._fill(self.ui.frameLabel, wording.frame_note(frame, another_is_shown))

    def show_result(self, content: Mapping[str, Any]) -> None:
        """The final result: result.json's plain values."""
        self.ui.verdictLabel.text = wording.headline(content)
        self.ui.sureLabel.text = wording.certainty(content)
        unverified = content["model"].get("unverified", ())
        probabilities = wording.probabilities(content)
        self.ui.barsWidget.visible = probabilities is not None
        if probabilities:
            self._show_bars(probabilities, unverified)
        self._fill(self.ui.unverifiedLabel, wording.unverified_legend(unverified))
        self._fill(self.ui.countLabel, wording.slice_count(content))
        self._fill(self.ui.warningsLabel, wording.warnings(content))
        self._fill(self.ui.involvementLabel, wording.involvement(content))
        self._fill(self.ui.originLabel, wording.origin(content))
        self._details.show(wording.origin_details(content))

    def _show_words(self, headline: str, below: str) -> None:
        self.ui.verdictLabel.text = f"<b>{headline}</b>"
        self.ui.sureLabel.text = below
        self.ui.barsWidget.visible = False
        for label in (
            "unverifiedLabel",
            "countLabel",
            "warningsLabel",
            "involvementLabel",
            "originLabel",
            "frameLabel",
        ):
            self._fill(getattr(self.ui, label), "")
        self._details.show("")

    def _show_bars(self, probabilities: Mapping[str, float], unverified: Sequence[str]) -> None:
        self.ui.barsWidget.visible = True
        for key, share in probabilities.items():
            bar = self._widget(key, "Bar")
            bar.value = round(BAR_STEPS * share)
            bar.accessibleName = f"{class_by_key(key).name} {percent(share)}"
            self._widget(key, "Number").text = percent(share)
            self._fill(self._widget(key, "Note"), wording.unverified_note(key, unverified))

    def _widget(self, key: str, part: str) -> Any:
        return getattr(self.ui, key + part)

    @staticmethod
    def _fill(label: Any, text: str) -> None:
        label.text = text
        label.visible = bool(text)
