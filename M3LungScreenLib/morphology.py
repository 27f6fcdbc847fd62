"""Dilation, erosion and opening of masks, and their regions in each slice.

Results equal those of a thresholded Euclidean distance transform or of SciPy's binary
morphology, but take a fraction of the time: each shift of the mask is one pass over its bytes.
Masks are bool, `[slice, row, column]` unless stated otherwise.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import product

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull

# Radius in pixels of a pixel with its four neighbors, and with all eight.
CROSS, SQUARE = 1.0, 1.5
PIXELS, VOXELS = (1.0, 1.0), (1.0, 1.0, 1.0)
# Distances that are equal but for rounding count as equal.
ROUNDING = 1e-9
_IN_SLICE = np.zeros((3, 3, 3), bool)
_IN_SLICE[1] = ndimage.generate_binary_structure(2, 1)


def grown(mask: np.ndarray, radius: float, spacing: Sequence[float] = PIXELS) -> np.ndarray:
    """Voxels at most `radius` from `mask`.

    `spacing`, in the unit of `radius`, is that of the last axes: two grow each slice by itself.
    """
    if not mask.any():
        return mask.copy()
    out, widened, width = mask.copy(), mask, 0
    for half_width, offsets in sorted(_rows_of_a_ball(radius, spacing).items()):
        while width < half_width:
            widened, width = _or_beside(widened), width + 1
        for offset in offsets:
            _or_shifted(out, widened, offset)
    return out


def shrunk(
    mask: np.ndarray, radius: float, spacing: Sequence[float] = PIXELS, beyond: bool = True
) -> np.ndarray:
    """Voxels of `mask` more than `radius` from any outside; `spacing` as in `grown`.

    `beyond` tells whether `mask` continues beyond the array.
    """
    out = ~grown(~mask, radius, spacing)
    if not beyond:
        for axis, step in zip(range(-len(spacing), 0), spacing, strict=True):
            reached = np.moveaxis(out, axis, 0)
            n = int(radius / step + ROUNDING)
            reached[:n] = reached[max(0, len(reached) - n) :] = False
    return out


def opened(mask: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The union of all boxes of `shape` voxels, along the last axes, that lie in `mask`."""
    axes = range(-len(shape), 0)
    if any(mask.shape[axis] < length for axis, length in zip(axes, shape, strict=True)):
        return mask & False
    for axis, length in zip(axes, shape, strict=True):
        mask = _starts_of_runs(mask, length, axis)
    for axis, length in zip(axes, shape, strict=True):
        mask = _runs(mask, length, axis)
    return mask


def box_around(mask: np.ndarray, margin: Sequence[int]) -> tuple[slice, ...]:
    """The box of `mask`, which is not empty, and `margin` voxels around it along each axis."""
    axes = range(mask.ndim)
    filled = [np.flatnonzero(mask.any(axis=tuple(set(axes) - {axis}))) for axis in axes]
    return tuple(
        slice(max(0, int(each[0]) - n), int(each[-1]) + 1 + n)
        for each, n in zip(filled, margin, strict=True)
    )


