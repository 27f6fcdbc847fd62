"""Findings that are not pneumonia, each added to a chest by one function.

Each function changes `scene.hu` in place and draws places and shapes from `rng`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from M3LungScreenLib.simulation.fields import Axes, smoothstep, volume_noise

FLUID_HU = 40.0
AIR_HU = -1000.0


@dataclass(frozen=True)
class VariantRecord:
    """One finding: `strength` from 0 (mild) to 1 (strong), `count` parts, `seed` for places."""

    kind: str
    strength: float
    count: int
    seed: int


class Scene(NamedTuple):
    """The chest to change: float32 HU, lungs, depth and voxel centers in mm."""

    hu: np.ndarray
    lungs: np.ndarray  # uint8 [slice, row, column]: 1 right, 2 left
    depth_mm: np.ndarray  # below the lung's surface, in the slice; 0 outside
    axes: Axes
    spacing_mm: np.ndarray  # z, y, x


def _fill(scene: Scene, share: np.ndarray, box: tuple[slice, ...] = (...,)) -> None:  # type: ignore[assignment]
    """Replace a share of the lung's air by fluid; vessels stay as they are."""
    hu = scene.hu[box]
    airy = (hu < FLUID_HU) & (scene.lungs[box] > 0)
    hu += np.where(airy, share * (FLUID_HU - hu), 0)


def _empty(scene: Scene, share: np.ndarray, box: tuple[slice, ...] = (...,)) -> None:  # type: ignore[assignment]
    """Replace a share of the lung by air."""
    hu = scene.hu[box]
    hu += np.where(scene.lungs[box] > 0, share * (AIR_HU - hu), 0)


