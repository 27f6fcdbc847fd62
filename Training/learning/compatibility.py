"""Whether weights are asked to work as they were trained: their shapes do not tell it all."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from M3LungScreenLib.errors import UsageError
from Training.config import TrainingConfig
from Training.learning.run import CHECKPOINT
from Training.stages import flat

# The model's settings that a level's weights depend on; the others are chosen after training.
TRAINED_WITH = "settings.json"  # beside weights that have no checkpoint: the mean of several
SHAPING = {
    "slice": ("preprocessing", "slice_network"),
    "patient": ("preprocessing", "slice_network", "patient_network"),
}


def check_trained(
    out: Path, config: TrainingConfig, levels: Sequence[str] = tuple(SHAPING)
) -> None:
    """Whether the `levels` of the run in `out` were trained with the model settings of `config`.

    UsageError names the first that is another. Weights with nothing beside them that could tell
    are taken as they are.
    """
    for level in levels:
        for folder in (out / level, out / "joint"):
            if (before := _trained_with(folder)) is not None:
                _check_same_model(folder, before, config, SHAPING[level])


def _trained_with(folder: Path) -> dict[str, Any] | None:
    """The config that the weights in `folder` come from, None where nothing tells it."""
    if (folder / CHECKPOINT).is_file():
        # Mapped: of some hundred MB only the settings are read.
        path = folder / CHECKPOINT
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        return dict(checkpoint["config"])
    if (folder / TRAINED_WITH).is_file():
        return dict(json.loads((folder / TRAINED_WITH).read_text("utf-8")))
    return None


def _check_same_model(
    folder: Path, before: dict[str, Any], config: TrainingConfig, parts: Sequence[str]
) -> None:
    # As JSON knows them: lists instead of tuples.
    then, now = (_chosen(json.loads(json.dumps(each)), parts) for each in (before, asdict(config)))
    for name, value in now.items():
        # A setting that is newer than the run is none that it could have had otherwise.
        if (old := then.get(name, value)) != value:
            raise UsageError(
                "config",
                f"The weights in {folder} were trained with {name}={old}, and {value} is "
                "asked for. Use the settings of the run, or train into another --out.",
            )


def _chosen(config: dict[str, Any], parts: Sequence[str]) -> dict[str, Any]:
    return flat({part: config["model"][part] for part in parts}, "model.")
