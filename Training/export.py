"""Turn the checkpoints of a run into a bundle with its card.

    python -m Training.export --config Training/configs/compact.yaml --out runs/compact \
        --backgrounds build/backgrounds --bundle Resources/Models/compact
"""

import argparse
import json
import subprocess
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from M3LungScreenLib.bundle import save_bundle
from M3LungScreenLib.classes import CLASS_KEYS
from M3LungScreenLib.engines.pytorch_engine import SliceRunner
from M3LungScreenLib.networks.slice_network import SliceNetwork
from M3LungScreenLib.preprocessing import Crop, apply_windows, paste
from M3LungScreenLib.settings import LocalizationSettings
from Training.backgrounds import ORIGINS, SLICES, names_in
from Training.config import TrainingConfig, add_config_arguments, config_of, run_script
from Training.learning import BEST, load_weights
from Training.record import verification_note
from Training.samples import SliceSamples, cached_slices, slice_sources

VERSION = "0.1.0"
THRESHOLDS = np.round(np.arange(0.05, 0.96, 0.05), 2)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    parser.add_argument("--bundle", type=Path, required=True, help="folder to write")
    parsed = parser.parse_args(arguments)
    config = config_of(parsed)
    slices = load_weights(parsed.out / "slice" / BEST)
    patient = load_weights(parsed.out / "patient" / BEST)
    threshold, dice = fit_threshold(config, parsed, slices)
    settings = replace(config.model, localization=LocalizationSettings(threshold))
    metrics = {
        "slice_validation": _metrics(parsed.out / "slice"),
        "patient_validation": _metrics(parsed.out / "patient"),
        "location_map": {"threshold": threshold, "dice_at_threshold": round(dice, 4)},
    }
    bundle = save_bundle(
        parsed.bundle,
        name=f"M3LungScreen {config.name}",
        version=VERSION,
        settings=settings,
        slice_weights=_arrays(slices),
        patient_weights=_arrays(patient),
        card=make_card(config, names_in(parsed.backgrounds), metrics),
    )
    print(f"{bundle.folder}: {bundle.sha256[:12]}, threshold {threshold}, Dice {dice:.3f}")


def fit_threshold(
    config: TrainingConfig, parsed: argparse.Namespace, state: dict[str, Any]
) -> tuple[float, float]:
    """The location map's threshold with the best Dice over all validation slices."""
    sources = slice_sources(config.data, names_in(parsed.backgrounds), validation=True)
    samples = cached_slices(
        sources, parsed.cache, parsed.backgrounds, config.data, config.model.preprocessing
    )
    network = SliceNetwork(config.model.slice_network)
    network.load_state_dict(state)
    scores = dice_by_threshold(SliceRunner(network), samples, config)
    best = int(np.argmax(scores))
    return float(THRESHOLDS[best]), float(scores[best])


def dice_by_threshold(
    runner: SliceRunner, samples: SliceSamples, config: TrainingConfig
) -> np.ndarray:
    """Dice of the map over each of THRESHOLDS, pixels of all slices pooled."""
    settings = config.model.preprocessing
    size = settings.input_size
    hits, sums = np.zeros(len(THRESHOLDS)), np.zeros(len(THRESHOLDS))
    for hu, truth in zip(samples.ill, samples.truth, strict=True):
        windows = apply_windows(hu, settings.window_centers_hu, settings.window_width_hu)
        maps = runner.run(np.repeat(windows[:, None], 3, axis=1)).location_map.mean(axis=0)
        location = paste(maps, Crop(0, 0, size, size), (size, size))
        found = location[None] > THRESHOLDS[:, None, None]
        hits += (found & truth).sum(axis=(1, 2))
        sums += found.sum(axis=(1, 2)) + truth.sum()
    return np.asarray(2 * hits / np.maximum(sums, 1))


def make_card(
    config: TrainingConfig, backgrounds: list[str], metrics: dict[str, Any]
) -> dict[str, Any]:
    """What a person should know of the model before they trust it."""
    held_out = [name for name in backgrounds if name in config.data.validation_backgrounds]
    used = [name for name in backgrounds if name not in held_out]
    slices = sum(name in SLICES for name in used)
    return {
        "preset": config.name,
        "intended_use": "Research only: not for clinical decisions.",
        "training_data": {
            "lesions": "simulated, after the radiology literature; no patient's lesion was used",
            "simulated_patients": "M3LungScreenLib.simulation, seeds in the training block",
            "real_backgrounds": {name: ORIGINS[name].licence for name in used},
            "held_out_backgrounds": {name: ORIGINS[name].licence for name in held_out},
            "initial_weights": "EfficientNet-Lite0, ImageNet (Apache-2.0)",
            "location_map_loss": config.slice.map_loss_weight,
        },
        "notes": [
            "Trained on simulated lesions set into simulated chests and into real CT without "
            f"pneumonia ({len(used) - slices} volumes, {slices} single slices); it has seen no "
            "patient with pneumonia.",
            verification_note(dict.fromkeys(CLASS_KEYS, 0)),
            "Probabilities are not calibrated on real patients.",
        ],
        "verified_on_real_ct": dict.fromkeys(CLASS_KEYS, 0),
        "training": asdict(config),
        "metrics": metrics,
        "git_revision": _revision(),
        "licence": "Apache-2.0",
    }


def _metrics(folder: Path) -> Any:
    return json.loads((folder / "best.json").read_text("utf-8"))


def _arrays(state: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in state.items()}


def _revision() -> str:
    asked = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    run_script(main)
