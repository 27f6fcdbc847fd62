"""Every rule that refuses or warns, its threshold and the reason beside it.

Refusals raise InputRefused with one plain sentence or two; warnings are
(code, message) pairs. Nothing here needs torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk

from M3LungScreenLib.coverage import TOO_LITTLE_LUNG
from M3LungScreenLib.ct import CTVolume, Geometry
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.fill import OUTSIDE_HU
from M3LungScreenLib.hounsfield import check_bytes, no_hu

Warned = tuple[tuple[str, str], ...]

# One slice is screened alone; from 8 on there is a patient to speak of.
SMALLEST_VOLUME_SLICES = 8
# The paper's exams: 24 to 495 slices; beyond 10 mm apart lesions fall between them.
LARGEST_SPACING_MM = 10.0
THICK_SPACING_MM = 5.0
# Scanners give 0.5 to 1 mm; in wider pixels vessels can't be told from nodules and ground glass.
COARSE_PIXELS_MM = 2.5
# Slices farther apart than this along a non-axial direction are a sagittal or coronal
# acquisition; thinner ones are a volume that was stored in another order of axes.
THICKEST_NON_AXIAL_MM = 2.5
# In a thinned volume two axes are coarse alike; an acquisition has one coarse axis.
COARSER_THAN_OTHERS = 1.5
# A field of view (mm) in which an adult's or child's chest may lie.
FIELD_OF_VIEW_MM = (120.0, 1000.0)
# Air is near -1000 HU: some of any chest CT lies here, even in one slice; padding is below.
AIR_HU = (-1100, -800)
SMALLEST_AIR_SHARE = 0.005
# Less between the lowest and the highest value is another scale.
SMALLEST_SPAN_HU = 300
# Of what is darker than this, a hundredth at least is the pure air of the trachea, near
# -1000. A scale of 0.95 leaves it at -950, one of 0.8 at -800; lung itself reads -850.
AIR_BELOW_HU = -300
DARKEST_SHARE = 0.01
DARKEST_AIR_HU = -860
# The display windows end at 100 HU. Where more than this share of all tissue has one and
# the same value below, and none has more, what tells tissues apart was cut off.
TISSUE_ABOVE_HU = -200
WINDOWS_END_HU = 100
LARGEST_CUT_OFF_SHARE = 0.1
# There is more body than lung in a chest, even in a narrow field of view; not where all
# but the lungs was given one value.
LUNG_HU = (-970, -400)
SMALLEST_BODY_BY_LUNG = 0.5
SMALLEST_MASKED_SHARE = 0.5
# Soft tissue between fat and muscle; a chest without any is no HU.
SOFT_TISSUE_HU = (-150, 150)
SMALLEST_SOFT_TISSUE_SHARE = 0.01
# Inverted, the air around the body is up here, where else only bone and metal are.
DENSE_HU = 800
# Metal and bone end here; larger values are another quantity.
LARGEST_HU = 32000
# Warnings of input that is told what was found, but gets no verdict.
DOUBTFUL = frozenset(
    {
        "coarse_pixels",
        "scaled_values",
        "values_cut_off",
        "geometry_contradicts",
        "discontinuous",
        "orientation",
        "spacing",
        TOO_LITTLE_LUNG,
    }
)


def check_pixels(image: sitk.Image) -> None:
    """Refuse what cannot be HU by its type: colour, vectors, 8 bits, NaN, other dimensions."""
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise no_hu("it has several values a pixel, as colour pictures have")
    if image.GetDimension() != 3:
        raise InputRefused(
            "not_a_volume",
            f"This image has {image.GetDimension()} dimensions; a CT volume has 3. Save one time "
            "point as a volume of its own.",
        )
    check_bytes(image.GetSizeOfPixelComponent())
    if "complex" in image.GetPixelIDTypeAsString():
        raise no_hu("its values are complex numbers")


def suitable(volume: CTVolume) -> CTVolume:
    """`volume` with its warnings, every door's one check before the lungs are looked for.

    Raises InputRefused where it is no axial chest CT in HU. What was checked already
    comes back as it is.
    """
    columns, rows, _ = volume.geometry.size
    count = volume.scanned.stop - volume.scanned.start
    shown = replace(volume.geometry, size=(columns, rows, count))
    found = (*check_geometry(shown), *check_values(volume.hu))
    new = tuple(each for each in found if each not in volume.warnings)
    return replace(volume, warnings=(*volume.warnings, *new)) if new else volume


def check_finite(array: np.ndarray) -> None:
    """Refuse NaN and infinite values, of which only floats have any."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise no_hu("some of its values are not numbers (NaN or infinite)")


def check_values(array: np.ndarray) -> Warned:
    """Refuse values that are no HU: not finite, inverted, scaled or without the rescale.

    Warns of values that were cut off or scaled a little. `array` `[slice, row,
    column]`; what lies outside the picture does not count.
    """
    check_finite(array)
    found = _Values.of(array)
    if found.high > LARGEST_HU:
        raise no_hu(f"its values reach {found.high:.0f}")
    if found.high - found.low < SMALLEST_SPAN_HU:
        raise no_hu(
            f"its values lie between {found.low:g} and {found.high:g}, a chest's span over 1000, "
            "from air and lung to bone"
        )
    if found.share(*AIR_HU) < max(SMALLEST_AIR_SHARE, found.share(DENSE_HU, LARGEST_HU)):
        raise no_hu(
            "too little of it is near -1000, as the air around a body is, and its lowest value is "
            f"{found.low:.0f}; the rescale intercept may be missing or the picture inverted"
        )
    if found.share(*SOFT_TISSUE_HU) < SMALLEST_SOFT_TISSUE_SHARE:
        raise no_hu("hardly any of it is as dense as soft tissue (near 0)")
    _check_body(found)
    return (*_dense_air(found), *_cut_off(found))


