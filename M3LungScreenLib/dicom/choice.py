"""Which of the scans is screened: the fit one; and how the others are named."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from M3LungScreenLib.dicom.files import files_below
from M3LungScreenLib.dicom.fitness import CAPTURE_CLASSES, nearness
from M3LungScreenLib.dicom.frames import Damaged, Frame, NoImage, look_at
from M3LungScreenLib.dicom.grouping import scans_of
from M3LungScreenLib.dicom.scan import Scan
from M3LungScreenLib.errors import InputRefused, UsageError
from M3LungScreenLib.suitability import (
    FIELD_OF_VIEW_MM,
    LARGEST_SPACING_MM,
    SMALLEST_VOLUME_SLICES,
    Warned,
)

# A scan that is higher than two lungs holds no more of them.
LUNGS_HEIGHT_MM = 300.0
# Scans that differ less in height hold the same.
ALIKE_SHARE = 0.9
_CHEST = re.compile(r"CHEST|THORA|LUNG|PULM|TORAX|BRUST|HRCT")
_OTHER_PART = re.compile(r"HEAD|BRAIN|SKULL|NECK|ABDOM|PELVI|LIVER|SPINE|KNEE|FOOT|HIP|SINUS")
# Kernels for lung and bone of Siemens (B60f, Br64), GE and others: sharper, noisier pictures.
_SHARP = re.compile(r"^[A-Z][a-z]?[5-9]\d|LUNG|BONE|EDGE|SHARP")
_MOST_LISTED = 12

Ranked = tuple[float, str]


@dataclass(frozen=True)
class Found:
    """What lies in a folder or file: `scans` by preference, so that the first is [1]."""

    place: Path
    scans: tuple[Scan, ...] = ()
    no_images: tuple[NoImage, ...] = ()
    damaged: tuple[Damaged, ...] = ()

    @property
    def is_folder(self) -> bool:
        return self.place.is_dir()

    def listed(self, scan: Scan) -> str:
        """The scan with the index by which it can be chosen."""
        return f"[{self.scans.index(scan) + 1}] {scan}"


def look_into(place: Path) -> Found:
    """All DICOM below a folder, or in one file."""
    files = files_below(place) if place.is_dir() else [place]
    frames: list[Frame] = []
    others: list[NoImage | Damaged] = []
    for path in files:
        seen = look_at(path)
        if isinstance(seen, list):
            frames += seen
        elif seen is not None:
            others.append(seen)
    return Found(
        place,
        tuple(by_preference(scans_of(frames))),
        tuple(each for each in others if isinstance(each, NoImage)),
        tuple(each for each in others if isinstance(each, Damaged)),
    )


def find_scans(folder: Path) -> tuple[Scan, ...]:
    """All scans below `folder`, the fittest first."""
    return look_into(folder).scans


def by_preference(scans: Iterable[Scan]) -> list[Scan]:
    """The fit ones first: as scanned, of the chest, complete, thin; then what is no CT scan."""
    scans = list(scans)
    tallest = _tallest(scans)

    def rank(scan: Scan) -> tuple[object, ...]:
        ranks = [value for value, _ in _ranks(scan, tallest)] if scan.flaw is None else []
        nearer = -nearness(scan.first)
        return (nearer, ranks, -len(scan.frames), *_natural(scan))

    return sorted(scans, key=rank)


def choose(found: Found, wanted: str | None) -> tuple[Scan, Warned]:
    """The scan `wanted` by UID, number or index, else the fittest; and what is to be said.

    Raises InputRefused where nothing is fit, UsageError for a series that is not there.
    """
    if not found.scans:
        raise _nothing(found)
    named = found.scans if wanted is None else _named(found, wanted)
    chosen = named[0]
    if chosen.flaw is not None:
        raise _unfit(found, chosen, named)
    fit = [each for each in named[1:] if each.flaw is None]
    _check_that_one_is_meant(found, chosen, fit)
    left = [each for each in named if each is not chosen]
    return chosen, (*_left_out(found, chosen, left), *_damaged(found), *_saved_oddly(chosen))


def _natural(scan: Scan) -> tuple[object, ...]:
    """What sorts scans that are equally fit: numbers as numbers."""
    texts = (scan.first.series_number, *scan.apart, scan.uid)
    return (*(re.sub(r"\d+", lambda found: found[0].zfill(12), each) for each in texts),)


def _tallest(scans: Sequence[Scan]) -> float:
    fit = [each for each in scans if each.flaw is None and len(each.frames) > 1]
    return max((min(each.height_mm, LUNGS_HEIGHT_MM) for each in fit), default=0.0)


def _ranks(scan: Scan, tallest_mm: float) -> list[Ranked]:
    """Marks of a fit scan, the lower the better, each with what is wrong if it is not the best.

    In the order of their weight: can it be screened, was it scanned so, is it of the
    chest, complete, thin.
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
        (count < SMALLEST_VOLUME_SLICES, "is no volume"),
        (scan.has_shared_places, "has several slices at one place"),
        (far, "has slices too far apart"),
        (not all(low <= side <= high for side in sides), "has another field of view"),
        (first.sop_class in CAPTURE_CLASSES, "is saved as secondary capture"),
        (first.image_type[:1] == ("DERIVED",), "is derived from another series"),
        (is_other, f"is of another part of the body ({first.body_part or 'by its name'})"),
        (round(shorter), f"is {scan.height_mm:.0f} mm high and holds less of the lungs"),
        (not is_chest, "does not say that it is of the chest"),
        (round(scan.spacing_mm, 1), "has slices farther apart"),
        (bool(_SHARP.search(first.kernel)), "has a sharper kernel"),
    ]


