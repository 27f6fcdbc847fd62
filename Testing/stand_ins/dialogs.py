"""What the user answers in file dialogs."""

import sys
from pathlib import Path
from typing import Any


def choose(monkeypatch: Any, folder: Path | None = None, file: Path | None = None) -> None:
    """Any dialog gives this; nothing is a Cancel."""
    dialog = sys.modules["qt"].QFileDialog  # type: ignore[attr-defined]
    monkeypatch.setattr(dialog, "getExistingDirectory", lambda *a: str(folder or ""))
    for name in ("getSaveFileName", "getOpenFileName"):
        monkeypatch.setattr(dialog, name, lambda *a: str(file or ""))
