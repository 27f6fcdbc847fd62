"""The organs' surfaces as signed distances (mm, positive inside) on a coarse grid."""

from dataclasses import dataclass

import numpy as np

from M3LungScreenLib.simulation.anatomy_record import AnatomyRecord
from M3LungScreenLib.simulation.fields import Axes, smoothstep, volume_noise

# Width and depth of the rib cage, relative to the largest, from below the bases to the apices.
HEIGHTS = (-0.4, 0.0, 0.15, 0.35, 0.55, 0.7, 0.82, 0.91, 0.97, 1.0, 1.05)
WIDTHS = (0.97, 1.0, 1.0, 1.0, 0.99, 0.95, 0.85, 0.71, 0.54, 0.33, 0.05)
DEPTHS = (0.97, 1.0, 1.0, 1.0, 0.98, 0.92, 0.82, 0.68, 0.5, 0.3, 0.05)


@dataclass(frozen=True)
class Surfaces:
    """Signed distances [z, y, x] in mm on the coarse grid of the body."""

    body: np.ndarray
    soft: np.ndarray
    bone: np.ndarray
    lungs: np.ndarray
    gas: np.ndarray
    heart: np.ndarray
    dome: np.ndarray
    soft_hu: np.ndarray
    clothes: np.ndarray


def smooth_min(a: np.ndarray, b: np.ndarray, k: float) -> np.ndarray:
    """The smaller of two distances, with an edge rounded over `k` mm."""
    h = np.clip(0.5 + 0.5 * (b - a) / k, 0, 1)
    return b + (a - b) * h - k * h * (1 - h)


def smooth_max(a: np.ndarray, b: np.ndarray, k: float) -> np.ndarray:
    return -smooth_min(-a, -b, k)


def ellipsoid(axes: Axes, center: tuple[float, ...], radii: tuple[float, ...]) -> np.ndarray:
    """Approximate signed distance of an ellipsoid; all vectors z, y, x."""
    z, y, x = _open(axes)
    parts = [((v - c) / r) ** 2 for v, c, r in zip((z, y, x), center, radii, strict=True)]
    level = np.sqrt(parts[0] + parts[1] + parts[2])
    return ((1 - level) * min(radii[1:])).astype(np.float32)


