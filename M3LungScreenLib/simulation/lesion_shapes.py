"""Computes the share of air that a lesion replaces in each voxel, from its record."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from M3LungScreenLib.simulation.fields import Axes, deposit, noise_field, smoothstep, tube_points
from M3LungScreenLib.simulation.lesion_record import LesionRecord
from M3LungScreenLib.simulation.lung_frame import LungFrame

Box = tuple[slice, slice, slice]
LOBULE_MM = 8.0
CONE_END = 1.33  # the farthest point of a cone from its apex, in cone lengths


@dataclass(frozen=True)
class Grid:
    """A box of voxels: `spacing` z, y, x in mm, `origin` of its first voxel, `shape`."""

    origin: np.ndarray
    spacing: np.ndarray
    shape: tuple[int, int, int]

    @property
    def axes(self) -> Axes:
        z, y, x = (
            (o + s * np.arange(n)).astype(np.float32)
            for o, s, n in zip(self.origin, self.spacing, self.shape, strict=True)
        )
        return z, y, x

    def around(self, low: np.ndarray, high: np.ndarray) -> tuple[Box, "Grid"] | None:
        """The voxels between two corners (mm); None if there are none."""
        first = np.maximum(0, np.ceil((low - self.origin) / self.spacing)).astype(int)
        last = np.minimum(self.shape, np.floor((high - self.origin) / self.spacing).astype(int) + 1)
        if np.any(last <= first):
            return None
        z, y, x = (slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
        origin = self.origin + first * self.spacing
        a, b, c = (int(n) for n in last - first)
        return (z, y, x), Grid(origin, self.spacing, (a, b, c))


def corners(record: LesionRecord, frame: LungFrame) -> tuple[np.ndarray, np.ndarray]:
    """A box that contains the whole lesion: lowest and highest z, y, x in mm."""
    center, axis = np.array(record.center_mm), np.array(record.axis)
    along, across = record.radii_mm
    if record.kind == "effusion":
        return frame.bounds_mm[record.side][0] - 8, frame.bounds_mm[record.side][1] + 8
    end = center
    if record.kind in ("tube", "cone"):
        end = center + axis * along
    reach = 1.5 * max(along, across)
    if record.kind in ("nodules", "tree_in_bud"):
        # Roots are normally distributed around the center; stems and twigs add 25 mm.
        reach = 2.2 * along + (25 if record.kind == "tree_in_bud" else 0)
    elif record.kind == "tube":
        reach = 1.5 * across
    elif record.kind == "cone":
        reach = CONE_END * along * np.sin(min(np.pi / 2, 1.5 * record.half_angle))
    reach += 6  # border voxels
    return np.minimum(center, end) - reach, np.maximum(center, end) + reach


def fill_of(record: LesionRecord, frame: LungFrame, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """The share of air replaced and the lesion's outline, both [z, y, x] in [0, 1]."""
    rng = np.random.default_rng(record.seed)
    if record.kind == "nodules":
        return _nodules(record, frame, grid, rng)
    if record.kind == "tree_in_bud":
        return _buds(record, grid, rng)
    if record.kind == "effusion":
        return _effusion(record, frame, grid)
    level = _level(record, frame, grid.axes)
    # Noise fades to zero at level -0.5, so that the box never cuts the lesion.
    level += record.warp * _border_noise(record, grid, rng) * np.clip(1 + 2 * level, 0, 1)
    outline = smoothstep(level / (2 * record.soft) + 0.5)
    if record.lobe != "any":
        outline *= _lobe(record, frame, grid, rng)
    fill = _inside(record, level, outline, grid, rng)
    return np.clip(fill, 0, 0.99) * outline, outline


