"""How much of each lung and zone is lesion, split into ground glass and consolidation."""

from dataclasses import dataclass

import numpy as np

from M3LungScreenLib.lung_zones import (
    LOWER,
    MIDDLE,
    UPPER,
    peripheral_in_slice,
    thirds_of_height,
)
from M3LungScreenLib.lungs import LEFT, RIGHT

# Ground glass leaves vessels visible; above about -300 HU the lung has lost most of
# its air and reads as consolidation (Fleischner glossary, Hansell 2008, in HU terms).
CONSOLIDATION_HU = -300


@dataclass(frozen=True)
class LungInvolvement:
    """Fractions of lung voxels that are lesion, 0 to 1, in the whole lung and in zones.

    `ground_glass` and `consolidation` add up to `fraction`; a zone without lung
    voxels has 0.
    """

    fraction: float
    ground_glass: float
    consolidation: float
    upper: float
    middle: float
    lower: float
    central: float
    peripheral: float


@dataclass(frozen=True)
class Involvement:
    """Each lung, both, and the CT severity score, 0 to 24 (six zones of 0 to 4)."""

    left: LungInvolvement
    right: LungInvolvement
    total: LungInvolvement
    severity_score: int


@dataclass(frozen=True)
class LungVolumes:
    """Volume of the lung mask in milliliters."""

    left: float
    right: float
    total: float


def measure_involvement(
    hu: np.ndarray, lesions: np.ndarray, lungs: np.ndarray, spacing_mm: tuple[float, float, float]
) -> Involvement:
    """Involvement of lungs (uint8, 1 right, 2 left) by lesions (uint8, not 0 = lesion).

    All arrays `[slice, row, column]` LPS axial, `spacing_mm` x, y, z.
    """
    counts = _counted(hu, lesions, lungs, spacing_mm)
    left, right = _of(counts[LEFT]), _of(counts[RIGHT])
    shares = [share for lung in (left, right) for share in (lung.upper, lung.middle, lung.lower)]
    total = _of(counts.sum(axis=0))
    return Involvement(left, right, total, sum(severity_points(each) for each in shares))


def _counted(
    hu: np.ndarray, lesions: np.ndarray, lungs: np.ndarray, spacing_mm: tuple[float, float, float]
) -> np.ndarray:
    """Lung voxels `[value of lungs, third of height, peripheral, state]`, summed slice by slice.

    The states are no lesion, ground glass and consolidation.
    """
    shape = (3, UPPER + 1, 2, 3)
    counts = np.zeros(int(np.prod(shape)), np.int64)
    thirds = thirds_of_height(lungs)
    for k in np.flatnonzero([each.any() for each in lungs]):
        inside = lungs[k] > 0
        side = lungs[k][inside]
        outer = peripheral_in_slice(lungs[k], spacing_mm)[inside]
        dense = hu[k][inside] >= CONSOLIDATION_HU
        state = (lesions[k][inside] > 0) * (1 + dense.astype(np.uint8))
        places = np.ravel_multi_index((side, thirds[k][side], outer.view(np.uint8), state), shape)
        counts += np.bincount(places, minlength=len(counts))
    return counts.reshape(shape)


def _of(counts: np.ndarray) -> LungInvolvement:
    """From voxels `[third of height, peripheral, state]`."""
    return LungInvolvement(
        fraction=_share(counts, 1, 2),
        ground_glass=_share(counts, 1),
        consolidation=_share(counts, 2),
        upper=_share(counts[UPPER], 1, 2),
        middle=_share(counts[MIDDLE], 1, 2),
        lower=_share(counts[LOWER], 1, 2),
        central=_share(counts[:, 0], 1, 2),
        peripheral=_share(counts[:, 1], 1, 2),
    )


def severity_points(share: float) -> int:
    """0 for no lesion, then 1 to 4 below 25, 50, 75 % and above, of one of six zones."""
    return 0 if share == 0 else 1 + sum(share >= bound for bound in (0.25, 0.5, 0.75))


def lung_volumes_ml(lungs: np.ndarray, spacing_mm: tuple[float, float, float]) -> LungVolumes:
    """Milliliters of the lung mask (1 right, 2 left)."""
    millilitres = float(np.prod(spacing_mm)) / 1000
    right, left = (
        float(sum(np.count_nonzero(each == side) for each in lungs)) * millilitres
        for side in (RIGHT, LEFT)
    )
    return LungVolumes(left, right, left + right)


def slice_involvement(lesions: np.ndarray, lungs: np.ndarray) -> np.ndarray:
    """For each slice, lesion pixels over lung pixels; 0 where it has no lung."""
    lung_pixels = np.array([np.count_nonzero(each) for each in lungs])
    lesion_pixels = np.array(
        [
            np.count_nonzero((lesion > 0) & (lung > 0))
            for lesion, lung in zip(lesions, lungs, strict=True)
        ]
    )
    return np.asarray(lesion_pixels / np.maximum(lung_pixels, 1))


def _share(counts: np.ndarray, *states: int) -> float:
    """Of voxels `[…, state]` those in some states; 0 of none."""
    total = int(counts.sum())
    return float(counts[..., list(states)].sum() / total) if total else 0.0
