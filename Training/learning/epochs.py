"""The order of samples in an epoch, and its batches."""

from collections.abc import Iterator

import numpy as np

from M3LungScreenLib.errors import UsageError


def balanced_order(classes: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Indices of one epoch, shuffled, with every class as often as the most frequent one."""
    rng = np.random.default_rng((seed, epoch))
    largest = int(np.bincount(classes).max())
    drawn = [
        np.resize(rng.permutation(np.flatnonzero(classes == each)), largest)
        for each in np.unique(classes)
    ]
    return np.asarray(rng.permutation(np.concatenate(drawn)))


def whole_batches(order: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Batches of exactly `size`; the remainder is left out of this epoch."""
    for start in range(0, len(order) - size + 1, size):
        yield order[start : start + size]


def steps_per_epoch(classes: np.ndarray, size: int) -> int:
    """Number of whole batches with balanced classes; UsageError if there is none."""
    count = int(np.bincount(classes).max()) * len(np.unique(classes))
    steps = count // size
    if steps == 0:
        raise UsageError(
            "batch",
            f"The training split has only {count} samples, too few for one batch of {size}. Lower "
            "slice.pairs, patient.batch or joint.patients with --set, or add cases.",
        )
    return steps
