"""Zones of the lungs: thirds of height, and the part near the ribs."""

import numpy as np
from scipy import ndimage
from skimage.morphology import convex_hull_image

from M3LungScreenLib.lungs import LEFT, RIGHT

OUTSIDE, LOWER, MIDDLE, UPPER = 0, 1, 2, 3
# The outer zone where the opacities of COVID-19 gather is taken as 2 cm under the
# costal surface; the side towards the mediastinum does not count.
PERIPHERAL_DEPTH_MM = 20.0
WORKING_SPACING_MM = 2.5


def vertical_zones(lungs: np.ndarray) -> np.ndarray:
    """Thirds of each lung's height, uint8 like `lungs`: 0 outside, 1 lower to 3 upper."""
    zones = np.zeros_like(lungs)
    for side in (RIGHT, LEFT):
        inside = lungs == side
        slices = np.flatnonzero(inside.any(axis=(1, 2)))
        if len(slices) == 0:
            continue
        height = slices[-1] - slices[0] + 1
        third = np.clip((np.arange(len(lungs)) - slices[0]) * 3 // height, 0, 2)
        zones += inside * (LOWER + third).astype(np.uint8)[:, None, None]
    return zones


def peripheral(lungs: np.ndarray, spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """Lung voxels at most 2 cm from the costal surface, bool like `lungs`.

    The costal surface is the border of the convex hull of both lungs in each slice;
    `spacing_mm` x, y, z.
    """
    x_mm, y_mm, _ = spacing_mm
    step = max(1, round(WORKING_SPACING_MM / x_mm))
    small = lungs[:, ::step, ::step] > 0
    near = np.zeros_like(small)
    for k in np.flatnonzero(small.any(axis=(1, 2))):
        hull = np.pad(convex_hull_image(small[k]), 1)
        depth_mm = ndimage.distance_transform_edt(hull, sampling=(y_mm * step, x_mm * step))
        near[k] = depth_mm[1:-1, 1:-1] <= PERIPHERAL_DEPTH_MM
    whole = near.repeat(step, axis=1).repeat(step, axis=2)
    return whole[:, : lungs.shape[1], : lungs.shape[2]] & (lungs > 0)
