"""The air around the body, told from lung that reaches the border of the image.

All arrays are `[slice, row, column]` on a WorkingCopy.
"""

import numpy as np
from scipy import ndimage
from skimage.morphology import convex_hull_image

from M3LungScreenLib.working_copy import AIR_BELOW_HU, CROSS, WorkingCopy

# Air and padding around the body read less than this once noise is averaged out.
PURE_AIR_BELOW_HU = -960
# Narrower than twice this are the blurred rim of skin, table and clothes.
RIM_MM = 6.0
# Lung at the image's border: less than this may be air between clothes.
SMALLEST_LUNG_AT_BORDER_ML = 40
SMALLEST_LUNG_AT_BORDER_MM2 = 1500
# What lung borders on, up to so far from its core. Clothes and mattresses border on
# open air, lung does not; the shell of a table is thinner than any chest wall. In a
# single slice, where no height can tell them apart, more of a wall is asked for.
REACH_MM = 10.0
LARGEST_SHARE_IN_AIR = 0.05
WALL_RADIUS_MM = 5.0
SMALLEST_SHARE_AT_WALL = 0.45
SMALLEST_SHARE_AT_WALL_IN_A_SLICE = 0.65
# A table is the same at every height: so far up, its HU change by some 10, with heavy
# noise 25; those of lung and of its border by 55 and more.
STEP_MM = 8.0
SMALLEST_CHANGE_HU = 40.0
# Beyond the scanner's circle one value is stored; what lies within is convex, a body is not.
LARGEST_DENT_SHARE = 0.01
_PLANE = np.ones((1, 3, 3), bool)


def outside_air(work: WorkingCopy) -> tuple[np.ndarray, np.ndarray]:
    """What reaches the border of its slice and is no lung; also the part beyond the circle.

    Leaks of a few millimeters (air under the skin, a thin chest wall) are no way in.
    Where the field of view is smaller than the chest, lung reaches its border, too.
    """
    beyond = np.stack([beyond_the_circle(each) for each in work.hu])
    air = work.hu < AIR_BELOW_HU
    wide = ndimage.binary_erosion(air, CROSS, border_value=1)
    outside = np.stack([_touching_border(each) for each in wide])
    outside = ndimage.binary_dilation(outside, CROSS) & air
    return outside & ~_lung_at_border(outside, beyond, work), beyond


def beyond_the_circle(hu: np.ndarray) -> np.ndarray:
    """Pixels of `[row, column]` beyond the scanner's circle: one value, around a convex rest."""
    corners = hu[[0, 0, -1, -1], [0, -1, 0, -1]]
    beyond = np.zeros(hu.shape, bool)
    for value in np.unique(corners[corners < AIR_BELOW_HU]):
        beyond |= ndimage.binary_opening(hu == value, _PLANE[0])
    seen = ~beyond
    if not beyond.any() or not seen.any():
        return beyond & False
    hull = ndimage.binary_erosion(convex_hull_image(seen), _PLANE[0])
    dents = np.count_nonzero(hull & beyond)
    return beyond & (dents <= LARGEST_DENT_SHARE * np.count_nonzero(seen))


def share_of_regions(mask: np.ndarray, regions: np.ndarray, count: int) -> np.ndarray:
    """By label, 0 to `count`, the share of a region that `mask` covers; 0 for an empty one."""
    sizes = np.bincount(regions.ravel(), minlength=count + 1)
    covered = np.bincount(regions[mask], minlength=count + 1)
    return np.asarray(covered / np.maximum(sizes, 1))


def _touching_border(mask: np.ndarray) -> np.ndarray:
    """Regions of `mask` `[row, column]` that reach its border."""
    regions, _ = ndimage.label(mask)
    edge = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    return np.isin(regions, np.unique(edge[edge > 0]))


