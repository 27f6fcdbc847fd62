"""Weights work by the settings they were trained with, also where their shapes do not tell."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from M3LungScreenLib.errors import UsageError
from Training.config import TrainingConfig
from Training.finetune_joint import make_network
from Training.learning.compatibility import check_trained
from Training.learning.run import CHECKPOINT

SmallConfig = Callable[..., TrainingConfig]
POOLING = "model.slice_network.pooling=mean"
WINDOW = "model.preprocessing.window_width_hu=1000"
CORRELATION = "model.patient_network.correlation=signed_sum"


def checkpoint(folder: Path, config: TrainingConfig, *left_out: str) -> None:
    """What a run keeps of its settings, but for those `left_out`."""
    folder.mkdir(parents=True)
    kept = {name: value for name, value in asdict(config).items() if name not in left_out}
    torch.save({"config": kept}, folder / CHECKPOINT)


@pytest.fixture
def a_run(small_config: SmallConfig, tmp_path: Path) -> Path:
    """A folder with the checkpoints of both levels."""
    checkpoint(tmp_path / "slice", small_config(), "patient", "joint")
    checkpoint(tmp_path / "patient", small_config(), "joint")
    return tmp_path


def test_the_settings_of_the_run_are_taken(a_run: Path, small_config: SmallConfig) -> None:
    after_training = "model.assessment.neighbour_sigma_mm=0"
    check_trained(a_run, small_config("slice.epochs=9", "patient.batch=2", after_training))


@pytest.mark.parametrize("setting", [POOLING, WINDOW, CORRELATION])
def test_another_setting_of_the_model_is_refused_by_name(
    a_run: Path, small_config: SmallConfig, setting: str
) -> None:
    name, _, value = setting.partition("=")
    with pytest.raises(UsageError, match=f"trained with {name}=.*, but this config has {value}"):
        check_trained(a_run, small_config(setting))
    with pytest.raises(UsageError, match=name):
        make_network(small_config(setting), None, a_run)


def test_another_patient_level_may_be_trained_over_the_same_slice_level(
    a_run: Path, small_config: SmallConfig
) -> None:
    check_trained(a_run, small_config(CORRELATION), ["slice"])
    for setting in (POOLING, WINDOW):
        with pytest.raises(UsageError, match="slice were trained with"):
            check_trained(a_run, small_config(setting), ["slice"])


def test_the_slice_level_may_have_been_trained_before_another_patient_level(
    small_config: SmallConfig, tmp_path: Path
) -> None:
    checkpoint(tmp_path / "slice", small_config(), "patient", "joint")
    checkpoint(tmp_path / "patient", small_config(CORRELATION), "joint")
    check_trained(tmp_path, small_config(CORRELATION))


@pytest.mark.parametrize("setting", [POOLING, CORRELATION])
def test_a_joint_run_tells_of_both_levels(
    small_config: SmallConfig, tmp_path: Path, setting: str
) -> None:
    checkpoint(tmp_path / "joint", small_config())
    check_trained(tmp_path, small_config())
    with pytest.raises(UsageError, match="joint were trained with"):
        check_trained(tmp_path, small_config(setting))


def test_weights_that_were_copied_alone_are_taken_as_they_are(
    small_config: SmallConfig, tmp_path: Path
) -> None:
    check_trained(tmp_path, small_config(POOLING, CORRELATION))


def test_a_setting_that_came_after_the_run_is_no_difference(
    small_config: SmallConfig, tmp_path: Path
) -> None:
    config = asdict(small_config())
    del config["model"]["slice_network"]["pooling"]
    (tmp_path / "slice").mkdir()
    torch.save({"config": config}, tmp_path / "slice" / CHECKPOINT)
    check_trained(tmp_path, small_config(POOLING))
