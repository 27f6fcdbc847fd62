"""A scan: the frames of one pass over the patient, along their common normal."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from M3LungScreenLib.dicom.fitness import Flaw, flaw_of
from M3LungScreenLib.dicom.frames import Frame

# Closer than this two slices lie at one place.
SAME_PLACE_MM = 0.01
# Reconstructions overlap by up to half; thin slices may overlap more.
OVERLAP, THICK_SLAB_MM = 2.2, 4.0


def axes_of(frame: Frame) -> np.ndarray:
    """Unit vectors (rows) along a row, along a column and along the normal, at right angles."""
    assert frame.orientation is not None
    row, column = np.reshape(frame.orientation, (2, 3))
    row = row / np.linalg.norm(row)
    column = column - row * (row @ column)
    column = column / np.linalg.norm(column)
    return np.stack((row, column, np.cross(row, column))) + 0.0  # no negative zeros


def positions_mm(frames: Iterable[Frame]) -> np.ndarray:
    """`[frame, 3]`: along the row, the column and the normal of the first frame."""
    frames = list(frames)
    return np.array([each.position_mm for each in frames]) @ axes_of(frames[0]).T


@dataclass(frozen=True)
class Scan:
    """Frames ordered along the normal, and the values that separate them from other scans.

    Frames that cannot be slices keep their order; `flaw` says why they cannot. `gap_mm` is the
    widest gap at which the scan was split, or 0; `copies` counts repeated images left out.
    """

    frames: tuple[Frame, ...]
    apart: tuple[str, ...] = ()
    gap_mm: float = 0.0
    copies: int = 0

    @classmethod
    def of(cls, frames: Iterable[Frame], apart: tuple[str, ...] = ()) -> "Scan":
        frames = list(frames)
        if flaw_of(frames[0]) is None:
            places = positions_mm(frames)[:, 2]
            frames = [frames[i] for i in np.argsort(places, kind="stable")]
        return cls(tuple(frames), apart)

    @property
    def first(self) -> Frame:
        return self.frames[0]

    @property
    def uid(self) -> str:
        return self.first.series_uid

    def is_called(self, name: str) -> bool:
        """Whether `name` is its series number or the series UID of any slice."""
        return name == self.first.series_number or any(name == e.series_uid for e in self.frames)

    @cached_property
    def flaw(self) -> Flaw | None:
        return flaw_of(self.first)

    @cached_property
    def positions_mm(self) -> np.ndarray:
        """`[slice, 3]`: along rows, columns and the normal."""
        return positions_mm(self.frames)

    @cached_property
    def steps_mm(self) -> np.ndarray:
        """Distances between neighboring slices along the normal."""
        return np.diff(self.positions_mm[:, 2])

    @property
    def spacing_mm(self) -> float:
        """The usual distance between slices; 0 for a single slice."""
        return float(np.median(self.steps_mm)) if len(self.frames) > 1 else 0.0

    @property
    def height_mm(self) -> float:
        return float(self.steps_mm.sum()) + self.spacing_mm

    @property
    def has_shared_places(self) -> bool:
        return bool((self.steps_mm < SAME_PLACE_MM).any())

    def lies(self, other: "Scan") -> str | None:
        """'above' or 'below' `other` if both are slices and share no height, else None."""
        if self.flaw or other.flaw or self.first.study_uid != other.first.study_uid:
            return None
        own, others = ([each.position_mm[2] for each in scan.frames] for scan in (self, other))  # type: ignore[index]
        if min(own) > max(others):
            return "above"
        return "below" if max(own) < min(others) else None

    @property
    def is_slabs(self) -> bool:
        """Whether slices are thick and overlap by more than half, as in projections."""
        thickness = self.first.thickness_mm or 0.0
        return thickness >= THICK_SLAB_MM and thickness > OVERLAP * self.spacing_mm > 0

    @property
    def from_feet(self) -> tuple[Frame, ...]:
        """The slices from feet to head."""
        return self.frames if axes_of(self.first)[2, 2] > 0 else self.frames[::-1]

    def __str__(self) -> str:
        first, count = self.first, len(self.frames)
        noun = "slice" if self.flaw is None else "image"
        parts = [first.modality or "no modality", f"{count} {noun}{'' if count == 1 else 's'}"]
        if self.flaw is None and count > 1:
            parts += [
                "at the same position" if self.spacing_mm == 0 else f"{self.spacing_mm:.1f} mm"
            ]
        parts += [each for each in (first.kernel, *self.apart) if each]
        return f"series {first.series_number} ({', '.join(parts)})"
