"""Every rule that refuses or warns, its threshold and the reason beside it.

Refusals raise InputRefused with one plain sentence or two; warnings are
(code, message) pairs. Nothing here needs torch.
"""

import numpy as np
import SimpleITK as sitk

from M3LungScreenLib.ct import CTVolume, Geometry
from M3LungScreenLib.errors import InputRefused

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
# Soft tissue between fat and muscle; a chest without any is no HU.
SOFT_TISSUE_HU = (-150, 150)
SMALLEST_SOFT_TISSUE_SHARE = 0.01
# Inverted, the air around the body is up here, where else only bone and metal are.
DENSE_HU = 800
# Metal and bone end here; larger values are another quantity.
LARGEST_HU = 32000
# Warnings of input that is told what was found, but gets no verdict.
DOUBTFUL = frozenset({"coarse_pixels"})
# Two lungs of a small child; shorter volumes hold part of them.
SMALLEST_LUNGS_ML = 300.0
WHOLE_CHEST_MM = 150.0
# Lung cut by the first or last slice: more than this area (mm²) there.
CUT_AREA_MM2 = 2500.0


def check_pixels(image: sitk.Image) -> None:
    """Refuse what cannot be HU by its type: colour, vectors, 8 bits, NaN, other dimensions."""
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise _no_hu("it has several values a pixel, as colour pictures have")
    if image.GetDimension() != 3:
        raise InputRefused(
            "not_a_volume",
            f"This image has {image.GetDimension()} dimensions; a CT volume has 3. Save one time "
            "point as a volume of its own.",
        )
    check_bytes(image.GetSizeOfPixelComponent())
    if "complex" in image.GetPixelIDTypeAsString():
        raise _no_hu("its values are complex numbers")


def check_bytes(of_a_value: int) -> None:
    """Refuse values of one byte, which cannot hold HU."""
    if of_a_value == 1:
        raise _no_hu("its values have 8 bits, as a picture's or a label map's have")


def check_finite(array: np.ndarray) -> None:
    """Refuse NaN and infinite values, of which only floats have any."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise _no_hu("some of its values are not numbers (NaN or infinite)")


def check_values(array: np.ndarray) -> None:
    """Refuse values that are no HU: not finite, inverted, scaled or without the rescale."""
    check_finite(array)
    low, high = float(array.min()), float(array.max())
    if high > LARGEST_HU:
        raise _no_hu(f"its values reach {high:.0f}")
    if high - low < 300:
        raise _no_hu(f"its values lie between {low:g} and {high:g}, a chest's span over 1000")
    air, soft = _share(array, *AIR_HU), _share(array, *SOFT_TISSUE_HU)
    if air < max(SMALLEST_AIR_SHARE, _share(array, DENSE_HU, np.inf)):
        raise _no_hu(
            "too little of it is near -1000, as the air around a body is, and its lowest value is "
            f"{low:.0f}; the rescale intercept may be missing or the picture inverted"
        )
    if soft < SMALLEST_SOFT_TISSUE_SHARE:
        raise _no_hu("hardly any of it is as dense as soft tissue (near 0)")


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


def check_lungs(lungs: np.ndarray, volume: CTVolume) -> Warned:
    """Refuse a scan without lungs; warn of one lung, and of lungs that are not whole.

    `lungs` uint8 `[slice, row, column]` on `volume.hu`: 1 right, 2 left.
    """
    millilitres = np.count_nonzero(lungs) * float(np.prod(volume.spacing_mm)) / 1000
    too_small = _height_mm(volume) >= WHOLE_CHEST_MM and millilitres < SMALLEST_LUNGS_ML
    if not lungs.any() or too_small:
        found = f"only {millilitres:.0f} ml of lung" if lungs.any() else "no lungs"
        what = "scan" if volume.slice_count > 1 else "slice"
        raise InputRefused(
            "no_lungs",
            f"There are {found} in this {what}. Choose a chest CT, or a slice through the chest.",
        )
    return (*_one_lung(lungs), *_cut_lungs(lungs, volume))


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


def is_slab(lungs: np.ndarray, volume: CTVolume) -> bool:
    """Whether this is a part from the midst of the lungs: cut at both ends, and not high."""
    return _height_mm(volume) < WHOLE_CHEST_MM and len(_cut_ends(lungs, volume)) == 2


def _height_mm(volume: CTVolume) -> float:
    return volume.slice_count * volume.spacing_mm[2]


def _cut_ends(lungs: np.ndarray, volume: CTVolume) -> list[str]:
    area_mm2 = volume.spacing_mm[0] * volume.spacing_mm[1]
    ends = {"below": lungs[0], "above": lungs[-1]}
    return [name for name, end in ends.items() if np.count_nonzero(end) * area_mm2 > CUT_AREA_MM2]


def _cut_lungs(lungs: np.ndarray, volume: CTVolume) -> Warned:
    cut = _cut_ends(lungs, volume)
    if volume.slice_count == 1 or not cut:
        return ()
    return (
        (
            "lungs_not_whole",
            f"The lungs are cut off {' and '.join(cut)}: what lies outside was not screened, and "
            "volumes and zones are those of the part that was scanned.",
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


def _no_hu(reason: str) -> InputRefused:
    return InputRefused(
        "not_hu",
        f"This is no CT in Hounsfield units: {reason}. Load the original CT series, not a "
        "picture or a processed copy of it.",
    )


def _share(array: np.ndarray, low: float, high: float) -> float:
    return float(np.count_nonzero((array >= low) & (array <= high)) / array.size)