def _height_and_back(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """0 at the base to 1 at the apex [z, 1, 1]; 0 in front to 1 at the back [1, y, 1]."""
    places = [np.flatnonzero(scene.lungs.any(axis=axes)) for axes in ((1, 2), (0, 2))]
    shares = [
        (np.arange(count) - found[0]) / max(1, np.ptp(found))
        for found, count in zip(places, scene.lungs.shape[:2], strict=True)
    ]
    return shares[0][:, None, None], shares[1][None, :, None]


def dependent(scene: Scene, record: VariantRecord, rng: np.random.Generator) -> None:
    """Dependent lung is denser, above all near the pleura."""
    _, back = _height_and_back(scene)
    thick = rng.uniform(8, 35)
    below = smoothstep((back - rng.uniform(0.45, 0.75)) / 0.35)
    rough = 1 + 0.25 * volume_noise(rng, scene.axes, 25)
    share = (0.05 + 0.26 * record.strength) * below * np.exp(-scene.depth_mm / thick) * rough
    _fill(scene, np.clip(share, 0, 0.4))


def expiration(scene: Scene, record: VariantRecord, rng: np.random.Generator) -> None:
    """The whole lung is denser, above all posteriorly."""
    _, back = _height_and_back(scene)
    _fill(scene, (0.02 + 0.12 * record.strength) * (0.6 + 0.8 * np.clip(back, 0, 1)))


def mosaic(scene: Scene, record: VariantRecord, rng: np.random.Generator) -> None:
    """Mosaic attenuation: denser and darker lobules with sharp borders."""
    field = volume_noise(rng, scene.axes, rng.uniform(14, 40))
    edge = smoothstep((field - rng.uniform(-0.4, 0.6)) / 0.25 + 0.5)
    _fill(scene, (0.03 + 0.08 * record.strength) * edge)


def fissure(scene: Scene, record: VariantRecord, rng: np.random.Generator) -> None:
    """A thin curved fissure through each lung, sometimes thickened."""
    z, y, x = (axis[tuple(slice(None) if i == n else None for i in range(3))]
               for n, axis in enumerate(scene.axes))  # fmt: skip
    for side in (1, 2):
        inside = scene.lungs == side
        if not inside.any():
            continue
        middle = [np.average(axis, weights=inside.sum(axis=tuple(i for i in range(3) if i != n)))
                  for n, axis in enumerate(scene.axes)]  # fmt: skip
        rise = rng.uniform(0.7, 2.0)
        away = (z - middle[0]) - rise * (y - middle[1]) + rng.normal(0, 12)
        away = away + rng.uniform(-0.004, 0.004) * (x - middle[2]) ** 2
        away = np.abs(away + 4 * volume_noise(rng, scene.axes, 45)) / np.hypot(1, rise)
        thick = 0.3 + 0.9 * record.strength
        share = np.clip(thick + scene.spacing_mm[2] / 2 - away, 0, 1)
        _fill(scene, (0.15 + 0.4 * record.strength) * share * inside)


def nodules(scene: Scene, record: VariantRecord, rng: np.random.Generator) -> None:
    """Solid round or spiculated nodules, some calcified; a tumor if the finding is strong."""
    for n in range(record.count):
        large = 10 + 45 * record.strength if n == 0 else 8
        radius = float(np.exp(rng.uniform(np.log(1.5), np.log(max(2.0, large / 2)))))
        box, squared = _ball(scene, rng, 2.2 * radius)
        warp = 1 + rng.uniform(0, 0.35) * volume_noise(rng, _axes_of(scene, box), max(3, radius))
        away = np.sqrt(squared) / (radius * np.clip(warp, 0.5, 1.6))
        share = smoothstep((1.15 - away) / 0.3)
        if rng.random() < 0.25:  # a rim of ground glass
            share = np.maximum(share, rng.uniform(0.1, 0.3) * smoothstep((1.6 - away) / 0.4))
        _fill(scene, share, box)
        if radius < 6 and rng.random() < 0.2:
            scene.hu[box] += np.where(share > 0.5, rng.uniform(100, 500), 0)


def emphysema(scene: Scene, record: VariantRecord, rng: np.random.Generator) -> None:
    """Centrilobular holes, above all in the upper lung, and subpleural bullae."""
    height, _ = _height_and_back(scene)
    cell = rng.uniform(3, 9)
    field = volume_noise(rng, scene.axes, cell) + 0.8 * (height - 0.5)
    holes = smoothstep((field - rng.uniform(0.4, 1.2) + 0.8 * record.strength) / 0.4)
    _empty(scene, holes * rng.uniform(0.4, 1.0) * (scene.hu < -500))
    for _ in range(record.count if rng.random() < 0.4 else 0):
        radius = rng.uniform(4, 8 + 20 * record.strength)
        box, squared = _ball(scene, rng, radius + 3, largest_depth_mm=6)
        away = np.sqrt(squared) - radius
        _empty(scene, smoothstep(-away / 1.0), box)
        _fill(scene, 0.5 * np.exp(-((away / 0.9) ** 2)), box)


def fibrosis(scene: Scene, record: VariantRecord, rng: np.random.Generator) -> None:
    """Subpleural reticulation and small cysts at the bases."""
    height, back = _height_and_back(scene)
    reach = np.exp(-scene.depth_mm / rng.uniform(4, 14)) * smoothstep((0.75 - height) / 0.5)
    reach = reach * (0.4 + 0.6 * np.clip(back, 0, 1))
    lines = np.abs(volume_noise(rng, scene.axes, rng.uniform(4, 8)))
    _fill(scene, (0.3 + 0.5 * record.strength) * reach * smoothstep((0.35 - lines) / 0.3))
    if record.strength > 0.6:
        _empty(scene, reach * smoothstep((lines - 0.7) / 0.3))


def bands(scene: Scene, record: VariantRecord, rng: np.random.Generator) -> None:
    """Scars and plate atelectasis: thin straight bands, above all at the bases."""
    for _ in range(record.count):
        radius = rng.uniform(10, 35)
        box, squared = _ball(scene, rng, radius, largest_depth_mm=25)
        normal = rng.normal(0, (1.2, 0.6, 0.6))
        normal /= np.linalg.norm(normal)
        middle = [np.mean(axis) for axis in _axes_of(scene, box)]
        planes = [
            part * (axis - centre)
            for part, axis, centre in zip(normal, _axes_of(scene, box), middle, strict=True)
        ]
        away = np.abs(planes[0][:, None, None] + planes[1][None, :, None] + planes[2])
        thick = rng.uniform(0.6, 1.2 + 1.8 * record.strength) + scene.spacing_mm[2] / 2
        share = np.clip(thick - away, 0, 1) * smoothstep((radius - np.sqrt(squared)) / 8)
        _fill(scene, rng.uniform(0.4, 0.95) * share, box)


def bronchiectasis(scene: Scene, record: VariantRecord, rng: np.random.Generator) -> None:
    """Groups of wide, parallel, thick-walled bronchi; some cystic, some mucus-plugged."""
    middle: np.ndarray | None = None
    for n in range(record.count):
        if n % 5 == 0:  # start a new group
            middle, way = None, rng.normal(0, (1.2, 1, 1))
        radius = rng.uniform(1.5, 3 + 3 * record.strength)
        half_length = radius * rng.uniform(2, 6)
        box, squared = _ball(
            scene, rng, half_length, smallest_depth_mm=6, near_mm=middle, within_mm=6 * radius
        )
        point = np.unravel_index(squared.argmin(), squared.shape)
        middle = np.array([a[i] for a, i in zip(_axes_of(scene, box), point, strict=True)])
        z, y, x = (a - m for a, m in zip(_axes_of(scene, box), middle, strict=True))
        along_way = way + rng.normal(0, 0.3, 3)
        along_way /= np.linalg.norm(along_way)
        along = np.add.outer(np.add.outer(z * along_way[0], y * along_way[1]), x * along_way[2])
        across = np.sqrt(np.maximum(squared - along**2, 0))
        wide = radius * (1 + rng.uniform(0, 0.4) * np.sin(along / radius + rng.uniform(0, 6.3)))
        end = smoothstep((half_length - np.sqrt(squared)) / radius)
        wall = np.exp(-(((across - wide) / rng.uniform(0.7, 1.4)) ** 2))
        _fill(scene, end * wall * rng.uniform(0.5, 0.9), box)
        lumen = end * smoothstep((wide - across) / 1.0)
        (_fill if rng.random() < 0.15 else _empty)(scene, lumen, box)


def caps(scene: Scene, record: VariantRecord, rng: np.random.Generator) -> None:
    """Apical caps: thickened pleura and scars at the apices."""
    height, _ = _height_and_back(scene)
    thick = 1 + 5 * record.strength * np.clip(1 + 0.6 * volume_noise(rng, scene.axes, 12), 0, 3)
    _fill(
        scene, 0.9 * smoothstep((thick - scene.depth_mm) / 1.5) * smoothstep((height - 0.85) / 0.1)
    )


def pulsation(scene: Scene, record: VariantRecord, rng: np.random.Generator) -> None:
    """Cardiac motion: slices show two heart positions at once, as double contours and haze."""
    reach = 4 + 8 * record.strength
    for k, lungs in enumerate(scene.lungs):
        if not lungs.any():
            continue
        heart = ~_closed_lungs(lungs) & _between(lungs)
        near = ndimage.distance_transform_edt(~heart, sampling=scene.spacing_mm[1:])
        share = 0.5 * np.exp(-((near / reach) ** 2))
        way = rng.normal(0, (1 + 4 * record.strength) / scene.spacing_mm[1:])
        moved = ndimage.shift(scene.hu[k], way, order=1, mode="nearest")
        scene.hu[k] += share * (moved - scene.hu[k])


def breathing(scene: Scene, record: VariantRecord, rng: np.random.Generator) -> None:
    """Respiratory motion: vessels and diaphragm appear twice."""
    height, _ = _height_and_back(scene)
    for k in range(len(scene.hu)):
        share = 0.45 * rng.uniform() * (1.2 - float(np.clip(height[k, 0, 0], 0, 1)))
        way = rng.normal(0, (1 + 4 * record.strength) / scene.spacing_mm[1:])
        other = scene.hu[min(k + 1, len(scene.hu) - 1)] if rng.random() < 0.5 else scene.hu[k]
        moved = ndimage.shift(other, way, order=1, mode="nearest")
        scene.hu[k] += share * (moved - scene.hu[k])


def contrast(scene: Scene, record: VariantRecord, rng: np.random.Generator) -> None:
    """Contrast medium in the heart and great vessels."""
    for k, lungs in enumerate(scene.lungs):
        if not lungs.any():
            continue
        blood = _between(lungs) & (scene.hu[k] > 10) & (scene.hu[k] < 100)
        inside = ndimage.gaussian_filter(ndimage.binary_opening(blood, iterations=3) * 1.0, 1.5)
        scene.hu[k] += (50 + 250 * record.strength) * inside


def streaks(scene: Scene, record: VariantRecord, rng: np.random.Generator) -> None:
    """Streak artifacts from a dense object such as the arms, contrast or a pacemaker lead."""
    height, _ = _height_and_back(scene)
    top = float(rng.uniform(0.2, 1.0))
    rows, columns = np.indices(scene.hu.shape[1:])
    source = rng.uniform(0.2, 0.8, 2) * scene.hu.shape[1:]
    angle = np.arctan2(rows - source[0], columns - source[1])
    far = np.hypot(rows - source[0], columns - source[1]) + 6
    waves = rng.integers(8, 40, record.count)
    rays = sum(np.sin(wave * angle + rng.uniform(0, 6.3)) for wave in waves) / len(waves)
    streaks = (40 + 300 * record.strength) * rays * (12 / far) ** 0.6
    scene.hu[...] += np.exp(-(((height - top) / 0.08) ** 2)) * streaks


def _ball(
    scene: Scene,
    rng: np.random.Generator,
    radius_mm: float,
    largest_depth_mm: float = np.inf,
    smallest_depth_mm: float = 0,
    near_mm: np.ndarray | None = None,
    within_mm: float = np.inf,
) -> tuple[tuple[slice, ...], np.ndarray]:
    """A box around a random point in the lung, and each voxel's squared distance from it (mm²).

    If `near_mm` is given, the point is at most `within_mm` from it.
    """
    fits = (scene.depth_mm > smallest_depth_mm) & (scene.depth_mm <= largest_depth_mm)
    fits &= scene.lungs > 0
    if near_mm is not None:
        z, y, x = ((a - m) ** 2 for a, m in zip(scene.axes, near_mm, strict=True))
        fits &= z[:, None, None] + y[None, :, None] + x[None, None] <= within_mm**2
    inside = np.flatnonzero(fits)
    inside = inside if len(inside) else np.flatnonzero(scene.lungs)
    point = np.unravel_index(rng.choice(inside), scene.lungs.shape)
    reach = np.ceil(radius_mm / scene.spacing_mm).astype(int)
    box = tuple(
        slice(max(0, int(i) - r), int(i) + r + 1) for i, r in zip(point, reach, strict=True)
    )
    z, y, x = ((axis - scene.axes[n][point[n]]) ** 2 for n, axis in enumerate(_axes_of(scene, box)))
    return box, z[:, None, None] + y[None, :, None] + x[None, None]


def _axes_of(scene: Scene, box: tuple[slice, ...]) -> Axes:
    z, y, x = (axis[part] for axis, part in zip(scene.axes, box, strict=True))
    return z, y, x


def _closed_lungs(lungs: np.ndarray) -> np.ndarray:
    return ndimage.binary_closing(lungs > 0, iterations=2)


def _between(lungs: np.ndarray) -> np.ndarray:
    """The pixels with lung on both sides: the mediastinum."""
    found = lungs > 0
    left = np.maximum.accumulate(found, axis=1)
    right = np.maximum.accumulate(found[:, ::-1], axis=1)[:, ::-1]
    return left & right & ~found
