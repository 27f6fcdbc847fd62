"""Which images are refused as not a chest CT in HU, and which get a warning.

Refusals raise InputRefused; warnings are (code, message) pairs. Each threshold has its
reason or source beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk

from M3LungScreenLib.coverage import TOO_LITTLE_LUNG
from M3LungScreenLib.ct import CTVolume, Geometry
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.hounsfield import check_bytes, no_hu
from M3LungScreenLib.outside import OUTSIDE_HU

Warned = tuple[tuple[str, str], ...]

# A single slice can be screened alone; a patient needs at least 8.
SMALLEST_VOLUME_SLICES = 8
# The paper's exams: 24 to 495 slices; beyond 10 mm apart lesions fall between them.
LARGEST_SPACING_MM = 10.0
THICK_SPACING_MM = 5.0
# Scanners give 0.5 to 1 mm; in wider pixels vessels look like nodules and ground glass.
COARSE_PIXELS_MM = 2.5
# Slices farther apart than this along a non-axial direction are a sagittal or coronal
# acquisition; thinner ones are a volume stored with its axes in another order.
THICKEST_NON_AXIAL_MM = 2.5
# A downsampled volume has two or three coarse axes; an acquisition has one.
COARSER_THAN_OTHERS = 1.5
# The field of view (mm) of chest CT in adults and children.
FIELD_OF_VIEW_MM = (120.0, 1000.0)
# Air is near -1000 HU: even one slice of a chest has some; padding is below.
AIR_HU = (-1100, -800)
SMALLEST_AIR_SHARE = 0.005
# A smaller range of values is not in HU.
SMALLEST_SPAN_HU = 300
# At least 1 % of the voxels darker than this are pure air in the trachea, near -1000 HU.
# Scaling by 0.95 moves it to -950, by 0.8 to -800; lung itself is about -850.
AIR_BELOW_HU = -300
DARKEST_SHARE = 0.01
DARKEST_AIR_HU = -860
# The display windows end at 100 HU. If the highest value is below that, and more than this
# share of all tissue has it, the values were clipped.
TISSUE_ABOVE_HU = -200
WINDOWS_END_HU = 100
LARGEST_CUT_OFF_SHARE = 0.1
# A chest has more body than lung, even in a narrow field of view, unless everything but the
# lungs was set to one value.
LUNG_HU = (-970, -400)
SMALLEST_BODY_BY_LUNG = 0.5
SMALLEST_MASKED_SHARE = 0.5
# From fat to muscle; a chest without any is not in HU.
SOFT_TISSUE_HU = (-150, 150)
SMALLEST_SOFT_TISSUE_SHARE = 0.01
# Normally only bone and metal; in an inverted image also the air around the body.
DENSE_HU = 800
# Metal and bone end here; larger values are not HU.
LARGEST_HU = 32000
# With one of these warnings, the verdict is indeterminate.
DOUBTFUL = frozenset(
    {
        "coarse_pixels",
        "scaled_values",
        "values_cut_off",
        "geometry_contradicts",
        "discontinuous",
        "orientation",
        "projection",
        "spacing",
        TOO_LITTLE_LUNG,
    }
)


def check_pixels(image: sitk.Image) -> None:
    """Refuse pixel types and dimensions that cannot be CT: color, vectors, 8 bits, complex."""
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise no_hu("each pixel has several values, as in a color picture")
    if image.GetDimension() != 3:
        raise InputRefused(
            "not_a_volume",
            f"This image has {image.GetDimension()} dimensions; a CT volume has 3. Save one time "
            "point as a separate volume.",
        )
    check_bytes(image.GetSizeOfPixelComponent())
    if "complex" in image.GetPixelIDTypeAsString():
        raise no_hu("its values are complex numbers")


def suitable(volume: CTVolume) -> CTVolume:
    """`volume` with the warnings of its geometry and values added.

    Raises InputRefused if it is not an axial chest CT in HU. A volume that was checked
    before is returned unchanged.
    """
    columns, rows, _ = volume.geometry.size
    count = volume.scanned.stop - volume.scanned.start
    shown = replace(volume.geometry, size=(columns, rows, count))
    found = (*check_geometry(shown), *check_values(volume.hu))
    new = tuple(each for each in found if each not in volume.warnings)
    return replace(volume, warnings=(*volume.warnings, *new)) if new else volume


def check_finite(array: np.ndarray) -> None:
    """Refuse NaN and infinite values."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise no_hu("some of its values are not numbers (NaN or infinite)")


