"""The patient level under training: batches, loss and validation (III-C, IV-A)."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from M3LungScreenLib.networks.patient_network import PatientNetwork
from Training.config import ScheduleSettings, TrainingConfig
from Training.evaluation.metrics import patient_errors
from Training.learning.epochs import balanced_order, steps_per_epoch, whole_batches
from Training.learning.level import Losses, Share
from Training.learning.patient_batches import drawn, whole
from Training.learning.weights import bundled_weights
from Training.sources.patient_features import PatientFeatures

PatientBatch = tuple[Tensor, Tensor, Tensor]


def make_network(config: TrainingConfig, init: Path | None) -> PatientNetwork:
    """The network with random weights, or those of a bundle."""
    torch.manual_seed(config.seed)
    network = PatientNetwork(config.model.patient_network)
    if init is not None:
        network.load_state_dict(bundled_weights(init, "patient"))
    return network


class PatientLevel:
    """The patient level for the training loop."""

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
        # An epoch takes seconds, so one checkpoint per epoch is enough.
        self.checkpoint_every_steps = self.steps_per_epoch
        self.groups: list[tuple[nn.Module, float]] = [(network, config.patient.learning_rate)]

    @property
    def schedule(self) -> ScheduleSettings:
        return self.config.patient

    def batches(self, epoch: int, first: int, share: Share) -> Iterable[PatientBatch]:
        share.check(batch=self.config.patient.batch)
        order = balanced_order(self.classes, self.config.seed, epoch)
        for place, chosen in enumerate(whole_batches(order, self.config.patient.batch)):
            if place >= first:
                seed = (self.config.seed, epoch * self.steps_per_epoch + place)
                yield self._batch([self.training[i] for i in chosen], seed, share)

    def _batch(
        self, patients: list[PatientFeatures], seed: tuple[int, int], share: Share
    ) -> PatientBatch:
        """Every process draws the whole batch, so that it does not depend on their number."""
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
        # Cross-entropy: accuracy may still rise while the network becomes overconfident.
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
