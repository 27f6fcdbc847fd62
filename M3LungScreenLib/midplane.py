"""The midsagittal plane of the body, which rolls with the patient."""

from dataclasses import dataclass

import numpy as np

from M3LungScreenLib.working_copy import WorkingCopy

# A trunk is 1.3 to 1.8 times wider than deep; the long axis of a rounder shape is random.
LEAST_WIDER = 1.15
# Supine patients are a few degrees off; halfway to lateral, the axis cannot be determined.
ROLL_DEGREES = (6.0, 45.0)


@dataclass(frozen=True)
class Mirror:
    """Reflects a mask `[row, column]` across the body's midplane.

    `rows` and `columns` are the positions of each pixel's mirror image, perhaps off the slice.
    """

    rows: np.ndarray
    columns: np.ndarray

    @classmethod
    def of(cls, body: np.ndarray, midpoint: tuple[float, float], work: WorkingCopy) -> "Mirror":
        """For `body` `[slice, row, column]`; `midpoint` is a row and column on its midplane."""
        roll = roll_of(body, work)
        row_mm, column_mm = work.spacing_mm[1:]
        row, column = np.indices(body.shape[1:])
        depth_mm = (row - midpoint[0]) * row_mm
        aside_mm = (column - round(midpoint[1])) * column_mm
        beyond_mm = aside_mm * np.cos(roll) + depth_mm * np.sin(roll)
        return cls(
            row - np.rint(2 * beyond_mm * np.sin(roll) / row_mm).astype(int),
            column - np.rint(2 * beyond_mm * np.cos(roll) / column_mm).astype(int),
        )

    def __call__(self, mask: np.ndarray) -> np.ndarray:
        height, width = mask.shape
        seen = (self.rows >= 0) & (self.rows < height)
        seen &= (self.columns >= 0) & (self.columns < width)
        reflected = np.zeros_like(mask)
        reflected[seen] = mask[self.rows[seen], self.columns[seen]]
        return reflected


def roll_of(body: np.ndarray, work: WorkingCopy) -> float:
    """The angle (radians) between the trunk's long axis and the rows; 0 if it is straight.

    `body` bool `[slice, row, column]`; positive if the patient's left side lies lower.
    """
    weight = body.sum(axis=0)
    place_mm = np.indices(weight.shape) * np.reshape(work.spacing_mm[1:], (2, 1, 1))
    spread = np.cov(place_mm.reshape(2, -1), fweights=weight.ravel())
    squared_lengths, axes = np.linalg.eigh(spread)
    if squared_lengths[1] < LEAST_WIDER**2 * squared_lengths[0]:
        return 0.0
    roll = float(np.arctan2(axes[0, 1], axes[1, 1]))
    roll = (roll + np.pi / 2) % np.pi - np.pi / 2  # an axis has no sign
    least, largest = np.radians(ROLL_DEGREES)
    return roll if least <= abs(roll) <= largest else 0.0


def center(counts: np.ndarray) -> float:
    """The mean index of `counts` `[n]`."""
    return float(np.average(np.arange(len(counts)), weights=counts + 1e-9))
