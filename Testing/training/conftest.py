"""Small slices and patients without a simulator: bright discs on noise."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from M3LungScreenLib.networks.slice_network import SliceNetwork
from Training.config import TrainingConfig, load_config
from Training.samples import SliceSamples

SMOKE = Path(__file__).parents[2] / "Training/configs/smoke.yaml"
SIZE = 64


def slices_with_discs(count: int, seed: int = 0, size: int = SIZE) -> SliceSamples:
    """Lung-like noise, `ill` with a disc of soft tissue whose size tells the class."""
    rng = np.random.default_rng(seed)
    clean = rng.normal(-850, 30, (count, size, size)).astype(np.int16)
    classes = 1 + np.arange(count) % 3
    row, column = np.mgrid[:size, :size] / size
    places = rng.uniform(0.3, 0.7, (count, 2))
    truth = np.stack(
        [
            (row - y) ** 2 + (column - x) ** 2 < (0.08 * k) ** 2
            for (y, x), k in zip(places, classes, strict=True)
        ]
    )
    return SliceSamples(np.where(truth, np.int16(-100), clean), clean, truth, classes)


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
