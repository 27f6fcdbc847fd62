"""A bundle's card: what a person should know of the model before they trust it."""

import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

from M3LungScreenLib.bundle import load_bundle
from M3LungScreenLib.classes import CLASS_KEYS, CLASSES, PatientClass
from Training.config import TrainingConfig
from Training.datasets.dataset import SIMULATED_PATIENTS
from Training.evaluation.calibration import TEMPERATURES
from Training.learning.weights import weights_sha256
from Training.sources.learning_data import LearningData

CALIBRATED = "Calibrated on"
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


def crops_note(figures: dict[str, Any]) -> str:
    """The note on patients of whom only lung crops with lesion masks exist (real_lesions)."""
    patients = figures["patients"].values()
    p = [each["probabilities"][CLASS_KEYS.index("covid19")] for each in patients]
    correct = sum(each["verdict"] == "covid19" for each in patients)
    total = figures["all"]
    return (
        f"Lung crops of {len(p)} patients with COVID-19: {correct} classified correctly "
        f"(probability {min(p):.2f} to {max(p):.2f}); slice AUC {total['slice_auc']:.2f}; the "
        f"map's maximum is inside the lesion in {total['pointing']:.0%} of slices, mean Dice "
        f"{total['dice']:.2f}, both lower for small lesions."
    )


def calibration_note(block: dict[str, Any]) -> str:
    """The note on the calibration for the card."""
    before, after = block["before"]["ece"], block["after"]["ece"]
    doubt = block["indeterminate"]
    stated = "" if doubt["reached"] else f", above the stated {_percent(doubt['stated_error'])}"
    return (
        f"{CALIBRATED} {_cases(block)}: {_temperature(block)}, ECE {before:.3f} before "
        f"and {after:.3f} after; a verdict for {_percent(doubt['coverage'])} of them, "
        f"{_percent(doubt['error'])} of which are wrong{stated} (at most "
        f"{_percent(doubt['error_upper_95'])} with 95 % confidence)"
        f"{_of_the_map(block)}."
    )


def is_calibration_note(note: str) -> bool:
    """Whether a note of a card was written by `calibration_note`."""
    return note.startswith(CALIBRATED)


def _cases(block: dict[str, Any]) -> str:
    if block["data_set"] == SIMULATED_PATIENTS:
        return f"simulated patients only ({block['patients']} cases)"
    return f"{block['patients']} cases of {block['data_set']}"


def _temperature(block: dict[str, Any]) -> str:
    if block["temperature"] < 1.01 * block["least_temperature"]:
        fixed = block["temperature"]
        return f"temperature fixed at {fixed:.2f} (the fit alone would be overconfident)"
    if block["temperature"] > 0.99 * TEMPERATURES[1]:
        highest = block["temperature"]
        return f"temperature {highest:.2f}, its limit (the model barely separates these cases)"
    return f"temperature {block['temperature']:.2f}"


def _of_the_map(block: dict[str, Any]) -> str:
    found = block.get("location_map")
    if found is None:
        return ""
    masks = f"{found['patients']} truth mask{'s' * (found['patients'] != 1)}"
    return (
        f"; location-map threshold {found['threshold']:.2f} from {masks} "
        f"(mean Dice {found['mean_dice']:.2f})"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


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
