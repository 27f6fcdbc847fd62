"""Marks fill that is not one exact value, as after lossy compression."""

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull

from M3LungScreenLib.outside import (
    AIR_HU,
    OUTSIDE_HU,
    SMALLEST_REGION_SHARE,
    count,
    flat,
    grown,
    is_near,
    mixed_rim,
)

# Largest noise (standard deviation, HU) at which fill is recognized, and the smallest share of
# the border it covers.
LARGEST_NOISE_HU = 10.0
SMALLEST_SHARE_OF_BORDER = 0.15
# If more than this share of such pixels has only equal neighbors, the fill has no noise.
LARGEST_SHARE_FLAT = 0.5
# Noisy fill is at the same place in nearly all slices and surrounds a convex area.
SMALLEST_SHARE_OF_SLICES = 0.9
LARGEST_DENT_SHARE = 0.01


def mark_noisy_fill(hu: np.ndarray) -> None:
    """Set one value with some noise to OUTSIDE_HU, if it surrounds a convex area.

    The reconstruction circle and a rotated or padded image are convex, the same in every slice,
    with fill in all corners. Tissue at the border is not convex; a table is only below.
    """
    found = _peak_at_border(hu)
    if found is None:
        return
    value, tolerance = found
    counts, shown = np.zeros(hu.shape[1:], np.int32), 0
    for each in hu:
        near = is_near(each, value, tolerance) | (each <= OUTSIDE_HU)
        if np.mean(near) < SMALLEST_SHARE_OF_SLICES:
            counts, shown = counts + near, shown + 1
    fill = _at_border(_opened(counts >= max(1.0, SMALLEST_SHARE_OF_SLICES * shown)))
    in_corners = fill[[0, 0, -1, -1], [0, -1, 0, -1]].all()
    if not (in_corners and np.mean(fill) >= SMALLEST_REGION_SHARE and _is_convex(~fill)):
        return
    for each in hu:
        near = is_near(each, value, tolerance)
        whole = np.mean(near) >= SMALLEST_SHARE_OF_SLICES
        region = near | True if whole else fill & grown(near, 1)
        each[region | mixed_rim(each, region, value)] = OUTSIDE_HU


def _peak_at_border(hu: np.ndarray) -> tuple[int, int] | None:
    """The most frequent value (except air) at the slice borders, and the spread of its noise."""
    border = np.zeros(hu.shape[1:], bool)
    border[[0, -1]] = border[:, [0, -1]] = True
    values = hu[:, border]
    values = values[(values > OUTSIDE_HU) & ((values < AIR_HU[0]) | (values > AIR_HU[1]))]
    if values.size < SMALLEST_SHARE_OF_BORDER * len(hu) * np.count_nonzero(border):
        return None
    width = round(4 * LARGEST_NOISE_HU)
    counts = np.bincount(values.astype(np.int32) - OUTSIDE_HU)
    peak = int(np.convolve(counts, np.ones(width + 1, np.int64), "same").argmax()) + OUTSIDE_HU
    values = values[is_near(values, peak, width // 2)]
    value, noise = int(np.median(values)), float(values.std())
    is_seldom = values.size < SMALLEST_SHARE_OF_BORDER * len(hu) * np.count_nonzero(border)
    if is_seldom or noise > LARGEST_NOISE_HU or _is_exact(hu, value, border):
        return None
    return value, round(max(3.0, 4 * noise))


def _is_exact(hu: np.ndarray, value: int, border: np.ndarray) -> bool:
    """Whether most border pixels of this value have only equal neighbors."""
    found = is_flat = 0
    for each in hu:
        same = (each == value) & border
        found, is_flat = found + count(same), is_flat + count(same & flat(each))
    return is_flat > LARGEST_SHARE_FLAT * found


def _opened(mask: np.ndarray) -> np.ndarray:
    """`mask`, continued beyond the border, without parts narrower than 3 pixels."""
    square = np.ones((3, 3), bool)
    kept = ndimage.binary_erosion(mask, square, border_value=1)
    return np.asarray(ndimage.binary_dilation(kept, square))


def _at_border(mask: np.ndarray) -> np.ndarray:
    pieces, _ = ndimage.label(mask)
    edge = np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]])
    return np.isin(pieces, np.unique(edge[edge > 0]))


def _is_convex(mask: np.ndarray) -> bool:
    if not mask.any():
        return False
    ends = np.concatenate([_row_ends(mask), _row_ends(mask.T)[:, ::-1]])
    if np.ptp(ends, axis=0).min() == 0:
        return False
    return bool(ConvexHull(ends).volume <= (1 + LARGEST_DENT_SHARE) * np.count_nonzero(mask))


def _row_ends(mask: np.ndarray) -> np.ndarray:
    """Row and column `[n, 2]` of the first and last pixel in each row that has any."""
    rows = np.flatnonzero(mask.any(axis=1))
    first = mask[rows].argmax(axis=1)
    last = mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1)
    return np.stack([np.tile(rows, 2), np.concatenate([first, last])], axis=1)
