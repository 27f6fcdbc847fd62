"""A bundle's card: what a person should know of the model before they trust it."""

import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

from M3LungScreenLib.bundle import load_bundle
from M3LungScreenLib.classes import CLASS_KEYS, CLASSES
from Training.config import TrainingConfig
from Training.learning.weights import weights_sha256
from Training.sources.learning_data import LearningData

INITIAL_WEIGHTS = {
    "efficientnet_lite0": "EfficientNet-Lite0, ImageNet (Apache-2.0)",
    "resnet50": "ResNet-50, ImageNet (BSD-3-Clause)",
}


def make_card(
    config: TrainingConfig, data: LearningData, metrics: dict[str, Any], init: Path | None = None
) -> dict[str, Any]:
    """What a person should know of the model before they trust it.

    `init` is the bundle (or the run's best.pt) that training started from, None for ImageNet's.
    """
    return {
        "preset": config.name,
        "intended_use": "Research only: not for clinical decisions.",
        "training_data": {
            **data.origin(),
            "initial_weights": _initial(config, init),
            "location_map_loss": config.slice.map_loss_weight,
        },
        "notes": [
            data.sentence(),
            verification_note(dict.fromkeys(CLASS_KEYS, 0)),
            "Probabilities are not calibrated on real patients.",
        ],
        "verified_on_real_ct": dict.fromkeys(CLASS_KEYS, 0),
        "training": asdict(config),
        "metrics": metrics,
        "git_revision": _revision(),
        "licence": "Apache-2.0",
    }


def verification_note(counts: dict[str, int]) -> str:
    """What the panel says of the classes: on how many real patients the verdict was right."""
    tried = [f"{each.name} ({counts[each.key]})" for each in CLASSES if counts[each.key]]
    never = [each.name for each in CLASSES if not counts[each.key]]
    told = f"Right on this many real patients: {', '.join(tried)}; too few to rely on. " * bool(
        tried
    )
    return told + f"Never verified on real CT: {', '.join(never)}." * bool(never)


def _initial(config: TrainingConfig, init: Path | None) -> Any:
    """Where the weights began; of a bundle what it was trained on, too, for its licences hold.

    UsageError for a best.pt that is not there, ModelRefused for such a bundle.
    """
    if init is None:
        return INITIAL_WEIGHTS[config.model.slice_network.backbone]
    if init.suffix == ".pt":
        return {"weights": init.name, "sha256": weights_sha256(init)}
    bundle = load_bundle(init)
    return {
        "model": f"{bundle.name} {bundle.version} ({bundle.sha256[:12]})",
        "training_data": bundle.card.get("training_data", "unknown"),
    }


def _revision() -> str:
    """That of this checkout; unknown where there is no git."""
    asked = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unknown"
    return done.stdout.strip() or "unknown"
