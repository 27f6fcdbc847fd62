"""Whether weights are asked to work as they were trained: their shapes do not tell it all."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from M3LungScreenLib.errors import UsageError
from Training.config import TrainingConfig, flat
from Training.loop import CHECKPOINT

# The model's settings that a level's weights depend on; the others are chosen after training.
SHAPING = {
    "slice": ("preprocessing", "slice_network"),
    "patient": ("preprocessing", "slice_network", "patient_network"),
}


def check_trained(
    out: Path, config: TrainingConfig, levels: Sequence[str] = tuple(SHAPING)
) -> None:
    """Whether the `levels` of the run in `out` were trained with the model settings of `config`.

    UsageError names the first that is another. Weights without a checkpoint that could tell
    are taken as they are.
    """
    for level in levels:
        for folder in (out / level, out / "joint"):
            if (folder / CHECKPOINT).is_file():
                _check_same_model(folder / CHECKPOINT, config, SHAPING[level])


def _check_same_model(path: Path, config: TrainingConfig, parts: Sequence[str]) -> None:
    # Mapped: of some hundred MB only the settings are read.
    checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    before, now = (_chosen(each, parts) for each in (checkpoint["config"], asdict(config)))
    for name, value in now.items():
        # A setting that is newer than the run is none that it could have had otherwise.
        if (old := before.get(name, value)) != value:
            raise UsageError(
                "config",
                f"The weights in {path.parent} were trained with {name}={old}, and {value} is "
                "asked for. Use the settings of the run, or train into another --out.",
            )


def _chosen(config: dict[str, Any], parts: Sequence[str]) -> dict[str, Any]:
    return flat({part: config["model"][part] for part in parts}, "model.")