def regions_by_slice(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Regions connected within a slice, numbered through all slices, and their count."""
    regions, count = ndimage.label(mask, _IN_SLICE)
    return regions, count


def touching_border(mask: np.ndarray) -> np.ndarray:
    """The regions of each slice of `mask` that reach its border."""
    regions, count = regions_by_slice(mask)
    borders = [regions[:, 0], regions[:, -1], regions[:, :, 0], regions[:, :, -1]]
    touches = np.zeros(count + 1, bool)
    touches[np.concatenate([each.ravel() for each in borders])] = True
    touches[0] = False
    return np.asarray(touches[regions])


def convex_hull(mask: np.ndarray) -> np.ndarray:
    """The pixels inside the convex hull of `mask` `[row, column]`, which is not empty.

    As skimage.morphology.convex_hull_image: a pixel reaches half its width along each axis.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    first = mask.argmax(axis=1)[rows]
    last = mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1)[rows]
    ends = np.stack([np.tile(rows, 2), np.concatenate([first, last])], axis=1)
    halves = ((-0.5, 0.0), (0.5, 0.0), (0.0, -0.5), (0.0, 0.5))
    points = np.concatenate([ends + half for half in halves])
    down, across, offset = ConvexHull(points).equations.T[..., None]  # of lines [line, 1]
    y, x = np.arange(mask.shape[0]), np.arange(mask.shape[1])
    beyond = down * y + offset  # [line, row]; inside is where beyond + across * x <= 0
    slanted = np.abs(across) > ROUNDING
    at = -beyond / np.where(slanted, across, 1.0)
    low = np.where(slanted & (across < 0), at, -np.inf).max(axis=0)
    high = np.where(slanted & (across > 0), at, np.inf).min(axis=0)
    within = np.where(slanted, 0.0, beyond).max(axis=0) <= ROUNDING
    inside = (x >= low[:, None] - ROUNDING) & (x <= high[:, None] + ROUNDING)
    return np.asarray(inside & within[:, None])


def share_of_regions(mask: np.ndarray, regions: np.ndarray, count: int) -> np.ndarray:
    """By label, 0 to `count`, the share of a region that `mask` covers; 0 for an empty one."""
    sizes = np.bincount(regions.ravel(), minlength=count + 1)
    covered = np.bincount(regions[mask], minlength=count + 1)
    return np.asarray(covered / np.maximum(sizes, 1))


def _rows_of_a_ball(radius: float, spacing: Sequence[float]) -> dict[int, list[tuple[int, ...]]]:
    """Half the width of a ball's rows, in voxels, and where they lie along the other axes."""
    *others, step = spacing
    reach = [int(radius / each + ROUNDING) for each in others]
    rows = defaultdict(list)
    for offset in product(*(range(-n, n + 1) for n in reach)):
        rest = radius**2 - sum((n * each) ** 2 for n, each in zip(offset, others, strict=True))
        if rest >= -ROUNDING:
            rows[int(np.sqrt(max(rest, 0.0)) / step + ROUNDING)].append(offset)
    return rows


def _or_beside(mask: np.ndarray) -> np.ndarray:
    """`mask` and its neighbors along the last axis."""
    out = mask.copy()
    out[..., 1:] |= mask[..., :-1]
    out[..., :-1] |= mask[..., 1:]
    return out


def _or_shifted(out: np.ndarray, mask: np.ndarray, offset: tuple[int, ...]) -> None:
    """Add `mask`, moved by `offset` along the axes before the last, to `out`."""
    to = (*(slice(max(0, n), min(0, n) or None) for n in offset), slice(None))
    source = (*(slice(max(0, -n), min(0, -n) or None) for n in offset), slice(None))
    sizes = mask.shape[-1 - len(offset) : -1]
    if all(abs(n) < size for n, size in zip(offset, sizes, strict=True)):
        out[(..., *to)] |= mask[(..., *source)]


def _starts_of_runs(mask: np.ndarray, length: int, axis: int) -> np.ndarray:
    """Where runs of `length` along an axis start; that axis becomes shorter by `length` - 1."""
    mask, done = np.moveaxis(mask, axis, 0), 1
    while done < length:  # each pass doubles the length of the runs
        step = min(done, length - done)
        mask = mask[:-step] & mask[step:]
        done += step
    return np.moveaxis(mask, 0, axis)


def _runs(starts: np.ndarray, length: int, axis: int) -> np.ndarray:
    """The reverse of `_starts_of_runs`: all voxels of the runs."""
    mask, done = np.moveaxis(starts, axis, 0), 1
    while done < length:
        step = min(done, length - done)
        longer = np.zeros((len(mask) + step, *mask.shape[1:]), bool)
        longer[:-step] = mask
        longer[step:] |= mask
        mask, done = longer, done + step
    return np.moveaxis(mask, 0, axis)