def check_values(array: np.ndarray) -> Warned:
    """Refuse values that are not HU: not finite, inverted, scaled or not rescaled.

    Warns if values were clipped or slightly scaled. `array` is `[slice, row, column]`;
    voxels outside the scanned image do not count.
    """
    check_finite(array)
    found = _Values.of(array)
    if found.high > LARGEST_HU:
        raise no_hu(f"its values reach {found.high:.0f}")
    if found.high - found.low < SMALLEST_SPAN_HU:
        raise no_hu(
            f"its values range only from {found.low:g} to {found.high:g}; in a chest they span "
            "more than 1000 HU, from air to bone"
        )
    if found.share(*AIR_HU) < SMALLEST_AIR_SHARE:
        raise no_hu(
            "almost no voxels have the density of air (−1000 HU), and the lowest value is "
            f"{found.low:.0f}. The rescale intercept may be missing, or the image inverted"
        )
    if found.share(*AIR_HU) < found.share(DENSE_HU, LARGEST_HU):
        raise no_hu("more voxels are as dense as bone than as air. The image may be inverted")
    if found.share(*SOFT_TISSUE_HU) < SMALLEST_SOFT_TISSUE_SHARE:
        raise no_hu("almost no voxels have the density of soft tissue (about 0 HU)")
    _check_body(found)
    return (*_dense_air(found), *_cut_off(found))


@dataclass(frozen=True)
class _Values:
    """How often each value occurs inside the scanned image."""

    counts: np.ndarray  # [65536], from -32768 up
    low: float
    high: float
    outside: int  # voxels

    @classmethod
    def of(cls, array: np.ndarray) -> _Values:
        counts, low, high, size = np.zeros(1 << 16, np.int64), np.inf, -np.inf, 0
        for each in array:
            seen = each[each > OUTSIDE_HU]
            if seen.size:
                low, high = min(low, float(seen.min())), max(high, float(seen.max()))
                if seen.dtype != np.int16:
                    seen = np.clip(np.rint(seen), OUTSIDE_HU, 32767)
                counts += np.bincount(seen.astype(np.int32) + 32768, minlength=len(counts))
            size += each.size
        return cls(counts, low, high, size - int(counts.sum()))

    @property
    def seen(self) -> int:
        return int(self.counts.sum())

    def count(self, low: int, high: int) -> int:
        """Voxels from `low` to `high`, both included."""
        return int(self.counts[low + 32768 : high + 32769].sum())

    def share(self, low: int, high: int) -> float:
        return self.count(low, high) / max(1, self.seen)

    def darkest_air_hu(self) -> int:
        """The first percentile of the voxels as dark as air."""
        air = self.counts[: AIR_BELOW_HU + 32768].cumsum()
        return int(np.searchsorted(air, DARKEST_SHARE * air[-1], side="right")) - 32768


def _check_body(found: _Values) -> None:
    """Refuse lungs with the body around them masked out."""
    lung = found.count(*LUNG_HU)
    constant = found.outside + int(found.counts[AIR_HU[0] + 32768 : AIR_HU[1] + 32769].max())
    masked = constant > SMALLEST_MASKED_SHARE * (found.outside + found.seen)
    if masked and found.count(TISSUE_ABOVE_HU, LARGEST_HU) < SMALLEST_BODY_BY_LUNG * lung:
        raise InputRefused(
            "only_lungs",
            "The body around the lungs was masked out in this CT, but it is needed to find the "
            "lungs. Screen the unmasked CT.",
        )


def _dense_air(found: _Values) -> Warned:
    darkest = found.darkest_air_hu()
    if darkest <= DARKEST_AIR_HU:
        return ()
    return (
        (
            "scaled_values",
            f"The darkest air in this CT reads {darkest} HU instead of −1000 HU: the values were "
            "scaled or clipped. Screen the original CT series.",
        ),
    )


