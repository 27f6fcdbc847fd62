"""Draws where a lesion lies (side, lobe, center, direction) and makes its record."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from M3LungScreenLib.simulation.lesion_record import Kind, LesionRecord, Vector
from M3LungScreenLib.simulation.lung_frame import LungFrame


def record_of(
    class_index: int,
    kind: Kind,
    side: int,
    center: ArrayLike,
    axis: ArrayLike,
    radii: tuple[float, float],
    rng: np.random.Generator,
    **values: Any,
) -> LesionRecord:
    """A record of these values with a seed drawn from `rng`."""
    seed = int(rng.integers(2**31))
    return LesionRecord(
        class_index,
        kind,
        side,
        _vector(center),
        _vector(axis),
        radii,
        seed=seed,
        **values,
    )


def draw_sides(frame: LungFrame, rng: np.random.Generator, both: float) -> list[int]:
    """Sides with lesions (1 right, 2 left) in random order; two with probability `both`."""
    present = [int(side) for side in rng.permutation(sorted(frame.bounds_mm))]
    return present if rng.uniform() < both else present[:1]


def draw_lobe(side: int, rng: np.random.Generator) -> str:
    """A lobe of one lung: 'lower', 'middle' (right lung only) or 'upper'."""
    if side == 2:
        return str(rng.choice(["lower", "upper"], p=[0.6, 0.4]))
    return str(rng.choice(["lower", "middle", "upper"], p=[0.5, 0.2, 0.3]))


def draw_center(
    frame: LungFrame, rng: np.random.Generator, side: int, weight: np.ndarray
) -> np.ndarray:
    """A point in one lung (z, y, x in mm), drawn with the chances `weight` on `frame`."""
    points, chances = frame.points(side, np.broadcast_to(weight, frame.side.shape))
    jitter = rng.uniform(-0.5, 0.5, 3) * frame.step_mm
    return points[rng.choice(len(points), p=chances)] + jitter


def draw_direction(rng: np.random.Generator) -> np.ndarray:
    """A random unit vector, z, y, x."""
    vector = rng.standard_normal(3)
    return vector / np.linalg.norm(vector)


def inward(frame: LungFrame, center: np.ndarray) -> Vector:
    """The direction into the lung from the nearest costal surface."""
    slope = []
    for axis in range(3):
        step = np.zeros(3)
        step[axis] = 6.0
        slope.append(float(depth_mm(frame, center + step) - depth_mm(frame, center - step)))
    norm = float(np.linalg.norm(slope))
    return _vector(np.array(slope) / norm) if norm > 0 else (0.0, -1.0, 0.0)


def depth_mm(frame: LungFrame, point: np.ndarray) -> np.float32:
    """Depth of `point` (z, y, x in mm) below the costal surface."""
    return np.float32(frame.depth_at((point[:1], point[1:2], point[2:]))[0, 0, 0])


def _vector(values: ArrayLike) -> Vector:
    z, y, x = (float(v) for v in np.asarray(values))
    return z, y, x
