"""Whether the label map lies in the lung, and at the height, that readers name by lobe."""

from dataclasses import dataclass

import numpy as np

from M3LungScreenLib.lung_zones import LOWER, MIDDLE, UPPER, vertical_zones
from M3LungScreenLib.lungs import LEFT, RIGHT

LOBES_OF = {"right": (RIGHT, ("RLL", "RML", "RUL")), "left": (LEFT, ("LLL", "LUL"))}
ZONES = {"lower": LOWER, "middle": MIDDLE, "upper": UPPER}


@dataclass(frozen=True)
class Agreement:
    """Of the slices with lung there: how many readers name, the label map marks, both or neither.

    `slices` can be 0; `agreement` is then NaN.
    """

    slices: int
    named: int
    marked: int
    both: int

    @property
    def agreement(self) -> float:
        """Share of slices on which readers and label map say the same."""
        neither = self.slices - self.named - self.marked + self.both
        return (self.both + neither) / self.slices if self.slices else float("nan")


def lobe_agreement(
    lesions: np.ndarray, lungs: np.ndarray, labels: dict[str, np.ndarray]
) -> dict[str, Agreement]:
    """By side, and by side and third of the lung's height ('right upper'), slice by slice.

    `lesions` (non-zero is lesion) and `lungs` (1 right, 2 left) `[slice, row, column]`;
    `labels` by lobe 0 or 1 `[slice]`, all from feet to head. A lobe stands for its side:
    lobes overlap in height, so the third is that of the slice, not of the lobe.
    """
    zones = vertical_zones(lungs)
    found = {}
    for side, (value, lobes) in LOBES_OF.items():
        inside = lungs == value
        named = np.any([labels[lobe] > 0 for lobe in lobes], axis=0)
        marked = (inside & (lesions > 0)).any(axis=(1, 2))
        found[side] = _count(inside.any(axis=(1, 2)), named, marked)
        for zone, number in ZONES.items():
            there = (inside & (zones == number)).any(axis=(1, 2))
            found[f"{side} {zone}"] = _count(there, named, marked)
    return found


def _count(there: np.ndarray, named: np.ndarray, marked: np.ndarray) -> Agreement:
    counts = (there, there & named, there & marked, there & named & marked)
    return Agreement(*(int(each.sum()) for each in counts))
