"""Separates the air around the body from lung that reaches the image border.

All arrays are `[slice, row, column]` on a WorkingCopy.
"""

import numpy as np
from scipy import ndimage

from M3LungScreenLib.morphology import (
    CROSS,
    SQUARE,
    convex_hull,
    grown,
    opened,
    regions_by_slice,
    share_of_regions,
    shrunk,
    touching_border,
)
from M3LungScreenLib.working_copy import AIR_BELOW_HU, WorkingCopy

# Air and padding around the body read less than this once noise is averaged out.
PURE_AIR_BELOW_HU = -960
# Structures narrower than twice this are the blurred rim of skin, table or clothes.
RIM_MM = 6.0
# Smaller regions at the image border may be air between clothes.
SMALLEST_LUNG_AT_BORDER_ML = 40
SMALLEST_LUNG_AT_BORDER_MM2 = 1500
# How far from its core the surroundings of a region count. Clothes and mattresses have open
# air around them, lung has not; a table shell is thinner than any chest wall. A single slice
# must show more chest wall, because changes with height cannot be checked.
REACH_MM = 10.0
LARGEST_SHARE_IN_AIR = 0.05
WALL_RADIUS_MM = 5.0
SMALLEST_SHARE_AT_WALL = 0.45
SMALLEST_SHARE_AT_WALL_IN_A_SLICE = 0.65
# A table looks the same at every height: over this distance its HU change by about 10, with
# heavy noise 25; those of lung and its border change by 55 or more.
STEP_MM = 8.0
SMALLEST_CHANGE_HU = 40.0
# Beyond the reconstruction circle one value is stored; the circle is convex, a body is not.
LARGEST_DENT_SHARE = 0.01


def outside_air(work: WorkingCopy) -> tuple[np.ndarray, np.ndarray]:
    """Air that reaches the border of its slice, without lung; includes the part beyond the circle.

    Leaks of a few millimeters (air under the skin, a thin chest wall) stay closed. If the
    field of view is smaller than the chest, lung reaches the border, too.
    """
    beyond = beyond_the_circle(work.hu)
    air = work.hu < AIR_BELOW_HU
    outside = grown(touching_border(shrunk(air, CROSS)), CROSS) & air
    return outside & ~_lung_at_border(outside, beyond, work), beyond


def as_in_the_corners(hu: np.ndarray) -> np.ndarray:
    """Squares of 3 × 3 pixels with the value of a corner of their slice, if that is air."""
    corners = [hu[:, row, column] for row in (0, -1) for column in (0, -1)]
    alike = np.zeros(hu.shape, bool)
    for i, corner in enumerate(corners):
        is_new = (corner < AIR_BELOW_HU) & ~np.any([corner == each for each in corners[:i]], axis=0)
        if is_new.any():
            alike[is_new] |= opened(hu[is_new] == corner[is_new, None, None], (3, 3))
    return alike


def beyond_the_circle(hu: np.ndarray) -> np.ndarray:
    """Pixels beyond the circle in each slice: one value around a convex area."""
    beyond = as_in_the_corners(hu)
    for each in beyond:
        if each.any() and not _is_convex(~each):
            each[:] = False
    return beyond


def _is_convex(seen: np.ndarray) -> bool:
    """Whether pixels `[row, column]` lack next to none of their convex hull."""
    if not seen.any():
        return False
    hull = shrunk(convex_hull(seen), SQUARE, beyond=False)
    dents = np.count_nonzero(hull & ~seen)
    return bool(dents <= LARGEST_DENT_SHARE * np.count_nonzero(seen))


def _lung_at_border(air: np.ndarray, beyond: np.ndarray, work: WorkingCopy) -> np.ndarray:
    """The lung in `air`: not pure air, enclosed by the body, and different at each height."""
    smooth = np.asarray(ndimage.uniform_filter(work.hu, (1, 3, 3), mode="nearest"))
    pure = opened(air & (smooth < PURE_AIR_BELOW_HU), (3, 3)) & ~beyond
    mixed = air & ~pure & ~beyond
    core = shrunk(mixed, RIM_MM, work.spacing_mm[1:])
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
    """Whether the region `part` is lung, judged by its surroundings and its change with height."""
    spacing_mm = work.spacing_mm[1:]
    around = grown(part, REACH_MM, spacing_mm) & ~grown(part, RIM_MM, spacing_mm) & seen
    if not around.any() or np.mean(pure[around]) > LARGEST_SHARE_IN_AIR:
        return False
    at_wall = np.mean(_thick_tissue(smooth, work)[around])
    if work.is_single:
        return bool(at_wall >= SMALLEST_SHARE_AT_WALL_IN_A_SLICE)
    enough_wall = at_wall >= SMALLEST_SHARE_AT_WALL
    return bool(enough_wall and _change_hu(part, smooth, work) >= SMALLEST_CHANGE_HU)


def _thick_tissue(smooth: np.ndarray, work: WorkingCopy) -> np.ndarray:
    """Tissue thicker than a table shell."""
    spacing_mm = work.spacing_mm[1:]
    rows, columns = (int(WALL_RADIUS_MM / step) for step in spacing_mm)
    margin = ((0, 0), (rows, rows), (columns, columns))
    tissue = np.pad(smooth >= AIR_BELOW_HU, margin, mode="edge")
    thick = grown(shrunk(tissue, WALL_RADIUS_MM, spacing_mm), WALL_RADIUS_MM, spacing_mm)
    return np.asarray(thick[:, rows : rows + smooth.shape[1], columns : columns + smooth.shape[2]])


def _change_hu(part: np.ndarray, smooth: np.ndarray, work: WorkingCopy) -> float:
    """Mean HU difference between slices some millimeters apart, where either has the region."""
    steps = min(len(part) - 1, max(1, round(STEP_MM / work.spacing_mm[0])))
    if steps == 0:
        return 0.0
    either = part[steps:] | part[:-steps]
    return float(np.mean(np.abs(smooth[steps:] - smooth[:-steps])[either]))


def _grown_back(
    core: np.ndarray, mixed: np.ndarray, pure: np.ndarray, work: WorkingCopy
) -> np.ndarray:
    """The lung around its `core`, with the rims of vessels and enclosed dark spots."""
    if not core.any():
        return core
    near = grown(core, REACH_MM, work.spacing_mm[1:]) & (mixed | (pure & ~touching_border(pure)))
    regions, count = regions_by_slice(near | core)
    return np.asarray((share_of_regions(core, regions, count) > 0)[regions] & (regions > 0))
