"""Whether one group of slices continues another or covers the same range."""

from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from M3LungScreenLib.dicom.frames import Frame
from M3LungScreenLib.dicom.scan import SAME_PLACE_MM, positions_mm
from M3LungScreenLib.suitability import LARGEST_SPACING_MM

# Two passes over one range lie at most half a slice distance apart, neighbors a whole one.
CLOSER_SHARE = 0.6
# Up to here a wider step is bridged: farther apart than the usual distance, but not so far
# that a series of such steps would be refused.
LARGEST_STEP_SHARE = 1.5
# A gantry tilts by up to 30 degrees, and then each slice is shifted against the next.
LARGEST_SLOPE, ROUNDING_MM = 0.6, 1.0

Value = Callable[[Frame], Hashable]


@dataclass(frozen=True)
class Pile:
    """Frames of one geometry and their positions `[frame, 3]` along row, column and normal."""

    frames: list[Frame]
    positions_mm: np.ndarray

    @classmethod
    def of(cls, frames: list[Frame]) -> "Pile":
        return cls(frames, positions_mm(frames))

    def __add__(self, other: "Pile") -> "Pile":
        positions = np.concatenate((self.positions_mm, other.positions_mm))
        return Pile(self.frames + other.frames, positions)

    def parts(self, value: Value) -> list["Pile"]:
        """The frames of each value, ordered by value."""
        groups = defaultdict(list)
        for i, each in enumerate(self.frames):
            groups[value(each)].append(i)
        chosen = [groups[each] for each in sorted(groups, key=sortable)]
        return [Pile([self.frames[i] for i in some], self.positions_mm[some]) for some in chosen]

    @cached_property
    def distinct_mm(self) -> np.ndarray:
        """Positions along the normal; the first of several at the same position."""
        ordered = self.positions_mm[np.argsort(self.positions_mm[:, 2], kind="stable")]
        return ordered[np.diff(ordered[:, 2], prepend=-np.inf) >= SAME_PLACE_MM]

    @property
    def shares_places(self) -> bool:
        return len(self.distinct_mm) < len(self.frames)


def joined(parts: list[Pile]) -> list[Pile]:
    """Joins parts that continue each other or fill each other's gaps, from below."""
    scans: list[Pile] = []
    for part in sorted(parts, key=lambda each: float(each.distinct_mm[0, 2])):
        home = next((i for i, scan in enumerate(scans) if _is_one(scan, part)), None)
        if home is None:
            scans.append(part)
        else:
            scans[home] += part
    return scans


def _is_one(scan: Pile, part: Pile) -> bool:
    a, b = scan.distinct_mm, part.distinct_mm
    closest = float(np.diff(np.sort(np.concatenate((a[:, 2], b[:, 2])))).min())
    own = min(float(np.diff(each[:, 2]).min(initial=np.inf)) for each in (a, b))
    if closest < SAME_PLACE_MM or (np.isfinite(own) and closest < CLOSER_SHARE * own):
        return False
    gap = max(b[0, 2] - a[-1, 2], a[0, 2] - b[-1, 2])
    return bool(gap <= largest_step(own)) and not _jumps_sideways(a, b)


def largest_step(usual_mm: float) -> float:
    return max(LARGEST_SPACING_MM, LARGEST_STEP_SHARE * usual_mm if np.isfinite(usual_mm) else 0)


def _jumps_sideways(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether the corners of the nearest slices are shifted more than by a gantry tilt."""
    above = np.searchsorted(a[:, 2], b[:, 2])
    pairs = [(a[(above + i).clip(0, len(a) - 1)], b) for i in (-1, 0)]
    shifts = np.concatenate([np.abs(one - other) for one, other in pairs])
    nearest = shifts[np.argmin(shifts[:, 2])]
    return bool(nearest[:2].max() > LARGEST_SLOPE * nearest[2] + ROUNDING_MM)


def sortable(value: Hashable) -> str:
    text = str(value)
    return text.zfill(12) if text.isdigit() else text
