"""Segments the left and right lung, including consolidated parts.

A classical 3D method on a copy of about 2 mm: find air inside the body, remove airways and
bowel gas, separate left and right, close over vessels and opacities at the pleura, and fill
airless lung with the mirrored shape of the other side. Crops, involvement and refusals depend on
this mask.
"""

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.lung_air import find_lung_air
from M3LungScreenLib.midplane import Mirror, center
from M3LungScreenLib.morphology import (
    CROSS,
    VOXELS,
    box_around,
    convex_hull,
    grown,
    regions_by_slice,
    share_of_regions,
    shrunk,
    touching_border,
)
from M3LungScreenLib.working_copy import WorkingCopy

RIGHT, LEFT = 1, 2
# Parts of about equal duration, reported by `segment_lungs` as progress.
PARTS = 6
# The closing covers vessels, fissures and opacities up to twice this width.
CLOSING_RADIUS_MM = 12.0
# If the field of view cuts the body, it does so over much of its height; the spine's columns
# contain more bone than those of ribs, sternum or shoulder blades.
LARGEST_SHARE_AT_SIDE = 0.25
SPINE_WIDTH_MM = 40.0
BONE_HU = 180
# A single lung has less than this share on the other side of the midline.
LARGEST_SHARE_ACROSS = 0.3
# Depth of the layers in which lungs that touch are separated.
DEPTHS_MM = (0.0, 2.0, 4.0, 6.0, 9.0, 12.0)
# Airless lung is expected where the other side has air: broad regions with much of their
# border along the ribs, well above the diaphragm, whose domes differ by at most this height.
SLIMMEST_FILLING_MM = 14.0
COSTAL_MM = 8.0
SMALLEST_SHARE_AT_RIBS = 0.25
DOME_DISTANCE_MM = 35.0
# A smaller filled region is an apex that ends lower than the other.
SMALLEST_FILLING_ML = 40
# Slices with less lung than this are ignored.
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
    sides = np.zeros(lung_air.shape, np.uint8)
    box = box_around(lung_air, (1, 1, 1))
    sides[box] = _split(lung_air[box], midpoint[1] - box[2].start, work)
    part_done(3)
    closed = _closed(sides, body, work)
    part_done(4)
    filled = _fill_opaque(closed, body, Mirror.of(body, midpoint, work), work)
    part_done(5)
    work.draw(_without_traces(filled, work), air, lungs[volume.scanned])
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
    """1 right, 2 left. Lungs that touch are separated at their thinnest place."""
    is_right = np.broadcast_to(np.arange(lung_air.shape[2]) < midline, lung_air.shape)
    layers: list[np.ndarray] = []
    for depth_mm in DEPTHS_MM:
        core = shrunk(lung_air, depth_mm, work.spacing_mm) if depth_mm else lung_air
        cores, count = ndimage.label(core)
        right = share_of_regions(is_right, cores, count)
        if not _any_spans(cores, right):
            side = np.where(right > 0.5, RIGHT, LEFT).astype(np.uint8)
            side[0] = 0
            return _flooded(side[cores], layers)
        layers.insert(0, core)
    return np.where(lung_air, np.where(is_right, RIGHT, LEFT), 0).astype(np.uint8)


def _flooded(sides: np.ndarray, layers: list[np.ndarray]) -> np.ndarray:
    """`sides` grown from voxel to voxel through each of `layers` in turn, the deepest first."""
    for layer in layers:
        free = layer & (sides == 0)
        spreads = True
        while spreads:
            spreads = False
            for side in (RIGHT, LEFT):
                reached = grown(sides == side, CROSS, VOXELS) & free
                sides[reached] = side
                free &= ~reached
                spreads |= bool(reached.any())
    return sides


def _any_spans(regions: np.ndarray, right: np.ndarray) -> bool:
    """Whether a region contains both lungs: large, with much of it on each side.

    `right` is the share of each region, by label, right of the midline.
    """
    sizes = np.bincount(regions.ravel())[1:]
    spans = np.minimum(right, 1 - right)[1:] > LARGEST_SHARE_ACROSS
    return bool((spans & (sizes > 0.1 * sizes.sum())).any())


