"""A bundle's card: what a person should know of the model before they trust it."""

import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

from M3LungScreenLib.bundle import load_bundle
from M3LungScreenLib.classes import CLASS_KEYS, CLASSES, PatientClass
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
    """The card: what to know about the model before trusting it.

    `init` is the bundle (or the run's best.pt) that training started from, None for ImageNet
    weights.
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
    """The note on how many real patients of each class the verdict was correct for."""
    tried = [each for each in CLASSES if counts[each.key]]
    never = [each.name for each in CLASSES if not counts[each.key]]
    correct = f"Correct on {_listed(tried, counts)}; too few to rely on. " if tried else ""
    return correct + (f"Never verified on real CT: {', '.join(never)}." if never else "")


def _listed(tried: list[PatientClass], counts: dict[str, int]) -> str:
    """'one real patient each of Healthy, COVID-19 and CAP', or counts where they differ."""
    if {counts[each.key] for each in tried} == {1}:
        *others, last = [each.name for each in tried]
        names = f"{', '.join(others)} and {last}" if others else last
        return f"one real patient{' each' if others else ''} of {names}"
    return "real patients: " + ", ".join(f"{counts[each.key]} {each.name}" for each in tried)


def _initial(config: TrainingConfig, init: Path | None) -> Any:
    """The initial weights; for a bundle also its training data, whose licences still apply.

    UsageError if the best.pt is missing, ModelRefused for such a bundle.
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
    """The git revision of this checkout; 'unknown' without git."""
    asked = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unknown"
    return done.stdout.strip() or "unknown"
