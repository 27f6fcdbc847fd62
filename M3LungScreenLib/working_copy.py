"""A CT averaged to pixels of about 2 mm, in which the lungs are segmented."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from M3LungScreenLib.ct import CTVolume

WORKING_SPACING_MM = 2.0
# Ground glass stays below this after averaging; soft tissue does not.
AIR_BELOW_HU = -300
# Padding is no colder than air.
LOWEST_HU = -1024
CROSS = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]], bool)


@dataclass(frozen=True)
class WorkingCopy:
    """HU `[slice, row, column]` averaged over `factor` × `factor` pixels; slices are kept."""

    hu: np.ndarray  # float32
    spacing_mm: tuple[float, float, float]  # slice, row, column
    factor: int
    full: np.ndarray  # int16, the volume's own pixels in the slices that show something

    @classmethod
    def of(cls, volume: CTVolume) -> "WorkingCopy":
        x_mm, y_mm, z_mm = volume.spacing_mm
        factor = max(1, round(WORKING_SPACING_MM / x_mm))
        shown = volume.hu[volume.scanned]
        small = np.stack([_averaged(each, factor) for each in shown])
        return cls(small, (z_mm, y_mm * factor, x_mm * factor), factor, shown)

    @property
    def pixel_mm2(self) -> float:
        return self.spacing_mm[1] * self.spacing_mm[2]

    @property
    def voxel_ml(self) -> float:
        return float(np.prod(self.spacing_mm)) / 1000

    @property
    def is_single(self) -> bool:
        return len(self.hu) == 1

    def back(self, sides: np.ndarray, air: np.ndarray) -> np.ndarray:
        """Sides uint8 in full resolution; the border of aerated lung follows the full HU."""
        lungs = np.zeros(self.full.shape, np.uint8)
        for k in np.flatnonzero(sides.any(axis=(1, 2))):
            side, cross = sides[k], CROSS[0]
            grown = ndimage.grey_dilation(side, footprint=cross)
            inner = ndimage.binary_erosion(side > 0, cross) | ((side > 0) & ~air[k])
            box = self._box(grown > 0)
            labels, certain = self._enlarged(grown, box), self._enlarged(inner, box)
            lungs[k][box] = labels * (certain | (self.full[k][box] < AIR_BELOW_HU))
        return lungs

    def _box(self, small: np.ndarray) -> tuple[slice, slice]:
        """The full pixels that cover all of `small` `[row, column]`, which is not empty."""
        (found,) = ndimage.find_objects(small.astype(np.uint8))
        _, *sizes = self.full.shape
        rows, columns = (
            slice(each.start * self.factor, min(size, each.stop * self.factor))
            for each, size in zip(found, sizes, strict=True)
        )
        return rows, columns

    def _enlarged(self, small: np.ndarray, box: tuple[slice, slice]) -> np.ndarray:
        rows, columns = (np.arange(each.start, each.stop) // self.factor for each in box)
        return np.asarray(small[rows[:, None], columns])


def _averaged(hu: np.ndarray, factor: int) -> np.ndarray:
    """Means of blocks of `hu` `[row, column]`, float32; the last ones repeat the border."""
    rows, columns = hu.shape
    bounded = np.maximum(hu, LOWEST_HU)
    padded = np.pad(bounded, ((0, -rows % factor), (0, -columns % factor)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // factor, factor, -1, factor)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32))
