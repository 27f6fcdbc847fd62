"""The random parameters of a lesion, in one frozen record that fits any lung."""

from dataclasses import dataclass
from typing import Literal

Vector = tuple[float, float, float]
Kind = Literal["patch", "pleural", "tube", "cone", "nodules", "tree_in_bud", "effusion"]
Pattern = Literal["plain", "crazy_paving", "halo", "reversed_halo", "cloudy"]


@dataclass(frozen=True)
class LesionRecord:
    """One lesion. Vectors are z, y, x in mm, positions relative to the center of voxel 0.

    `kind` is the shape: 'patch' an ellipsoid around `center_mm`; 'pleural' a plate or
    wedge along the costal surface, `axis` its inward normal; 'tube' runs from
    `center_mm` along `axis`; 'cone' opens from `center_mm` along `axis` by
    `half_angle`; 'nodules' and 'tree_in_bud' are clusters of `count`; 'effusion' is
    fluid beside the lung, not a lesion. `radii_mm` is along and across `axis`.
    `fill` is the share of air that is replaced (ground glass 0.15 to 0.5,
    consolidation above 0.85), `core_fill` that of the core, which lies where the
    shape is deeper than `core_level` (0 rim, 1 center). `soft` and `warp` shape the
    border relative to the radius; `bronchograms` is the number of air-filled bronchi.
    """

    class_index: int
    kind: Kind
    side: int
    center_mm: Vector
    axis: Vector
    radii_mm: tuple[float, float]
    fill: float
    seed: int
    half_angle: float = 0.0
    lobe: str = "any"
    core_fill: float = 0.0
    core_level: float = 2.0
    soft: float = 0.3
    warp: float = 0.3
    texture: float = 0.15
    pattern: Pattern = "plain"
    count: int = 0
    bronchograms: int = 0
