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

from M3LungScreenLib.bundle import load_bundle, save_bundle
from M3LungScreenLib.classes import CLASS_KEYS
from M3LungScreenLib.networks.slice_network import SliceNetwork
from M3LungScreenLib.settings import AssessmentSettings
from Training.config import TrainingConfig, add_config_arguments, config_of, run_script
from Training.evaluation.calibration import fit_lesion_logits
from Training.learning.compatibility import check_trained
from Training.learning.loop import BEST, BEST_FIGURES
from Training.learning.optimisation import load_weights, weights_sha256
from Training.record_verification import verification_note
from Training.sources.learning_data import LearningData, data_of
from Training.sources.simulated_slices import SliceSamples
from Training.train_slice import answers

VERSION = "0.1.0"
INITIAL_WEIGHTS = {
    "efficientnet_lite0": "EfficientNet-Lite0, ImageNet (Apache-2.0)",
    "resnet50": "ResNet-50, ImageNet (BSD-3-Clause)",
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    parser.add_argument("--bundle", type=Path, required=True, help="folder to write")
    parsed = parser.parse_args(arguments)
    config = config_of(parsed)
    check_trained(parsed.out, config)
    slices = load_weights(parsed.out / "slice" / BEST)
    patient = load_weights(parsed.out / "patient" / BEST)
    data = data_of(config, parsed)
    network = SliceNetwork(config.model.slice_network)
    network.load_state_dict(slices)
    validation = data.slices(validation=True)
    assessment = fit_lesion_head(config, validation, network)
    settings = replace(config.model, assessment=assessment)
    metrics = {
        "slice_validation": _metrics(parsed.out / "slice"),
        "patient_validation": _metrics(parsed.out / "patient"),
    }
    bundle = save_bundle(
        parsed.bundle,
        name=f"M3LungScreen {config.name}",
        version=VERSION,
        settings=settings,
        slice_weights=_arrays(slices),
        patient_weights=_arrays(patient),
        card=make_card(config, data, metrics, parsed.init),
    )
    print(f"{bundle.folder}: weights {bundle.sha256[:12]}; calibrate it before it is used")


def fit_lesion_head(
    config: TrainingConfig, samples: SliceSamples, network: SliceNetwork
) -> AssessmentSettings:
    """The assessment with P(lesion) calibrated on validation slices, in the middle window.

    It stays as it is without a lesion head, or without slices of either kind.
    """
    free = [each for each in (samples.clean, samples.healthy) if len(each)]
    if not (config.model.slice_network.multi_task and len(samples) and free):
        return config.model.assessment
    p_ill, *p_free = (answers(network, each, config)[0] for each in (samples.ill, *free))
    scale, offset = fit_lesion_logits(p_ill, np.concatenate(p_free))
    return replace(config.model.assessment, lesion_logit_scale=scale, lesion_logit_offset=offset)


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


def _metrics(folder: Path) -> Any:
    return json.loads((folder / BEST_FIGURES).read_text("utf-8"))


def _arrays(state: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in state.items()}


def _revision() -> str:
    """That of this checkout; unknown where there is no git."""
    asked = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unknown"
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    run_script(main)
