"""Why a frame cannot be a slice of a chest CT, according to its header."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from M3LungScreenLib.dicom.frames import Frame

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
# CT, enhanced CT, legacy converted enhanced CT.
CT_CLASSES = (CT_IMAGE, f"{CT_IMAGE}.1", f"{CT_IMAGE}.2")
# Single- and multi-frame secondary capture: some programs save whole CT series this way.
CAPTURE_CLASSES = ("1.2.840.10008.5.1.4.1.1.7", *(f"1.2.840.10008.5.1.4.1.1.7.{i}" for i in "1234"))
# UIDs of DICOM itself; others come from an anonymizer and mean nothing.
DICOM_ROOT = "1.2.840.10008."
# Axial: the normal is within about 45 degrees of feet–head.
AXIAL_COSINE = 0.7
# Directions are written with 4 to 6 digits; beyond this the axes are not at right angles.
LARGEST_COSINE_ERROR = 0.01
_PROJECTION = re.compile(
    r"(?<![A-Z])(MAX_?IP|MIN_?IP|MIPS?|MAXIMUM|MINIMUM|VRT|SSD|CPR|CURVED|PROJECTION|VOLUME_RENDER)(?![A-Z])"
)
# 'US' is DICOM's code for unspecified.
_HOUNSFIELD = ("HU", "HOUNSFIELD", "US", "UNSPECIFIED")
_MAP = re.compile(
    r"(?<![A-Z])(IODINE|VNC|VIRTUAL NON|CBF|CBV|PBV|MTT|TTP|PERFUSION|RHO|EFF_?Z|Z_?EFF)(?![A-Z])"
)
ORIGINAL = "Choose the original axial chest CT."
EXPORT = "Export the original CT series again, with all tags."


@dataclass(frozen=True)
class Flaw:
    """`what` continues a sentence that starts with the series or file; `remedy` follows it.

    Flaws of the same kind are equal, whatever `what` quotes.
    """

    kind: str
    what: str = field(compare=False)
    remedy: str = ORIGINAL


def flaw_of(frame: Frame) -> Flaw | None:
    """The first reason why the frame cannot be a slice, or None."""
    return next(filter(None, (rule(frame) for rule in _RULES)), None)


def nearness(frame: Frame) -> int:
    """How many rules the frame passes before the first one it fails."""
    return next((i for i, rule in enumerate(_RULES) if rule(frame)), len(_RULES))


def is_ct(frame: Frame) -> bool:
    """By modality or, without one, by SOP class or rescale type."""
    if frame.modality:
        return frame.modality == "CT"
    return frame.sop_class in CT_CLASSES or frame.rescale_type == "HU"


def _modality(frame: Frame) -> Flaw | None:
    if is_ct(frame):
        return None
    what = (
        f"is {frame.modality}, not CT"
        if frame.modality
        else "has no modality and is not known to be CT"
    )
    return Flaw("not_ct", what, "Choose a chest CT.")


def _sop_class(frame: Frame) -> Flaw | None:
    known = frame.sop_class in (*CT_CLASSES, *CAPTURE_CLASSES)
    if known or not frame.sop_class.startswith(DICOM_ROOT):
        return None
    what = f"is stored as {frame.sop_class_name}, although its modality is CT"
    return Flaw("not_ct", what, "Export the CT again from the source.")


def _picture(frame: Frame) -> Flaw | None:
    if not frame.is_grey:
        return Flaw("not_hu", "is a color picture, not CT in Hounsfield units")
    if frame.bits == 8:
        return Flaw("not_hu", "has only 8 bits per pixel, too few for Hounsfield units")
    return None


def _localizer(frame: Frame) -> Flaw | None:
    if not {"LOCALIZER", "SCOUT", "TOPOGRAM"} & set(frame.image_type):
        return None
    return Flaw("not_axial", "is a localizer (scout)")


def _derived(frame: Frame) -> Flaw | None:
    """Projections and renderings by image type; derived images also by description."""
    words = " ".join((*frame.image_type[2:], frame.calculation))
    if frame.image_type[:1] == ("DERIVED",):
        words += " " + frame.names.upper()
    if _PROJECTION.search(words):
        return Flaw(
            "projection", "is a projection or rendering (such as a MIP), not an original CT"
        )
    if frame.image_type[:1] == ("DERIVED",) and _MAP.search(words):
        return Flaw(
            "not_hu", "is a computed map (such as iodine or blood flow), not an original CT"
        )
    return None


def _orientation(frame: Frame) -> Flaw | None:
    if frame.orientation is None:
        return _missing(frame, "ImageOrientationPatient", "orientation")
    axes = np.reshape(frame.orientation, (2, 3))
    if np.abs(axes @ axes.T - np.eye(2)).max() > LARGEST_COSINE_ERROR:
        what = "has an orientation whose axes are not unit vectors at right angles"
        return Flaw("no_geometry", f"{what} (Image Orientation Patient)", EXPORT)
    return None


def _position(frame: Frame) -> Flaw | None:
    if frame.position_mm is not None:
        return None
    if frame.object_uid and not frame.wrong:
        what = "has many frames but does not give the position of each"
        return Flaw("no_geometry", what, "Export it as single slices or as enhanced CT.")
    return _missing(frame, "ImagePositionPatient", "position")


def _pixel_spacing(frame: Frame) -> Flaw | None:
    if frame.pixel_spacing_mm is None:
        return _missing(frame, "PixelSpacing", "pixel spacing")
    if min(frame.pixel_spacing_mm) <= 0:
        return Flaw("no_geometry", "has a pixel spacing of 0 or less", EXPORT)
    return None


def _missing(frame: Frame, keyword: str, name: str) -> Flaw:
    if frame.sop_class in CAPTURE_CLASSES:
        return Flaw("not_ct", f"is a secondary capture without {name}, such as a dose report")
    tag = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", keyword)
    said = dict(frame.wrong).get(keyword)
    if said is None:
        return Flaw("no_geometry", f"has no {name} ({tag}), which every slice needs", EXPORT)
    hint = ": numbers need a decimal point, not a comma" if "," in said else ""
    what = f"has an invalid {name}, '{said[:40]}' ({tag}){hint}"
    return Flaw("no_geometry", what, EXPORT)


def _plane(frame: Frame) -> Flaw | None:
    assert frame.orientation is not None
    normal = np.cross(frame.orientation[:3], frame.orientation[3:])
    if abs(float(normal[2])) > AXIAL_COSINE:
        return None
    plane = "sagittal" if abs(normal[0]) > abs(normal[1]) else "coronal"
    return Flaw("not_axial", f"is {plane}, not axial")


def _rescale(frame: Frame) -> Flaw | None:
    if frame.intercept is None or frame.slope is None:
        name = "intercept" if frame.intercept is None else "slope"
        what = f"has no rescale {name}, so its values cannot be converted to Hounsfield units"
        return Flaw("not_hu", what, "Load the original CT series.")
    if frame.slope == 0:
        what = "has a rescale slope of 0, which makes all values the same"
        return Flaw("not_hu", what, "Load the original CT series.")
    if frame.rescale_type and not frame.rescale_type.startswith(_HOUNSFIELD):
        return Flaw("not_hu", f"has values in {frame.rescale_type}, not in Hounsfield units")
    return None


# In this order: a frame that passes more rules is closer to a slice.
_RULES: tuple[Callable[[Frame], Flaw | None], ...] = (
    _modality,
    _sop_class,
    _picture,
    _localizer,
    _derived,
    _orientation,
    _plane,
    _position,
    _pixel_spacing,
    _rescale,
)