def _cut_off(found: _Values) -> Warned:
    top = round(found.high)
    tissue = found.count(TISSUE_ABOVE_HU, LARGEST_HU)
    if top >= WINDOWS_END_HU or found.count(top, top) < LARGEST_CUT_OFF_SHARE * tissue:
        return ()
    return (
        (
            "values_cut_off",
            f"Values above {top} HU were clipped in this CT, so soft tissue cannot be told from "
            "fluid or bone. Screen the original CT series.",
        ),
    )


def check_geometry(geometry: Geometry) -> Warned:
    """Refuse acquisitions that cannot be screened; warn of thick slices and coarse pixels."""
    axis = _feet_head_axis(geometry)
    _check_acquisition(geometry, axis)
    count, spacing = geometry.size[axis], geometry.spacing_mm[axis]
    if 1 < count < SMALLEST_VOLUME_SLICES:
        raise InputRefused(
            "too_few_slices",
            f"This series has {count} axial slices; a volume needs at least "
            f"{SMALLEST_VOLUME_SLICES}. Choose the thin-slice chest series, or screen a single "
            "slice.",
        )
    if count > 1 and spacing > LARGEST_SPACING_MM:
        raise InputRefused(
            "slices_too_far_apart",
            f"The slices are {spacing:.1f} mm apart; the limit is {LARGEST_SPACING_MM:.0f} mm. "
            "Choose a series with thinner slices.",
        )
    _check_field_of_view(geometry, axis)
    return (*_thick_slices(count, spacing), *_coarse_pixels(geometry, axis))


def _thick_slices(count: int, spacing_mm: float) -> Warned:
    if count == 1 or spacing_mm <= THICK_SPACING_MM:
        return ()
    return (
        (
            "thick_slices",
            f"The slices are {spacing_mm:.1f} mm apart, so small lesions may lie between them. A "
            f"series with {THICK_SPACING_MM:.0f} mm or less is better.",
        ),
    )


def _coarse_pixels(geometry: Geometry, axis: int) -> Warned:
    widest = max(geometry.spacing_mm[i] for i in range(3) if i != axis)
    if widest <= COARSE_PIXELS_MM:
        return ()
    return (
        (
            "coarse_pixels",
            f"The pixels are {widest:.1f} mm wide; a scanner's are below 1 mm. At this size, "
            "vessels cannot be told from lesions. Screen the original CT, not a downsampled copy.",
        ),
    )


def _feet_head_axis(geometry: Geometry) -> int:
    """The stored axis, 0 to 2, closest to feet–head."""
    return next(i for i, letter in enumerate(geometry.orientation) if letter in "SI")


def _check_acquisition(geometry: Geometry, axis: int) -> None:
    """Refuse sagittal and coronal slices, single or far apart."""
    for other in {0, 1, 2} - {axis}:
        spacing = geometry.spacing_mm[other]
        finer = max(each for i, each in enumerate(geometry.spacing_mm) if i != other)
        single = geometry.size[other] == 1 and geometry.size[axis] > 1
        coarse = spacing > max(THICKEST_NON_AXIAL_MM, COARSER_THAN_OTHERS * finer)
        if single or coarse:
            plane = "sagittal" if geometry.orientation[other] in "LR" else "coronal"
            what = "slice" if single else f"series with {spacing:.1f} mm between slices"
            raise InputRefused(
                "not_axial",
                f"This is a {plane} {what}; only axial CT can be screened. Choose the axial chest "
                "series.",
            )


def _check_field_of_view(geometry: Geometry, axis: int) -> None:
    low, high = FIELD_OF_VIEW_MM
    extents = [geometry.size[i] * geometry.spacing_mm[i] for i in range(3) if i != axis]
    if not all(low <= extent <= high for extent in extents):
        size = " × ".join(f"{extent:.0f}" for extent in extents)
        raise InputRefused(
            "field_of_view",
            f"The slices measure {size} mm; a chest CT measures {low:.0f} to {high:.0f} mm. Check "
            "the pixel spacing in the file.",
        )
