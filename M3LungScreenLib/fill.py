"""Marks fill: voxels with a constant value where nothing was scanned.

Outside the reconstruction circle, around a rotated or padded image and around a masked body,
files have a constant such as -2000, -3024, 0, 3071 or NaN. It is not tissue, whatever its
value, so `mark_outside` sets it to `OUTSIDE_HU`. Constant air is left unchanged.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

# Scanners pad with values like this, below any noise in air: anything at or below is outside.
OUTSIDE_HU = -2048
# Stands for NaN and infinity in int16; no scanner uses this value.
NO_VALUE_HU = -32768
# A constant in this range already is air.
AIR_HU = (-1100, -900)
# A smaller constant region is no fill worth the name: a strip of two pixels is as large.
SMALLEST_REGION_SHARE = 0.001
# Fewer equal pixels along the border are a coincidence.
SHORTEST_EDGE = 4
# Fill hardly occurs inside the body; values clipped at a limit do.
LARGEST_SHARE_WITHIN = 0.1
# Clipped tissue is surrounded by values just short of the limit; fill is not.
NEAR_HU = 100
LARGEST_SHARE_NEAR = 0.2
# If no soft tissue would be left, the constant was tissue.
SOFT_TISSUE_HU = (-150, 150)
SMALLEST_SOFT_TISSUE_SHARE = 0.01
# Width of the rim where interpolation mixed fill and image.
RIM_PIXELS = 2
# Reconstruction circle, padding and a mask can be nested.
LAYERS = 4


def mark_outside(hu: np.ndarray) -> None:
    """Set the fill in `hu`, int16 `[slice, row, column]`, to OUTSIDE_HU, in place.

    Fill is one exact value over a region that reaches the border of its slice, or
    other fill. Noise keeps tissue from being so; what a clipping made constant is
    told from fill by where else it lies.
    """
    if all(each.min() == each.max() for each in hu):
        return
    for _ in range(LAYERS):
        judged = [_judge(hu, value) for value in _candidates(hu)]
        fills = _with_tissue_left(hu, [each for each in judged if each.is_fill])
        if not fills:
            break
        for each in fills:
            _mark(hu, each.value)


@dataclass(frozen=True)
class _Candidate:
    """What a constant at the border looks like, in pixels over all slices."""

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
        """Whether the values beside it lie on one side only, and many of them near."""
        few = 0.01 * self.beside
        near = self.near_below if self.above <= few else self.near_above
        one_sided = self.above <= few or self.below <= few
        return one_sided and near > LARGEST_SHARE_NEAR * self.beside


def _candidates(hu: np.ndarray) -> list[int]:
    """Values that are constant over squares of 3 × 3 pixels at a border, but for air."""
    found = {NO_VALUE_HU} if any((each == NO_VALUE_HU).any() for each in hu) else set[int]()
    for each in hu:
        values, counts = np.unique(each[_border(each) & _flat(each)], return_counts=True)
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
        region += _count(inside)
        within += _count(_flat(each) & same & ~inside)
        beside.append(each[_grown(inside, 1) & ~inside])
    next_to = np.concatenate(beside).astype(np.int32)
    next_to = next_to[next_to > OUTSIDE_HU] - value
    return _Candidate(
        value,
        region=region,
        within=within,
        beside=len(next_to),
        above=_count(next_to > 0),
        near_above=_count((next_to > 0) & (next_to <= NEAR_HU)),
        below=_count(next_to < 0),
        near_below=_count((next_to < 0) & (next_to >= -NEAR_HU)),
    )


def _with_tissue_left(hu: np.ndarray, fills: list[_Candidate]) -> list[_Candidate]:
    """`fills` but for those that would leave the scan without soft tissue."""
    low, high = SOFT_TISSUE_HU
    soft = sum(_count((each >= low) & (each <= high)) for each in hu)
    for each in fills:
        soft -= each.region * (low <= each.value <= high)
    seen = sum(_count(each > OUTSIDE_HU) for each in hu)
    seen -= sum(each.region for each in fills if each.value > OUTSIDE_HU)
    if soft > SMALLEST_SOFT_TISSUE_SHARE * seen:
        return fills
    return [each for each in fills if not low <= each.value <= high]


def _mark(hu: np.ndarray, value: int) -> None:
    for each in hu:
        region = _region(each, value)
        if value > AIR_HU[1] and region.any():
            mixed = (each > AIR_HU[1]) & (each < value)
            for _ in range(RIM_PIXELS):
                region |= _grown(region, 1) & mixed
        each[region] = OUTSIDE_HU


def _region(hu_slice: np.ndarray, value: int) -> np.ndarray:
    """Where `hu_slice` is `value` in pieces that are flat at a border; not if they are small."""
    same = hu_slice == value
    seeds = same & _border(hu_slice)
    if value != NO_VALUE_HU:
        seeds &= _flat(hu_slice)
    if not seeds.any():
        return seeds
    pieces, _ = ndimage.label(same)
    region = np.isin(pieces, np.unique(pieces[seeds]))
    large = _count(region) >= SMALLEST_REGION_SHARE * region.size
    return region if large or value == NO_VALUE_HU else region & False


def _border(hu_slice: np.ndarray) -> np.ndarray:
    """The slice's own border, and what lies beside its outside."""
    border = np.zeros(hu_slice.shape, bool)
    border[[0, -1]] = border[:, [0, -1]] = True
    outside = (hu_slice <= OUTSIDE_HU) & (hu_slice > NO_VALUE_HU)
    return border | _grown(outside, RIM_PIXELS + 1) if outside.any() else border


def _flat(hu_slice: np.ndarray) -> np.ndarray:
    """Where all neighbors that lie in the slice have the same value."""
    padded = np.pad(hu_slice, 1, mode="edge")
    columns = hu_slice.shape[1]
    middle = padded[1:-1]
    across = (padded[:-2] == middle) & (padded[2:] == middle)
    same = (padded[1:-1, :-2] == hu_slice) & (padded[1:-1, 2:] == hu_slice)
    return same & across[:, :columns] & across[:, 1:-1] & across[:, 2:]


def _grown(mask: np.ndarray, pixels: int) -> np.ndarray:
    """`mask` and what lies up to so many pixels from it, across corners too."""
    out = mask
    for _ in range(pixels):
        rows = out.copy()
        rows[1:] |= out[:-1]
        rows[:-1] |= out[1:]
        out = rows.copy()
        out[:, 1:] |= rows[:, :-1]
        out[:, :-1] |= rows[:, 1:]
    return out


def _count(mask: np.ndarray) -> int:
    return int(np.count_nonzero(mask))