def _lung_at_border(air: np.ndarray, beyond: np.ndarray, work: WorkingCopy) -> np.ndarray:
    """The part of `air` that is lung: no pure air, walled in by the body, other at each height."""
    smooth = np.asarray(ndimage.uniform_filter(work.hu, (1, 3, 3), mode="nearest"))
    pure = ndimage.binary_opening(air & (smooth < PURE_AIR_BELOW_HU), _PLANE) & ~beyond
    mixed = air & ~pure & ~beyond
    core = np.stack([_depth_mm(each, work) for each in mixed]) > RIM_MM
    regions, count = ndimage.label(core)
    if count == 0:
        return core
    sizes = np.bincount(regions.ravel(), minlength=count + 1)
    if work.is_single:
        large = sizes * work.pixel_mm2 >= SMALLEST_LUNG_AT_BORDER_MM2
    else:
        large = sizes * work.voxel_ml >= SMALLEST_LUNG_AT_BORDER_ML
    large[0] = False
    is_lung = np.zeros(count + 1, bool)
    for label, box in enumerate(ndimage.find_objects(regions), 1):
        if large[label]:
            slices = box[0]
            part = regions[slices] == label
            is_lung[label] = _is_lung(part, pure[slices], ~beyond[slices], smooth[slices], work)
    return _grown_back(is_lung[regions], mixed, pure, work)


def _is_lung(
    part: np.ndarray, pure: np.ndarray, seen: np.ndarray, smooth: np.ndarray, work: WorkingCopy
) -> bool:
    """Whether the region `part` is lung, by what it borders on and how it changes upwards."""
    spacing_mm = work.spacing_mm[1:]
    far = np.stack([ndimage.distance_transform_edt(~each, sampling=spacing_mm) for each in part])
    around = (far > RIM_MM) & (far <= REACH_MM) & seen
    if not around.any() or np.mean(pure[around]) > LARGEST_SHARE_IN_AIR:
        return False
    at_wall = np.mean(_thick_tissue(smooth, work)[around])
    if work.is_single:
        return bool(at_wall >= SMALLEST_SHARE_AT_WALL_IN_A_SLICE)
    enough_wall = at_wall >= SMALLEST_SHARE_AT_WALL
    return bool(enough_wall and _change_hu(part, smooth, work) >= SMALLEST_CHANGE_HU)


def _thick_tissue(smooth: np.ndarray, work: WorkingCopy) -> np.ndarray:
    """Tissue that is thicker than a table's shell."""
    rows, columns = (int(WALL_RADIUS_MM / step) for step in work.spacing_mm[1:])
    y, x = np.ogrid[-rows : rows + 1, -columns : columns + 1]
    disc = (y / max(rows, 1)) ** 2 + (x / max(columns, 1)) ** 2 <= 1
    margin = ((0, 0), (rows, rows), (columns, columns))
    tissue = np.pad(smooth >= AIR_BELOW_HU, margin, mode="edge")
    opened = ndimage.binary_opening(tissue, disc[None])
    return np.asarray(opened[:, rows : rows + smooth.shape[1], columns : columns + smooth.shape[2]])


def _change_hu(part: np.ndarray, smooth: np.ndarray, work: WorkingCopy) -> float:
    """Mean difference of HU between slices some millimeters apart, where the region is in one."""
    steps = min(len(part) - 1, max(1, round(STEP_MM / work.spacing_mm[0])))
    if steps == 0:
        return 0.0
    either = part[steps:] | part[:-steps]
    return float(np.mean(np.abs(smooth[steps:] - smooth[:-steps])[either]))


def _grown_back(
    core: np.ndarray, mixed: np.ndarray, pure: np.ndarray, work: WorkingCopy
) -> np.ndarray:
    """The lung around its `core`, with vessels' rims and dark spots that it encloses."""
    lung = np.zeros_like(core)
    for k in np.flatnonzero(core.any(axis=(1, 2))):
        far = ndimage.distance_transform_edt(~core[k], sampling=work.spacing_mm[1:])
        near = (far <= REACH_MM) & (mixed[k] | (pure[k] & ~_touching_border(pure[k])))
        regions, _ = ndimage.label(near | core[k])
        lung[k] = np.isin(regions, np.unique(regions[core[k]]))
    return lung


def _depth_mm(mask: np.ndarray, work: WorkingCopy) -> np.ndarray:
    """How deep each pixel lies in `mask` `[row, column]`, which goes on beyond the image."""
    rows, columns = (int(np.ceil(REACH_MM / step)) for step in work.spacing_mm[1:])
    padded = np.pad(mask, ((rows, rows), (columns, columns)), mode="edge")
    depth = ndimage.distance_transform_edt(padded, sampling=work.spacing_mm[1:])
    return np.asarray(depth[rows : rows + mask.shape[0], columns : columns + mask.shape[1]])
