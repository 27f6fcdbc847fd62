from dataclasses import replace
from pathlib import Path

import pytest

from M3LungScreenLib.errors import UsageError
from M3LungScreenLib.settings import PRESETS
from Training.config import load_config

CONFIGS = Path(__file__).parents[2] / "Training" / "configs"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_config_that_ships_is_read(path):
    assert load_config(path, []).name == path.stem


def test_a_dotted_override_wins_over_the_file(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("slice: {epochs: 2}\n")
    config = load_config(path, ["slice.epochs=7", "model.slice_network.similarity=cosine"])
    assert config.slice.epochs == 7
    assert config.slice.pairs == load_config(path, []).slice.pairs
    assert config.model.slice_network.similarity == "cosine"


def test_a_file_changes_one_setting_of_its_presets_model(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("preset: compact\nmodel: {slice_network: {pooling: mean}}\n")
    model, preset = load_config(path, []).model, PRESETS["compact"]
    assert model.slice_network == replace(preset.slice_network, pooling="mean")
    assert model == replace(preset, slice_network=model.slice_network)


@pytest.mark.parametrize(
    ("text", "override", "sentence"),
    [
        ("slices: {}", [], "has no slices"),
        ("preset: tiny", [], r"There is no preset 'tiny'\. Available: paper, compact"),
        ("", ["slice.epochs"], "Write --set key=value"),
        ("", ["slice.epoch=3"], "no setting 'epoch'"),
        ("", ["slice.schedule=cosine"], "is 'cosine' but must be one of 'one_cycle', 'steps'"),
        ("slice: {epochs: many}", [], "slice.epochs is 'many' but must be a whole number"),
        ("", ["slice.epochs=0"], "slice.epochs is 0 but must be a whole number from 1"),
        (
            "",
            ["patient.feature_dropout=1.5"],
            "feature_dropout is 1.5 but must be a number from 0 to 1",
        ),
        ("", ["model.patient_network.correlation=nonsense"], "must be one of 'signed_sum'"),
        ("model: {assessment: {temperature: .nan}}", [], "temperature is nan"),
        ("data: {patient_backgrounds: [3]}", [], "each entry text"),
        ("data: {copies: 3}", [], "data.copies is 3 but must be a group of in_volume, in_slice"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, text, override, sentence):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=sentence):
        load_config(path, override)


def test_a_missing_config_is_named(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        load_config(tmp_path / "none.yaml", [])


def test_the_paper_config_is_the_papers_schedule():
    config = load_config(CONFIGS / "paper.yaml", [])
    chosen, patient = config.slice, config.patient
    assert (chosen.epochs, 2 * chosen.pairs, chosen.learning_rate) == (110, 32, 0.01)
    assert (chosen.decay_every_epochs, patient.decay_every_epochs) == (40, 30)
    assert (patient.epochs, patient.batch, patient.learning_rate) == (90, 16, 0.001)
    assert (config.model.preprocessing.input_size, chosen.map_loss_weight) == (512, 0)
