"""How much of the lungs a scan shows, and whether that is enough for a verdict.

The lungs seen are compared with what a healthy body of this width has:

- Lungs that end inside the scan on every side are whole, however small: a verdict.
- At least half of what such a body has, though cut off somewhere: a verdict, and a warning
  that names the sides. Of a run of slices from the midst, less high than a chest, a
  softened one.
- Less, but a part that shows the hila, where disease of any spread is met: a softened
  verdict. A run of slices from the midst does so from a twelfth on; apices or bases, or one
  side alone, from three tenths on.
- Less than that: no verdict. Nearly none in a scan as long as a chest: refused.

All areas and volumes scale with the body, so that a child's lungs are judged as a child's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.surroundings import beyond_the_circle

Warned = tuple[tuple[str, str], ...]
Answer = Literal["verdict", "softened", "none"]
TOO_LITTLE_LUNG = "too_little_lung"

# Lungs of adults hold 3 to 6 litres in a CT; the smaller ones are expected, at breath-hold
# in people of 340 mm chest width, and by the cube of the width in smaller ones. In wider
# people fat is wider, not the lungs.
EXPECTED_ML = 3500.0
WIDTH_MM = 340.0
# In tissue at least so high a column is trunk: tables and clothes are thinner.
TRUNK_MM = 25.0
# A share of the expected volume. Half shows every lobe; RICORD's slabs at the hila hold 0.12
# and more; the thirds above and below the hila, without any of them, up to 0.25.
ENOUGH = 0.5
ENOUGH_OF_THE_MIDST = 0.08
ENOUGH_OF_AN_END = 0.3
# A lung cut in its midst has 100 cm² and more there, at its tips less than this.
CUT_AREA_MM2 = 2500.0
# Scans as long as this hold a whole chest.
WHOLE_CHEST_MM = 150.0
# Width and cuts need no more slices and pixels than these.
_STEP_MM = 4.0
_SLICES = 40
ENDS = ("below", "above")
# Axis of a slice, and the way along it.
_TOWARDS = (("at the right", 1, -1), ("at the left", 1, 1), ("in front", 0, -1), ("behind", 0, 1))


@dataclass(frozen=True)
class Coverage:
    """What of the lungs was scanned; the sides are the patient's.

    `cut_mm2` has, for each side at which the lungs are cut off, their area there: 'below',
    'above', 'at the right', 'at the left', 'in front', 'behind'.
    """

    millilitres: float
    height_mm: float  # of the slices with lung
    scan_height_mm: float
    expected_ml: float  # of whole lungs in a body of this width
    cut_mm2: Mapping[str, float]

    @property
    def share(self) -> float:
        """Of what a body of this size has."""
        return self.millilitres / self.expected_ml

    @property
    def answer(self) -> Answer:
        """What may be said; see the head of this file."""
        in_the_midst = all(end in self.cut_mm2 for end in ENDS)
        is_slab = in_the_midst and self.scan_height_mm < WHOLE_CHEST_MM
        if self.share < ENOUGH_OF_THE_MIDST:
            return "none"
        if not self.cut_mm2 or (self.share >= ENOUGH and not is_slab):
            return "verdict"
        return "softened" if in_the_midst or self.share >= ENOUGH_OF_AN_END else "none"


def measure_coverage(lungs: np.ndarray, volume: CTVolume) -> Coverage:
    """Coverage by `lungs` uint8 `[slice, row, column]`, not 0 in the lungs, on `volume.hu`."""
    x_mm, y_mm, z_mm = volume.spacing_mm
    pixels = np.array([np.count_nonzero(each) for each in lungs])
    shown = pixels[volume.scanned]  # padding is no end of the scan
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
    """Refuse a scan without lungs; warn of one lung, and of lungs that are not whole.

    `lungs` uint8 `[slice, row, column]`, 1 right, 2 left, of which `coverage` was measured.
    """
    is_single = len(lungs) == 1
    if coverage.millilitres == 0 or (not is_single and _is_no_chest(coverage)):
        raise _no_lungs(coverage.millilitres, "slice" if is_single else "scan")
    if not is_single and coverage.answer == "none":
        return (*_one_lung(lungs), (TOO_LITTLE_LUNG, _about_too_little(coverage)))
    return (*_one_lung(lungs), *_cut_off(coverage, is_single))


def _no_lungs(millilitres: float, what: str) -> InputRefused:
    found = f"only {millilitres:.0f} ml of lung" if millilitres else "no lungs"
    return InputRefused(
        "no_lungs",
        f"There are {found} in this {what}. Choose a chest CT, or a slice through the chest.",
    )


def _one_lung(lungs: np.ndarray) -> Warned:
    for side, name in ((1, "right"), (2, "left")):
        if not (lungs == side).any():
            return (
                (
                    "one_lung",
                    f"No {name} lung was found: it may be missing, opaque or outside the scan. "
                    "Percentages count what was found.",
                ),
            )
    return ()


def _cut_off(coverage: Coverage, is_single: bool) -> Warned:
    if not coverage.cut_mm2:
        return ()
    message = (
        f"The lungs are cut off {_sides(coverage)}: what lies outside was not screened, and "
        "volumes and zones are those of the part that was scanned."
    )
    if not is_single and coverage.answer == "softened":
        message += " From so small a part of the lungs the answer is less sure."
    return (("lungs_not_whole", message),)


def _is_no_chest(coverage: Coverage) -> bool:
    is_long = coverage.scan_height_mm >= WHOLE_CHEST_MM
    return is_long and coverage.share < ENOUGH_OF_THE_MIDST


def _about_too_little(coverage: Coverage) -> str:
    cut = f", cut off {_sides(coverage)}" if coverage.cut_mm2 else ""
    return (
        "The scan shows too little of the lungs for a verdict: "
        f"{coverage.millilitres:.0f} ml{cut}, about {coverage.share:.0%} of what a body of this "
        "size has. Screen a CT of the whole chest."
    )


def _sides(coverage: Coverage) -> str:
    """'a', 'a and b', 'a, b and c'."""
    *first, last = coverage.cut_mm2
    return " and ".join([*([", ".join(first)] if first else []), last])


def _expected_ml(width_mm: float) -> float:
    return EXPECTED_ML * min(1.0, width_mm / WIDTH_MM) ** 3


def _trunk_width_mm(volume: CTVolume) -> float:
    """The median over the slices of how wide the body is."""
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
    for k in np.flatnonzero(lungs.any(axis=(1, 2))):
        for side, mm in _at_the_circle(lungs[k], volume.hu[k], (y_mm, x_mm)).items():
            at[side] += mm * z_mm
    return at


def _at_the_circle(
    lung: np.ndarray, hu: np.ndarray, spacing_mm: tuple[float, float]
) -> dict[str, float]:
    """How many mm of each side of a slice's lung border on what the scanner did not see."""
    step = max(1, round(_STEP_MM / 2 / spacing_mm[1]))
    lung, beyond = lung[::step, ::step] > 0, beyond_the_circle(hu[::step, ::step])
    if not beyond.any():
        return {}
    found: dict[str, float] = {}
    for side, axis, towards in _TOWARDS:
        ends = lung & ~np.roll(lung, -towards, axis)
        reached = np.roll(beyond, -towards, axis) | np.roll(beyond, -2 * towards, axis)
        found[side] = np.count_nonzero(ends & reached) * spacing_mm[1 - axis] * step
    return found
