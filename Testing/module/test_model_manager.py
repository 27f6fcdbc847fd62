"""Models opened from files and folders, and their cards."""

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from Testing.stand_ins.dialogs import choose

SHIPPED = Path(__file__).parents[2] / "Resources" / "Models" / "compact"


@pytest.fixture
def a_bundle_elsewhere(tmp_path):
    folder = tmp_path / "ein Modell für später"
    return Path(shutil.copytree(SHIPPED, folder))


def test_a_model_from_a_file_is_chosen_with_its_card(widget, monkeypatch, a_bundle_elsewhere):
    choose(monkeypatch, file=a_bundle_elsewhere / "model.json")
    widget.ui.openModelButton.click()
    assert str(a_bundle_elsewhere) in widget.ui.cardDetailsLabel.text
    widget.ui.screenButton.click()
    assert widget.logic.calls[-1][2] == a_bundle_elsewhere


def test_a_damaged_model_disables_the_button_and_says_why(widget, monkeypatch, a_bundle_elsewhere):
    weights = a_bundle_elsewhere / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    choose(monkeypatch, file=a_bundle_elsewhere / "model.json")
    widget.ui.openModelButton.click()
    assert not widget.ui.screenButton.enabled
    assert "damaged" in widget.ui.reasonLabel.text


def test_a_models_folder_is_remembered(widget, monkeypatch, a_bundle_elsewhere, tmp_path):
    qt = sys.modules["qt"]
    monkeypatch.setattr(qt, "QSettings", lambda: kept)
    kept = SimpleNamespace(values={}, value=lambda key: kept.values.get(key))
    kept.setValue = kept.values.__setitem__
    before = widget.ui.modelSelector.count
    choose(monkeypatch, folder=tmp_path)
    widget.ui.modelFolderButton.click()
    assert kept.values == {"M3LungScreen/ModelsFolder": str(tmp_path)}
    assert widget.ui.modelSelector.count == before + 1


def test_the_card_is_three_lines_the_rest_is_behind_details(widget):
    ui = widget.ui
    assert ui.cardLabel.text.count("<br>") == 2
    assert not ui.cardDetailsLabel.visible
    ui.cardDetailsButton.click()
    assert ui.cardDetailsLabel.visible
    assert "SHA-256" in ui.cardDetailsLabel.text
    ui.opacitySlider.value = 0.9  # updates the panel
    assert ui.cardDetailsLabel.visible
