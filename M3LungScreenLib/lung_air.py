"""Finds lung among all air: separates it from air outside the body, airways and bowel gas.

All arrays are `[slice, row, column]` on a WorkingCopy.
"""

import numpy as np
from scipy import ndimage

from M3LungScreenLib.morphology import (
    CROSS,
    SQUARE,
    grown,
    regions_by_slice,
    share_of_regions,
    shrunk,
)
from M3LungScreenLib.surroundings import outside_air
from M3LungScreenLib.working_copy import AIR_BELOW_HU, WorkingCopy

# The core of gas in bowel or trachea is near -1000 HU; lung is denser, even with emphysema.
GAS_BELOW_HU = -958
# Trachea and main bronchi together, in one axial slice.
LARGEST_AIRWAY_AREA_MM2 = 900
# Smaller regions of air are not lung: in 3D, and in a single slice.
SMALLEST_LUNG_ML = 15
SMALLEST_LUNG_AREA_MM2 = 400
# Hollow tables, mattresses and air under the skin have a wall this thin to the outside along
# most of their border; lung only along a small share.
WALL_MM = 12.0
LARGEST_SHALLOW_SHARE = 0.5
# Gas fills its region of a slice; beside a pneumothorax, a larger part of the region is lung.
SMALLEST_GAS_SHARE = 0.75
# In slices this thick, bowel gas is averaged with wall and folds; lung with such a small
# cross-section is less dark.
THICK_SLICE_MM = 5.0
SMALLEST_GAS_SHARE_OF_A_LOOP = 0.35
LARGEST_LOOP_MM2 = 5000.0
# There is lung below emphysema and free air, but not below stomach and colon.
LARGEST_SHARE_OVER_LUNG = 0.5
# In a thick slice, the partial-volume end of a bubble lies mostly over pure gas.
SMALLEST_SHARE_OVER_GAS = 0.5
# Bowel full of stool and small bubbles lies entirely below the lungs.
LARGEST_BOWEL_ML = 300


def find_lung_air(work: WorkingCopy) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Aerated lung, all air within the body, and the body itself (air included)."""
    outside, beyond = outside_air(work)
    air = (work.hu < AIR_BELOW_HU) & ~outside
    candidates = air & ~_airways(air, work)
    if not work.is_single:
        candidates &= ~_bowel_gas(candidates, work)
    return _lung_regions(candidates, outside & ~beyond, work), air, ~outside


def _airways(air: np.ndarray, work: WorkingCopy) -> np.ndarray:
    """Trachea and main bronchi, followed from the head down until they enter the lungs."""
    regions, count = regions_by_slice(air)
    areas = np.bincount(regions.ravel(), minlength=count + 1) * work.pixel_mm2
    has_gas = share_of_regions(work.hu < GAS_BELOW_HU + 20, regions, count) > 0
    fits = has_gas & (areas < LARGEST_AIRWAY_AREA_MM2)
    fits[0] = False
    airways = np.zeros_like(air)
    previous = np.zeros(air.shape[1:], bool)
    for k in range(len(air) - 1, -1, -1):
        found = fits[regions[k]]
        if previous.any():
            met = np.unique(regions[k][previous])
            found &= np.isin(regions[k], met)
        airways[k] = previous = found
    return grown(airways, CROSS) & air


def _bowel_gas(air: np.ndarray, work: WorkingCopy) -> np.ndarray:
    """Gas below the diaphragm, with its partial-volume rim in thick slices.

    Searched slice by slice: thick slices average a thin diaphragm away, so that in 3D stomach
    or colon would be connected to the lung above.
    """
    regions, count = regions_by_slice(air)
    core = shrunk(air, SQUARE, beyond=False)
    dark = _smoothed(work.hu) < GAS_BELOW_HU
    share = share_of_regions(dark, np.where(core, regions, 0), count)
    gas = (share >= SMALLEST_GAS_SHARE)[regions]
    if work.spacing_mm[0] >= THICK_SLICE_MM:
        is_loop = np.bincount(regions.ravel()) * work.pixel_mm2 <= LARGEST_LOOP_MM2
        is_loop[0] = False
        gas |= (is_loop & (share >= SMALLEST_GAS_SHARE_OF_A_LOOP))[regions]
    above_or_below = np.zeros_like(gas)
    above_or_below[1:] |= gas[:-1]
    above_or_below[:-1] |= gas[1:]
    mixed = share_of_regions(above_or_below, regions, count) >= SMALLEST_SHARE_OVER_GAS
    gas |= mixed[regions]
    bubbles, count = ndimage.label(gas)
    beneath = np.zeros_like(air)
    beneath[1:] = np.logical_or.accumulate(air & ~gas, axis=0)[:-1]
    in_bowel = share_of_regions(beneath, bubbles, count) < LARGEST_SHARE_OVER_LUNG
    in_bowel[0] = False
    return np.asarray(in_bowel[bubbles])


def _smoothed(hu: np.ndarray) -> np.ndarray:
    """Smoothed within the slices, against noise."""
    return np.asarray(ndimage.uniform_filter(hu, (1, 3, 3), mode="nearest"))


def _lung_regions(air: np.ndarray, open_air: np.ndarray, work: WorkingCopy) -> np.ndarray:
    """Regions of air that are large enough, not pure gas at their core, and deep in the body."""
    regions, count = ndimage.label(air)
    if count == 0:
        return air
    pixels = np.bincount(regions.ravel(), minlength=count + 1)[1:]
    if work.is_single:
        large = pixels * work.pixel_mm2 >= SMALLEST_LUNG_AREA_MM2
    else:
        large = pixels * work.voxel_ml >= SMALLEST_LUNG_ML
    is_lung = ~_cores_are_gas(air, regions, large, work) & ~_shallow(regions, count, open_air, work)
    kept = large & is_lung
    if kept.any() and not work.is_single:
        kept &= ~_below_the_lungs(regions, np.where(kept, pixels, 0), work)
    return np.concatenate([[False], kept])[regions]


def _cores_are_gas(
    air: np.ndarray, regions: np.ndarray, asked: np.ndarray, work: WorkingCopy
) -> np.ndarray:
    """For each region in `asked`, whether its core is pure gas or it has no core."""
    core = shrunk(air, SQUARE, beyond=False)
    is_gas = np.zeros(len(asked), bool)
    boxes = ndimage.find_objects(regions)
    for i in np.flatnonzero(asked):
        values = work.hu[boxes[i]][core[boxes[i]] & (regions[boxes[i]] == i + 1)]
        is_gas[i] = not values.size or np.median(values) < GAS_BELOW_HU
    return is_gas


def _shallow(
    regions: np.ndarray, count: int, open_air: np.ndarray, work: WorkingCopy
) -> np.ndarray:
    """For each of `count` regions, whether most of its border lies directly below the skin."""
    border = np.where(shrunk(regions > 0, CROSS, beyond=False), 0, regions)
    near = grown(open_air, WALL_MM, work.spacing_mm[1:])
    return share_of_regions(near, border, count)[1:] > LARGEST_SHALLOW_SHARE


def _below_the_lungs(regions: np.ndarray, pixels: np.ndarray, work: WorkingCopy) -> np.ndarray:
    """For each region, whether it is small and ends below the start of the largest region."""
    heights = [each[0] for each in ndimage.find_objects(regions)]
    lowest = heights[int(pixels.argmax())].start
    ends_below = np.array([each.stop <= lowest for each in heights])
    return ends_below & (pixels * work.voxel_ml < LARGEST_BOWEL_ML)
