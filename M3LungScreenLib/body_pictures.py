"""Coarse pictures of the body, independent of the size and order of the image's axes.

If the header is wrong, millimeters and axes are wrong too, so the header is not used here:
positions are in voxels, lengths are relative to the thickness of the body. Arrays are
`[slice, row, column]`, with slices along any axis.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

# At 4 mm a chest is still recognizable; its field of view has about 85 pixels.
MOST_VOXELS = 96
# Air, in lung and around the body; soft tissue denser than fat; bone, clipped at cortical bone.
AIR_HU, SOFT_HU, BONE_HU = -500, -30, (0, 600)
# In coarse voxels, air around the body is darker than any lung.
PURE_AIR_HU = -960
# With less air than this along the border, the field of view lies within the body.
TIGHT_BORDER_SHARE = 0.15
# The grids: across the body, and around the spine.
CELLS, SPINE_CELLS = 14, 10
# Width of the body grid, and extent of the spine grid, in body thicknesses.
HALF_WIDTH = 0.75
SPINE_FRONT, SPINE_BACK, SPINE_SIDE = 0.34, 0.10, 0.26
# Position of the spine from front to back: the center of the vertebral canal in real CT.
SPINE_DEPTH, SPINE_SPREAD = 0.74, 0.13
# Width of the smoothing: half a vertebra.
VERTEBRA = 0.07

_CROSS = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]], bool)
_IN_SLICE = np.zeros((3, 3, 3), bool)
_IN_SLICE[1] = _CROSS[0]


def coarse_copy(hu: np.ndarray) -> np.ndarray:
    """Means over blocks, float32, at most 96 voxels along each axis."""
    factors = [-(-size // MOST_VOXELS) for size in hu.shape]
    # For large blocks, every second row and column is enough.
    steps = [1, *(max(1, factor // 2) for factor in factors[1:])]
    small = hu[:, :: steps[1], :: steps[2]]
    for axis, (factor, step) in enumerate(zip(factors, steps, strict=True)):
        small = _means(small, axis, factor // step)
    return np.clip(small, -1024, 1500).astype(np.float32)


def _means(array: np.ndarray, axis: int, block: int) -> np.ndarray:
    if block == 1:
        return array
    count = array.shape[axis] // block
    whole = np.moveaxis(array, axis, 0)[: count * block]
    return np.moveaxis(whole.reshape(count, block, *whole.shape[1:]).mean(1, np.float32), 0, axis)


def inside_body(coarse: np.ndarray) -> np.ndarray:
    """The largest body in each slice, including the lungs, without tables and clothes."""
    air = coarse < AIR_HU
    # Leaks of one voxel through a thin chest wall stay closed.
    wide = ndimage.binary_erosion(air, _CROSS, border_value=1)
    regions, count = ndimage.label(wide, _IN_SLICE)
    border = np.concatenate([regions[:, (0, -1)].ravel(), regions[:, :, (0, -1)].ravel()])
    is_outside = np.bincount(border, minlength=count + 1) > 0
    if _is_tight(coarse):
        means = np.asarray(ndimage.mean(coarse, regions, np.arange(count + 1)))
        is_outside &= means < PURE_AIR_HU
    is_outside[0] = False
    outside = ndimage.binary_dilation(is_outside[regions], _CROSS) & air
    return _largest_of_each_slice(ndimage.binary_opening(~outside, _CROSS, iterations=2))


def _is_tight(coarse: np.ndarray) -> bool:
    border = np.concatenate(
        [coarse[:, 0], coarse[:, -1], coarse[:, :, 0], coarse[:, :, -1]], axis=1
    )
    return bool(np.median((border < PURE_AIR_HU).mean(axis=1)) < TIGHT_BORDER_SHARE)


def _largest_of_each_slice(mask: np.ndarray) -> np.ndarray:
    regions, count = ndimage.label(mask, _IN_SLICE)
    if count == 0:
        return mask
    sizes = np.bincount(regions.ravel())
    place = np.array([0, *(box[0].start for box in ndimage.find_objects(regions))])
    sizes[0] = 0
    largest = np.zeros(len(mask), int)
    for region in np.argsort(sizes):
        largest[place[region]] = region
    return (regions == largest[:, None, None]) & mask


@dataclass(frozen=True)
class BodyPictures:
    """Slices along one axis, with a mirror plane across their columns.

    `coarse` HU and `inside` the body, `[slice, row, column]`; `front`, `back` and `middle`
    are the rows and the column, in pixels, of the box covered by the grids.
    """

    coarse: np.ndarray
    inside: np.ndarray
    front: float
    back: float
    middle: float
    symmetry: float

    @classmethod
    def of(cls, coarse: np.ndarray, inside: np.ndarray) -> "BodyPictures | None":
        """The pictures of `hu`; None if there is no body."""
        middle, symmetry = _mirror_column(np.clip(coarse, -1000, 200).mean(axis=0))
        body = inside.mean(axis=0)
        if not body.any():
            return None
        body = body > 0.25 * body.max()
        columns = np.arange(body.shape[1]) + 0.5
        reach = np.abs(columns - middle)[body.any(axis=0)].max()
        rows = np.flatnonzero(body[:, np.abs(columns - middle) < 0.3 * reach].mean(axis=1) > 0.5)
        if len(rows) < CELLS / 2:
            return None
        return cls(coarse, inside, float(rows[0]), float(rows[-1] + 1), middle, symmetry)

    @property
    def thickness(self) -> float:
        """In pixels."""
        return self.back - self.front

    @cached_property
    def lung(self) -> np.ndarray:
        return (self.inside & (self.coarse < AIR_HU)).astype(np.float32)

    @cached_property
    def soft(self) -> np.ndarray:
        return (self.inside & (self.coarse > SOFT_HU)).astype(np.float32)

    @cached_property
    def bone_edges(self) -> np.ndarray:
        """Gradient of bone (HU per pixel, in-plane): bone is rough, enhanced blood is smooth."""
        rows, columns = np.gradient(np.clip(self.coarse, *BONE_HU), axis=(1, 2))
        return np.hypot(rows, columns) * self.inside

    @cached_property
    def grid(self) -> np.ndarray:
        """Lung, soft tissue and bone edges `[slice, 3, 14, 14]`, from front to back."""
        rows = np.linspace(self.front, self.back, CELLS + 1)
        half = HALF_WIDTH * self.thickness
        columns = np.linspace(self.middle - half, self.middle + half, CELLS + 1)
        edges = np.minimum(self.bone_edges, 300) * (self.thickness / 3000)
        return np.stack([_cells(each, rows, columns) for each in (self.lung, self.soft, edges)], 1)

    @cached_property
    def spine_grid(self) -> np.ndarray:
        """Lung and soft tissue `[slice, 2, 10, 10]` beside and before the spine.

        The last row is the back; use it only if the back is known to be there.
        """
        out = np.empty((len(self.coarse), 2, SPINE_CELLS, SPINE_CELLS), np.float32)
        size = self.thickness
        for k, (row, column) in enumerate(self.spine):
            rows = np.linspace(row - SPINE_FRONT * size, row + SPINE_BACK * size, SPINE_CELLS + 1)
            half = SPINE_SIDE * size
            columns = np.linspace(column - half, column + half, SPINE_CELLS + 1)
            for n, picture in enumerate((self.lung, self.soft)):
                out[k, n] = _cells(picture[k : k + 1], rows, columns)[0]
        return out

    @cached_property
    def spine(self) -> np.ndarray:
        """Row and column `[slice, 2]`, in pixels: the roughest bone near the expected position."""
        size = self.thickness
        along = max(1.0, len(self.coarse) / 15) if len(self.coarse) > 1 else 0.0
        rough = ndimage.gaussian_filter(self.bone_edges, (along, VERTEBRA * size, VERTEBRA * size))
        y, x = (np.arange(n) + 0.5 for n in rough.shape[1:])
        depth, side = (y - self.front) / size - SPINE_DEPTH, (x - self.middle) / size
        near = -(depth[:, None] ** 2 + side[None, :] ** 2) / (2 * SPINE_SPREAD**2)
        rough = rough * np.exp(near)
        best = rough.reshape(len(rough), -1).argmax(axis=1)
        rows, columns = np.unravel_index(best, rough.shape[1:])
        across = rough[np.arange(len(rough)), rows] ** 2
        across = across * (np.abs(x - (columns[:, None] + 0.5)) < 0.12 * size)
        centres = (across * x).sum(axis=1) / np.maximum(across.sum(axis=1), 1e-6)
        spine = np.stack([rows.astype(float), centres], axis=1)
        return ndimage.gaussian_filter1d(spine, 1.5, axis=0) if len(spine) > 5 else spine


def bone_lines(coarse: np.ndarray) -> list[float]:
    """For each axis, the most bone along any line (mean HU above 100, at most 300).

    The spine runs through the whole chest from feet to head; no other bone is as long.
    """
    dense = np.clip(coarse - 100, 0, 300)
    return [float(ndimage.uniform_filter(dense.mean(axis), 3).max()) for axis in range(3)]


def _mirror_column(picture: np.ndarray) -> tuple[float, float]:
    """The column (pixels) with the best mirror symmetry, and its correlation (at most 1)."""
    size = picture.shape[1]
    best = (-2.0, size / 2, 0.0)
    for total in range(round(0.8 * size) - 1, round(1.2 * size)):  # column c falls on total - c
        part = picture[:, max(0, total - size + 1) : min(size - 1, total) + 1]
        part = part - part.mean()
        likeness = float((part * part[:, ::-1]).sum() / max(float((part**2).sum()), 1e-6))
        held_back = likeness * (1 - abs(total - (size - 1)) / size)
        best = max(best, (held_back, (total + 1) / 2, likeness))
    return best[1], best[2]


def _cells(picture: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Means of `picture` `[slice, row, column]` between `rows` and `columns`, 0 outside it."""
    total = np.zeros((len(picture), picture.shape[1] + 1, picture.shape[2] + 1), np.float32)
    total[:, 1:, 1:] = picture.cumsum(axis=1).cumsum(axis=2)
    for axis, at in ((1, rows), (2, columns)):
        at = np.clip(at, 0, total.shape[axis] - 1)
        low = np.minimum(at.astype(int), total.shape[axis] - 2)
        rest = (at - low).astype(np.float32)
        rest = rest[:, None] if axis == 1 else rest
        total = total.take(low, axis) * (1 - rest) + total.take(low + 1, axis) * rest
    area = (rows[1] - rows[0]) * (columns[1] - columns[0])
    return np.asarray(np.diff(np.diff(total, axis=1), axis=2) / area)
