"""Segments the left and right lung, including consolidated parts.

A classical 3D method on a copy of about 2 mm: find air inside the body, remove airways and
bowel gas, split left from right, close over vessels and opacities at the pleura, and fill
airless lung after the shape of the other side. Crops, involvement and refusals depend on
this mask.
"""

from collections.abc import Callable

import numpy as np
from scipy import ndimage
from skimage.morphology import convex_hull_image
from skimage.segmentation import watershed

from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.lung_air import find_lung_air
from M3LungScreenLib.midplane import Mirror, center
from M3LungScreenLib.working_copy import WorkingCopy

RIGHT, LEFT = 1, 2
# Of about the same time each: what `segment_lungs` tells while it works.
PARTS = 6
# Vessels, fissures and opacities up to twice this wide are closed over.
CLOSING_RADIUS_MM = 12.0
# A field of view that ends in the body does so over a good part of its height; the
# spine has more bone in its columns than ribs, sternum or shoulder blades in theirs.
LARGEST_SHARE_AT_SIDE = 0.25
SPINE_WIDTH_MM = 40.0
BONE_HU = 180
# One lung reaches across the midline with less than this share of it.
LARGEST_SHARE_ACROSS = 0.3
# Lung without air is looked for where its opposite has air: broad regions, a good
# part of whose border lies along the ribs, and well above the diaphragm, whose
# right and left dome lie at most so far apart.
SLIMMEST_FILLING_MM = 14.0
COSTAL_MM = 8.0
SMALLEST_SHARE_AT_RIBS = 0.25
DOME_DISTANCE_MM = 35.0
# Less than this, filled in one piece, is an apex that ends lower than its opposite.
SMALLEST_FILLING_ML = 40
# Less lung than this in a slice tells nothing.
SMALLEST_AREA_IN_SLICE_MM2 = 150


def segment_lungs(
    volume: CTVolume, part_done: Callable[[int], None] = lambda part: None
) -> np.ndarray:
    """Lung mask uint8 `[slice, row, column]` on `volume.hu`: 1 right, 2 left, 0 elsewhere.

    All 0 if there is no lung. A single slice is segmented in 2D. `part_done` is called with
    1 to PARTS (fewer if there are no lungs); an exception it raises ends the work.
    """
    lungs = np.zeros(volume.hu.shape, np.uint8)
    work = WorkingCopy.of(volume)
    part_done(1)
    lung_air, air, body = find_lung_air(work)
    if not lung_air.any():
        return lungs
    part_done(2)
    midpoint = _midpoint(body, work)
    sides = _split(lung_air, midpoint[1], work)
    part_done(3)
    closed = _closed(sides, body, work)
    part_done(4)
    filled = _fill_opaque(closed, body, Mirror.of(body, midpoint, work), work)
    part_done(5)
    lungs[volume.scanned] = work.back(_without_traces(filled, work), air)
    part_done(PARTS)
    return lungs


def _midpoint(body: np.ndarray, work: WorkingCopy) -> tuple[float, float]:
    """A row and column on the midplane: the trunk's center, or the spine's if a side is cut."""
    if max(body[:, :, 0].mean(), body[:, :, -1].mean()) > LARGEST_SHARE_AT_SIDE:
        bone = np.count_nonzero(work.hu > BONE_HU, axis=0).astype(np.float32)
        if bone.any():
            width = max(1, round(SPINE_WIDTH_MM / work.spacing_mm[2]))
            in_band = ndimage.uniform_filter1d(bone, width, axis=1, mode="constant")
            column = int(in_band.sum(axis=0).argmax())
            return center(in_band[:, column]), float(column)
    return center(body.sum(axis=(0, 2))), center(body.sum(axis=(0, 1)))


def _split(lung_air: np.ndarray, midline: float, work: WorkingCopy) -> np.ndarray:
    """1 right, 2 left. Lungs that touch are cut where they are thinnest."""
    distance = ndimage.distance_transform_edt(lung_air, sampling=work.spacing_mm)
    for depth_mm in (0.0, 2.0, 4.0, 6.0, 9.0, 12.0):
        cores, count = ndimage.label(distance > depth_mm)
        if not _any_spans(cores, count, midline):
            sides = _sides_of(cores, count, midline)
            return np.asarray(watershed(-distance, sides, mask=lung_air), np.uint8)
    columns = np.arange(lung_air.shape[2])
    return np.where(lung_air, np.where(columns < midline, RIGHT, LEFT), 0).astype(np.uint8)


def _any_spans(regions: np.ndarray, count: int, midline: float) -> bool:
    """Whether a region is both lungs at once: large, with much of it on either side."""
    index = np.arange(1, count + 1)
    sizes = np.asarray(ndimage.sum_labels(regions > 0, regions, index))
    is_right = np.arange(regions.shape[2]) < midline
    right = np.asarray(ndimage.mean(np.broadcast_to(is_right, regions.shape), regions, index))
    spans = np.minimum(right, 1 - right) > LARGEST_SHARE_ACROSS
    return bool((spans & (sizes > 0.1 * sizes.sum())).any())


