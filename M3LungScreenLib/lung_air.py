"""Which air is lung: told from the air outside the body, from airways and from bowel gas.

All arrays are `[slice, row, column]` on a WorkingCopy.
"""

import numpy as np
from scipy import ndimage

from M3LungScreenLib.surroundings import outside_air, share_of_regions
from M3LungScreenLib.working_copy import AIR_BELOW_HU, CROSS, WorkingCopy

# The core of gas in bowel or trachea reads -1000; lung, even with emphysema, more.
GAS_BELOW_HU = -958
# Trachea and main bronchi together, in one axial slice.
LARGEST_AIRWAY_AREA_MM2 = 900
# A region of air smaller than this is no lung: in 3D, and in a single slice.
SMALLEST_LUNG_ML = 15
SMALLEST_LUNG_AREA_MM2 = 400
# Hollow tables, mattresses and air under the skin are walled off this thinly from the
# air outside; of a lung's border only a small share is.
WALL_MM = 12.0
LARGEST_SHALLOW_SHARE = 0.5
# Gas fills its part of a slice; lung beside a pneumothorax leaves more than the rest.
SMALLEST_GAS_SHARE = 0.75
# In slices this thick a bowel loop's wall and folds are mixed into its gas; lung of such a
# small cross-section is less dark.
THICK_SLICE_MM = 5.0
SMALLEST_GAS_SHARE_OF_A_LOOP = 0.35
LARGEST_LOOP_MM2 = 5000.0
# Emphysema and free air have lung beneath them; under stomach and colon lies none.
LARGEST_SHARE_OVER_LUNG = 0.5
# In a thick slice the end of a bubble is a mixture: it lies mostly over pure gas.
SMALLEST_SHARE_OVER_GAS = 0.5
# Bowel that is full of stool and small bubbles lies wholly below the lungs.
LARGEST_BOWEL_ML = 300
_PLANE = np.ones((1, 3, 3), bool)


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
    airways = np.zeros_like(air)
    previous = np.zeros(air.shape[1:], bool)
    for k in range(len(air) - 1, -1, -1):
        regions, count = ndimage.label(air[k])
        if count == 0:
            previous[:] = False
            continue
        areas = ndimage.sum_labels(air[k], regions, np.arange(1, count + 1)) * work.pixel_mm2
        fits = _touched_by_gas(regions, count, work.hu[k]) & (areas < LARGEST_AIRWAY_AREA_MM2)
        if previous.any():
            met = np.zeros(count, bool)
            met[np.unique(regions[previous & (regions > 0)]) - 1] = True
            fits &= met
        airways[k] = np.isin(regions, 1 + np.flatnonzero(fits))
        previous = airways[k] if airways[k].any() else previous & False
    return ndimage.binary_dilation(airways, CROSS) & air


def _touched_by_gas(regions: np.ndarray, count: int, hu: np.ndarray) -> np.ndarray:
    """For each region whether its darkest pixel is nearly pure gas."""
    index = np.arange(1, count + 1)
    return np.asarray(ndimage.minimum(hu, regions, index)) < GAS_BELOW_HU + 20


