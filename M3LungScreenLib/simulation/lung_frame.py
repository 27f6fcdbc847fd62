"""Positions in a pair of lungs: depth, height, anterior to posterior, and lobe.

Works on any lung mask, real or simulated, on a grid of about 4 mm. Positions are
z, y, x in mm from the center of voxel 0 of the mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull

from M3LungScreenLib.simulation.fields import Axes, linear_matrix, resample

GRID_MM = 4.0
# The oblique fissure rises from the front of the diaphragm to the back of the upper third.
OBLIQUE_RISE = 0.74
OBLIQUE_FRONT = -0.04
HORIZONTAL_HEIGHT = 0.52


@dataclass(frozen=True)
class LungFrame:
    """Lungs on a coarse grid, with their depth below the costal surface.

    `side` uint8 [z, y, x] (1 right, 2 left), `depth` float32 mm, `origin_mm` and
    `step_mm` the grid, `bounds_mm` each side's (z, y, x) lowest and highest values,
    `hila_mm` each side's hilum.
    """

    side: np.ndarray
    depth: np.ndarray
    origin_mm: tuple[float, float, float]
    step_mm: tuple[float, float, float]
    bounds_mm: dict[int, tuple[np.ndarray, np.ndarray]]
    hila_mm: dict[int, np.ndarray]

    @classmethod
    def of(cls, lungs: np.ndarray, spacing_mm: Sequence[float]) -> "LungFrame":
        """The frame of `lungs` uint8 [slice, row, column]; `spacing_mm` is x, y, z."""
        spacing = np.asarray(spacing_mm, float)[::-1]
        factor = np.maximum(1, np.rint(GRID_MM / spacing)).astype(int)
        factor = np.minimum(factor, np.maximum(1, np.array(lungs.shape) // 4))
        first = np.minimum(factor // 2, np.array(lungs.shape) - 1)
        side = lungs[tuple(slice(s, None, f) for s, f in zip(first, factor, strict=True))]
        step, origin = factor * spacing, first * spacing
        depth = _costal_depth(side > 0, step)
        bounds = {n: _bounds(side == n, origin, step) for n in (1, 2) if (side == n).any()}
        hila = {n: _hilum(side == n, depth, origin, step) for n in bounds}
        return cls(side, depth, tuple(origin), tuple(step), bounds, hila)

    @property
    def axes(self) -> Axes:
        """z, y, x of the coarse grid in mm."""
        z, y, x = (
            origin + step * np.arange(n)
            for origin, step, n in zip(self.origin_mm, self.step_mm, self.side.shape, strict=True)
        )
        return z, y, x

    def depth_at(self, axes: Axes) -> np.ndarray:
        """mm below the costal surface on the box of `axes`."""
        matrices = [
            linear_matrix(axis, origin, step, count)
            for axis, origin, step, count in zip(
                axes, self.origin_mm, self.step_mm, self.depth.shape, strict=True
            )
        ]
        return resample(self.depth, *matrices)

    def height_and_back(self, side: int, axes: Axes) -> tuple[np.ndarray, np.ndarray]:
        """0 at the base to 1 at the apex, [z, 1, 1]; 0 at the front to 1 at the back, [1, y, 1]."""
        low, high = self.bounds_mm[side]
        size = np.maximum(high - low, 1.0)
        height = ((axes[0] - low[0]) / size[0])[:, None, None]
        return height, ((axes[1] - low[1]) / size[1])[None, :, None]

    def lobe_at(self, side: int, lobe: str, axes: Axes) -> np.ndarray:
        """mm inside (positive) or outside the 'upper', 'middle' or 'lower' lobe, or 'any'."""
        height, back = self.height_and_back(side, axes)
        low, high = self.bounds_mm[side]
        tall = float(high[0] - low[0])
        above = (height - OBLIQUE_RISE * back - OBLIQUE_FRONT) * tall * 0.8
        inner = (axes[2] - (low[2] + high[2]) / 2)[None, None, :] / max(
            float(high[2] - low[2]), 1.0
        )
        bow = 0.1 * tall * inner**2
        above = above + bow
        if lobe == "lower":
            return -above
        if lobe == "any":
            return np.full_like(above, 1e3)
        if side == 2:
            return above
        tilt = 0.1 * (back - 0.4) + 0.14 * inner - 0.25 * inner**2
        over = (height - HORIZONTAL_HEIGHT + tilt) * tall + 0 * above
        return np.minimum(above, over if lobe == "upper" else -over)

    def points(self, side: int, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Grid points [n, 3] in mm of one lung and their weights, summing to 1."""
        index = np.argwhere(self.side == side)
        chosen = np.asarray(weight)[tuple(index.T)].astype(float) + 1e-12
        return index * self.step_mm + self.origin_mm, chosen / chosen.sum()


def _costal_depth(lungs: np.ndarray, step: np.ndarray) -> np.ndarray:
    """mm to the nearest point outside each slice's convex hull of both lungs."""
    hull = np.zeros(np.add(lungs.shape, (0, 2, 2)), bool)
    for k, plane in enumerate(lungs):
        if plane.any():
            hull[k, 1:-1, 1:-1] = _convex_hull(plane)
    depth = ndimage.distance_transform_edt(hull, sampling=step)
    return depth[:, 1:-1, 1:-1].astype(np.float32)


def _convex_hull(plane: np.ndarray) -> np.ndarray:
    points = np.argwhere(plane)
    if np.linalg.matrix_rank(points - points[0]) < 2:  # collinear points have no hull
        return plane
    edges = ConvexHull(points).equations  # outward normals and offsets: [edge, 3]
    outward = np.tensordot(edges[:, :2], np.indices(plane.shape), 1) + edges[:, 2, None, None]
    return (outward < 1e-6).all(axis=0)


def _bounds(
    mask: np.ndarray, origin: np.ndarray, step: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    index = np.argwhere(mask)
    return index.min(0) * step + origin, index.max(0) * step + origin


def _hilum(mask: np.ndarray, depth: np.ndarray, origin: np.ndarray, step: np.ndarray) -> np.ndarray:
    """The mean of the deepest points of the middle third of a lung's height."""
    index = np.argwhere(mask)
    low, high = index[:, 0].min(), index[:, 0].max()
    height = (index[:, 0] - low) / max(1, high - low)
    middle = index[(height > 0.42) & (height < 0.68)]
    index = middle if len(middle) else index
    deep = depth[tuple(index.T)]
    return index[deep >= np.quantile(deep, 0.97)].mean(0) * step + origin
