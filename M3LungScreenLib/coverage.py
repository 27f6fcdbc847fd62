"""How much of the lungs a scan shows, and whether that is enough for a verdict.

The lung volume in the scan is compared with that of a healthy person of the same chest width:

- Lungs that end inside the scan on every side are complete, however small: a verdict.
- At least half of the expected volume, but cut off somewhere: a verdict, with a warning that
  names what is missing. If the scan is a slab from the middle of the lungs, shorter than a
  chest, the verdict is softened.
- Less, but with the hila, which diffuse disease nearly always reaches: a softened verdict. A
  slab from the middle needs 8 %; apices, bases or one side alone need 30 %.
- Less than that: no verdict. Almost no lung in a scan as long as a chest: refused.

All areas and volumes scale with body size, so a child's lungs are compared with a child's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.morphology import grown
from M3LungScreenLib.surroundings import as_in_the_corners, beyond_the_circle

Warned = tuple[tuple[str, str], ...]
Answer = Literal["verdict", "softened", "none"]
TOO_LITTLE_LUNG = "too_little_lung"

# Adult lungs have 3 to 6 liters on CT. Expected is a small adult's volume at 340 mm chest
# width, scaled by the cube of the width below that; wider people have more fat, not more lung.
EXPECTED_ML = 3500.0
WIDTH_MM = 340.0
# A column with this much tissue belongs to the trunk: tables and clothes are thinner.
TRUNK_MM = 25.0
# Shares of the expected volume. Half includes every lobe; RICORD's slabs at the hila have 0.12
# or more; the thirds above and below the hila, up to 0.25.
ENOUGH = 0.5
ENOUGH_OF_THE_MIDST = 0.08
ENOUGH_OF_AN_END = 0.3
# A lung cut through its middle has 100 cm² or more there; near its tips, less than this.
CUT_AREA_MM2 = 2500.0
# A scan this long covers a whole chest.
WHOLE_CHEST_MM = 150.0
# Coarse steps are enough for the chest width and the cut areas.
_STEP_MM = 4.0
_SLICES = 40
ENDS = ("below", "above")
MISSING_PARTS = {
    "below": "the lung bases",
    "above": "the lung apices",
    "at the right": "the right edge of the lungs",
    "at the left": "the left edge of the lungs",
    "in front": "the front of the lungs",
    "behind": "the back of the lungs",
}
# Side, axis in a slice, and the direction along it.
_TOWARDS = (("at the right", 2, -1), ("at the left", 2, 1), ("in front", 1, -1), ("behind", 1, 1))


@dataclass(frozen=True)
class Coverage:
    """How much of the lungs was scanned.

    `cut_mm2` is the lung area at each side (the patient's) where the lungs are cut off: 'below',
    'above', 'at the right', 'at the left', 'in front', 'behind'.
    """

    millilitres: float
    height_mm: float  # of the slices with lung
    scan_height_mm: float
    expected_ml: float  # of whole lungs in a body of this width
    cut_mm2: Mapping[str, float]

    @property
    def share(self) -> float:
        """Scanned volume over the expected volume."""
        return self.millilitres / self.expected_ml

    @property
    def answer(self) -> Answer:
        """Whether a verdict is possible; see the top of this file."""
        in_the_midst = all(end in self.cut_mm2 for end in ENDS)
        is_slab = in_the_midst and self.scan_height_mm < WHOLE_CHEST_MM
        if self.share < ENOUGH_OF_THE_MIDST:
            return "none"
        if not self.cut_mm2 or (self.share >= ENOUGH and not is_slab):
            return "verdict"
        return "softened" if in_the_midst or self.share >= ENOUGH_OF_AN_END else "none"


def measure_coverage(lungs: np.ndarray, volume: CTVolume) -> Coverage:
    """Coverage of `lungs` (uint8 `[slice, row, column]`, 0 outside) in `volume`."""
    x_mm, y_mm, z_mm = volume.spacing_mm
    pixels = np.array([np.count_nonzero(each) for each in lungs])
    shown = pixels[volume.scanned]  # padding is not part of the scan
    expected = _expected_ml(_trunk_width_mm(volume))
    limit = CUT_AREA_MM2 * (expected / EXPECTED_ML) ** (2 / 3)
    areas = _areas_at_sides(lungs, volume)
    if volume.slice_count > 1:
        areas |= dict(zip(ENDS, shown[[0, -1]] * x_mm * y_mm, strict=True))
    return Coverage(
        millilitres=float(pixels.sum()) * x_mm * y_mm * z_mm / 1000,
        height_mm=np.count_nonzero(pixels) * z_mm,
        scan_height_mm=len(shown) * z_mm,
        expected_ml=expected,
        cut_mm2={side: float(area) for side, area in areas.items() if area > limit},
    )


def check_lungs(lungs: np.ndarray, coverage: Coverage) -> Warned:
    """Refuse a scan without lungs; warn if a lung is missing or incomplete.

    `lungs` uint8 `[slice, row, column]`, 1 right, 2 left; `coverage` as measured on them.
    """
    is_single = len(lungs) == 1
    if coverage.millilitres == 0 or (not is_single and _is_no_chest(coverage)):
        raise _no_lungs(coverage.millilitres, "slice" if is_single else "scan")
    if not is_single and coverage.answer == "none":
        return (*_one_lung(lungs), (TOO_LITTLE_LUNG, _about_too_little(coverage)))
    return (*_one_lung(lungs), *_cut_off(coverage, is_single))


def _no_lungs(millilitres: float, what: str) -> InputRefused:
    found = f"Only {millilitres:.0f} ml of lung" if millilitres else "No lungs"
    return InputRefused(
        "no_lungs",
        f"{found} found in this {what}. Choose a chest CT, or a slice through the chest.",
    )


def _one_lung(lungs: np.ndarray) -> Warned:
    for side, name in ((1, "right"), (2, "left")):
        if not (lungs == side).any():
            return (
                (
                    "one_lung",
                    f"No {name} lung was found: it may be missing, opaque or outside the scan. "
                    "Percentages refer to the other lung only.",
                ),
            )
    return ()


def _cut_off(coverage: Coverage, is_single: bool) -> Warned:
    if not coverage.cut_mm2:
        return ()
    message = (
        f"The scan misses {_missing_parts(coverage)}; the result covers only the scanned part, "
        "volumes and zones included."
    )
    if not is_single and coverage.answer == "softened":
        message += " With so little lung scanned, the result is less certain."
    return (("lungs_not_whole", message),)


def _is_no_chest(coverage: Coverage) -> bool:
    is_long = coverage.scan_height_mm >= WHOLE_CHEST_MM
    return is_long and coverage.share < ENOUGH_OF_THE_MIDST


def _about_too_little(coverage: Coverage) -> str:
    missing = f" It misses {_missing_parts(coverage)}." if coverage.cut_mm2 else ""
    return (
        f"The scan shows too little lung for a verdict: {coverage.millilitres:.0f} ml, about "
        f"{100 * coverage.share:.0f} % of the lungs of a person this size.{missing} Screen a CT of "
        "the whole chest."
    )


def _missing_parts(coverage: Coverage) -> str:
    """'the lung bases', 'the lung bases and the lung apices', 'a, b and c'."""
    *first, last = (MISSING_PARTS[side] for side in coverage.cut_mm2)
    return " and ".join([*([", ".join(first)] if first else []), last])


def _expected_ml(width_mm: float) -> float:
    return EXPECTED_ML * min(1.0, width_mm / WIDTH_MM) ** 3


def _trunk_width_mm(volume: CTVolume) -> float:
    """The median body width over the slices."""
    x_mm, y_mm, _ = volume.spacing_mm
    rows, columns = (max(1, round(_STEP_MM / step)) for step in (y_mm, x_mm))
    slices = max(1, volume.slice_count // _SLICES)
    tall = (volume.hu[::slices, ::rows, ::columns] > -300).sum(axis=1) * rows * y_mm >= TRUNK_MM
    widths = tall.sum(axis=1) * columns * x_mm
    return float(np.median(widths[widths > 0])) if widths.any() else WIDTH_MM


def _areas_at_sides(lungs: np.ndarray, volume: CTVolume) -> dict[str, float]:
    """Area (mm²) of lung at the image's four borders and at the edge of the scanner's circle."""
    x_mm, y_mm, z_mm = volume.spacing_mm
    borders = {
        "at the right": (lungs[:, :, 0], y_mm),
        "at the left": (lungs[:, :, -1], y_mm),
        "in front": (lungs[:, 0], x_mm),
        "behind": (lungs[:, -1], x_mm),
    }
    z_mm = z_mm if volume.slice_count > 1 else 1.0
    at: dict[str, float] = {
        side: np.count_nonzero(lung) * mm * z_mm for side, (lung, mm) in borders.items()
    }
    step = max(1, round(_STEP_MM / 2 / x_mm))
    lung, hu = lungs[:, ::step, ::step] > 0, volume.hu[:, ::step, ::step]
    near = (grown(lung, 2) & as_in_the_corners(hu)).any(axis=(1, 2))
    beyond = beyond_the_circle(hu[near])
    for side, axis, towards in _TOWARDS:
        ends = lung[near] & ~np.roll(lung[near], -towards, axis)
        reached = np.roll(beyond, -towards, axis) | np.roll(beyond, -2 * towards, axis)
        mm = y_mm if axis == 2 else x_mm
        at[side] += np.count_nonzero(ends & reached) * mm * step * z_mm
    return at
