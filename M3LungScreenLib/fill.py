"""Marks fill: voxels with a constant value where nothing was scanned.

Outside the reconstruction circle, around a rotated or padded image and around a masked body,
files have a constant such as -2000, -3024, 0, 3071 or NaN. It is never tissue, so
`mark_outside` sets it to `OUTSIDE_HU`. Constant air is left unchanged. Lossy
compression and resampling add a little noise to the constant, and a rim around it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from M3LungScreenLib.noisy_fill import mark_noisy_fill
from M3LungScreenLib.outside import (
    AIR_HU,
    NO_VALUE_HU,
    OUTSIDE_HU,
    RIM_PIXELS,
    SMALLEST_REGION_SHARE,
    count,
    flat,
    grown,
    is_outside,
    mixed_rim,
    ringing_pixels,
    spread,
)

# Fewer equal pixels along the border are chance.
SHORTEST_EDGE = 4
# Fill hardly occurs inside the body; values clipped at a limit can.
LARGEST_SHARE_WITHIN = 0.1
# Clipped tissue is surrounded by values just short of the limit; fill is not.
NEAR_HU = 100
LARGEST_SHARE_NEAR = 0.2
# If no soft tissue would be left, the constant was tissue.
SOFT_TISSUE_HU = (-150, 150)
SMALLEST_SOFT_TISSUE_SHARE = 0.01
# If this share of the pixels next to the outside has one exact value, they are its rim.
LARGEST_SHARE_BESIDE = 0.3
LARGEST_RIM_SHARE = 0.25
# Reconstruction circle, padding and a mask can be nested.
LAYERS = 4


def mark_outside(hu: np.ndarray) -> None:
    """Set the fill in `hu`, int16 `[slice, row, column]`, to OUTSIDE_HU, in place.

    Fill is one exact value over a region that reaches the border of its slice, or
    other fill. Noise keeps tissue from being constant; clipped values also occur
    elsewhere in the body. Noisy fill is recognized by its shape, the same in all slices.
    """
    if all(each.min() == each.max() for each in hu):
        return
    mark_noisy_fill(hu)
    for _ in range(LAYERS):
        judged = [_judge(hu, value) for value in _candidates(hu)]
        fills = _with_tissue_left(hu, [each for each in judged if each.is_fill])
        for each in fills:
            _mark(hu, each.value, _region)
        rims = [] if fills else _rims(hu)
        for value in rims:
            _mark(hu, value, _rim_of)
        if not (fills or rims):
            break


@dataclass(frozen=True)
class _Candidate:
    """Counts (pixels over all slices) that describe a constant at the border."""

    value: int
    region: int  # constant, and reaching the border
    within: int  # as constant, but elsewhere
    beside: int  # next to the region
    above: int  # of these, larger
    near_above: int
    below: int
    near_below: int

    @property
    def is_fill(self) -> bool:
        if self.value == NO_VALUE_HU:
            return self.region > 0
        within = self.within > LARGEST_SHARE_WITHIN * self.region
        return self.region > 0 and not within and not self._is_a_limit

    @property
    def _is_a_limit(self) -> bool:
        """Whether the neighboring values lie on one side only, many of them close."""
        few = 0.01 * self.beside
        near = self.near_below if self.above <= few else self.near_above
        one_sided = self.above <= few or self.below <= few
        return one_sided and near > LARGEST_SHARE_NEAR * self.beside


def _candidates(hu: np.ndarray) -> list[int]:
    """Values (except air) that are constant over 3 × 3 pixels at a border."""
    found = {NO_VALUE_HU} if any((each == NO_VALUE_HU).any() for each in hu) else set[int]()
    for each in hu:
        values, counts = np.unique(each[_border(each) & flat(each)], return_counts=True)
        found.update(values[counts >= SHORTEST_EDGE].tolist())
    return sorted(
        value
        for value in found
        if value == NO_VALUE_HU or (value != OUTSIDE_HU and not AIR_HU[0] <= value <= AIR_HU[1])
    )


def _judge(hu: np.ndarray, value: int) -> _Candidate:
    region = within = 0
    beside = [np.zeros(0, hu.dtype)]
    for each in hu:
        same = each == value
        if not same.any():
            continue
        inside = _region(each, value)
        region += count(inside)
        within += count(flat(each) & same & ~inside)
        beside.append(each[grown(inside, 1) & ~inside])
    next_to = np.concatenate(beside).astype(np.int32)
    next_to = next_to[next_to > OUTSIDE_HU] - value
    return _Candidate(
        value,
        region=region,
        within=within,
        beside=len(next_to),
        above=count(next_to > 0),
        near_above=count((next_to > 0) & (next_to <= NEAR_HU)),
        below=count(next_to < 0),
        near_below=count((next_to < 0) & (next_to >= -NEAR_HU)),
    )


def _with_tissue_left(hu: np.ndarray, fills: list[_Candidate]) -> list[_Candidate]:
    """`fills` without those that would leave the scan without soft tissue."""
    low, high = SOFT_TISSUE_HU
    soft = sum(count((each >= low) & (each <= high)) for each in hu)
    for each in fills:
        soft -= each.region * (low <= each.value <= high)
    seen = sum(count(each > OUTSIDE_HU) for each in hu)
    seen -= sum(each.region for each in fills if each.value > OUTSIDE_HU)
    if soft > SMALLEST_SOFT_TISSUE_SHARE * seen:
        return fills
    return [each for each in fills if not low <= each.value <= high]


def _mark(hu: np.ndarray, value: int, find: Callable[[np.ndarray, int], np.ndarray]) -> None:
    for each in hu:
        region = find(each, value)
        if region.any():
            each[region | mixed_rim(each, region, value)] = OUTSIDE_HU


def _rims(hu: np.ndarray) -> list[int]:
    """Values (except air) that make up much of the pixels next to the outside."""
    beside = [each[grown(is_outside(each), 1) & (each > OUTSIDE_HU)] for each in hu]
    values, counts = np.unique(np.concatenate(beside), return_counts=True)
    many = values[counts > max(SHORTEST_EDGE * len(hu), LARGEST_SHARE_BESIDE * counts.sum())]
    found = [value for value in many.tolist() if not AIR_HU[0] <= value <= AIR_HU[1]]
    return [value for value in found if _is_narrow(hu, value)]


def _is_narrow(hu: np.ndarray, value: int) -> bool:
    """Whether the pixels of `value` connected to the outside are no wider than a rim."""
    rim = sum(count(_rim_of(each, value)) for each in hu)
    wider = sum(count(_rim_of(each, value, wider=True)) for each in hu)
    seen = sum(count(each > OUTSIDE_HU) for each in hu)
    return wider <= (1 + LARGEST_SHARE_WITHIN) * rim and rim <= LARGEST_RIM_SHARE * seen


def _rim_of(hu_slice: np.ndarray, value: int, wider: bool = False) -> np.ndarray:
    """The pixels of `value` connected to the outside within the width of a rim, or twice that."""
    outside = is_outside(hu_slice)
    if not outside.any():
        return outside
    pixels = ringing_pixels(hu_slice) * (2 if wider else 1)
    return spread(outside, hu_slice == value, pixels) & ~outside


def _region(hu_slice: np.ndarray, value: int) -> np.ndarray:
    """Where `hu_slice` is `value`, in pieces that are constant at a border and not small."""
    same = hu_slice == value
    seeds = same & _border(hu_slice)
    if value != NO_VALUE_HU:
        seeds &= flat(hu_slice)
    if not seeds.any():
        return seeds
    pieces, _ = ndimage.label(same)
    region = np.isin(pieces, np.unique(pieces[seeds]))
    large = count(region) >= SMALLEST_REGION_SHARE * region.size
    return region if large or value == NO_VALUE_HU else region & False


def _border(hu_slice: np.ndarray) -> np.ndarray:
    """The border of the slice, and the pixels next to its outside."""
    border = np.zeros(hu_slice.shape, bool)
    border[[0, -1]] = border[:, [0, -1]] = True
    outside = is_outside(hu_slice)
    return border | grown(outside, RIM_PIXELS + 1) if outside.any() else border