def _why_not(scan: Scan, chosen: Scan, tallest_mm: float) -> str:
    if scan.flaw is not None:
        return scan.flaw.what
    if scan.gap_mm and scan.uid == chosen.uid and scan.apart == chosen.apart:
        return f"lies beyond a gap of {scan.gap_mm:.0f} mm, in which slices are missing"
    pairs = zip(_ranks(scan, tallest_mm), _ranks(chosen, tallest_mm), strict=True)
    worse = (why for (mark, why), (best, _) in pairs if mark > best)
    return next(worse, "is another scan or reconstruction, as fit")


def _named(found: Found, wanted: str) -> tuple[Scan, ...]:
    wanted = wanted.strip()
    by_name = tuple(each for each in found.scans if each.is_called(wanted))
    index = re.fullmatch(r"\[?(\d+)\]?", wanted)
    if index and (not by_name or wanted.startswith("[")):
        by_name = found.scans[int(index[1]) - 1 : int(index[1])] if int(index[1]) else ()
    if not by_name:
        raise UsageError(
            "series",
            f"There is no series {wanted} in {found.place}; there is "
            f"{_list(map(found.listed, found.scans))}.",
        )
    return by_name


def _check_that_one_is_meant(found: Found, chosen: Scan, fit: list[Scan]) -> None:
    """Refuse to choose between patients, and one of many single slices."""
    patients = {each.first.patient_id for each in (chosen, *fit)} - {""}
    if len(patients) > 1:
        raise InputRefused(
            "several_patients",
            f"{found.place.name} holds CT of {len(patients)} patients: "
            f"{_list(map(found.listed, (chosen, *fit)))}. {_advice(found, fit[0])}",
        )
    if fit and len(chosen.frames) == 1:
        raise InputRefused(
            "single_slices",
            f"{found.place.name} holds {len(fit) + 1} single CT slices that are not of one scan. "
            "Export the whole series again, or give one slice alone.",
        )


def _left_out(found: Found, chosen: Scan, left: list[Scan]) -> Warned:
    if not left:
        return ()
    tallest = _tallest(found.scans)
    reasons = [f"{found.listed(each)} {_why_not(each, chosen, tallest)}" for each in left]
    fit = [each for each in left if each.flaw is None]
    advice = f" {_advice(found, fit[0])}" if fit else ""
    text = f"{found.listed(chosen)} was screened. Left out: {_list(reasons, '; ')}.{advice}"
    return (("several_series", text),)


def _advice(found: Found, other: Scan) -> str:
    index = found.scans.index(other) + 1
    return f'Choose by index, number or UID, such as --series "[{index}]".'


def _damaged(found: Found) -> Warned:
    if not found.damaged:
        return ()
    names = _list(each.path.name for each in found.damaged)
    what = "may not be opened" if all(each.is_locked for each in found.damaged) else "are damaged"
    text = f"These files {what} and were left out: {names}. Copy them again if they are slices."
    return (("damaged_files", text),)


def _saved_oddly(chosen: Scan) -> Warned:
    if chosen.first.sop_class not in CAPTURE_CLASSES:
        return ()
    text = (
        f"{chosen} is saved as secondary capture, though with all that a CT image has; it was "
        "read as CT. Check that it is the CT as it was scanned."
    )
    return (("secondary_capture", text),)


def _nothing(found: Found) -> InputRefused:
    """Of a file or folder without any image."""
    name = found.place.name
    if found.damaged:
        files = _list(each.path.name for each in found.damaged)
        locked = found.damaged[0].is_locked
        reason = "may not be opened" if locked else "cannot be read: damaged or cut short"
        remedy = "Ask for the right to read it" if locked else "Copy it again from where it came"
        return InputRefused("unreadable", f"{files} {reason}. {remedy}.")
    if found.no_images and not found.is_folder:
        return InputRefused(
            "not_ct", f"{name} is {found.no_images[0]}, no image. Choose the folder of a chest CT."
        )
    else_ = f", but {_kinds(found.no_images)}" if found.no_images else ""
    return InputRefused(
        "not_found",
        f"There is no DICOM image in {found.place}{else_}. Name the folder of a chest CT.",
    )


def _unfit(found: Found, chosen: Scan, named: Sequence[Scan]) -> InputRefused:
    """Of images that cannot be slices: what is wrong with the nearest, and what else lies there."""
    flaw = chosen.flaw
    assert flaw is not None
    name = str(chosen) if found.is_folder else found.place.name
    others = [f"{found.listed(each)} {each.flaw.what}" for each in named[1:] if each.flaw]
    others += [_kinds(found.no_images)] if found.no_images else []
    else_ = f" Beside it lie {_list(others, '; ')}." if others and found.is_folder else ""
    return InputRefused(flaw.kind, f"{name} {flaw.what}.{else_} {flaw.remedy}")


def _kinds(no_images: Iterable[NoImage]) -> str:
    return ", ".join(sorted({str(each) for each in no_images}))


def _list(texts: Iterable[str], separator: str = ", ") -> str:
    texts = list(texts)
    shown = separator.join(texts[:_MOST_LISTED])
    more = len(texts) - _MOST_LISTED
    return f"{shown}{separator}and {more} more" if more > 0 else shown
