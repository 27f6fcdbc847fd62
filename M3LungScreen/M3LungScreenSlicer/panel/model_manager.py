"""The model selector and the card of the selected model."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import translate

from M3LungScreenLib.classes import class_by_key

from ..models import (
    CARD_FILE,
    ModelChoice,
    extras_of,
    list_models,
    open_model,
    unverified_classes,
)
from .details import Details
from .wording import bullets

MODELS_FOLDER_KEY = "M3LungScreen/ModelsFolder"


class ModelManager:
    """Fills the model selector; `on_model_selected` gets the folder of another model."""

    def __init__(self, ui: Any, on_model_selected: Callable[[str], None]) -> None:
        self.ui = ui
        self._on_model_selected = on_model_selected
        self._models: list[ModelChoice] = []
        self._opened: list[Path] = []
        self._details = Details(ui.cardDetailsButton, ui.cardDetailsLabel)
        ui.modelSelector.connect("activated(int)", self.onModelActivated)
        ui.openModelButton.connect("clicked(bool)", self.onOpenModel)
        ui.modelFolderButton.connect("clicked(bool)", self.onModelsFolder)
        self.refresh()

    @property
    def current(self) -> ModelChoice | None:
        """The model in the selector."""
        index = self.ui.modelSelector.currentIndex
        return self._models[index] if 0 <= index < len(self._models) else None

    @property
    def unverified(self) -> tuple[str, ...]:
        """Keys of the classes that the chosen model was never verified on."""
        return unverified_classes(self.current.card) if self.current else ()

    @property
    def extras(self) -> tuple[str, ...]:
        """The packages that the chosen model needs beside the small runtime; see `extras_of`."""
        return extras_of(self.current.folder) if self.current else ()

    def refresh(self, folder: str = "") -> None:
        """List the models on disk again; `folder`, or the current model, stays selected."""
        before = folder or (str(self.current.folder) if self.current else "")
        user_folder = qt.QSettings().value(MODELS_FOLDER_KEY)
        self._models = list_models(Path(user_folder) if user_folder else None)
        others = [each for each in self._opened if each not in self._folders()]
        self._models += [open_model(each) for each in others]
        self.ui.modelSelector.clear()
        for each in self._models:
            self.ui.modelSelector.addItem(selector_text(each))
        self.select(before)

    def select(self, folder: str) -> None:
        """Choose the model in `folder`, the first one for ''; opens it if it is not listed."""
        if folder and Path(folder).exists() and Path(folder) not in self._folders():
            self._models.append(opened := open_model(Path(folder)))
            self._opened.append(opened.folder)
            self.ui.modelSelector.addItem(selector_text(opened))
        folders = self._folders()
        if folders:
            at = folders.index(Path(folder)) if Path(folder) in folders else 0
            self.ui.modelSelector.currentIndex = at
        self._show_card()

    def _folders(self) -> list[Path]:
        return [each.folder for each in self._models]

    def problem(self) -> str:
        """Why the selected model cannot be used, in one sentence; '' if it can."""
        if self.current is None:
            return translate(
                "M3LungScreen", "No model was found. Open a model bundle under Models."
            )
        return self.current.problem

    def onModelActivated(self, index: int) -> None:
        self._show_card()
        self._on_model_selected(str(self._models[index].folder))

    def onOpenModel(self) -> None:
        card = qt.QFileDialog.getOpenFileName(
            self.ui.openModelButton,
            translate("M3LungScreen", "Open a model bundle"),
            "",
            f"{CARD_FILE} ({CARD_FILE})",
        )
        if card:
            folder = str(Path(card).parent)
            self.select(folder)
            self._on_model_selected(folder)

    def onModelsFolder(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(
            self.ui.modelFolderButton, translate("M3LungScreen", "Select a folder of model bundles")
        )
        if folder:
            qt.QSettings().setValue(MODELS_FOLDER_KEY, folder)
            self.refresh()

    def _show_card(self) -> None:
        model = self.current
        self.ui.cardLabel.text = card_text(model) if model else self.problem()
        self._details.show(card_details(model) if model else "")


def selector_text(model: ModelChoice) -> str:
    """A model's line in the selector, with a sign if it cannot be used."""
    return ("⚠ " if model.problem else "") + model.label


def card_text(model: ModelChoice) -> str:
    """The model in at most three lines: its name, its use, and the classes never verified."""
    lines = [f"<b>{escape(model.label)}</b>"]
    if model.problem:
        lines.append(f"⚠ {escape(model.problem)}")
    if model.card.get("intended_use"):
        lines.append(escape(str(model.card["intended_use"])))
    names = ", ".join(class_by_key(key).name for key in unverified_classes(model.card))
    if names:
        lines.append(
            translate("M3LungScreen", "Never verified on real CT: {names}.").format(names=names)
        )
    return "<br>".join(lines)


def card_details(model: ModelChoice) -> str:
    """The notes of the model card, the model's folder and its hash."""
    notes = [escape(str(note)) for note in model.card.get("notes", ())]
    where = [escape(str(model.folder)), f"SHA-256 {escape(model.sha256[:16])}…"]
    return bullets([*notes, *where]).removeprefix("<br>")