def _sides_of(regions: np.ndarray, count: int, midline: float) -> np.ndarray:
    """Each region is of the side on which its center lies."""
    if count == 0:
        return np.zeros(regions.shape, np.uint8)
    centres = ndimage.center_of_mass(regions > 0, regions, np.arange(1, count + 1))
    side = [0] + [RIGHT if column < midline else LEFT for _, _, column in centres]
    return np.array(side, np.uint8)[regions]


def _closed(sides: np.ndarray, body: np.ndarray, work: WorkingCopy) -> np.ndarray:
    """Each lung closed over vessels and opacities, its holes filled in each slice."""
    reach = [int(np.ceil(CLOSING_RADIUS_MM / step)) for step in work.spacing_mm]
    closed = sides.copy()
    for side in (RIGHT, LEFT):
        lung = sides == side
        if not lung.any():
            continue
        box = _grown_box(lung, reach)
        part = _fast_closing(lung[box], CLOSING_RADIUS_MM, work.spacing_mm)
        part = np.stack([ndimage.binary_fill_holes(each) for each in part])
        free = closed[box] == 0
        closed[box][part & free & body[box]] = side
    return closed


def _fast_closing(
    mask: np.ndarray, radius_mm: float, spacing_mm: tuple[float, float, float]
) -> np.ndarray:
    """Closing by a ball, by two distance transforms."""
    reach = [int(np.ceil(radius_mm / step)) for step in spacing_mm]
    if len(mask) == 1:
        reach[0] = 0
    padded = np.pad(mask, [(n, n) for n in reach], mode="edge" if len(mask) == 1 else "constant")
    grown = ndimage.distance_transform_edt(~padded, sampling=spacing_mm) <= radius_mm
    kept = ndimage.distance_transform_edt(grown, sampling=spacing_mm) > radius_mm
    inner = tuple(slice(n, n + size) for n, size in zip(reach, mask.shape, strict=True))
    return (kept | padded)[inner]


def _grown_box(mask: np.ndarray, by: list[int]) -> tuple[slice, ...]:
    (box,) = ndimage.find_objects(mask.astype(np.uint8))
    return tuple(
        slice(max(0, each.start - n), min(size, each.stop + n))
        for each, n, size in zip(box, by, mask.shape, strict=True)
    )


def _fill_opaque(
    sides: np.ndarray, body: np.ndarray, mirror: Mirror, work: WorkingCopy
) -> np.ndarray:
    """Fill airless lung, a lobe or a whole side, after the mirrored other lung.

    Only well above the opposite's diaphragm: nearer to it the liver's dome looks the
    same as a consolidated base. Bone stays out.
    """
    steps = max(1, round(DOME_DISTANCE_MM / work.spacing_mm[0]))
    soft = (work.hu < 150) & body
    filled = sides.copy()
    for side, other in ((RIGHT, LEFT), (LEFT, RIGHT)):
        filling = np.zeros_like(body)
        opposite = (sides == other).sum(axis=(1, 2))
        for k in range(steps, len(sides)):
            if opposite[k - steps] >= 0.6 * opposite[k] > 0:
                mirrored = mirror(sides[k] == other)
                missing = mirrored & soft[k] & (sides[k] == 0)
                filling[k] = _at_the_ribs(missing, mirrored | (sides[k] == other), work)
        filled[_large(filling, SMALLEST_FILLING_ML / work.voxel_ml)] = side
    return filled


def _at_the_ribs(missing: np.ndarray, thorax: np.ndarray, work: WorkingCopy) -> np.ndarray:
    """The broad parts of `missing` whose border lies along the costal surface.

    Heart and mediastinum, where the lungs differ too, touch it but little. All
    `[row, column]`; the convex hull of `thorax` ends at the ribs.
    """
    row_mm, column_mm = work.spacing_mm[1:]
    inner = ndimage.distance_transform_edt(missing, sampling=(row_mm, column_mm))
    if inner.max() <= SLIMMEST_FILLING_MM / 2:
        return missing & False
    core = inner > SLIMMEST_FILLING_MM / 2
    back = ndimage.distance_transform_edt(~core, sampling=(row_mm, column_mm))
    broad = missing & (back <= SLIMMEST_FILLING_MM / 2)
    hull = np.pad(convex_hull_image(thorax), 1)
    depth = ndimage.distance_transform_edt(hull, sampling=(row_mm, column_mm))[1:-1, 1:-1]
    regions, count = ndimage.label(broad)
    border = broad & ~ndimage.binary_erosion(broad)
    at_ribs = ndimage.mean(
        depth <= COSTAL_MM, np.where(border, regions, 0), np.arange(1, count + 1)
    )
    return np.isin(regions, 1 + np.flatnonzero(np.asarray(at_ribs) > SMALLEST_SHARE_AT_RIBS))


def _large(mask: np.ndarray, voxels: float) -> np.ndarray:
    """The regions of `mask` with at least so many voxels."""
    regions, count = ndimage.label(mask)
    sizes = np.asarray(ndimage.sum_labels(mask, regions, np.arange(1, count + 1)))
    return np.isin(regions, 1 + np.flatnonzero(sizes >= voxels))


def _without_traces(sides: np.ndarray, work: WorkingCopy) -> np.ndarray:
    """No lung in a slice that has next to none."""
    enough = (sides > 0).sum(axis=(1, 2)) * work.pixel_mm2 >= SMALLEST_AREA_IN_SLICE_MM2
    return sides * enough[:, None, None]
