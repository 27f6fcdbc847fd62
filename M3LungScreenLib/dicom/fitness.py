"""Why a frame cannot be a slice of a chest CT: the first thing that its header says against it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from M3LungScreenLib.dicom.frames import Frame

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
# CT, enhanced CT, legacy converted enhanced CT.
CT_CLASSES = (CT_IMAGE, f"{CT_IMAGE}.1", f"{CT_IMAGE}.2")
# Secondary captures of one frame and of many: some programs save whole CT series so.
CAPTURE_CLASSES = ("1.2.840.10008.5.1.4.1.1.7", *(f"1.2.840.10008.5.1.4.1.1.7.{i}" for i in "1234"))
# UIDs below are DICOM's own; others were made by an anonymiser and say nothing.
DICOM_ROOT = "1.2.840.10008."
# A slice's normal within about 45 degrees of feet–head is axial.
AXIAL_COSINE = 0.7
# Directions are written with 4 to 6 digits; beyond this the axes are not at right angles.
LARGEST_COSINE_ERROR = 0.01
_PROJECTION = re.compile(
    r"(?<![A-Z])(MAX_?IP|MIN_?IP|MIPS?|MAXIMUM|MINIMUM|VRT|SSD|CPR|CURVED|PROJECTION|VOLUME_RENDER)(?![A-Z])"
)
# 'US' is DICOM's word for unspecified.
_HOUNSFIELD = ("HU", "HOUNSFIELD", "US", "UNSPECIFIED")
_MAP = re.compile(
    r"(?<![A-Z])(IODINE|VNC|VIRTUAL NON|CBF|CBV|PBV|MTT|TTP|PERFUSION|RHO|EFF_?Z|Z_?EFF)(?![A-Z])"
)
ORIGINAL = "Name the original axial chest CT."
EXPORT = "Export the original CT series again, with all its tags."


@dataclass(frozen=True)
class Flaw:
    """`what` continues a sentence that begins with the series or file; `remedy` is the next.

    Flaws of one kind are equal, whatever number or text is quoted in `what`.
    """

    kind: str
    what: str = field(compare=False)
    remedy: str = ORIGINAL


def flaw_of(frame: Frame) -> Flaw | None:
    """What keeps the frame from being a slice; None of a fit one."""
    return next(filter(None, (rule(frame) for rule in _RULES)), None)


def nearness(frame: Frame) -> int:
    """How many rules the frame keeps before the first that it breaks."""
    return next((i for i, rule in enumerate(_RULES) if rule(frame)), len(_RULES))


def is_ct(frame: Frame) -> bool:
    """By its modality; without one by its class or the unit of its values."""
    if frame.modality:
        return frame.modality == "CT"
    return frame.sop_class in CT_CLASSES or frame.rescale_type == "HU"


def _modality(frame: Frame) -> Flaw | None:
    if is_ct(frame):
        return None
    return Flaw("not_ct", f"is {frame.modality or 'of no modality'}, not CT", "Choose a chest CT.")


def _sop_class(frame: Frame) -> Flaw | None:
    known = frame.sop_class in (*CT_CLASSES, *CAPTURE_CLASSES)
    if known or not frame.sop_class.startswith(DICOM_ROOT):
        return None
    what = f"is stored as {frame.sop_class_name}, though its modality says CT"
    return Flaw("not_ct", what, "Export the CT again from where it came.")


def _picture(frame: Frame) -> Flaw | None:
    if not frame.is_grey:
        return Flaw("not_hu", "is a colour picture, not CT in Hounsfield units")
    if frame.bits == 8:
        return Flaw("not_hu", "has 8 bits a pixel, too few for Hounsfield units")
    return None


def _localizer(frame: Frame) -> Flaw | None:
    if not {"LOCALIZER", "SCOUT", "TOPOGRAM"} & set(frame.image_type):
        return None
    return Flaw("not_axial", "is a localizer (scout)")


def _derived(frame: Frame) -> Flaw | None:
    """Projections and renderings are told by the image type; derived images by a name, too."""
    words = " ".join((*frame.image_type[2:], frame.calculation))
    if frame.image_type[:1] == ("DERIVED",):
        words += " " + frame.names.upper()
    if _PROJECTION.search(words):
        return Flaw(
            "projection", "is a projection or rendering (such as a MIP), not a CT as scanned"
        )
    if frame.image_type[:1] == ("DERIVED",) and _MAP.search(words):
        return Flaw(
            "not_hu", "is a computed map (such as iodine or blood flow), not a CT as scanned"
        )
    return None


def _orientation(frame: Frame) -> Flaw | None:
    if frame.orientation is None:
        return _missing(frame, "ImageOrientationPatient", "orientation")
    axes = np.reshape(frame.orientation, (2, 3))
    if np.abs(axes @ axes.T - np.eye(2)).max() > LARGEST_COSINE_ERROR:
        what = "has an orientation whose axes are no unit vectors at right angles"
        return Flaw("no_geometry", f"{what} (Image Orientation Patient)", EXPORT)
    return None


def _position(frame: Frame) -> Flaw | None:
    if frame.position_mm is not None:
        return None
    if frame.object_uid and not frame.wrong:
        what = "holds many frames and does not say where each lies"
        return Flaw("no_geometry", what, "Export it as single slices or as enhanced CT.")
    return _missing(frame, "ImagePositionPatient", "position")


def _pixel_spacing(frame: Frame) -> Flaw | None:
    if frame.pixel_spacing_mm is None:
        return _missing(frame, "PixelSpacing", "pixel spacing")
    if min(frame.pixel_spacing_mm) <= 0:
        return Flaw("no_geometry", "has a pixel spacing that is not above 0", EXPORT)
    return None


def _missing(frame: Frame, keyword: str, name: str) -> Flaw:
    if frame.sop_class in CAPTURE_CLASSES:
        return Flaw("not_ct", f"is a secondary capture without {name}, such as a dose sheet")
    tag = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", keyword)
    said = dict(frame.wrong).get(keyword)
    if said is None:
        return Flaw("no_geometry", f"has no {name} ({tag}), and a slice needs one", EXPORT)
    hint = ": numbers need a decimal point, not a comma" if "," in said else ""
    what = f"has a {name} that is not a row of numbers, '{said[:40]}' ({tag}){hint}"
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
        what = f"has no rescale {name}, so that its values cannot be turned into Hounsfield units"
        return Flaw("not_hu", what, "Load the original CT series.")
    if frame.slope == 0:
        what = "has a rescale slope of 0, which makes all its values one"
        return Flaw("not_hu", what, "Load the original CT series.")
    if frame.rescale_type and not frame.rescale_type.startswith(_HOUNSFIELD):
        return Flaw("not_hu", f"has values in {frame.rescale_type}, not in Hounsfield units")
    return None


# In this order; the furthest is nearest to a slice.
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
