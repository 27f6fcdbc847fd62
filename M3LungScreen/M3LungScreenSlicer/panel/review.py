"""The reader's opinion of a result: agree, disagree or another diagnosis, with a note."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from slicer.i18n import translate

# In the report, which is in English.
OPINIONS = {"agree": "Agree", "disagree": "Disagree", "other": "Other diagnosis"}


class ReviewSection:
    """Records through `record(opinion, note)`; shows what is recorded."""

    def __init__(self, ui: Any, record: Callable[[str, str], None]) -> None:
        self.ui = ui
        self._record = record
        for each in OPINIONS:
            self._button(each).connect("toggled(bool)", self.onOpinionChanged)
        ui.noteEdit.connect("textChanged(QString)", self.onOpinionChanged)
        ui.recordButton.connect("clicked(bool)", self.onRecord)
        self.show({})

    def show(self, review: Mapping[str, str]) -> None:
        """The review stored with a result, empty where there is none."""
        for each in OPINIONS:
            button = self._button(each)
            # An exclusive group keeps one checked.
            button.setAutoExclusive(False)
            button.checked = review.get("opinion") == each
            button.setAutoExclusive(True)
        self.ui.noteEdit.text = review.get("note", "")
        self.ui.recordedLabel.text = review_text(review)
        self.onOpinionChanged()

    def _opinion(self) -> str:
        return next((each for each in OPINIONS if self._button(each).checked), "")

    def onOpinionChanged(self) -> None:
        opinion, note = self._opinion(), self.ui.noteEdit.text.strip()
        reason = ""
        if not opinion:
            reason = translate("M3LungScreen", "Select one of the three answers first.")
        elif opinion == "other" and not note:
            reason = translate("M3LungScreen", "Enter the other diagnosis in the note first.")
        self.ui.recordButton.enabled = not reason
        self.ui.recordButton.toolTip = reason or translate(
            "M3LungScreen", "Save this review with the result and in the report."
        )

    def onRecord(self) -> None:
        self._record(self._opinion(), self.ui.noteEdit.text.strip())

    def _button(self, opinion: str) -> Any:
        return getattr(self.ui, f"{opinion}Button")


def review_text(review: Mapping[str, str]) -> str:
    """What is recorded, in a line."""
    if not review.get("opinion"):
        return translate("M3LungScreen", "No review recorded yet.")
    words = {
        "agree": translate("M3LungScreen", "Agree"),
        "disagree": translate("M3LungScreen", "Disagree"),
        "other": translate("M3LungScreen", "Other diagnosis"),
    }
    return translate("M3LungScreen", "Recorded: {opinion}, {time}").format(
        opinion=words[review["opinion"]], time=review.get("time", "")
    )