def _level(record: LesionRecord, frame: LungFrame, axes: Axes) -> np.ndarray:
    """1 at the center, 0 on the border, negative outside."""
    z, y, x = (a - c for a, c in zip(axes, record.center_mm, strict=True))
    z, y, x = z[:, None, None], y[None, :, None], x[None, None, :]
    along = z * record.axis[0] + y * record.axis[1] + x * record.axis[2]
    square = z * z + y * y + x * x
    across = np.sqrt(np.maximum(square - along**2, 0))
    length, width = record.radii_mm
    if record.kind == "tube":
        t = np.clip(along / length, 0, 1)
        distance = np.sqrt(np.maximum(square - 2 * along * t * length + (t * length) ** 2, 0))
        return 1 - distance / (width * (1 - 0.35 * t))
    if record.kind == "cone":
        opening = 1 - np.arctan2(across, along) / record.half_angle
        distance = np.sqrt(square)
        ends = np.minimum(distance / (0.2 * length) - 0.4, 4 * (1.2 - distance / length))
        return np.minimum(opening, ends).clip(-2, 1)
    if record.kind == "pleural":
        deep = np.maximum(frame.depth_at(axes) - 2, 0) / length
        narrow = width * np.maximum(0.25, 1 - 0.4 * deep)
        plate = 1 - np.sqrt((across / narrow) ** 2 + deep**2)
        # Without this limit the plate would follow a wall that turns along its axis.
        return np.minimum(plate, 3 * (1.25 - np.sqrt(square) / max(length, width)))
    return 1 - np.sqrt((along / length) ** 2 + (across / width) ** 2)


def _lobe(
    record: LesionRecord, frame: LungFrame, grid: Grid, rng: np.random.Generator
) -> np.ndarray:
    """1 in the lesion's lobe, 0 beyond the slightly wavy fissure."""
    reach = 2.0 * max(record.radii_mm) + 10
    wave_mm = 2.5 * noise_field(rng, grid.axes, 30.0, record.center_mm, reach)
    inside_mm = frame.lobe_at(record.side, record.lobe, grid.axes) + wave_mm
    return np.clip(inside_mm / 2 + 0.5, 0, 1)


def _border_noise(record: LesionRecord, grid: Grid, rng: np.random.Generator) -> np.ndarray:
    along, across = record.radii_mm
    size = along * 0.4 if record.kind == "cone" else max(across, 6.0)
    reach = 2.0 * max(along, across) + 10
    coarse = noise_field(rng, grid.axes, max(6.0, size * 0.6), record.center_mm, reach)
    fine = noise_field(rng, grid.axes, max(3.5, size * 0.22), record.center_mm, reach)
    return 0.7 * coarse + 0.4 * fine


def _inside(
    record: LesionRecord,
    level: np.ndarray,
    outline: np.ndarray,
    grid: Grid,
    rng: np.random.Generator,
) -> np.ndarray:
    """Fill before the outline is applied: texture, core, reversed halo or crazy paving."""
    reach = 2.0 * max(record.radii_mm) + 10
    lobular = noise_field(rng, grid.axes, 5.0, record.center_mm, reach)
    if record.pattern == "cloudy":
        lobular = lobular + 1.5 * noise_field(rng, grid.axes, 14.0, record.center_mm, reach)
    fill = record.fill * (1 + record.texture * lobular)
    if record.pattern == "reversed_halo":
        ring = np.exp(-(((level - 0.28) / 0.16) ** 2))
        return fill + (record.core_fill - fill) * ring
    if record.core_fill > 0:
        core = smoothstep((level + 0.12 * lobular - record.core_level) / 0.25 + 0.5)
        fill = fill + (record.core_fill - fill) * core
    if record.pattern == "crazy_paving":
        fill = fill + 0.2 * _web(record, outline, grid, rng) * np.clip(0.7 + 0.5 * lobular, 0, 1.5)
    return fill


def _web(
    record: LesionRecord, outline: np.ndarray, grid: Grid, rng: np.random.Generator
) -> np.ndarray:
    """Crazy paving: thickened interlobular septa, as the edges of a Voronoi diagram."""
    reach = 1.6 * max(record.radii_mm) + 10
    count = int(min(4000, (2 * reach / LOBULE_MM) ** 3)) + 8
    seeds = np.asarray(record.center_mm) + rng.uniform(-reach, reach, (count, 3))
    net = np.zeros(grid.shape, np.float32)
    index = np.argwhere(outline > 0.2)
    if len(index):
        near, _ = cKDTree(seeds).query(index * grid.spacing + grid.origin, k=2)
        wall = max(1.2, 0.7 * float(grid.spacing[1]))
        net[tuple(index.T)] = np.clip(1.4 - (near[:, 1] - near[:, 0]) / wall, 0, 1)
    return net


