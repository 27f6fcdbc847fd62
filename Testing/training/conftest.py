"""A config small enough for a test, and its network."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from M3LungScreenLib.networks.slice_network import SliceNetwork
from Testing.stand_ins.slices import SIZE
from Training.config import TrainingConfig, load_config

SMOKE = Path(__file__).parents[2] / "Training/configs/smoke.yaml"


@pytest.fixture
def small_config() -> Callable[..., TrainingConfig]:
    """The smoke config at 64 pixels, with `overrides` as of --set."""

    def make(*overrides: str) -> TrainingConfig:
        smallest = [f"model.preprocessing.input_size={SIZE}", "slice.precision=float32"]
        return load_config(SMOKE, [*smallest, *overrides])

    return make


@pytest.fixture
def untrained() -> Callable[[TrainingConfig], SliceNetwork]:
    """The slice-level network with the same random weights each time."""

    def make(config: TrainingConfig) -> SliceNetwork:
        torch.manual_seed(0)
        return SliceNetwork(config.model.slice_network)

    return make
