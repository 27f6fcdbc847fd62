"""Which of several scans is best to screen, and what is wrong with the others."""

import re
from collections.abc import Iterable, Sequence

from M3LungScreenLib.dicom.fitness import CAPTURE_CLASSES, nearness
from M3LungScreenLib.dicom.scan import Scan
from M3LungScreenLib.suitability import (
    FIELD_OF_VIEW_MM,
    LARGEST_SPACING_MM,
    SMALLEST_VOLUME_SLICES,
)

# A scan taller than the lungs does not cover more of them.
LUNGS_HEIGHT_MM = 300.0
# Scans of nearly the same height cover the same.
ALIKE_SHARE = 0.9
_CHEST = re.compile(r"CHEST|THORA|LUNG|PULM|TORAX|BRUST|HRCT")
_OTHER_PART = re.compile(r"HEAD|BRAIN|SKULL|NECK|ABDOM|PELVI|LIVER|SPINE|KNEE|FOOT|HIP|SINUS")
# Lung and bone kernels of Siemens (B60f, Br64), GE and others: sharper, noisier images.
_SHARP = re.compile(r"^[A-Z][a-z]?[5-9]\d|LUNG|BONE|EDGE|SHARP")

Ranked = tuple[float, str]


def by_preference(scans: Iterable[Scan]) -> list[Scan]:
    """Suitable scans first: original, of the chest, complete, thin; then all others."""
    scans = list(scans)
    tallest = tallest_of_mm(scans)

    def rank(scan: Scan) -> tuple[object, ...]:
        ranks = [value for value, _ in _ranks(scan, tallest)] if scan.flaw is None else []
        nearer = -nearness(scan.first)
        return (nearer, ranks, -len(scan.frames), *_natural(scan))

    return sorted(scans, key=rank)


def _natural(scan: Scan) -> tuple[object, ...]:
    """Sorts equally suitable scans, with numbers in numeric order."""
    texts = (scan.first.series_number, *scan.apart, scan.uid)
    return (*(re.sub(r"\d+", lambda found: found[0].zfill(12), each) for each in texts),)


def tallest_of_mm(scans: Sequence[Scan]) -> float:
    """The height of the suitable scan that can cover most of the lungs."""
    fit = [each for each in scans if each.flaw is None and len(each.frames) > 1]
    return max((min(each.height_mm, LUNGS_HEIGHT_MM) for each in fit), default=0.0)


def _ranks(scan: Scan, tallest_mm: float) -> list[Ranked]:
    """Criteria for a suitable scan, lower is better, each with the reason if it loses.

    By importance: can it be screened, is it original, of the chest, complete, thin.
    """
    first, count = scan.first, len(scan.frames)
    sides = [a * b for a, b in zip(first.matrix, first.pixel_spacing_mm or (), strict=True)]
    low, high = FIELD_OF_VIEW_MM
    height = min(scan.height_mm, LUNGS_HEIGHT_MM)
    shorter = 0.0 if height >= ALIKE_SHARE * tallest_mm else tallest_mm - height
    names = first.names.upper()
    is_chest = bool(_CHEST.search(names))
    is_other = not is_chest and bool(_OTHER_PART.search(names))
    far = scan.spacing_mm > LARGEST_SPACING_MM
    return [
        (count < SMALLEST_VOLUME_SLICES, "has too few slices for a volume"),
        (scan.has_shared_places, "has several slices at the same position"),
        (far, "has slices too far apart"),
        (
            not all(low <= side <= high for side in sides),
            "has a field of view that does not fit a chest",
        ),
        (first.sop_class in CAPTURE_CLASSES, "is stored as secondary capture"),
        (first.image_type[:1] == ("DERIVED",), "is derived from another series"),
        (is_other, f"shows another part of the body ({first.body_part or 'by its name'})"),
        (round(shorter), f"covers less of the lungs ({scan.height_mm:.0f} mm)"),
        (not is_chest, "is not labeled as chest"),
        (scan.is_slabs, f"has thick, overlapping slices ({first.thickness_mm or 0:.0f} mm)"),
        (round(scan.spacing_mm, 1), "has a larger slice spacing"),
        (bool(_SHARP.search(first.kernel)), "has a sharper kernel"),
    ]


def can_be_screened(scan: Scan) -> bool:
    """Whether the scan could be screened, according to its header."""
    is_volume = len(scan.frames) >= SMALLEST_VOLUME_SLICES and not scan.has_shared_places
    near = scan.spacing_mm <= LARGEST_SPACING_MM
    return scan.flaw is None and near and (is_volume or len(scan.frames) == 1)


def why_not(scan: Scan, chosen: Scan, tallest_mm: float) -> str:
    """Why `scan` was left out, as the end of a sentence that starts with it."""
    if scan.flaw is not None:
        return scan.flaw.what
    if scan.gap_mm and scan.uid == chosen.uid and scan.apart == chosen.apart:
        return f"is beyond a gap of {scan.gap_mm:.0f} mm where slices are missing"
    place = scan.lies(chosen)
    if place and len(scan.frames) >= SMALLEST_VOLUME_SLICES:
        return f"lies {place} the screened one: each shows only a part of the body"
    pairs = zip(_ranks(scan, tallest_mm), _ranks(chosen, tallest_mm), strict=True)
    worse = (why for (mark, why), (best, _) in pairs if mark > best)
    return next(worse, "is another scan or reconstruction, equally suitable")
