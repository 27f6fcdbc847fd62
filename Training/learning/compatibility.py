"""Checks that weights are used with the model settings they were trained with."""

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

# Model settings that the weights of a level depend on; the others are chosen after training.
TRAINED_WITH = "settings.json"  # for averaged weights, which have no checkpoint
SHAPING = {
    "slice": ("preprocessing", "slice_network"),
    "patient": ("preprocessing", "slice_network", "patient_network"),
}


def check_trained(
    out: Path, config: TrainingConfig, levels: Sequence[str] = tuple(SHAPING)
) -> None:
    """UsageError if `levels` of the run in `out` were trained with other model settings.

    Weights without a checkpoint or settings beside them are not checked.
    """
    for level in levels:
        for folder in (out / level, out / "joint"):
            if (before := _trained_with(folder)) is not None:
                _check_same_model(folder, before, config, SHAPING[level])


def _trained_with(folder: Path) -> dict[str, Any] | None:
    """The config of the weights in `folder`, None if there is no record of it."""
    if (folder / CHECKPOINT).is_file():
        # Memory-mapped: only the settings are read, not the weights.
        path = folder / CHECKPOINT
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        return dict(checkpoint["config"])
    if (folder / TRAINED_WITH).is_file():
        return dict(json.loads((folder / TRAINED_WITH).read_text("utf-8")))
    return None


def _check_same_model(
    folder: Path, before: dict[str, Any], config: TrainingConfig, parts: Sequence[str]
) -> None:
    # JSON has lists for tuples.
    then, now = (_chosen(json.loads(json.dumps(each)), parts) for each in (before, asdict(config)))
    for name, value in now.items():
        # A setting that was added after the run had its default.
        if (old := then.get(name, value)) != value:
            raise UsageError(
                "config",
                f"The weights in {folder} were trained with {name}={old}, but this config has "
                f"{value}. Use the settings of the run, or train into another --out.",
            )


def _chosen(config: dict[str, Any], parts: Sequence[str]) -> dict[str, Any]:
    return flat({part: config["model"][part] for part in parts}, "model.")
