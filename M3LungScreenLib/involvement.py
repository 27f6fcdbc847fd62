"""How much of each lung and zone is lesion, ground glass apart from consolidation."""

from dataclasses import dataclass

import numpy as np

from M3LungScreenLib.lung_zones import LOWER, MIDDLE, UPPER, peripheral, vertical_zones
from M3LungScreenLib.lungs import LEFT, RIGHT

# Ground glass leaves vessels visible; above about -300 HU the lung has lost most of
# its air and reads as consolidation (Fleischner glossary, Hansell 2008, in HU terms).
CONSOLIDATION_HU = -300


@dataclass(frozen=True)
class LungInvolvement:
    """Shares of lung voxels that are lesion, 0 to 1, whole and within zones.

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
    """Volume of the lung mask in millilitres."""

    left: float
    right: float
    total: float


def measure_involvement(
    hu: np.ndarray, lesions: np.ndarray, lungs: np.ndarray, spacing_mm: tuple[float, float, float]
) -> Involvement:
    """Involvement of lungs (uint8, 1 right, 2 left) by lesions (uint8, not 0 = lesion).

    All arrays `[slice, row, column]` LPS axial, `spacing_mm` x, y, z.
    """
    # Only lung voxels count: as flat lists they are a tenth of the volume.
    inside = lungs > 0
    side, lesion = lungs[inside], lesions[inside] > 0
    dense = hu[inside] >= CONSOLIDATION_HU
    height = vertical_zones(lungs)[inside]
    outer = peripheral(lungs, spacing_mm)[inside]

    def of(chosen: np.ndarray) -> LungInvolvement:
        return LungInvolvement(
            fraction=_share(lesion, chosen),
            ground_glass=_share(lesion & ~dense, chosen),
            consolidation=_share(lesion & dense, chosen),
            upper=_share(lesion, chosen & (height == UPPER)),
            middle=_share(lesion, chosen & (height == MIDDLE)),
            lower=_share(lesion, chosen & (height == LOWER)),
            central=_share(lesion, chosen & ~outer),
            peripheral=_share(lesion, chosen & outer),
        )

    left, right = of(side == LEFT), of(side == RIGHT)
    shares = [share for lung in (left, right) for share in (lung.upper, lung.middle, lung.lower)]
    return Involvement(left, right, of(side > 0), sum(severity_points(each) for each in shares))


def severity_points(share: float) -> int:
    """0 for no lesion, then 1 to 4 below 25, 50, 75 % and above, of one of six zones."""
    return 0 if share == 0 else 1 + sum(share >= bound for bound in (0.25, 0.5, 0.75))


def lung_volumes_ml(lungs: np.ndarray, spacing_mm: tuple[float, float, float]) -> LungVolumes:
    """Millilitres of the lung mask (1 right, 2 left)."""
    millilitres = float(np.prod(spacing_mm)) / 1000
    right, left = (float((lungs == side).sum()) * millilitres for side in (RIGHT, LEFT))
    return LungVolumes(left, right, left + right)


def slice_involvement(lesions: np.ndarray, lungs: np.ndarray) -> np.ndarray:
    """For each slice, lesion pixels over lung pixels; 0 where it has no lung."""
    lung_pixels = (lungs > 0).sum(axis=(1, 2))
    lesion_pixels = ((lesions > 0) & (lungs > 0)).sum(axis=(1, 2))
    return np.asarray(lesion_pixels / np.maximum(lung_pixels, 1))


def _share(lesion: np.ndarray, chosen: np.ndarray) -> float:
    total = int(chosen.sum())
    return float((lesion & chosen).sum() / total) if total else 0.0
