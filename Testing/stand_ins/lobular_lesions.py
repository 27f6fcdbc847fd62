"""A second renderer of lesions, for measuring: diseased lobules instead of drawn shapes.

Another algorithm and other parameters than M3LungScreenLib/simulation/lesions.py: the
lungs are cut into secondary lobules, foci spread from lobule to lobule by what the
literature says of each disease, and each ill lobule has a density of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from M3LungScreenLib.classes import CLASS_KEYS
from M3LungScreenLib.simulation.fields import volume_noise

FLUID_HU = 40.0
VISIBLE_FILL = 0.09
SEVERITY = (0.01, 0.45)  # share of the lungs


@dataclass(frozen=True)
class LobularRecord:
    """One patient's disease; replayed on the same lungs it gives the same voxels.

    `lobule_mm` is the lobules' size, `foci` where the disease began, `ground_glass`
    the usual share of air that is replaced, `solid_share` of ill lobules is consolidated.
    """

    class_key: str
    severity: float
    lobule_mm: float
    foci: int
    spread_mm: float
    ground_glass: float
    solid_share: float
    seed: int


class Lobules(NamedTuple):
    """`owner` of each lung voxel `[n]`; of each lobule its place mm z, y, x and geometry."""

    owner: np.ndarray
    off_center_mm: np.ndarray  # of each lung voxel, from its lobule's middle
    places_mm: np.ndarray  # [lobule, 3]
    volumes: np.ndarray  # voxels
    depth_mm: np.ndarray  # below the lung's surface
    height: np.ndarray  # 0 base, 1 apex
    back: np.ndarray  # 0 front, 1 back
    side: np.ndarray  # 1 right, 2 left


def draw_lobular_lesions(
    class_key: str, rng: np.random.Generator, severity: float | None = None
) -> LobularRecord:
    """Mild to severe disease of one class; `severity` is the share of the lungs."""
    foci, spread, solid = {
        "covid19": (rng.integers(3, 14), rng.uniform(10, 22), rng.uniform(0, 0.35)),
        "h1n1": (rng.integers(3, 10), rng.uniform(10, 25), rng.uniform(0.1, 0.6)),
        "cap": (1 + (rng.random() < 0.25), rng.uniform(30, 60), rng.uniform(0.65, 1.0)),
    }[class_key]
    drawn = float(np.exp(rng.uniform(*np.log(SEVERITY))))
    return LobularRecord(
        class_key,
        severity=drawn if severity is None else severity,
        lobule_mm=float(rng.uniform(10, 18)),
        foci=int(foci),
        spread_mm=float(spread),
        ground_glass=float(rng.uniform(0.16, 0.45)),
        solid_share=float(solid),
        seed=int(rng.integers(2**31)),
    )


def apply_lobular_lesions(
    hu: np.ndarray, lungs: np.ndarray, spacing_mm: Sequence[float], record: LobularRecord
) -> tuple[np.ndarray, np.ndarray]:
    """`hu` with the disease in it, and the truth as uint8 class index; `spacing_mm` x, y, z."""
    rng = np.random.default_rng(record.seed)
    spacing = np.asarray(spacing_mm, float)[::-1]
    inside = np.argwhere(lungs > 0)
    lobules = cut_lobules(inside, lungs, spacing, record.lobule_mm, rng)
    reached = spread_disease(lobules, record, rng)
    fill = np.zeros(hu.shape, np.float32)
    fill[tuple(inside.T)] = _densities(lobules, reached, record, rng)
    fill = ndimage.gaussian_filter(fill, rng.uniform(0.7, 1.6) / spacing)
    axes = tuple(step * np.arange(n) for step, n in zip(spacing, hu.shape, strict=True))
    fill += 0.5 * np.clip(volume_noise(rng, axes, 7), -1.5, 1.5) * fill * (1 - fill)
    if record.class_key == "cap":
        fill *= 1 - 0.9 * _bronchograms(rng, axes)
    fill = np.clip(fill, 0, 1) * (lungs > 0)
    airy = hu < FLUID_HU
    out = np.where(airy, hu + fill * (FLUID_HU - hu), hu)
    truth = np.uint8(CLASS_KEYS.index(record.class_key)) * (fill > VISIBLE_FILL)
    return np.rint(out).astype(hu.dtype), truth.astype(np.uint8)


def cut_lobules(
    inside: np.ndarray,
    lungs: np.ndarray,
    spacing: np.ndarray,
    lobule_mm: float,
    rng: np.random.Generator,
) -> Lobules:
    """The lung voxels `inside` [n, 3] by the nearest point of a jittered lattice, borders bent."""
    at = inside * spacing
    lattice = np.unique(np.floor(at / lobule_mm), axis=0)
    seeds = (lattice + rng.uniform(0.1, 0.9, lattice.shape)) * lobule_mm
    bend = 0.12 * lobule_mm * np.sin(at[:, [1, 2, 0]] / (0.3 * lobule_mm))
    away, owner = cKDTree(seeds).query(at + bend)
    used, owner = np.unique(owner, return_inverse=True)
    first_of = np.array([np.flatnonzero(owner == n)[0] for n in range(len(used))])
    depth = ndimage.distance_transform_edt(lungs > 0, sampling=spacing)[tuple(inside.T)]
    counts = np.bincount(owner)
    side = lungs[tuple(inside[first_of].T)]
    low, high = at.min(axis=0), at.max(axis=0)
    relative = (seeds[used] - low) / np.maximum(high - low, 1)
    return Lobules(
        owner=owner,
        off_center_mm=away,
        places_mm=seeds[used],
        volumes=counts,
        depth_mm=np.bincount(owner, depth) / counts,
        height=np.clip(relative[:, 0], 0, 1),
        back=np.clip(relative[:, 1], 0, 1),
        side=side,
    )


def spread_disease(lobules: Lobules, record: LobularRecord, rng: np.random.Generator) -> np.ndarray:
    """How early each lobule fell ill, 1 first, 0 not at all: float [lobule].

    The ill ones are about `severity` of the lungs.
    """
    prior = _prior(record.class_key, lobules)
    starts = rng.choice(
        len(prior), min(record.foci, len(prior)), replace=False, p=prior / prior.sum()
    )
    away = np.linalg.norm(lobules.places_mm[:, None] - lobules.places_mm[starts], axis=2)
    near = np.exp(-away / (record.spread_mm * rng.uniform(0.5, 1.5, len(starts)))).max(axis=1)
    if record.class_key == "cap":
        score = near * _beside_a_fissure(lobules, int(starts[0]), rng)
        score = score * (lobules.side == lobules.side[starts[0]])
    else:
        score = near * np.sqrt(prior / prior.max()) * rng.lognormal(0, 0.35, len(near))
    order = np.argsort(-score)
    share = np.cumsum(lobules.volumes[order]) / lobules.volumes.sum()
    ill = order[: max(1, int(np.searchsorted(share, record.severity)) + 1)]
    reached = np.zeros(len(order))
    reached[ill] = np.linspace(1, 0.01, len(ill))
    return reached * (score > 0)


def _prior(class_key: str, lobules: Lobules) -> np.ndarray:
    if class_key == "covid19":
        low_and_back = (1.2 - lobules.height) * (0.15 + lobules.back) ** 1.5
        return np.exp(-lobules.depth_mm / 5) * low_and_back + 1e-6
    if class_key == "h1n1":
        return 1 - np.exp(-np.maximum(0, lobules.depth_mm - 4) / 8) + 1e-3
    return np.ones(len(lobules.depth_mm))


def _beside_a_fissure(lobules: Lobules, start: int, rng: np.random.Generator) -> np.ndarray:
    """1 on the focus's side of a slanting plane near it, 0 beyond: a lobe's border."""
    normal = rng.normal(0, (1.0, 0.7, 0.2))
    normal /= np.linalg.norm(normal)
    along = (lobules.places_mm - lobules.places_mm[start]) @ normal
    return np.where(along < rng.uniform(5, 30), 1.0, 0.0)


def _densities(
    lobules: Lobules, reached: np.ndarray, record: LobularRecord, rng: np.random.Generator
) -> np.ndarray:
    """The share of air that is replaced, of each lung voxel."""
    count = len(reached)
    level = np.clip(record.ground_glass * rng.lognormal(0, 0.3, count), 0.1, 0.6)
    # A lobe consolidates from its focus outwards, the others here and there.
    is_lobar = record.class_key == "cap"
    solid = (1 - reached if is_lobar else rng.random(count)) < record.solid_share
    level = np.where(solid, rng.uniform(0.85, 1.0, count), level) * (reached > 0)
    fill = level[lobules.owner]
    if record.class_key == "h1n1":
        # Centrilobular nodules in the lobules around the ill ones.
        nodular = rng.random(count) < 0.5 * min(1.0, 4 * np.mean(reached > 0))
        radius = rng.uniform(1.5, 3.5, count)
        at_middle = lobules.off_center_mm < radius[lobules.owner]
        fill = np.where(at_middle & nodular[lobules.owner], np.maximum(fill, 0.6), fill)
    return fill.astype(np.float32)


def _bronchograms(rng: np.random.Generator, axes: tuple[np.ndarray, ...]) -> np.ndarray:
    """Where two smooth fields both vanish runs a curve: an air-filled bronchus."""
    first, second = (volume_noise(rng, axes, 28) for _ in range(2))  # type: ignore[arg-type]
    return np.exp(-(first**2 + second**2) / 0.005)
