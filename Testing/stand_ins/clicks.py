"""What a user clicks, with a logic that does what a test tells it (see screening.py)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any


def screen(widget: Any, folder: Path, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Click Screen; the run ends with the result of `folder`."""
    widget.ui.screenButton.click()
    meanwhile()
    widget.logic.finish(folder)
