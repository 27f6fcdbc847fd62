"""Hard negatives: adds findings that are not pneumonia to any CT with a lung mask.

    variants = draw_variants(lungs, volume.spacing_mm, np.random.default_rng(7))
    harder = apply_variants(volume.hu, lungs, volume.spacing_mm, variants)

Dependent density, expiration, mosaic attenuation, fissures, nodules and tumours,
emphysema, fibrosis, scars and bands, bronchiectasis, pulsation, breathing, contrast,
streaks. Each is first drawn as a small record, then applied.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from M3LungScreenLib.simulation import findings
from M3LungScreenLib.simulation.findings import Scene, VariantRecord

MOST_VARIANTS = 3


class Kind(NamedTuple):
    """Relative frequency of a finding, range of its part count, and the function that adds it."""

    rate: float
    counts: tuple[int, int]
    apply: Callable[[Scene, VariantRecord, np.random.Generator], None]


KINDS = {
    "dependent_density": Kind(3.0, (1, 2), findings.dependent),
    "expiration": Kind(1.5, (1, 2), findings.expiration),
    "mosaic": Kind(1.0, (1, 2), findings.mosaic),
    "fissure": Kind(1.0, (1, 2), findings.fissure),
    "nodules": Kind(2.0, (3, 14), findings.nodules),
    "emphysema": Kind(1.2, (2, 10), findings.emphysema),
    "fibrosis": Kind(0.7, (1, 2), findings.fibrosis),
    "bands": Kind(1.5, (3, 12), findings.bands),
    "bronchiectasis": Kind(0.7, (6, 30), findings.bronchiectasis),
    "apical_caps": Kind(0.7, (1, 2), findings.caps),
    "pulsation": Kind(2.0, (1, 2), findings.pulsation),
    "breathing": Kind(1.2, (1, 2), findings.breathing),
    "contrast": Kind(1.0, (1, 2), findings.contrast),
    "streaks": Kind(1.0, (2, 6), findings.streaks),
}


def draw_variants(
    lungs: np.ndarray, spacing_mm: Sequence[float], rng: np.random.Generator
) -> tuple[VariantRecord, ...]:
    """Draws zero to three findings that are not pneumonia; zero without lungs."""
    if not np.any(lungs):
        return ()
    number = int(rng.choice(MOST_VARIANTS + 1, p=(0.25, 0.35, 0.25, 0.15)))
    rates = np.array([kind.rate for kind in KINDS.values()])
    kinds = rng.choice(list(KINDS), number, replace=False, p=rates / rates.sum())
    return tuple(
        VariantRecord(
            kind=str(kind),
            strength=float(rng.uniform() ** 1.5),
            count=int(rng.integers(*KINDS[kind].counts)),
            seed=int(rng.integers(2**31)),
        )
        for kind in kinds
    )


def apply_variants(
    hu: np.ndarray,
    lungs: np.ndarray,
    spacing_mm: Sequence[float],
    records: Sequence[VariantRecord],
) -> np.ndarray:
    """`hu` [slice, row, column] with the findings added, same dtype; deterministic.

    `lungs` uint8, 1 right, 2 left; `spacing_mm` x, y, z.
    """
    if not records or not np.any(lungs):
        return hu.copy()
    spacing = np.asarray(spacing_mm, float)[::-1]
    axes = tuple(step * np.arange(n) for step, n in zip(spacing, hu.shape, strict=True))
    depth = np.stack(
        [ndimage.distance_transform_edt(plane, sampling=spacing[1:]) for plane in lungs > 0]
    )
    scene = Scene(hu.astype(np.float32), lungs, depth.astype(np.float32), axes, spacing)
    for record in records:
        KINDS[record.kind].apply(scene, record, np.random.default_rng(record.seed))
    lowest, highest = (-32768, 32767) if hu.dtype.kind == "i" else (-np.inf, np.inf)
    return np.clip(np.rint(scene.hu), lowest, highest).astype(hu.dtype)
