"""Smooth fields on boxes of voxels: interpolation, noise, steps and deposited material.

Where possible, fields are separable: a coarse grid is interpolated by three matrix
products. Axes are z, y, x (slice, row, column) in mm throughout.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

Axes = tuple[np.ndarray, np.ndarray, np.ndarray]
BSPLINE_NOISE_SD = 0.33  # of unit white noise after cubic B-splines along three axes


def linear_matrix(at: np.ndarray, origin: float, step: float, count: int) -> np.ndarray:
    """Weights [len(at), count] of linear interpolation; constant beyond the ends."""
    position = np.clip((np.asarray(at) - origin) / step, 0, count - 1)
    return np.maximum(0, 1 - np.abs(position[:, None] - np.arange(count))).astype(np.float32)


def bspline_matrix(at: np.ndarray, origin: float, step: float, count: int) -> np.ndarray:
    """Weights [len(at), count] of cubic B-splines: twice differentiable, smoothing."""
    position = np.clip((np.asarray(at) - origin) / step, 1, count - 2)
    d = np.abs(position[:, None] - np.arange(count))
    near = 2 / 3 - d**2 + d**3 / 2
    far = np.maximum(0, 2 - d) ** 3 / 6
    return np.where(d < 1, near, far).astype(np.float32)


def resample(coarse: np.ndarray, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """`coarse` [z, y, x] interpolated by one weight matrix per axis; float32."""
    along_x = coarse.astype(np.float32, copy=False) @ x.T
    along_y = y @ along_x
    return (z @ along_y.reshape(len(along_y), -1)).reshape(len(z), len(y), len(x))


def noise_field(
    rng: np.random.Generator,
    axes: Axes,
    cell_mm: float,
    center_mm: Sequence[float],
    reach_mm: float,
) -> np.ndarray:
    """Smooth noise (mean 0, sd about 1, features of `cell_mm`) on the box of `axes`.

    The lattice is fixed to `center_mm` ± `reach_mm`, so a clipped box or another
    voxel size gets the same field.
    """
    count = int(np.ceil(2 * reach_mm / cell_mm)) + 4
    lattice = rng.standard_normal((count, count, count), dtype=np.float32) / BSPLINE_NOISE_SD
    matrices = [
        bspline_matrix(axis, center - reach_mm - 1.5 * cell_mm, cell_mm, count)
        for axis, center in zip(axes, center_mm, strict=True)
    ]
    return resample(lattice, *matrices)


def volume_noise(rng: np.random.Generator, axes: Axes, cell_mm: float) -> np.ndarray:
    """Smooth noise over whole axes that may differ in length."""
    matrices, counts = [], []
    for axis in axes:
        count = int(np.ceil((axis[-1] - axis[0]) / cell_mm)) + 4
        matrices.append(bspline_matrix(axis, axis[0] - 1.5 * cell_mm, cell_mm, count))
        counts.append(count)
    lattice = rng.standard_normal(counts, dtype=np.float32) / BSPLINE_NOISE_SD
    return resample(lattice, *matrices)


def smoothstep(value: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, and a smooth rise between."""
    t = np.clip(value, 0, 1)
    return t * t * (3 - 2 * t)


def sunflower(count: int) -> np.ndarray:
    """`count` points [count, 2] spread evenly over the unit disc."""
    k = np.arange(count) + 0.5
    radius, angle = np.sqrt(k / count), k * 2.399963
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)


def tube_points(
    starts: np.ndarray, ends: np.ndarray, radii: np.ndarray, step_mm: float
) -> tuple[np.ndarray, np.ndarray]:
    """Points [p, 3] that fill tubes [n, 3] to [n, 3] of `radii` [n], and each one's mm³."""
    points, volumes = [], []
    lengths = np.linalg.norm(ends - starts, axis=1)
    rings = np.maximum(1, np.rint((2 * radii / step_mm) ** 2 * 0.8)).astype(int)
    for disc in np.unique(rings):
        chosen = rings == disc
        p, v = _fill(
            starts[chosen], ends[chosen], radii[chosen], lengths[chosen], int(disc), step_mm
        )
        points.append(p)
        volumes.append(v)
    return np.concatenate(points), np.concatenate(volumes)


def _fill(
    a: np.ndarray, b: np.ndarray, r: np.ndarray, length: np.ndarray, disc: int, step_mm: float
) -> tuple[np.ndarray, np.ndarray]:
    counts = np.maximum(1, np.ceil(length / step_mm)).astype(int)
    tube = np.repeat(np.arange(len(a)), counts)
    order = np.arange(len(tube)) - np.repeat(np.cumsum(counts) - counts, counts)
    t = ((order + 0.5) / counts[tube])[:, None]
    along = a[tube] + t * (b - a)[tube]
    axis = (b - a) / np.maximum(length, 1e-6)[:, None]
    helper = np.where(np.abs(axis[:, :1]) < 0.8, [[1.0, 0, 0]], [[0, 1.0, 0]])
    u = np.cross(axis, helper)
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    v = np.cross(axis, u)
    spots = sunflower(disc) if disc > 1 else np.zeros((1, 2))
    offset = spots[None, :, :1] * (u * r[:, None])[tube][:, None]
    offset = offset + spots[None, :, 1:] * (v * r[:, None])[tube][:, None]
    points = (along[:, None] + offset).reshape(-1, 3)
    each = (np.pi * r**2 * length / counts / disc)[tube]
    return points, np.repeat(each, disc)


def deposit(
    points_mm: np.ndarray, volumes_mm3: np.ndarray, spacing: ArrayLike, shape: Sequence[int]
) -> np.ndarray:
    """The fraction of each voxel that is filled, [z, y, x] in [0, 1].

    Each point's volume is shared trilinearly among its eight voxels, so structures
    thinner than a voxel get their true partial volume. `points_mm` is relative to
    the center of voxel 0.
    """
    position = points_mm / np.asarray(spacing)
    base = np.floor(position).astype(np.int64)
    rest = position - base
    filled = np.zeros(int(np.prod(shape)), np.float64)
    for corner in np.ndindex(2, 2, 2):
        index = base + corner
        weight = np.prod(np.where(corner, rest, 1 - rest), axis=1) * volumes_mm3
        inside = np.all((index >= 0) & (index < shape), axis=1)
        flat = np.ravel_multi_index(tuple(index[inside].T), tuple(shape))
        filled += np.bincount(flat, weight[inside], minlength=filled.size)
    return np.minimum(1, filled / np.prod(np.asarray(spacing))).reshape(shape).astype(np.float32)