def _bowel_gas(air: np.ndarray, work: WorkingCopy) -> np.ndarray:
    """Gas beneath the diaphragm, and what a thick slice mixes of it and its wall.

    Sought in each slice for itself: between thick slices a thin diaphragm is averaged
    away, so that in 3D stomach or colon are one region with the lung above them.
    """
    regions = _labelled_by_slice(air)
    core = ndimage.binary_erosion(air, _PLANE)
    dark = _smoothed(work.hu) < GAS_BELOW_HU
    share = share_of_regions(dark, np.where(core, regions, 0), regions.max())
    gas = (share >= SMALLEST_GAS_SHARE)[regions]
    if work.spacing_mm[0] >= THICK_SLICE_MM:
        is_loop = np.bincount(regions.ravel()) * work.pixel_mm2 <= LARGEST_LOOP_MM2
        is_loop[0] = False
        gas |= (is_loop & (share >= SMALLEST_GAS_SHARE_OF_A_LOOP))[regions]
    above_or_below = np.zeros_like(gas)
    above_or_below[1:] |= gas[:-1]
    above_or_below[:-1] |= gas[1:]
    mixed = share_of_regions(above_or_below, regions, regions.max()) >= SMALLEST_SHARE_OVER_GAS
    gas |= mixed[regions]
    bubbles, count = ndimage.label(gas)
    beneath = np.zeros_like(air)
    beneath[1:] = np.logical_or.accumulate(air & ~gas, axis=0)[:-1]
    in_bowel = share_of_regions(beneath, bubbles, count) < LARGEST_SHARE_OVER_LUNG
    in_bowel[0] = False
    return np.asarray(in_bowel[bubbles])


def _smoothed(hu: np.ndarray) -> np.ndarray:
    """In the plane, against noise."""
    return np.asarray(ndimage.uniform_filter(hu, (1, 3, 3), mode="nearest"))


def _labelled_by_slice(mask: np.ndarray) -> np.ndarray:
    """Regions connected in the plane, numbered through all slices."""
    in_plane = np.zeros((3, 3, 3), bool)
    in_plane[1] = CROSS[0]
    return np.asarray(ndimage.label(mask, in_plane)[0])


def _lung_regions(air: np.ndarray, open_air: np.ndarray, work: WorkingCopy) -> np.ndarray:
    """Regions of air large enough for lung, whose core is no pure gas, deep in the body."""
    regions, count = ndimage.label(air)
    if count == 0:
        return air
    index = np.arange(1, count + 1)
    pixels = np.asarray(ndimage.sum_labels(air, regions, index))
    if work.is_single:
        large = pixels * work.pixel_mm2 >= SMALLEST_LUNG_AREA_MM2
    else:
        large = pixels * work.voxel_ml >= SMALLEST_LUNG_ML
    core = ndimage.binary_erosion(air, _PLANE) & air
    inside = np.where(core, regions, 0)
    has_core = np.asarray(ndimage.sum_labels(core, inside, index)) > 0
    median = np.asarray(ndimage.median(work.hu, inside, index))
    is_gas = ~has_core | (median < GAS_BELOW_HU)
    kept = large & ~is_gas & ~_shallow(regions, count, open_air, work)
    if kept.any() and not work.is_single:
        kept &= ~_below_the_lungs(regions, np.where(kept, pixels, 0), work)
    return np.isin(regions, index[kept])


def _shallow(
    regions: np.ndarray, count: int, open_air: np.ndarray, work: WorkingCopy
) -> np.ndarray:
    """For each of `count` regions whether most of its border lies right beneath the skin."""
    border = np.where(ndimage.binary_erosion(regions > 0, CROSS), 0, regions)
    near = np.stack([_near(each, WALL_MM, work.spacing_mm[1:]) for each in open_air])
    return share_of_regions(near, border, count)[1:] > LARGEST_SHALLOW_SHARE


def _near(mask: np.ndarray, mm: float, spacing_mm: tuple[float, ...]) -> np.ndarray:
    """What lies less than so far from `mask` `[row, column]`; nothing does where it is empty."""
    if not mask.any():
        return mask
    return np.asarray(ndimage.distance_transform_edt(~mask, sampling=spacing_mm) < mm)


def _below_the_lungs(regions: np.ndarray, pixels: np.ndarray, work: WorkingCopy) -> np.ndarray:
    """For each region whether it is small and ends where the largest has not yet begun."""
    heights = [each[0] for each in ndimage.find_objects(regions)]
    lowest = heights[int(pixels.argmax())].start
    ends_below = np.array([each.stop <= lowest for each in heights])
    return ends_below & (pixels * work.voxel_ml < LARGEST_BOWEL_ML)
