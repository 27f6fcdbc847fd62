"""The button, why it cannot be clicked, the progress of a run and how it ended."""

from __future__ import annotations

from html import escape
from typing import Any

from slicer.i18n import translate

from ..screening_session import State, Status
from . import wording
from .details import Details

BAR_STEPS = 1000


class RunSection:
    """Shows a status of the logic; the button is Cancel while it is busy."""

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self.position = ""  # of the CT, where several are screened
        ui.progressBar.maximum = BAR_STEPS
        self._details = Details(ui.detailsButton, ui.detailsText, "plainText")

    def show_reason(self, reason: str) -> None:
        """Why the button is disabled, as its tooltip and as a line below; '' enables it."""
        self.ui.screenButton.enabled = not reason
        self.ui.screenButton.toolTip = reason or translate(
            "M3LungScreen", "Screen the selected CT for pneumonia."
        )
        self.ui.reasonLabel.text = reason
        self.ui.reasonLabel.visible = bool(reason)

    def show_reason_for_all(self, reason: str) -> None:
        """Why 'Screen all' is disabled, as its tooltip; '' enables it."""
        self.ui.screenAllButton.enabled = not reason
        self.ui.screenAllButton.toolTip = reason or translate(
            "M3LungScreen", "Screen every CT in the scene, one after another."
        )

    def show_status(self, status: Status) -> None:
        """Button, progress and message of `status`."""
        busy, installing = status.state.busy, status.state is State.INSTALLING
        self.ui.screenButton.text = (
            translate("M3LungScreen", "Cancel") if busy else translate("M3LungScreen", "Screen")
        )
        if busy:
            self.ui.screenButton.enabled = True
            self.ui.screenButton.toolTip = (
                translate("M3LungScreen", "Cancel. Results so far stay in the scene.")
                if self.position
                else translate("M3LungScreen", "Cancel the screening. The scene is not changed.")
            )
            self.show_reason_for_all(
                translate("M3LungScreen", "A screening is running. Cancel it, or wait.")
            )
        if installing:
            self.show_reason(installing_reason())
            self.show_reason_for_all(installing_reason())
        for selector in ("inputSelector", "modelSelector", "deviceSelector", "resultSelector"):
            getattr(self.ui, selector).enabled = not busy
        for button in (self.ui.installButton, self.ui.gpuButton):
            button.enabled = not (busy or installing)
        self.ui.restartButton.visible = bool(status.replaced)
        self._show_progress(status, busy or installing)
        self._show_message(status_message(status), status.details)

    def show_message(self, message: str, details: str = "") -> None:
        """A sentence that is no status of a run, for example of an installation."""
        self._show_message(escape(message), details)

    def show_summary(self, text: str) -> None:
        """What became of several screenings, as rich text; nothing runs any more."""
        self.position = ""
        self.show_status(Status())
        self._show_message(text, "")

    def _show_progress(self, status: Status, busy: bool) -> None:
        self.ui.progressBar.visible = busy
        self.ui.progressLabel.visible = busy
        # A busy indicator moves by itself until the first number is known.
        unknown = status.state in (State.STARTING, State.INSTALLING)
        self.ui.progressBar.maximum = 0 if unknown else BAR_STEPS
        self.ui.progressBar.value = round(BAR_STEPS * status.fraction)
        if status.state is State.INSTALLING:
            self.ui.progressLabel.text = wording.installing(status.message)
        else:
            step = wording.step(status.step, status.seconds_left)
            self.ui.progressLabel.text = ". ".join(filter(None, (self.position, step)))

    def _show_message(self, message: str, details: str) -> None:
        self.ui.messageLabel.text = message
        self.ui.messageLabel.visible = bool(message)
        self._details.show(details)


def installing_reason() -> str:
    """Why nothing else can be started during an installation."""
    return translate(
        "M3LungScreen", "Packages are being installed. You can work in other modules meanwhile."
    )


def status_message(status: Status) -> str:
    """Rich text: notices on the way, and how a run without a result or an installation ended."""
    lines = [f"• {escape(each)}" for each in status.notices]
    headings = {
        State.REFUSED: "⚠ <b>" + translate("M3LungScreen", "Not screened."),
        State.FAILED: "⚠ <b>" + translate("M3LungScreen", "The screening failed."),
        State.CANCELLED: "<b>" + translate("M3LungScreen", "Cancelled."),
        State.NOT_INSTALLED: "⚠ <b>" + translate("M3LungScreen", "Not installed."),
    }
    if status.state in headings:
        lines.append(f"{headings[status.state]}</b> {escape(status.message)}")
    if status.state is State.INSTALLED:
        lines.append(translate("M3LungScreen", "The packages have been installed."))
    if status.replaced:
        words = translate(
            "M3LungScreen",
            "{packages} was replaced while in use. Restart Slicer before you use other modules.",
        )
        lines.append(escape(words.format(packages=", ".join(status.replaced))))
    return "<br>".join(lines)