@dataclass(frozen=True)
class _Values:
    """How often each value occurs within the picture."""

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
                bins = np.clip(np.rint(seen), OUTSIDE_HU, 32767).astype(np.int32) + 32768
                counts += np.bincount(bins, minlength=len(counts))
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
        """The value that a hundredth of what is as dark as air lies below."""
        air = self.counts[: AIR_BELOW_HU + 32768].cumsum()
        return int(np.searchsorted(air, DARKEST_SHARE * air[-1], side="right")) - 32768


def _check_body(found: _Values) -> None:
    """Refuse lungs that were cut out of their body."""
    lung = found.count(*LUNG_HU)
    constant = found.outside + int(found.counts[AIR_HU[0] + 32768 : AIR_HU[1] + 32769].max())
    masked = constant > SMALLEST_MASKED_SHARE * (found.outside + found.seen)
    if masked and found.count(TISSUE_ABOVE_HU, LARGEST_HU) < SMALLEST_BODY_BY_LUNG * lung:
        raise InputRefused(
            "only_lungs",
            "Only the lungs are left in this CT: the body around them was masked away, by which "
            "they are found and told apart. Screen the CT as it was scanned.",
        )


def _dense_air(found: _Values) -> Warned:
    darkest = found.darkest_air_hu()
    if darkest <= DARKEST_AIR_HU:
        return ()
    return (
        (
            "scaled_values",
            f"The darkest air in this CT reads {darkest} HU, in Hounsfield units it is -1000: the "
            "values were scaled or cut off. Screen the original CT series.",
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
            f"Everything denser than {top} HU was cut off in this CT: soft tissue cannot be told "
            "from fluid or bone. Screen the original CT series.",
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
            f"{SMALLEST_VOLUME_SLICES}. Choose the thin-slice chest series, or give one slice "
            "alone.",
        )
    if count > 1 and spacing > LARGEST_SPACING_MM:
        raise InputRefused(
            "slices_too_far_apart",
            f"The slices lie {spacing:.1f} mm apart; at most {LARGEST_SPACING_MM:.0f} mm are "
            "screened. Choose the series with thinner slices.",
        )
    _check_field_of_view(geometry, axis)
    return (*_thick_slices(count, spacing), *_coarse_pixels(geometry, axis))


def _thick_slices(count: int, spacing_mm: float) -> Warned:
    if count == 1 or spacing_mm <= THICK_SPACING_MM:
        return ()
    return (
        (
            "thick_slices",
            f"The slices lie {spacing_mm:.1f} mm apart; small lesions may fall between them. A "
            f"series of {THICK_SPACING_MM:.0f} mm or less is better.",
        ),
    )


def _coarse_pixels(geometry: Geometry, axis: int) -> Warned:
    widest = max(geometry.spacing_mm[i] for i in range(3) if i != axis)
    if widest <= COARSE_PIXELS_MM:
        return ()
    return (
        (
            "coarse_pixels",
            f"The pixels are {widest:.1f} mm wide, a scanner's are under 1 mm: vessels can't be "
            "told from lesions. Screen the CT as it was scanned, not a thinned copy of it.",
        ),
    )


def _feet_head_axis(geometry: Geometry) -> int:
    """The stored axis, 0 to 2, that runs nearest to feet–head."""
    return next(i for i, letter in enumerate(geometry.orientation) if letter in "SI")


def _check_acquisition(geometry: Geometry, axis: int) -> None:
    """Refuse slices across the body: along one of the other axes, single or far apart."""
    for other in {0, 1, 2} - {axis}:
        spacing = geometry.spacing_mm[other]
        finer = max(each for i, each in enumerate(geometry.spacing_mm) if i != other)
        single = geometry.size[other] == 1 and geometry.size[axis] > 1
        coarse = spacing > max(THICKEST_NON_AXIAL_MM, COARSER_THAN_OTHERS * finer)
        if single or coarse:
            plane = "sagittal" if geometry.orientation[other] in "LR" else "coronal"
            what = "slice" if single else f"series, {spacing:.1f} mm between its slices"
            raise InputRefused(
                "not_axial",
                f"This is a {plane} {what}; only axial ones are screened. Choose the axial chest "
                "series.",
            )


def _check_field_of_view(geometry: Geometry, axis: int) -> None:
    low, high = FIELD_OF_VIEW_MM
    extents = [geometry.size[i] * geometry.spacing_mm[i] for i in range(3) if i != axis]
    if not all(low <= extent <= high for extent in extents):
        size = " × ".join(f"{extent:.0f}" for extent in extents)
        raise InputRefused(
            "field_of_view",
            f"The slices measure {size} mm; a chest's lie between {low:.0f} and {high:.0f} mm. "
            "Check the pixel spacing in the file.",
        )
