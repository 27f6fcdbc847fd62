"""Renders an anatomy record to a noise-free chest in HU on the voxels of a scan."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from M3LungScreenLib.simulation.anatomy_record import AnatomyRecord
from M3LungScreenLib.simulation.fields import (
    Axes,
    deposit,
    linear_matrix,
    resample,
    smoothstep,
    tube_points,
    volume_noise,
)
from M3LungScreenLib.simulation.lung_frame import LungFrame
from M3LungScreenLib.simulation.surfaces import Surfaces, spine_y, surfaces
from M3LungScreenLib.simulation.vessels import Tubes, bronchi_beside, grow_tree

COARSE_MM = (4.0, 2.8, 2.8)
FINEST_SUBSLICE_MM = 2.5
AIR_HU, FAT_HU, LUMEN_HU = -1000.0, -105.0, -985.0
CHUNK = 8
MIDDLE_X_MM = 2.0  # between the right and the left lung; the mediastinum reaches left


@dataclass(frozen=True)
class Chest:
    """`hu` float32, `lungs` uint8 (1 right, 2 left), `airways` the share that is lumen;

    `heart_mm` and `dome_mm` are distances inside the heart and above the diaphragm,
    for the artefacts; all [slice, row, column].
    """

    hu: np.ndarray
    lungs: np.ndarray
    airways: np.ndarray
    heart_mm: np.ndarray
    dome_mm: np.ndarray


def render(record: AnatomyRecord, axes: Axes, thickness_mm: float) -> Chest:
    """The chest on the voxels at `axes` (z, y, x, body coordinates in mm)."""
    rng = np.random.default_rng(record.seed)
    coarse_axes = _coarse_axes(axes)
    shapes = surfaces(record, coarse_axes)
    painter = _Painter(coarse_axes, axes, thickness_mm)
    hu, lung_share = _paint(record, shapes, painter, axes)
    lungs = np.where(lung_share > 0.5, np.where(axes[2] < MIDDLE_X_MM, 1, 2), 0)
    lungs = _without_small_pieces(lungs.astype(np.uint8))
    hu += lung_share * (_parenchyma(record, lungs, axes, rng) - hu)
    airways = _add_tubes(hu, lung_share, record, shapes, coarse_axes, axes, rng)
    _add_fissures(hu, lungs, record, axes)
    heart = painter.linear(shapes.heart)
    return Chest(hu, lungs, airways, heart, painter.linear(shapes.dome))


def _coarse_axes(axes: Axes) -> Axes:
    z, y, x = (
        np.arange(axis[0] - 6, axis[-1] + 6 + step, step)
        for axis, step in zip(axes, COARSE_MM, strict=True)
    )
    return z, y, x


class _Painter:
    """Interpolates coarse signed distances to the share of each voxel that is inside."""

    def __init__(self, coarse: Axes, axes: Axes, thickness_mm: float) -> None:
        self.coarse, self.axes = coarse, axes
        self.pixel = float(axes[2][1] - axes[2][0])
        self.y, self.x = (self._matrix(n, axes[n]) for n in (1, 2))
        parts = int(np.clip(np.ceil(thickness_mm / FINEST_SUBSLICE_MM), 1, 4))
        self.offsets = ((np.arange(parts) + 0.5) / parts - 0.5) * thickness_mm

    def _matrix(self, n: int, at: np.ndarray) -> np.ndarray:
        axis = self.coarse[n]
        return linear_matrix(at, float(axis[0]), COARSE_MM[n], len(axis))

    def linear(
        self, coarse: np.ndarray, offset: float = 0.0, ks: slice = slice(None)
    ) -> np.ndarray:
        return resample(coarse, self._matrix(0, self.axes[0][ks] + offset), self.y, self.x)

    def in_plane(self, coarse: np.ndarray) -> np.ndarray:
        """`coarse` on the scan's rows and columns: `[coarse z, row, column]`, computed once."""
        return self.y @ (coarse @ self.x.T)

    def share(self, planes: np.ndarray, ks: slice) -> np.ndarray:
        """The share inside, averaged over the slice's thickness; `planes` from in_plane."""
        total = np.zeros((len(self.axes[0][ks]), *planes.shape[1:]), np.float32)
        for offset in self.offsets:
            level = self._along_z(planes, self.axes[0][ks] + offset)
            level *= 1 / self.pixel
            level += 0.5
            total += np.clip(level, 0, 1, out=level)
        return total / np.float32(len(self.offsets))

    def _along_z(self, planes: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Linear interpolation between planes; cheaper than a sparse matrix product."""
        at = np.clip((z - self.coarse[0][0]) / COARSE_MM[0], 0, len(planes) - 1.001)
        low = at.astype(int)
        rest = (at - low).astype(np.float32)[:, None, None]
        out = planes[low] * (1 - rest)
        out += planes[low + 1] * rest
        return out

    def value(self, planes: np.ndarray, ks: slice) -> np.ndarray:
        return self._along_z(planes, self.axes[0][ks])


def _paint(
    record: AnatomyRecord, s: Surfaces, painter: _Painter, axes: Axes
) -> tuple[np.ndarray, np.ndarray]:
    """HU, painted from skin to lungs, and the share of each voxel that is lung."""
    shape = tuple(len(axis) for axis in axes)
    hu = np.full(shape, AIR_HU, np.float32)
    lung_share = np.zeros(shape, np.float32)
    body, soft, bone, lungs, gas, soft_hu, clothes = (
        painter.in_plane(each)
        for each in (s.body, s.soft, s.bone, s.lungs, s.gas, s.soft_hu, s.clothes)
    )
    _add_table(hu, record, axes)
    for first in range(0, shape[0], CHUNK):
        ks = slice(first, first + CHUNK)
        part = hu[ks]
        if record.clothes_hu > AIR_HU:
            part += painter.share(clothes, ks) * (record.clothes_hu - part)
        skin = painter.share(body, ks)
        part += skin * (FAT_HU - part)
        part += (skin * painter.share(1.8 - body, ks)) * (30 - part)  # skin of 2 mm
        part += painter.share(soft, ks) * (painter.value(soft_hu, ks) - part)
        inside = painter.value(bone, ks)
        part += painter.share(bone, ks) * (180 + 480 * np.exp(-np.maximum(inside, 0) / 1.5) - part)
        part += painter.share(gas, ks) * (LUMEN_HU - part)
        lung_share[ks] = painter.share(lungs, ks)
    return hu, lung_share


def _without_small_pieces(lungs: np.ndarray) -> np.ndarray:
    """Removes small pieces of lung that the diaphragm or the heart cuts off."""
    parts, count = ndimage.label(lungs > 0)
    if count > 2:
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        lungs = np.where(np.isin(parts, np.flatnonzero(sizes > 0.02 * sizes.sum())), lungs, 0)
    return lungs.astype(np.uint8)


def _add_table(hu: np.ndarray, record: AnatomyRecord, axes: Axes) -> None:
    _, y, x = axes
    back = record.half_depth + record.wall + 4 + record.fat * 0.35 + 3
    top = back + record.table_gap * 0.3 - record.table_bend * x**2
    depth = y[:, None] - top[None, :]
    pixel = float(y[1] - y[0])
    wide = np.clip((230 - np.abs(x)) / pixel, 0, 1)[None, :]
    pad = np.clip((depth + 2) / pixel, 0, 1) * np.clip(
        (10 + record.table_gap - depth) / pixel, 0, 1
    )
    plate = np.clip(1.6 / pixel - np.abs(depth - 11 - record.table_gap) / pixel + 0.5, 0, 1)
    lower = np.clip(1.6 / pixel - np.abs(depth - 44 - record.table_gap) / pixel + 0.5, 0, 1)
    plane = hu[0] + wide * pad * 90
    plane += wide * np.maximum(plate, 0.8 * lower) * (120 - plane)
    hu[:] = plane


def _parenchyma(
    record: AnatomyRecord, lungs: np.ndarray, axes: Axes, rng: np.random.Generator
) -> np.ndarray:
    """Lung without vessels: gravity, patches, texture, dependent density."""
    deep = (axes[1] / (2 * record.half_depth))[None, :, None].astype(np.float32)
    hu = volume_noise(rng, axes, 32.0) * np.float32(record.patchiness_hu)
    hu += volume_noise(rng, axes, 9.0) * np.float32(0.6 * record.patchiness_hu)
    hu += rng.standard_normal(hu.shape, dtype=np.float32) * 20
    hu += np.float32(record.lung_hu) + np.float32(record.gradient_hu) * deep
    if record.dependent_hu > 0:
        hu += _dependent(record, lungs, axes, rng)
    return hu


def _dependent(
    record: AnatomyRecord, lungs: np.ndarray, axes: Axes, rng: np.random.Generator
) -> np.ndarray:
    """A dense band along the posterior pleura, as in every supine patient."""
    rows = lungs.shape[1]
    last = rows - 1 - np.argmax(lungs[:, ::-1] > 0, axis=1)
    pixel = np.float32(axes[1][1] - axes[1][0])
    distance = (last[:, None, :] - np.arange(rows)[None, :, None]).astype(np.float32) * pixel
    patches = np.clip(0.7 + 0.5 * volume_noise(rng, axes, 22.0), 0, 1.6)
    low = np.clip(1.15 - axes[0] / record.lung_height, 0.1, 1)[:, None, None].astype(np.float32)
    height = np.float32(record.dependent_hu) * low * patches
    at_back = smoothstep(axes[1] / record.half_depth - 0.1)[None, :, None].astype(np.float32)
    return height * at_back * np.exp(-np.maximum(distance, 0) / np.float32(record.dependent_mm))


def _add_tubes(
    hu: np.ndarray,
    lung_share: np.ndarray,
    record: AnatomyRecord,
    shapes: Surfaces,
    coarse: Axes,
    axes: Axes,
    rng: np.random.Generator,
) -> np.ndarray:
    """Adds vessels and airways to `hu` in place; returns the share of airway lumen."""
    vessels, lumina = _trees(record, shapes, coarse, rng)
    blood = _deposit(vessels, axes)
    walls = _deposit(Tubes(lumina.starts, lumina.ends, lumina.radii * 1.15 + 0.3), axes)
    lumen = _deposit(lumina, axes)
    hu += np.maximum(blood, walls) * lung_share * (42 - hu)
    hu += lumen * (LUMEN_HU - hu)
    return lumen


def _deposit(tubes: Tubes, axes: Axes) -> np.ndarray:
    spacing = np.array([float(axis[1] - axis[0]) if len(axis) > 1 else 5.0 for axis in axes])
    step = float(np.clip(0.6 * spacing[1:].min(), 0.5, 1.0))
    points, volumes = tube_points(tubes.starts, tubes.ends, tubes.radii, step)
    origin = np.array([axis[0] for axis in axes])
    return deposit(points - origin, volumes, spacing, tuple(len(axis) for axis in axes))


def _trees(
    record: AnatomyRecord, shapes: Surfaces, coarse: Axes, rng: np.random.Generator
) -> tuple[Tubes, Tubes]:
    tall, deep = record.lung_height, record.half_depth
    carina = np.array([0.62 * tall, spine_y(record) - record.spine_radius - 20, 0.0])
    top = carina + np.array([0.7 * tall, -6, 0])
    radius = record.trachea
    lumina = Tubes(top[None], carina[None], np.array([radius]))
    vessels: list[Tubes] = []
    for side in (-1, 1):
        hilum = np.array([0.53 * tall, 0.12 * deep, side * 36.0 * record.mediastinum])
        targets = _targets(shapes, coarse, side, record.vessel_leaves, rng)
        if len(targets) < 8:
            continue
        half = len(targets) * 11 // 20
        leaf = record.vessel_radius
        arteries = grow_tree(hilum, targets[:half], leaf, rng)
        veins = grow_tree(hilum - [22, 8, 0], targets[half:], leaf, rng)
        aside = np.array([0.3, 0.8, 0.5 * side]) / np.linalg.norm([0.3, 0.8, 0.5])
        inner = bronchi_beside(arteries, 3.4 * leaf, aside)
        begin = hilum + aside * (1.85 * arteries.radii.max() + 0.3)
        main = Tubes(carina[None], begin[None], np.array([0.72 * radius]))
        lumina = lumina.joined(main, inner)
        vessels += [arteries, veins]
    if not vessels:
        return lumina, lumina
    return vessels[0].joined(*vessels[1:]), lumina


def _targets(
    shapes: Surfaces, coarse: Axes, side: int, leaves: int, rng: np.random.Generator
) -> np.ndarray:
    """Random points in one lung, a few mm below its surface."""
    index = np.argwhere((shapes.lungs > 3) & (side * coarse[2] > 0)[None, None, :])
    if len(index) < 2 * leaves:
        return np.zeros((0, 3))
    chosen = index[rng.choice(len(index), 2 * leaves, replace=False)]
    origin = np.array([axis[0] for axis in coarse])
    return chosen * COARSE_MM + origin + rng.uniform(-1.4, 1.4, (len(chosen), 3))


def _add_fissures(hu: np.ndarray, lungs: np.ndarray, record: AnatomyRecord, axes: Axes) -> None:
    """Adds the fissures between the lobes to `hu` in place."""
    if record.fissure < 0.1 or not lungs.any():
        return
    spacing = [float(axis[1] - axis[0]) if len(axis) > 1 else 5.0 for axis in axes]
    frame = LungFrame.of(lungs, spacing[::-1])
    local = tuple((axis - axis[0]).astype(np.float32) for axis in axes)
    blur = 0.45 * spacing[1] + 0.22 * spacing[0]
    for side in frame.bounds_mm:
        box = ndimage.find_objects((lungs == side).view(np.uint8))[0]
        part = tuple(axis[cut] for axis, cut in zip(local, box, strict=True))
        for lobe in ("lower", "middle") if side == 1 else ("lower",):
            distance = frame.lobe_at(side, lobe, part)
            line = np.exp(-((distance / np.float32(blur + 0.3)) ** 2)) * (lungs[box] == side)
            hu[box] += (
                line * np.float32(record.fissure / (record.fissure + 2 * blur)) * (20 - hu[box])
            )
