"""A 'Details' button with a text below it, hidden until the button is clicked."""

from __future__ import annotations

from typing import Any

import qt


class Details:
    """`button` shows and hides `widget`, whose text is its property `text_property`."""

    def __init__(self, button: Any, widget: Any, text_property: str = "text") -> None:
        self._button, self._widget, self._property = button, widget, text_property
        self._text: str | None = None
        button.connect("toggled(bool)", self.onToggled)
        self.show("")

    def show(self, text: str) -> None:
        """Another text, hidden at first; without a text there is no button."""
        if text == self._text:
            return
        self._text = text
        setattr(self._widget, self._property, text)
        self._button.visible = bool(text)
        self._button.checked = False
        self.onToggled(False)

    def onToggled(self, shown: bool) -> None:
        self._widget.visible = shown
        self._button.arrowType = qt.Qt.DownArrow if shown else qt.Qt.RightArrow