def _closed(sides: np.ndarray, body: np.ndarray, work: WorkingCopy) -> np.ndarray:
    """Each lung after closing over vessels and opacities and filling holes slice by slice."""
    reach = [int(np.ceil(CLOSING_RADIUS_MM / step)) for step in work.spacing_mm]
    closed = sides.copy()
    for side in (RIGHT, LEFT):
        lung = sides == side
        if not lung.any():
            continue
        box = box_around(lung, reach)
        part = _fast_closing(lung[box], CLOSING_RADIUS_MM, work.spacing_mm)
        part = ~touching_border(~part)
        free = closed[box] == 0
        closed[box][part & free & body[box]] = side
    return closed


def _fast_closing(
    mask: np.ndarray, radius_mm: float, spacing_mm: tuple[float, float, float]
) -> np.ndarray:
    """Closing by a ball."""
    reach = [int(np.ceil(radius_mm / step)) for step in spacing_mm]
    if len(mask) == 1:
        reach[0] = 0
    padded = np.pad(mask, [(n, n) for n in reach], mode="edge" if len(mask) == 1 else "constant")
    closed = shrunk(grown(padded, radius_mm, spacing_mm), radius_mm, spacing_mm)
    inner = tuple(slice(n, n + size) for n, size in zip(reach, mask.shape, strict=True))
    return np.asarray(closed[inner])


def _fill_opaque(
    sides: np.ndarray, body: np.ndarray, mirror: Mirror, work: WorkingCopy
) -> np.ndarray:
    """Fill an airless lobe or lung with the mirrored shape of the other side.

    Only well above the other side's diaphragm: near it, the liver dome looks like a
    consolidated base. Bone is excluded.
    """
    steps = max(1, round(DOME_DISTANCE_MM / work.spacing_mm[0]))
    soft = (work.hu < 150) & body
    filled = sides.copy()
    for side, other in ((RIGHT, LEFT), (LEFT, RIGHT)):
        mirrored = np.zeros_like(body)
        opposite = (sides == other).sum(axis=(1, 2))
        for k in range(steps, len(sides)):
            if opposite[k - steps] >= 0.6 * opposite[k] > 0:
                mirrored[k] = mirror(sides[k] == other)
        if not mirrored.any():
            continue
        thorax = mirrored | (sides == other)
        box = box_around(thorax, (0, 1, 1))
        missing = mirrored[box] & soft[box] & (sides[box] == 0)
        filling = _at_the_ribs(missing, thorax[box], work)
        filled[box][_large(filling, SMALLEST_FILLING_ML / work.voxel_ml)] = side
    return filled


def _at_the_ribs(missing: np.ndarray, thorax: np.ndarray, work: WorkingCopy) -> np.ndarray:
    """The broad parts of `missing` with much of their border along the costal surface.

    Heart and mediastinum, where the lungs also differ, hardly touch it. The convex hull
    of `thorax` in a slice ends at the ribs.
    """
    in_slice, half = work.spacing_mm[1:], SLIMMEST_FILLING_MM / 2
    broad = missing & grown(shrunk(missing, half, in_slice), half, in_slice)
    hull = np.zeros_like(thorax)
    for k in np.flatnonzero(broad.any(axis=(1, 2))):
        hull[k] = convex_hull(thorax[k])
    costal = ~shrunk(hull, COSTAL_MM, in_slice, beyond=False)
    regions, count = regions_by_slice(broad)
    border = np.where(shrunk(broad, CROSS, beyond=False), 0, regions)
    at_ribs = share_of_regions(costal, border, count) > SMALLEST_SHARE_AT_RIBS
    return np.asarray(at_ribs[regions] & broad)


def _large(mask: np.ndarray, voxels: float) -> np.ndarray:
    """The regions of `mask` with at least this many voxels."""
    regions, _ = ndimage.label(mask)
    return np.asarray((np.bincount(regions.ravel()) >= voxels)[regions] & mask)


def _without_traces(sides: np.ndarray, work: WorkingCopy) -> np.ndarray:
    """Removes lung from slices with only a trace of it."""
    enough = (sides > 0).sum(axis=(1, 2)) * work.pixel_mm2 >= SMALLEST_AREA_IN_SLICE_MM2
    return sides * enough[:, None, None]
