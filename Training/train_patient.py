"""Train the patient-level network on features of a trained slice level (III-C, IV-A).

    python -m Training.train_patient --config Training/configs/compact.yaml \
        --backgrounds build/backgrounds --out runs/compact
    python -m Training.train_patient … --set model.patient_network.correlation=signed_sum

On several GPUs: torchrun --nproc_per_node 4 -m Training.train_patient …
"""

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

from M3LungScreenLib.engines.pytorch_engine import SliceRunner
from M3LungScreenLib.networks.patient_network import PatientNetwork
from M3LungScreenLib.networks.slice_network import SliceNetwork
from Training.command_line import add_config_arguments, config_of, run_script
from Training.config import TrainingConfig
from Training.learning.compatibility import check_trained
from Training.learning.fabric import choose_device, make_fabric
from Training.learning.loop import fit
from Training.learning.patient_level import PatientLevel, make_network
from Training.learning.run import BEST, Run
from Training.learning.weights import load_weights, weights_sha256
from Training.sources.learning_data import data_of
from Training.sources.patient_features import PatientFeatures, features_folder, features_of


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    parsed = parser.parse_args(arguments)
    config, folder = config_of(parsed), parsed.out / "patient"
    check_trained(parsed.out, config, ["slice"])
    fabric = make_fabric(parsed.device, logs=folder)
    # One process fills the cache; the others read it.
    with fabric.rank_zero_first():
        training, validation = (load_features(config, parsed, each) for each in (False, True))
    network = make_network(config, parsed.init)
    if parsed.init is None:
        standardise(network, training)
    weights = weights_sha256(parsed.out / "slice" / BEST)
    origin = {**data_of(config, parsed).origin(), "slice_level_sha256": weights}
    run = train(fabric, network, training, validation, config, folder, parsed.resume, origin)
    if fabric.is_global_zero:
        print(f"best cross-entropy on {len(validation)} validation patients: {-run.best:.3f}")


def standardise(network: PatientNetwork, training: list[PatientFeatures]) -> None:
    """Give a network that standardises its features their mean and spread in training."""
    if network.settings.standardised:
        rows = np.concatenate([each.features.mean(axis=0) for each in training])
        network.standardise(torch.from_numpy(rows))


def load_features(
    config: TrainingConfig, parsed: argparse.Namespace, validation: bool
) -> list[PatientFeatures]:
    """Features of one split's patients, from the slice level in `--out`; cached in `--cache`."""
    network = SliceNetwork(config.model.slice_network)
    weights = parsed.out / "slice" / BEST
    network.load_state_dict(load_weights(weights))
    runner = SliceRunner(network, choose_device(parsed.device).type)
    folder = features_folder(parsed.cache, config, weights_sha256(weights))
    patients = data_of(config, parsed).patients(validation)
    return features_of(patients, runner, config.model.preprocessing, folder)


def train(
    fabric: Fabric,
    network: PatientNetwork,
    training: list[PatientFeatures],
    validation: list[PatientFeatures],
    config: TrainingConfig,
    folder: Path,
    resume: bool = False,
    origin: Mapping[str, Any] | None = None,
) -> Run:
    """Train to the end; the weights of the best validation epoch are saved in `folder`/best.pt.

    `origin` describes the data, which must not change when a run is resumed.
    """
    level = PatientLevel(network, training, validation, config)
    relevant = {k: v for k, v in asdict(config).items() if k not in ("joint", "stages")}
    relevant["origin"] = dict(origin or {})
    return fit(Run.start(fabric, level, network, folder, relevant), level, resume)


if __name__ == "__main__":
    run_script(main)
