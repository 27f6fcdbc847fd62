"""An axial slice of a volume node as the library sees it: LPS, rows front to back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .slices import feet_head_axis
from .volumes import ijk_to_world, voxels, world_geometry

# Corners of a rectangle lie on the outer edges of its pixels.
HALF = 0.5


def axial_slice(volume: Any, index: int) -> np.ndarray:
    """HU `[row, column]` of the slice with this `index`, patient's right first; a view."""
    rows, columns = (_axis(volume, letters) for letters in ("AP", "RL"))
    array = voxels(volume).transpose(2, 1, 0)  # i, j, k
    at: list[Any] = [slice(None)] * 3
    at[feet_head_axis(volume)] = index
    at[rows.number] = slice(None, None, rows.step)
    at[columns.number] = slice(None, None, columns.step)
    cut = array[tuple(at)]
    return np.asarray(cut if rows.number < columns.number else cut.T)


def crop_corners(volume: Any, index: int, crop: Sequence[int]) -> list[tuple[float, float, float]]:
    """RAS mm of the four corners of `crop` (row, column, rows, columns) on slice `index`."""
    row, column, height, width = crop
    rows, columns = (_axis(volume, letters) for letters in ("AP", "RL"))
    corners = []
    for r, c in ((0, 0), (0, width), (height, width), (height, 0)):
        ijk = np.zeros(3)
        ijk[feet_head_axis(volume)] = index
        ijk[rows.number] = rows.stored(row + r - HALF)
        ijk[columns.number] = columns.stored(column + c - HALF)
        x, y, z, _ = ijk_to_world(volume) @ [*ijk, 1.0]
        corners.append((float(x), float(y), float(z)))
    return corners


class _Axis:
    """A voxel axis and whether it runs against the library's order."""

    def __init__(self, number: int, size: int, against: bool) -> None:
        self.number, self.size, self.step = number, size, -1 if against else 1

    def stored(self, position: float) -> float:
        """The voxel index of a position in the library's order."""
        return position if self.step > 0 else self.size - 1 - position


def _axis(volume: Any, letters: str) -> _Axis:
    """The axis between the directions `letters`; the library counts towards the second."""
    from M3LungScreenLib.ct import Geometry

    fields = {name: tuple(values) for name, values in world_geometry(volume).items()}
    orientation = Geometry(**fields).orientation
    number = max(orientation.find(each) for each in letters)
    size = volume.GetImageData().GetDimensions()[number]
    return _Axis(number, size, orientation[number] == letters[0])
