"""A CT averaged to voxels of about 2 mm, in which the lungs are segmented."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.morphology import CROSS, PIXELS, VOXELS, grown, shrunk

WORKING_SPACING_MM = 2.0
# Ground glass stays below this after averaging; soft tissue does not.
AIR_BELOW_HU = -300
# Padding is no colder than air.
LOWEST_HU = -1024


@dataclass(frozen=True)
class WorkingCopy:
    """HU `[slice, row, column]` averaged over blocks of voxels; thick slices are kept."""

    hu: np.ndarray  # float32
    spacing_mm: tuple[float, float, float]  # slice, row, column
    block: tuple[int, int, int]  # voxels: slices, rows, columns
    full: np.ndarray  # int16, the volume's own voxels in the slices that show something

    @classmethod
    def of(cls, volume: CTVolume) -> "WorkingCopy":
        x_mm, y_mm, z_mm = volume.spacing_mm
        deep, wide = (max(1, round(WORKING_SPACING_MM / step)) for step in (z_mm, x_mm))
        shown = volume.hu[volume.scanned]
        small = [_averaged(shown[k : k + deep], wide) for k in range(0, len(shown), deep)]
        spacing_mm = (z_mm * deep, y_mm * wide, x_mm * wide)
        return cls(np.stack(small), spacing_mm, (deep, wide, wide), shown)

    @property
    def pixel_mm2(self) -> float:
        return self.spacing_mm[1] * self.spacing_mm[2]

    @property
    def voxel_ml(self) -> float:
        return float(np.prod(self.spacing_mm)) / 1000

    @property
    def is_single(self) -> bool:
        return len(self.hu) == 1

    def draw(self, sides: np.ndarray, air: np.ndarray, lungs: np.ndarray) -> None:
        """Draw sides uint8 into `lungs`, which is like `full` and 0 everywhere.

        The border of aerated lung follows the full HU.
        """
        # Slices that are not averaged end where the lung does.
        around = PIXELS if self.block[0] == 1 else VOXELS
        labels = np.zeros_like(sides)
        for side in np.unique(sides[sides > 0]):
            labels[grown(sides == side, CROSS, around)] = side
        certain = (shrunk(sides > 0, CROSS, around) | ~air) & (sides > 0)
        for k in np.flatnonzero(labels.any(axis=(1, 2))):
            box = self._box(labels[k] > 0)
            label, kept = self._enlarged(labels[k], box), self._enlarged(certain[k], box)
            slices = slice(k * self.block[0], (k + 1) * self.block[0])
            for lung, hu in zip(lungs[slices], self.full[slices], strict=True):
                lung[box] = label * (kept | (hu[box] < AIR_BELOW_HU))

    def _box(self, small: np.ndarray) -> tuple[slice, slice]:
        """The full pixels that cover all of `small` `[row, column]`, which is not empty."""
        (found,) = ndimage.find_objects(small.astype(np.uint8))
        rows, columns = (
            slice(each.start * block, min(size, each.stop * block))
            for each, block, size in zip(found, self.block[1:], self.full.shape[1:], strict=True)
        )
        return rows, columns

    def _enlarged(self, small: np.ndarray, box: tuple[slice, slice]) -> np.ndarray:
        rows, columns = (
            np.arange(each.start, each.stop) // block
            for each, block in zip(box, self.block[1:], strict=True)
        )
        return np.asarray(small[rows[:, None], columns])


def _averaged(hu: np.ndarray, wide: int) -> np.ndarray:
    """Means of `hu` `[slice, row, column]` over all slices and blocks of `wide` pixels, float32.

    The last blocks repeat the border.
    """
    total = np.zeros(hu.shape[1:], np.int32)
    for each in hu:
        total += np.maximum(each, LOWEST_HU)
    rows, columns = hu.shape[1:]
    total = np.pad(total, ((0, -rows % wide), (0, -columns % wide)), mode="edge")
    total = total.reshape(len(total) // wide, wide, -1).sum(axis=1, dtype=np.int32)
    blocks = sum(total[:, start::wide] for start in range(wide))
    return np.asarray(blocks / np.float32(len(hu) * wide**2), np.float32)