def _open(axes: Axes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    z, y, x = (np.asarray(axis, np.float32) for axis in axes)
    return z[:, None, None], y[None, :, None], x[None, None, :]


def spine_y(a: AnatomyRecord) -> float:
    """y of the centers of the vertebral bodies."""
    return a.half_depth * 0.66


def surfaces(a: AnatomyRecord, axes: Axes) -> Surfaces:
    """Every surface of `a` on the grid of `axes` (z, y, x in mm)."""
    rng = np.random.default_rng((a.seed, 1))
    cage = _cage(a, axes) + _uneven(rng, axes, 70.0, 2.5)
    heart, between = _mediastinum(a, axes)
    between += _uneven(rng, axes, 26.0, 2.2)
    dome = _above_diaphragm(a, axes) + _uneven(rng, axes, 60.0, 3.0)
    spine = _spine_bulge(a, axes)
    lungs = smooth_min(cage + _ribs_ripple(a, axes), -between, 7.0)
    lungs = smooth_min(lungs, -spine, 22.0)
    lungs = smooth_min(lungs, dome, 4.0)
    body, muscle = _outline(a, axes)
    clothes = _clothes(a, axes, body, rng)
    arms = _arms(a, axes)
    body, muscle = np.maximum(body, arms), np.maximum(muscle, arms - 7)
    bone = np.maximum(_bones(a, axes, cage, body), arms - 34)
    streaks = _uneven(rng, axes, 15.0, 1.0)
    soft, soft_hu, gas = _soft(a, axes, cage, dome, np.maximum(between, spine), muscle)
    soft_hu -= 130 * smoothstep(2.0 * streaks - 1.2) * np.clip(-(cage + 10) / 3, 0, 1)
    return Surfaces(body, soft, bone, lungs, gas, heart, dome, soft_hu, clothes)


def _uneven(rng: np.random.Generator, axes: Axes, cell_mm: float, height: float) -> np.ndarray:
    """Smooth random unevenness of a surface."""
    return volume_noise(rng, axes, cell_mm) * np.float32(height)


def _ribs_ripple(a: AnatomyRecord, axes: Axes) -> np.ndarray:
    """Bulges of the pleura between the ribs."""
    z, y, _ = _open(axes)
    phase = 2 * np.pi * (z - a.rib_slope * y) / a.rib_gap
    return (1.1 * np.cos(phase)).astype(np.float32)


def _arms(a: AnatomyRecord, axes: Axes) -> np.ndarray:
    """Arms beside the chest, for patients who cannot raise them."""
    z, y, x = _open(axes)
    if not a.arms_down:
        return np.full(np.broadcast_shapes(z.shape, y.shape, x.shape), -1e3, np.float32)
    beside = a.half_width + a.wall + 0.6 * a.fat + 52
    return (43 - np.hypot(y - 20, np.abs(x) - beside) + 0 * z).astype(np.float32)


def _clothes(
    a: AnatomyRecord, axes: Axes, body: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """A folded sheet over the chest."""
    _, y, _ = _open(axes)
    gap = 7 + _uneven(rng, axes, 45.0, 5.0) + _uneven(rng, axes, 16.0, 1.5)
    sheet = 0.9 - np.abs(body + gap) * 0.8
    return np.minimum(sheet, 20 - y).astype(np.float32)


def _cage(a: AnatomyRecord, axes: Axes) -> np.ndarray:
    _, y, x = _open(axes)
    h = axes[0] / a.lung_height
    width = (np.interp(h, HEIGHTS, WIDTHS) * a.half_width).astype(np.float32)[:, None, None]
    depth = (np.interp(h, HEIGHTS, DEPTHS) * a.half_depth).astype(np.float32)[:, None, None]
    back = (8 + 0.16 * a.half_depth * np.clip(h - 0.5, 0, 1)).astype(np.float32)[:, None, None]
    p = a.squareness
    front = np.abs(x) / width
    middle = np.abs(y - back) / depth
    level = (front**p + middle**p) ** (1 / p)
    # The anterior wall is flat, with a dip at the sternum.
    dent = 9 * np.exp(-((x / 30) ** 2)) * (y < 0)
    return ((1 - level) * np.sqrt(width * depth) - dent).astype(np.float32)


def _mediastinum(a: AnatomyRecord, axes: Axes) -> tuple[np.ndarray, np.ndarray]:
    """The heart, and the whole mediastinum."""
    z, y, x = _open(axes)
    tall, deep, m = a.lung_height, a.half_depth, a.mediastinum
    base = 0.12 * tall
    heart = ellipsoid(
        axes,
        (base + 0.17 * tall, -0.3 * deep, a.heart_shift),
        (0.25 * tall * a.heart, 0.56 * deep * a.heart, 52 * a.heart),
    )
    vessels = ellipsoid(axes, (0.58 * tall, -0.16 * deep, 5), (0.2 * tall, 0.5 * deep, 39 * m))
    arch = ellipsoid(axes, (0.74 * tall, 0.08 * deep, 16), (0.06 * tall, 0.42 * deep, 21 * m))
    vessels = smooth_max(vessels, arch, 8)
    for x0 in (-27, 31):
        hilum = ellipsoid(axes, (0.52 * tall, 0.14 * deep, x0 * m), (0.1 * tall, 17, 15))
        vessels = smooth_max(vessels, hilum, 10)
    upper = ellipsoid(axes, (0.88 * tall, 0.05 * deep, 0), (0.26 * tall, 0.42 * deep, 30 * m))
    both = smooth_max(smooth_max(heart, vessels, 12), upper, 10)
    back = 12 * m - np.abs(x - 5) - 0.6 * np.maximum(0, -y)
    behind = np.minimum(back, 8 + y + 0 * z).astype(np.float32)
    both = smooth_max(both, behind, 12)
    junction = 2.4 + 5 * np.clip(-y / deep - 0.55, 0, 1) ** 1.5 * 6 - np.abs(x - 2)
    junction = np.minimum(junction, -y - 0.2 * deep) + 0 * z
    both = smooth_max(both, junction.astype(np.float32), 7)
    aorta = 12.5 * m - np.hypot(x - 22, y - spine_y(a) + 16)
    aorta = np.minimum(aorta, 0.68 * tall - z).astype(np.float32)
    return heart, smooth_max(both, aorta, 5)


def _spine_bulge(a: AnatomyRecord, axes: Axes) -> np.ndarray:
    z, y, x = _open(axes)
    beyond = np.maximum(0, spine_y(a) - y)
    wide = a.spine_radius + 5 + 0.25 * np.maximum(0, y - spine_y(a))
    flat = wide - np.sqrt(x**2 + beyond**2)
    return (flat + 0 * z).astype(np.float32)


def _above_diaphragm(a: AnatomyRecord, axes: Axes) -> np.ndarray:
    z, y, x = _open(axes)
    floor: np.ndarray | None = None
    for side, top in zip((-1, 1), a.domes, strict=True):
        dx = (x - side * 0.5 * a.half_width) / (0.56 * a.half_width)
        dy = (y + 0.1 * a.half_depth) / (0.95 * a.half_depth)
        r = np.sqrt(dx**2 + dy**2)
        dome = top * a.lung_height * (1.05 - r**2.6)
        floor = dome if floor is None else np.maximum(floor, dome)
    assert floor is not None
    steep = np.maximum(floor, -60)
    return np.minimum((z - steep) * 0.75, z + 0 * x + 0 * y).astype(np.float32)


def _outline(a: AnatomyRecord, axes: Axes) -> tuple[np.ndarray, np.ndarray]:
    """The skin and the outer border of the muscles."""
    _, y, x = _open(axes)
    h = axes[0] / a.lung_height
    shoulder = np.clip((h - 0.62) / 0.35, 0, 1.2) * (0.55 if not a.arms_down else 0.75)
    width = (a.half_width * (1 + 0.3 * shoulder) + a.wall).astype(np.float32)[:, None, None]
    depth = (a.half_depth * (1 - 0.14 * np.clip((h - 0.7) / 0.3, 0, 1.3)) + a.wall).astype(
        np.float32
    )
    depth = depth[:, None, None]
    p = 2.35
    level = ((np.abs(x) / width) ** p + (np.abs(y - 8) / depth) ** p) ** (1 / p)
    muscle = (1 - level) * np.sqrt(width * depth)
    # The table flattens the back, which has a groove along the spine.
    muscle = np.minimum(muscle, a.half_depth + a.wall + 4 - y - 4 * np.exp(-((x / 12) ** 2)))
    front = np.clip(0.6 - y / a.half_depth * 0.5, 0.35, 1.25)
    body = muscle + a.fat * front
    if a.female:
        for side in (-1, 1):
            where = (0.4 * a.lung_height, -a.half_depth - 0.6 * a.wall, side * 0.56 * a.half_width)
            breast = ellipsoid(axes, where, (75, 14 + a.breast, 78))
            body = smooth_max(body, breast, 34)
    return body.astype(np.float32), muscle.astype(np.float32)


def _bones(a: AnatomyRecord, axes: Axes, cage: np.ndarray, skin: np.ndarray) -> np.ndarray:
    z, y, x = _open(axes)
    along = (z - a.rib_slope * y + 0.1 * np.abs(x)) / a.rib_gap
    band = 6.2 - np.abs(along - np.floor(along) - 0.5) * a.rib_gap
    shell = 3.6 - np.abs(cage + 6.5)
    ribs = np.minimum(shell, np.minimum(band, np.minimum(np.abs(x) - 26, 1.2 * a.lung_height - z)))
    ys, r = spine_y(a), a.spine_radius
    disc = 1.5 * np.cos(2 * np.pi * z / 26)
    body = r - 1.5 + disc - np.hypot(x, (y - ys) * 1.15)
    ring = np.hypot(x / 1.25, y - ys - r - 9)
    arch = np.minimum(15 - ring, ring - 8)
    spinous = np.minimum(3.5 - np.abs(x), 17 - np.abs(y - ys - r - 30)) + 0 * z
    transverse = np.minimum(5 - np.abs(y - ys - r - 6), 34 - np.abs(x)) - 6 * np.abs(
        np.sin(np.pi * z / 26)
    )
    edge = -a.half_depth * np.interp(axes[0] / a.lung_height, HEIGHTS, DEPTHS)[:, None, None]
    sternum = np.minimum(17 - np.abs(x), 5.5 - np.abs(y - edge - 4))
    sternum = np.minimum(sternum, np.minimum(z - 0.3 * a.lung_height, 0.86 * a.lung_height - z))
    reach = a.half_width + 0.35 * a.wall
    blade_y = a.half_depth * 0.55 + 8
    slope = 0.5 * (np.abs(x) - 0.78 * reach)
    blade = np.minimum(
        3.2 - np.abs(y - blade_y + slope) * 0.85, 38 - np.abs(np.abs(x) - 0.78 * reach)
    )
    blade = np.minimum(blade, z - 0.5 * a.lung_height)
    clavicle = 6 - np.hypot(
        z - 0.93 * a.lung_height - 0.12 * np.abs(x), y - edge - 2 - 0.1 * np.abs(x)
    )
    clavicle = np.minimum(clavicle, np.abs(x) - 18)
    bone = np.maximum(np.maximum(ribs, body), np.maximum(arch, spinous))
    bone = np.maximum(np.maximum(bone, transverse), np.maximum(sternum, blade))
    return np.minimum(np.maximum(bone, clavicle), skin - 5).astype(np.float32)


def _soft(
    a: AnatomyRecord,
    axes: Axes,
    cage: np.ndarray,
    dome: np.ndarray,
    between: np.ndarray,
    muscle: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Soft tissue denser than fat, its HU, and gas in stomach and colon."""
    tall, wide, deep = a.lung_height, a.half_width, a.half_depth
    top = a.domes[1] * tall
    inside = np.minimum(cage - 1, -dome - 1)  # the abdomen below the diaphragm
    liver = ellipsoid(
        axes, (0.0, -4, -0.42 * wide), (a.domes[0] * tall + 30, deep * 0.98, wide * 0.72)
    )
    liver = np.maximum(liver, 12 - np.abs(cage + dome))
    spleen = ellipsoid(axes, (top - 45, 0.42 * deep, 0.66 * wide), (55, 34, 30))
    stomach = ellipsoid(axes, (top - 38, -0.15 * deep, 0.45 * wide), (40, 0.5 * deep, 0.33 * wide))
    colon = ellipsoid(axes, (top - 30, -0.6 * deep, 0.62 * wide), (24, 20, 24))
    organs = np.minimum(
        inside + 3, np.maximum(np.maximum(liver, spleen), np.maximum(stomach, colon))
    )
    shell = np.minimum(muscle, np.maximum(-cage, between - 2))
    soft = np.maximum(shell, np.maximum(organs, np.minimum(cage, between - 3)))
    _, y, _ = _open(axes)
    bubble = np.minimum(stomach - 4, -0.3 * deep + 30 * (a.gas - 0.5) - y)
    gas = np.minimum(np.maximum(bubble, colon - 3 if a.gas > 0.4 else colon - 99), -dome - 3)
    hu = np.full(cage.shape, 52, np.float32)
    hu += (a.blood_hu - 45) * np.clip((between - 4) / 3, 0, 1) + 8 * (liver > 0)
    return soft.astype(np.float32), hu.astype(np.float32), gas.astype(np.float32)
