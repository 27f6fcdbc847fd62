"""The model bundles that can be chosen: shipped, in the user's folder, or opened by hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ModelChoice:
    """One bundle on disk; `problem` says in one sentence why it cannot be used, or ''."""

    folder: Path
    name: str
    version: str
    sha256: str
    card: dict[str, Any]
    problem: str = ""

    @property
    def label(self) -> str:
        """What a list shows: name and version, or the folder's name."""
        return f"{self.name} {self.version}".strip() or self.folder.name


def shipped_models_folder() -> Path:
    """Resources/Models beside the library, installed or in a checkout."""
    raise NotImplementedError


def list_models(user_folder: Path | None = None) -> list[ModelChoice]:
    """Every bundle under the shipped folder, then under `user_folder`; each hash is checked."""
    raise NotImplementedError


def open_model(path: Path) -> ModelChoice:
    """The bundle of a folder, or of the model.json or weights file in it."""
    raise NotImplementedError


def unverified_classes(card: dict[str, Any]) -> tuple[str, ...]:
    """Keys of the classes that the card says were never verified on real CT."""
    raise NotImplementedError
