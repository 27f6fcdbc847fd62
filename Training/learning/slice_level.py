"""The slice level under training: batches, losses and validation (III-B, IV-A)."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from M3LungScreenLib.networks.backbones import imagenet_weights
from M3LungScreenLib.networks.slice_network import SliceNetwork, SliceOutput
from Training.config import ScheduleSettings, TrainingConfig
from Training.evaluation.metrics import auc
from Training.learning.augmentation import NONE, apply
from Training.learning.epochs import steps_per_epoch
from Training.learning.level import Losses, Share, in_training
from Training.learning.slice_batches import SliceBatch, on_device, slice_batches
from Training.learning.weights import bundled_weights, load_weights
from Training.sources.simulated_slices import Rows, SliceSamples

VALIDATION_BATCH = 32


def make_network(
    config: TrainingConfig, init: Path | None, backbone_weights: Path | None
) -> SliceNetwork:
    """The network with ImageNet weights, or those of a bundle or a run's best.pt."""
    settings = config.model.slice_network
    if init is None:
        torch.manual_seed(config.seed)
        return SliceNetwork(settings, imagenet_weights(settings.backbone, backbone_weights))
    network = SliceNetwork(settings)
    is_file = init.suffix == ".pt"
    network.load_state_dict(load_weights(init) if is_file else bundled_weights(init, "slice"))
    return network


class SliceLevel:
    """The slice level for the training loop."""

    def __init__(
        self,
        network: SliceNetwork,
        training: SliceSamples,
        validation: SliceSamples,
        config: TrainingConfig,
    ) -> None:
        self.network, self.training, self.validation = network, training, validation
        self.config = config
        self.steps_per_epoch = steps_per_epoch(training.classes, config.slice.pairs)
        self.checkpoint_every_steps = config.slice.checkpoint_every_steps
        freeze(network, config.slice.frozen_stages)
        heads = nn.ModuleList(each for each in (network.lesion_head, network.class_head) if each)
        rate, factor = config.slice.learning_rate, config.slice.head_learning_rate_factor
        self.groups: list[tuple[nn.Module, float]] = [
            (network.backbone, rate),
            (heads, rate * factor),
        ]

    @property
    def schedule(self) -> ScheduleSettings:
        return self.config.slice

    def batches(self, epoch: int, first: int, share: Share) -> Iterable[SliceBatch]:
        return slice_batches(self.training, self.config, epoch, first, share)

    def parts(self, batch: SliceBatch) -> list[tuple[SliceBatch, float]]:
        size = self.config.slice.micro_batch or len(batch)
        rows = [slice(start, start + size) for start in range(0, len(batch), size)]
        parts = [batch.part(each) for each in rows]
        return [(part, len(part) / len(batch)) for part in parts]

    def prepare(self) -> None:
        in_training(self.network, self.config.slice.frozen_batch_norm)

    def losses(self, network: nn.Module, part: SliceBatch) -> Losses:
        device = next(self.network.parameters()).device
        window_width_hu = self.config.model.preprocessing.window_width_hu
        images, truth, classes, known = on_device(part, window_width_hu, device)
        return loss_terms(network(images), truth, classes, known, self.config.slice.map_loss_weight)

    def validate(self) -> tuple[float, dict[str, float]]:
        metrics = validate(self.network, self.validation, self.config)
        return metrics["slice_auc"] + metrics["disease_accuracy"], metrics


def freeze(network: SliceNetwork, stages: int) -> None:
    """Freeze the first `stages` stages of the backbone."""
    for stage in network.backbone.stages()[:stages]:
        stage.requires_grad_(False)


def loss_terms(
    out: SliceOutput, truth: Tensor, classes: Tensor, known: Tensor, map_loss_weight: float
) -> Losses:
    """Cross-entropy of both heads with equal weights (III-B), and the map's loss if weighted.

    The map's loss counts only where the truth is `known`. All terms are means over images, so that
    those of micro-batches add up.
    """
    terms = {"class_loss": F.cross_entropy(out.class_logits, classes)}
    if out.lesion_logits is not None:
        terms["lesion_loss"] = F.cross_entropy(out.lesion_logits, (classes > 0).long())
    if out.map_logits is not None and map_loss_weight > 0:
        target = pooled_truth(truth, out.map_logits.shape[-1])
        cells = F.binary_cross_entropy_with_logits(out.map_logits, target, reduction="none")
        terms["map_loss"] = map_loss_weight * (cells.mean(dim=(1, 2)) * known).mean()
    total = torch.stack(list(terms.values())).sum()
    return {"loss": total, **terms}


def pooled_truth(truth: Tensor, side: int) -> Tensor:
    """The share of lesion in each map cell: `[B, S, S]` to `[B, side, side]`."""
    return nn.functional.adaptive_avg_pool2d(truth[:, None].float(), side)[:, 0]


def validate(
    network: SliceNetwork, samples: SliceSamples, config: TrainingConfig
) -> dict[str, float]:
    """Slice AUC (lesion against none) and the share of diseases predicted correctly."""
    rows = (samples.ill, samples.clean, samples.healthy)
    found = [answers(network, each, config) for each in rows if len(each)]
    p, multi = (np.concatenate(each) for each in zip(*found, strict=True))
    is_ill = np.arange(len(p)) < len(samples)
    called = multi[: len(samples), 1:].argmax(1) + 1
    return {
        "slice_auc": auc(is_ill, p),
        "sensitivity": float((p[is_ill] > 0.5).mean()),
        "false_slices": float((p[~is_ill] > 0.5).mean()),
        "disease_accuracy": float((called == samples.classes).mean()),
    }


@torch.inference_mode()
def answers(
    network: SliceNetwork, rows: Rows, config: TrainingConfig
) -> tuple[np.ndarray, np.ndarray]:
    """P(lesion) `[n]` and class probabilities `[n, 4]`, in the middle window."""
    network.eval()
    device, width = next(network.parameters()).device, config.model.preprocessing.window_width_hu
    p_lesion, classes = [], []
    for start in range(0, len(rows), VALIDATION_BATCH):
        hu = rows[np.arange(start, min(start + VALIDATION_BATCH, len(rows)))]
        images = apply(torch.from_numpy(hu).to(device), [NONE] * len(hu), width)
        out: SliceOutput = network(images)
        multi, two = out.class_logits.softmax(1), out.lesion_logits
        lesion = 1 - multi[:, 0] if two is None else two.softmax(1)[:, 1]
        classes.append(multi.cpu().numpy())
        p_lesion.append(lesion.cpu().numpy())
    return np.concatenate(p_lesion), np.concatenate(classes)
