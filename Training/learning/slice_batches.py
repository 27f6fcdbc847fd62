"""Batches of the slice level: a function of seed, epoch and position in the epoch."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from Training.config import TrainingConfig
from Training.learning.augmentation import Augmentation, apply, draw, place
from Training.learning.epochs import balanced_order, steps_per_epoch
from Training.learning.level import Share
from Training.sources.simulated_slices import SliceSamples


@dataclass(frozen=True)
class SliceBatch:
    """Slices and how each is to be augmented.

    `hu` int16 `[B, S, S]`, `truth` bool `[B, S, S]`, `classes` int64 `[B]`, `known` bool `[B]`:
    whether there is a truth mask (true for slices without lesion).
    """

    hu: Tensor
    truth: Tensor
    classes: Tensor
    known: Tensor
    drawn: list[Augmentation]

    def __len__(self) -> int:
        return self.hu.shape[0]

    def part(self, rows: slice) -> "SliceBatch":
        """Some of the slices."""
        return SliceBatch(
            self.hu[rows],
            self.truth[rows],
            self.classes[rows],
            self.known[rows],
            self.drawn[rows],
        )


class EpochOfSlices(Dataset[SliceBatch]):
    """The batches of one epoch: P lesions, P partners, H healthy slices; this process's share.

    The partner of a simulated lesion is the same slice without it; of a real one, a healthy slice.
    Each is augmented differently, so that noise does not give the class away.
    """

    def __init__(
        self, samples: SliceSamples, config: TrainingConfig, epoch: int, share: Share
    ) -> None:
        self.samples, self.config, self.epoch, self.share = samples, config, epoch, share
        self.order = balanced_order(samples.classes, config.seed, epoch)
        share.check(pairs=config.slice.pairs, healthy=config.slice.healthy)

    def __len__(self) -> int:
        return steps_per_epoch(self.samples.classes, self.config.slice.pairs)

    def __getitem__(self, place_in_epoch: int) -> SliceBatch:
        start = place_in_epoch * self.config.slice.pairs
        pairs = self.order[start : start + self.config.slice.pairs]
        healthy = self._healthy(pairs)
        own = self.share.of(pairs), self.share.of(healthy)
        return gather(self.samples, *own, self.epoch, self.config, place_in_epoch)

    def _healthy(self, pairs: np.ndarray) -> np.ndarray:
        """The healthy slices of a global batch."""
        rng = np.random.default_rng((self.config.seed, self.epoch, *map(int, pairs)))
        asked = self.config.slice.healthy + (0 if len(self.samples.clean) else len(pairs))
        number = min(asked, len(self.samples.healthy))
        number -= number % self.share.count
        return rng.choice(len(self.samples.healthy), number, replace=False)


def gather(
    samples: SliceSamples,
    pairs: np.ndarray,
    healthy: np.ndarray,
    epoch: int,
    config: TrainingConfig,
    place_in_epoch: int = 0,
) -> SliceBatch:
    """The slices `pairs` with their lesion and, if simulated, without it; then the healthy ones.

    A slice that occurs twice in an epoch, to balance the classes, is augmented differently each
    time.
    """
    count = len(samples)
    partners = pairs if len(samples.clean) else pairs[:0]
    hu = [samples.ill[pairs], *([samples.clean[partners]] if len(partners) else [])]
    hu += [samples.healthy[healthy]] if len(healthy) else []
    images = torch.from_numpy(np.concatenate(hu))
    truth = torch.zeros(images.shape, dtype=torch.bool)
    truth[: len(pairs)] = torch.from_numpy(np.asarray(samples.truth[pairs]))
    classes = torch.zeros(len(images), dtype=torch.long)
    classes[: len(pairs)] = torch.from_numpy(samples.classes[pairs])
    known = torch.ones(len(images), dtype=torch.bool)
    if samples.has_truth is not None:
        known[: len(pairs)] = torch.from_numpy(samples.has_truth[pairs])
    chosen = (*pairs, *(partners + count), *(healthy + 2 * count))
    kind = config.slice.augmentation
    first = place_in_epoch * (2 * count + len(samples.healthy))
    drawn = [draw(config.seed, epoch, first + int(i), kind) for i in chosen]
    return SliceBatch(images, truth, classes, known, drawn)


def slice_batches(
    samples: SliceSamples, config: TrainingConfig, epoch: int, first: int, share: Share
) -> Iterator[SliceBatch]:
    """This process's share of each batch of an epoch from position `first` on."""
    data = EpochOfSlices(samples, config, epoch, share)
    places = range(first, len(data))
    loader = DataLoader(
        data,
        batch_size=None,
        sampler=places,
        num_workers=config.slice.workers,
        collate_fn=_as_it_is,
    )
    return iter(loader)


def _as_it_is(batch: Any) -> Any:
    return batch


def on_device(
    batch: SliceBatch, window_width_hu: float, device: torch.device
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Augmented images `[B, 3, S, S]`, truth `[B, S, S]`, classes and known `[B]`."""
    images = apply(batch.hu.to(device), batch.drawn, window_width_hu)
    truth = place(batch.truth.to(device), batch.drawn)
    images = images.contiguous(memory_format=torch.channels_last)
    return images, truth, batch.classes.to(device), batch.known.to(device)