def _ball(count: int) -> np.ndarray:
    """`count` points [count, 3] in the unit ball, denser at the center."""
    k = np.arange(count) + 0.5
    z = 1 - 2 * k / count
    angle = k * 2.399963
    flat = np.sqrt(1 - z**2)
    radius = ((k * 0.754877) % 1) ** 0.45
    return np.stack([z, flat * np.cos(angle), flat * np.sin(angle)], 1) * radius[:, None]


def _nodules(
    record: LesionRecord, frame: LungFrame, grid: Grid, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Ill-defined centrilobular nodules of 3 to 8 mm, a few mm from the pleura."""
    spread = (
        np.asarray(record.center_mm) + rng.normal(0, 0.5, (record.count, 3)) * record.radii_mm[0]
    )
    sizes = rng.uniform(1.6, 4.0, record.count)
    weights = rng.uniform(0.6, 1.0, record.count)
    ball = _ball(160)
    points = (spread[:, None] + sizes[:, None, None] * 1.1 * ball).reshape(-1, 3)
    volumes = np.repeat(4.19 * sizes**3 / len(ball) * weights, len(ball))
    share = deposit(points - grid.origin, volumes, grid.spacing, grid.shape) * record.fill
    share *= np.clip((frame.depth_at(grid.axes) - 3) / 3, 0, 1)
    return share, np.clip(share * 5, 0, 1)


def _buds(
    record: LesionRecord, grid: Grid, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Tree-in-bud: branching centrilobular lines with bulbs at their ends."""
    starts, ends = [], []
    for _ in range(record.count):
        root = np.asarray(record.center_mm) + rng.normal(0, 0.5, 3) * record.radii_mm[0]
        stem = root + np.asarray(record.axis) * rng.uniform(4, 9) + rng.normal(0, 2.5, 3)
        starts.append(root)
        ends.append(stem)
        for _ in range(int(rng.integers(2, 5))):
            starts.append(stem)
            ends.append(stem + np.asarray(record.axis) * 2 + rng.normal(0, 2.8, 3))
    tubes = tube_points(np.array(starts), np.array(ends), np.full(len(starts), 0.9), 0.7)
    sizes = rng.uniform(1.2, 2.2, len(ends))
    ball = _ball(40)
    bulbs = (np.array(ends)[:, None] + sizes[:, None, None] * ball).reshape(-1, 3)
    points = np.concatenate([tubes[0], bulbs])
    volumes = np.concatenate([tubes[1], np.repeat(4.19 * sizes**3 / len(ball), len(ball))])
    share = deposit(points - grid.origin, volumes, grid.spacing, grid.shape) * record.fill
    return share, np.clip(share * 5, 0, 1)


def _effusion(record: LesionRecord, frame: LungFrame, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Posterior basal pleural fluid that thins upwards; its outline is empty."""
    height, back = frame.height_and_back(record.side, grid.axes)
    thick = record.radii_mm[0] * smoothstep((back - 0.5) / 0.35) * smoothstep((0.75 - height) / 0.6)
    fluid = np.clip((thick - frame.depth_at(grid.axes)) / 2.0, 0, 1)
    fluid = np.where(thick > 0.5, fluid, 0).astype(np.float32)
    return fluid, np.zeros_like(fluid)


def bronchograms(record: LesionRecord, grid: Grid) -> np.ndarray:
    """Air bronchograms: the share of each voxel inside an air-filled bronchus."""
    rng = np.random.default_rng(record.seed + 1)
    starts, ends, radii = [], [], []
    axis, length = np.asarray(record.axis), record.radii_mm[0]
    for _ in range(record.bronchograms):
        at, way = np.asarray(record.center_mm, float), _tilt(axis, 0.5 * record.half_angle, rng)
        radius, step = rng.uniform(1.3, 2.2), length / 5
        for _ in range(4):
            starts.append(at)
            at = at + way * step
            ends.append(at)
            radii.append(radius)
            way, radius = _tilt(way, 0.25, rng), radius * 0.82
    points, volumes = tube_points(np.array(starts), np.array(ends), np.array(radii), 0.7)
    return deposit(points - grid.origin, volumes, grid.spacing, grid.shape)


def _tilt(axis: np.ndarray, angle: float, rng: np.random.Generator) -> np.ndarray:
    tilted = axis + rng.normal(0, max(angle, 0.05), 3) * 0.7
    return tilted / np.linalg.norm(tilted)
