"""Both levels trained as one network, end to end on volumes."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from M3LungScreenLib.networks.patient_network import PatientNetwork
from M3LungScreenLib.networks.slice_network import SliceNetwork, SliceOutput
from M3LungScreenLib.preprocessing import apply_windows
from M3LungScreenLib.schedule import first_look
from Training.config import ScheduleSettings, TrainingConfig
from Training.learning import patient_level, slice_level
from Training.learning.augmentation import apply, draw
from Training.learning.epochs import balanced_order, steps_per_epoch, whole_batches
from Training.learning.level import Losses, Share, in_training
from Training.learning.slice_batches import EpochOfSlices, SliceBatch, on_device
from Training.sources.patient_features import PatientCrops
from Training.sources.simulated_slices import SliceSamples

# Keeps random numbers of patients apart from those of slices.
PATIENT_DRAWS = 1 << 40


class JointNetwork(nn.Module):
    """Both levels in one pass: logits of patients, and outputs of separate slices."""

    def __init__(self, slices: SliceNetwork, patients: PatientNetwork, recompute: bool) -> None:
        super().__init__()
        self.slices, self.patients, self.recompute = slices, patients, recompute

    def forward(self, images: Tensor, mask: Tensor, others: Tensor) -> tuple[Tensor, SliceOutput]:
        """`images` B, N, 3, S, S with `mask` B, N, real slices first; `others` M, 3, S, S."""
        return self.patient_logits(images, mask), self.slices(others)

    def patient_logits(self, images: Tensor, mask: Tensor) -> Tensor:
        """Logits `[B, 4]`; padded slices are ignored."""
        found = [self._features(each[real]) for each, real in zip(images, mask, strict=True)]
        padded = nn.utils.rnn.pad_sequence(found, batch_first=True)
        return self.patients(padded.float(), mask[:, : padded.shape[1]]).logits

    def _features(self, images: Tensor) -> Tensor:
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(_features_of, self.slices, images, use_reentrant=False)
        return _features_of(self.slices, images)


def _features_of(network: nn.Module, images: Tensor) -> Tensor:
    return network(images).features


@dataclass(frozen=True)
class JointBatch:
    """Patients and separate slices.

    `images` float32 `[B, N, 3, S, S]`, `mask` `[B, N]` and `classes` `[B]` are the patients'.
    """

    images: Tensor
    mask: Tensor
    classes: Tensor
    slices: SliceBatch


class JointLevel:
    """Both levels for the training loop."""

    def __init__(
        self,
        network: JointNetwork,
        slices: SliceSamples,
        training: list[PatientCrops],
        validation: list[PatientCrops],
        config: TrainingConfig,
    ) -> None:
        self.network, self.slices, self.config = network, slices, config
        self.training, self.validation = training, validation
        self.classes = np.array([each.class_index for each in training])
        self.steps_per_epoch = steps_per_epoch(self.classes, config.joint.patients)
        self.checkpoint_every_steps = config.joint.checkpoint_every_steps
        slice_level.freeze(network.slices, config.slice.frozen_stages)
        self.groups: list[tuple[nn.Module, float]] = [(network, config.joint.learning_rate)]

    @property
    def schedule(self) -> ScheduleSettings:
        return self.config.joint

    def batches(self, epoch: int, first: int, share: Share) -> Iterable[JointBatch]:
        share.check(patients=self.config.joint.patients)
        chosen = self.config.joint
        of_slices = replace(self.config.slice, pairs=chosen.pairs, healthy=chosen.healthy)
        slices = EpochOfSlices(self.slices, replace(self.config, slice=of_slices), epoch, share)
        order = balanced_order(self.classes, self.config.seed, epoch)
        for place, patients in enumerate(whole_batches(order, chosen.patients)):
            if place >= first:
                yield self._batch(share.of(patients), epoch, slices[place % len(slices)])

    def _batch(self, chosen: np.ndarray, epoch: int, slices: SliceBatch) -> JointBatch:
        images = [self._drawn(int(i), epoch) for i in chosen]
        mask = [torch.ones(len(each), dtype=torch.bool) for each in images]
        return JointBatch(
            nn.utils.rnn.pad_sequence(images, batch_first=True),
            nn.utils.rnn.pad_sequence(mask, batch_first=True),
            torch.from_numpy(self.classes[chosen]),
            slices,
        )

    def _drawn(self, patient: int, epoch: int) -> Tensor:
        """Some slices of a patient in order, with the same augmentation except for the noise."""
        rng = np.random.default_rng((self.config.seed, epoch, patient))
        hu, number = self.training[patient].hu[:], self.config.joint.slices
        start, end = rng.integers(0, len(hu) // 5 + 1, 2)
        places = first_look(range(int(start), len(hu) - int(end)), number)
        kind = self.config.slice.augmentation
        one = draw(self.config.seed, epoch, PATIENT_DRAWS + patient, kind)
        drawn = [replace(one, noise_seed=one.noise_seed + k) for k in range(len(places))]
        width = self.config.model.preprocessing.window_width_hu
        return apply(torch.from_numpy(hu[places]), drawn, width)

    def parts(self, batch: JointBatch) -> list[tuple[JointBatch, float]]:
        return [(batch, 1.0)]

    def prepare(self) -> None:
        in_training(self.network, frozen_batch_norm=True)

    def losses(self, network: nn.Module, part: JointBatch) -> Losses:
        device = next(self.network.parameters()).device
        width = self.config.model.preprocessing.window_width_hu
        others, truth, classes, known = on_device(part.slices, width, device)
        logits, out = network(part.images.to(device), part.mask.to(device), others)
        patient_loss = F.cross_entropy(logits, part.classes.to(device))
        weight = self.config.slice.map_loss_weight
        of_slices = slice_level.loss_terms(out, truth, classes, known, weight)["loss"]
        total = patient_loss + self.config.joint.slice_loss_weight * of_slices
        return {"loss": total, "patient_loss": patient_loss, "slice_loss": of_slices}

    @torch.inference_mode()
    def validate(self) -> tuple[float, dict[str, float]]:
        """Cross-entropy and the paper's errors (IV-B) on whole patients in the middle window."""
        self.network.eval()
        logits = torch.cat([self._answer(each) for each in self.validation])
        truth = torch.tensor([each.class_index for each in self.validation])
        metrics = patient_level.figures(logits, truth)
        return -metrics["cross_entropy"], metrics

    def _answer(self, patient: PatientCrops) -> Tensor:
        settings = self.config.model.preprocessing
        center = int(np.median(settings.window_centers_hu))
        windows = apply_windows(patient.hu[:], (center,), settings.window_width_hu)
        images = torch.from_numpy(np.repeat(windows[0][:, None], 3, axis=1))[None]
        device = next(self.network.parameters()).device
        mask = torch.ones(images.shape[:2], dtype=torch.bool, device=device)
        return self.network.patient_logits(images.to(device), mask).cpu()
