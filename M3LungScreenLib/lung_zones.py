"""Zones of the lungs: upper, middle and lower third, central and peripheral part."""

import numpy as np

from M3LungScreenLib.lungs import LEFT, RIGHT
from M3LungScreenLib.morphology import convex_hull, shrunk

OUTSIDE, LOWER, MIDDLE, UPPER = 0, 1, 2, 3
# The peripheral zone, where COVID-19 opacities are most frequent: 2 cm from the costal surface,
# not from the mediastinum.
PERIPHERAL_DEPTH_MM = 20.0
WORKING_SPACING_MM = 2.5


def vertical_zones(lungs: np.ndarray) -> np.ndarray:
    """Thirds of each lung's height, uint8 like `lungs`: 0 outside, 1 lower to 3 upper."""
    thirds = thirds_of_height(lungs)
    return np.stack([thirds[k][each] for k, each in enumerate(lungs)])


def thirds_of_height(lungs: np.ndarray) -> np.ndarray:
    """The zone of each slice for each value of `lungs`: uint8 `[slice, 3]`, 0 for value 0."""
    thirds = np.zeros((len(lungs), 3), np.uint8)
    for side in (RIGHT, LEFT):
        slices = np.flatnonzero([(each == side).any() for each in lungs])
        if len(slices):
            height = slices[-1] - slices[0] + 1
            third = np.clip((np.arange(len(lungs)) - slices[0]) * 3 // height, 0, 2)
            thirds[:, side] = LOWER + third
    return thirds


def peripheral(lungs: np.ndarray, spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """Lung voxels within 2 cm of the costal surface, bool like `lungs`.

    `spacing_mm` is x, y, z.
    """
    return np.stack([peripheral_in_slice(each, spacing_mm) for each in lungs])


def peripheral_in_slice(lungs: np.ndarray, spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """As `peripheral`, of `[row, column]`.

    The costal surface is the border of the convex hull of both lungs in the slice.
    """
    x_mm, y_mm, _ = spacing_mm
    step = max(1, round(WORKING_SPACING_MM / x_mm))
    small = lungs[::step, ::step] > 0
    if not small.any():
        return np.zeros(lungs.shape, bool)
    hull, spacing = convex_hull(small), (y_mm * step, x_mm * step)
    near = hull & ~shrunk(hull, PERIPHERAL_DEPTH_MM, spacing, beyond=False)
    whole = near.repeat(step, axis=0).repeat(step, axis=1)
    return np.asarray(whole[: lungs.shape[0], : lungs.shape[1]] & (lungs > 0))
