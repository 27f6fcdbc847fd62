"""Train the patient-level network on features of a trained slice level (III-C, IV-A).

    python -m Training.train_patient --config Training/configs/compact.yaml \
        --backgrounds build/backgrounds --out runs/compact
    python -m Training.train_patient … --set model.patient_network.correlation=signed_sum

On several GPUs: torchrun --nproc_per_node 4 -m Training.train_patient …
"""

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F

from M3LungScreenLib.engines.pytorch_engine import SliceRunner
from M3LungScreenLib.networks.patient_network import PatientNetwork
from M3LungScreenLib.networks.slice_network import SliceNetwork
from Training.config import (
    ScheduleSettings,
    TrainingConfig,
    add_config_arguments,
    config_of,
    run_script,
)
from Training.evaluation.metrics import patient_errors
from Training.learning.compatibility import check_trained
from Training.learning.loop import BEST, Losses, Run, Share, fit, make_fabric
from Training.learning.optimisation import (
    balanced_order,
    batches,
    bundled_weights,
    choose_device,
    load_weights,
    steps_per_epoch,
    weights_sha256,
)
from Training.learning.patient_batches import drawn, whole
from Training.sources.learning_data import data_of
from Training.sources.patient_features import PatientFeatures, features_folder, features_of

PatientBatch = tuple[Tensor, Tensor, Tensor]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    parsed = parser.parse_args(arguments)
    config, folder = config_of(parsed), parsed.out / "patient"
    check_trained(parsed.out, config, ["slice"])
    fabric = make_fabric(parsed.device, logs=folder)
    # One process makes what is not yet in the cache; the others find it there.
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


def make_network(config: TrainingConfig, init: Path | None) -> PatientNetwork:
    """The network with random weights, or with those of a bundle."""
    torch.manual_seed(config.seed)
    network = PatientNetwork(config.model.patient_network)
    if init is not None:
        network.load_state_dict(bundled_weights(init, "patient"))
    return network


def standardise(network: PatientNetwork, training: list[PatientFeatures]) -> None:
    """Tell a network that asks for it which features its training patients have."""
    if network.settings.standardised:
        rows = np.concatenate([each.features.mean(axis=0) for each in training])
        network.standardise(torch.from_numpy(rows))


def load_features(
    config: TrainingConfig, parsed: argparse.Namespace, validation: bool
) -> list[PatientFeatures]:
    """Features of one split's patients by the slice level in `--out`, kept under `--cache`."""
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
    """To the end; the best epoch by validation lies in `folder`/best.pt.

    `origin` tells of the features: a run goes on with those that it began with.
    """
    level = PatientLevel(network, training, validation, config)
    relevant = {k: v for k, v in asdict(config).items() if k != "joint"}
    relevant["origin"] = dict(origin or {})
    return fit(Run.start(fabric, level, network, folder, relevant), level, resume)


class PatientLevel:
    """What the loop is told of the patient level."""

    def __init__(
        self,
        network: PatientNetwork,
        training: list[PatientFeatures],
        validation: list[PatientFeatures],
        config: TrainingConfig,
    ) -> None:
        self.network, self.training, self.validation = network, training, validation
        self.config = config
        self.classes = np.array([each.class_index for each in training])
        self.steps_per_epoch = steps_per_epoch(self.classes, config.patient.batch)
        # An epoch takes seconds.
        self.checkpoint_every_steps = self.steps_per_epoch
        self.groups: list[tuple[nn.Module, float]] = [(network, config.patient.learning_rate)]

    @property
    def schedule(self) -> ScheduleSettings:
        return self.config.patient

    def batches(self, epoch: int, first: int, share: Share) -> Iterable[PatientBatch]:
        share.check(batch=self.config.patient.batch)
        order = balanced_order(self.classes, self.config.seed, epoch)
        for place, chosen in enumerate(batches(order, self.config.patient.batch)):
            if place >= first:
                seed = (self.config.seed, epoch * self.steps_per_epoch + place)
                yield self._batch([self.training[i] for i in chosen], seed, share)

    def _batch(
        self, patients: list[PatientFeatures], seed: tuple[int, int], share: Share
    ) -> PatientBatch:
        """The whole batch is drawn by every process, that it is the same for any number."""
        standardised = self.network.settings.standardised
        usual = self.network.feature_mean.cpu().numpy() if standardised else 0.0
        arrays = drawn(patients, seed, self.config.patient.feature_dropout, usual)
        features, mask, classes = (torch.from_numpy(each) for each in arrays)
        return share.of(features), share.of(mask), share.of(classes)

    def parts(self, batch: PatientBatch) -> list[tuple[PatientBatch, float]]:
        return [(batch, 1.0)]

    def prepare(self) -> None:
        self.network.train()

    def losses(self, network: nn.Module, part: PatientBatch) -> Losses:
        device = next(self.network.parameters()).device
        features, mask, classes = (each.to(device) for each in part)
        return {"loss": F.cross_entropy(network(features, mask).logits, classes)}

    def validate(self) -> tuple[float, dict[str, float]]:
        # Cross-entropy, for accuracy goes on rising where the answers are merely louder.
        metrics = validate(self.network, self.validation)
        return -metrics["cross_entropy"], metrics


@torch.inference_mode()
def validate(network: PatientNetwork, patients: list[PatientFeatures]) -> dict[str, float]:
    """Accuracy, cross-entropy and the paper's three errors (IV-B) on whole patients."""
    network.eval()
    features, mask = whole(patients)
    device = next(network.parameters()).device
    inputs = (torch.from_numpy(each).to(device) for each in (features, mask))
    truth = torch.tensor([each.class_index for each in patients])
    return figures(network(*inputs).logits.cpu(), truth)


def figures(logits: Tensor, truth: Tensor) -> dict[str, float]:
    """Accuracy, the three errors and cross-entropy of `logits` `[B, 4]`."""
    errors = patient_errors(truth.numpy(), logits.argmax(1).numpy())
    return {**errors, "cross_entropy": float(F.cross_entropy(logits, truth))}


if __name__ == "__main__":
    run_script(main)
