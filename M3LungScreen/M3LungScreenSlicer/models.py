"""The model bundles that can be chosen: shipped, in the user's folder, or opened by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .library import library_root
from .packages import version_of

MODELS = Path("Resources") / "Models"
CARD_FILE = "model.json"


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
    return library_root() / MODELS


def list_models(user_folder: Path | None = None) -> list[ModelChoice]:
    """Every bundle under the shipped folder, then under `user_folder`; each hash is checked."""
    places = [shipped_models_folder(), *([user_folder] if user_folder else [])]
    return [open_model(folder) for place in places for folder in _bundles_in(place)]


def open_model(path: Path) -> ModelChoice:
    """The bundle of a folder, or of the model.json or weights file in it."""
    from M3LungScreenLib.bundle import load_bundle
    from M3LungScreenLib.errors import ModelRefused

    folder = path if path.is_dir() else path.parent
    try:
        bundle = load_bundle(folder)
    except ModelRefused as refusal:
        card = _card_as_it_stands(folder)
        name, version = str(card.get("name", "")), str(card.get("version", ""))
        return ModelChoice(folder, name, version, "", card, refusal.message)
    return ModelChoice(folder, bundle.name, bundle.version, bundle.sha256, bundle.card)


def unverified_classes(card: dict[str, Any]) -> tuple[str, ...]:
    """Keys of the classes that the card says were never verified on real CT.

    A class that the card does not mention counts as never verified.
    """
    from M3LungScreenLib.classes import CLASS_KEYS

    verified = card.get("verified_on_real_ct", {})
    return tuple(key for key in CLASS_KEYS if not verified.get(key))


def extras_of(folder: Path) -> tuple[str, ...]:
    """What the model in `folder` needs beside the small runtime: 'torch', 'resnet' or nothing.

    Nothing for a card that cannot be read.
    """
    card = _card_as_it_stands(folder)
    networks = card.get("settings")
    network = networks.get("slice_network") if isinstance(networks, dict) else None
    if not isinstance(network, dict):
        return ()
    needs_torch = "graphs" not in card
    # A card that names no backbone means the library's default.
    is_resnet = "resnet" in str(network.get("backbone", "resnet50"))
    uses_torch = needs_torch or version_of("torch") is not None
    return (*(["torch"] if needs_torch else []), *(["resnet"] if is_resnet and uses_torch else []))


def _bundles_in(place: Path) -> Iterable[Path]:
    """`place` itself if it is a bundle, otherwise the bundles right under it, by name."""
    if (place / CARD_FILE).is_file():
        return [place]
    return sorted(card.parent for card in place.glob(f"*/{CARD_FILE}"))


def _card_as_it_stands(folder: Path) -> dict[str, Any]:
    """What can still be read of a refused bundle's card, to name it in a list."""
    try:
        card = json.loads((folder / CARD_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return card if isinstance(card, dict) else {}
