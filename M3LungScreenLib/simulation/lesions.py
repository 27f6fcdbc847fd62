"""Adds lesions to any pair of lungs, real or simulated: draw records, then apply them.

    records = draw_lesions("covid19", lungs, volume.spacing_mm, np.random.default_rng(7))
    ill, truth = apply_lesions(volume.hu, lungs, volume.spacing_mm, records)

A lesion replaces a share of the air in each voxel by fluid. Denser tissue, such as
vessels, stays unchanged and visible.
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from M3LungScreenLib.classes import CLASS_KEYS
from M3LungScreenLib.simulation.lesion_drawing import draw, draw_severity
from M3LungScreenLib.simulation.lesion_record import LesionRecord
from M3LungScreenLib.simulation.lesion_shapes import Box, Grid, bronchograms, corners, fill_of
from M3LungScreenLib.simulation.lung_frame import LungFrame

FLUID_HU = 40.0
# A visible opacity: 80 HU of the 890 HU between lung and fluid.
VISIBLE_FILL = 80 / 890


def draw_lesions(
    class_key: str,
    lungs: np.ndarray,
    spacing_mm: Sequence[float],
    rng: np.random.Generator,
    severity: float | None = None,
) -> tuple[LesionRecord, ...]:
    """Draws the lesions of one patient of `class_key`; empty for 'healthy' or without lungs.

    `lungs` uint8 [slice, row, column], 1 right, 2 left; `spacing_mm` x, y, z;
    `severity` is the share of the lungs to cover; None draws one from 0.5 to 50 %.
    """
    if class_key not in CLASS_KEYS:
        raise ValueError(f"{class_key!r} is none of {', '.join(CLASS_KEYS)}")
    if class_key == "healthy" or not np.any(lungs):
        return ()
    frame = LungFrame.of(lungs, spacing_mm)
    if not np.any(frame.side):
        return ()
    return draw(class_key, frame, rng, draw_severity(rng) if severity is None else severity)


def apply_lesions(
    hu: np.ndarray,
    lungs: np.ndarray,
    spacing_mm: Sequence[float],
    records: Sequence[LesionRecord],
    airways: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns `hu` with the lesions added (same dtype) and the truth, uint8 class indices.

    `airways`, if known, is the share of each voxel inside a bronchus; it stays air.
    The truth marks clearly visible lesions inside the lungs, without effusions.
    """
    truth = np.zeros(hu.shape, np.uint8)
    if not records or not np.any(lungs):
        return hu.copy(), truth
    spacing = np.asarray(spacing_mm, float)[::-1]
    whole = Grid(np.zeros(3), spacing, hu.shape)
    frame = LungFrame.of(lungs, spacing_mm)
    air = np.ones(hu.shape, np.float32)
    for record in records:
        if record.side in frame.bounds_mm:
            _put(air, truth, record, frame, whole, lungs)
    if airways is not None:
        air += (1 - air) * airways
    return _mix(hu, air, records[0].seed), truth


def _put(
    air: np.ndarray,
    truth: np.ndarray,
    record: LesionRecord,
    frame: LungFrame,
    whole: Grid,
    lungs: np.ndarray,
) -> None:
    """Reduces `air` by the lesion's fill and writes its outline into `truth`, in place."""
    found = whole.around(*corners(record, frame))
    if found is None:
        return
    box, grid = found
    fill, outline = fill_of(record, frame, grid)
    seen = (outline > 0.5) & (fill > VISIBLE_FILL) & (lungs[box] == record.side)
    truth[box][seen] = record.class_index
    if record.bronchograms:
        fill = fill * (1 - bronchograms(record, grid))
    air[box] *= 1 - fill * _reach(lungs, box, record.side)


def _reach(lungs: np.ndarray, box: Box, side: int) -> np.ndarray:
    """One lung and its rim of partial-volume voxels, so that no dark line remains."""
    return ndimage.binary_dilation(lungs[box] == side, np.ones((1, 3, 3)))


def _mix(hu: np.ndarray, air: np.ndarray, seed: int) -> np.ndarray:
    """Replaces air by fluid, and restores the noise that averaging removes."""
    changed = np.flatnonzero((air < 0.999).any(axis=(1, 2)))
    out = hu.copy()
    rng = np.random.default_rng(seed)
    noise_hu = _noise_sd(hu, air, changed)
    for k in changed:
        before = hu[k].astype(np.float32)
        airy = before < FLUID_HU
        after = np.where(airy, FLUID_HU - (FLUID_HU - before) * air[k], before)
        if noise_hu > 0:
            after += np.where(airy, 1 - air[k], 0) * noise_hu * _grain(before.shape, rng)
        out[k] = np.rint(after) if out.dtype.kind == "i" else after
    return out


def _noise_sd(hu: np.ndarray, air: np.ndarray, changed: np.ndarray) -> float:
    """The scan's noise in HU, from soft tissue without lesions in up to five slices."""
    found = [
        _slice_noise(hu[k].astype(np.float32), air[k]) for k in changed[:: len(changed) // 5 + 1]
    ]
    return float(np.median(found)) if found else 0.0


def _slice_noise(plane: np.ndarray, air: np.ndarray) -> float:
    fine = plane - ndimage.uniform_filter(plane, 3)
    soft = np.abs(plane - 30) < 60
    calm = fine[ndimage.binary_erosion(soft, iterations=2) & (air > 0.999)]
    return 1.57 * float(np.median(np.abs(calm))) if calm.size > 50 else 0.0


def _grain(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    grain = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), 0.6)
    return grain / max(float(grain.std()), 1e-6)
