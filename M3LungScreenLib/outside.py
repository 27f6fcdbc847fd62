"""Pixels outside the scanned image: their values, their surroundings, their rim.

Masks are bool `[row, column]`.
"""

import numpy as np

# Scanners pad with values like this, below any noise in air: anything at or below is outside.
OUTSIDE_HU = -2048
# Stands for NaN and infinity in int16; no scanner uses this value.
NO_VALUE_HU = -32768
# A constant in this range already is air.
AIR_HU = (-1100, -900)
# A smaller constant region does not count as fill: a strip of two pixels has this size.
SMALLEST_REGION_SHARE = 0.001
# Width of the rim where interpolation mixed fill and image: in pixels, and in large matrices,
# which may have been enlarged, as a share of the matrix.
RIM_PIXELS, RIM_SHARE = 2, 1 / 170
# Cubic interpolation overshoots into the fill: this far, by up to this share of the step to air.
# The overshoot fades: half of the pixels next to the constant are within a few HU of it.
RINGING_PIXELS, RINGING_SHARE, RINGING_HEIGHT = 8, 1 / 40, 0.15
FADED_HU, SMALLEST_SHARE_FADED = 10, 0.5


def is_outside(hu_slice: np.ndarray) -> np.ndarray:
    return (hu_slice <= OUTSIDE_HU) & (hu_slice > NO_VALUE_HU)


def is_near(hu_slice: np.ndarray, value: int, tolerance: int) -> np.ndarray:
    low, high = max(NO_VALUE_HU + 1, value - tolerance), min(32767, value + tolerance)
    return (hu_slice >= low) & (hu_slice <= high)


def flat(hu_slice: np.ndarray) -> np.ndarray:
    """Where all neighbors within the slice have the same value."""
    padded = np.pad(hu_slice, 1, mode="edge")
    columns = hu_slice.shape[1]
    middle = padded[1:-1]
    across = (padded[:-2] == middle) & (padded[2:] == middle)
    same = (padded[1:-1, :-2] == hu_slice) & (padded[1:-1, 2:] == hu_slice)
    return same & across[:, :columns] & across[:, 1:-1] & across[:, 2:]


def grown(mask: np.ndarray, pixels: int) -> np.ndarray:
    """`mask` and all pixels up to this many pixels from it, diagonals included."""
    out = mask
    for _ in range(pixels):
        rows = out.copy()
        rows[1:] |= out[:-1]
        rows[:-1] |= out[1:]
        out = rows.copy()
        out[:, 1:] |= rows[:, :-1]
        out[:, :-1] |= rows[:, 1:]
    return out


def spread(region: np.ndarray, into: np.ndarray, pixels: int) -> np.ndarray:
    """`region` and the pixels of `into` connected to it within this many pixels."""
    for _ in range(pixels):
        wider = region | (grown(region, 1) & into)
        if np.array_equal(wider, region):
            break
        region = wider
    return region


def mixed_rim(hu_slice: np.ndarray, region: np.ndarray, value: int) -> np.ndarray:
    """Where interpolation mixed the fill in `region` with air, or overshot into the fill."""
    rim = region
    if value > AIR_HU[1] and region.any() and not region.all():
        beside = grown(region, 1) & ~region
        if np.mean(is_near(hu_slice, value, FADED_HU)[beside]) >= SMALLEST_SHARE_FADED:
            height = round(RINGING_HEIGHT * (value - AIR_HU[1]))
            rim = spread(region, is_near(hu_slice, value, height), ringing_pixels(hu_slice))
        mixed = (hu_slice > AIR_HU[1]) & (hu_slice < value)
        rim = spread(rim, mixed, max(RIM_PIXELS, round(RIM_SHARE * max(hu_slice.shape))))
    return rim


def ringing_pixels(hu_slice: np.ndarray) -> int:
    return max(RINGING_PIXELS, round(RINGING_SHARE * max(hu_slice.shape)))


def count(mask: np.ndarray) -> int:
    return int(np.count_nonzero(mask))
