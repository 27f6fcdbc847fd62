"""Convert the checkpoints of a run to a model bundle with its card and its ONNX graphs.

    python -m Training.export --config Training/configs/compact.yaml --out runs/compact \
        --backgrounds build/backgrounds --bundle Resources/Models/compact
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from M3LungScreenLib.bundle import save_bundle
from M3LungScreenLib.networks.slice_network import SliceNetwork
from M3LungScreenLib.settings import AssessmentSettings
from Training.command_line import add_config_arguments, config_of, run_script
from Training.config import TrainingConfig
from Training.evaluation.calibration import fit_lesion_logits
from Training.learning.compatibility import check_trained
from Training.learning.run import BEST, BEST_FIGURES
from Training.learning.slice_level import answers
from Training.learning.weights import load_weights
from Training.model_card import make_card
from Training.sources.learning_data import data_of
from Training.sources.simulated_slices import SliceSamples

VERSION = "0.1.0"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    parser.add_argument("--bundle", type=Path, required=True, help="bundle to write")
    parser.add_argument(
        "--no-graphs",
        action="store_true",
        help="no ONNX graphs: the bundle needs PyTorch until Training.add_graphs has made them",
    )
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
    if not parsed.no_graphs:
        from Training.graphs import add_graphs  # needs onnx, which training does without

        bundle, difference = add_graphs(bundle, parsed.bundle)
        print(f"ONNX graphs: at most {difference:.1g} from PyTorch's outputs.")
    print(f"{bundle.folder}: weights {bundle.sha256[:12]}. Calibrate it before use.")


def fit_lesion_head(
    config: TrainingConfig, samples: SliceSamples, network: SliceNetwork
) -> AssessmentSettings:
    """Assessment settings with P(lesion) calibrated on validation slices in the middle window.

    Unchanged without a lesion head, or if slices with or without a lesion are missing.
    """
    free = [each for each in (samples.clean, samples.healthy) if len(each)]
    if not (config.model.slice_network.multi_task and len(samples) and free):
        return config.model.assessment
    p_ill, *p_free = (answers(network, each, config)[0] for each in (samples.ill, *free))
    scale, offset = fit_lesion_logits(p_ill, np.concatenate(p_free))
    return replace(config.model.assessment, lesion_logit_scale=scale, lesion_logit_offset=offset)


def _metrics(folder: Path) -> Any:
    return json.loads((folder / BEST_FIGURES).read_text("utf-8"))


def _arrays(state: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in state.items()}


if __name__ == "__main__":
    run_script(main)
