"""The location map's threshold, fitted on whole volumes inside the lung mask, as it is used."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from M3LungScreenLib.classes import CLASS_KEYS
from M3LungScreenLib.result import Result

THRESHOLDS = np.round(np.arange(0.05, 0.96, 0.05), 2)


@dataclass(frozen=True)
class Overlaps:
    """Voxels of one case that are lesion at each of THRESHOLDS.

    `found` counts them all, `hits` those in the truth mask, which has `truth` voxels.
    """

    found: tuple[int, ...]
    hits: tuple[int, ...]
    truth: int

    def dice(self) -> np.ndarray:
        """Dice at each threshold; only for a case with lesion."""
        return np.asarray(2 * np.array(self.hits) / (np.array(self.found) + self.truth))


def overlaps(mask: np.ndarray, result: Result) -> Overlaps:
    """Overlaps with `mask`, bool `[slice, row, column]`; a Healthy slice has no lesion."""
    slices = [result.slice_of(k) for k in range(len(mask))]
    is_ill = np.array([each.predicted not in (None, CLASS_KEYS[0]) for each in slices])
    counted = (result.arrays.lungs > 0) & is_ill[:, None, None]
    return Overlaps(
        found=_over(result.arrays.lesion_location_map[counted]),
        hits=_over(result.arrays.lesion_location_map[counted & mask]),
        truth=int(mask.sum()),
    )


def fit_threshold(cases: Sequence[Overlaps]) -> tuple[float, float] | None:
    """The threshold with the best mean Dice over cases with lesion, and that Dice.

    None without such a case.
    """
    scores = [each.dice() for each in cases if each.truth]
    if not scores:
        return None
    means = np.mean(scores, axis=0)
    best = int(np.argmax(means))
    return float(THRESHOLDS[best]), float(means[best])


def _over(location: np.ndarray) -> tuple[int, ...]:
    """How many values exceed each threshold, as in a label map."""
    # The number of thresholds that each value exceeds.
    passed = np.searchsorted(THRESHOLDS.astype(np.float32), location, side="left")
    counts = np.bincount(passed.ravel(), minlength=len(THRESHOLDS) + 1)
    return tuple(map(int, counts[::-1].cumsum()[::-1][1:]))
