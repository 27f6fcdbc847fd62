"""Chooses the scan to screen, and says why the others were left out."""

import re
from itertools import groupby

from M3LungScreenLib.dicom.fitness import CAPTURE_CLASSES
from M3LungScreenLib.dicom.found import Found, in_a_row
from M3LungScreenLib.dicom.no_scan import no_image, not_fit
from M3LungScreenLib.dicom.preference import can_be_screened, tallest_of_mm, why_not
from M3LungScreenLib.dicom.scan import Scan
from M3LungScreenLib.errors import InputRefused, UsageError
from M3LungScreenLib.suitability import Warned


def choose(found: Found, wanted: str | None) -> tuple[Scan, Warned]:
    """The scan `wanted` by UID, number or index, or else the best one; and the warnings.

    Raises InputRefused if no scan can be screened, UsageError for an unknown series.
    """
    if not found.scans:
        raise no_image(found)
    named = found.scans if wanted is None else _named(found, wanted)
    chosen = named[0]
    if chosen.flaw is not None:
        raise not_fit(found, chosen, named)
    fit = [each for each in named[1:] if each.flaw is None]
    _check_that_one_is_meant(found, chosen, fit)
    left = [each for each in named if each is not chosen]
    return chosen, (
        *_left_out(found, chosen, left),
        *_damaged(found),
        *_saved_oddly(chosen),
        *_copied(chosen),
        *_derived(chosen),
        *_slabs(chosen),
    )


def _named(found: Found, wanted: str) -> tuple[Scan, ...]:
    wanted = wanted.strip()
    by_name = tuple(each for each in found.scans if each.is_called(wanted))
    index = re.fullmatch(r"\[?(\d+)\]?", wanted)
    if index and (not by_name or wanted.startswith("[")):
        by_name = found.scans[int(index[1]) - 1 : int(index[1])] if int(index[1]) else ()
    if not by_name:
        raise UsageError(
            "series",
            f"There is no series {wanted} in {found.place}. Available: "
            f"{in_a_row(map(found.listed, found.scans))}.",
        )
    return by_name


def _check_that_one_is_meant(found: Found, chosen: Scan, fit: list[Scan]) -> None:
    """Refuse to choose between patients, and one of many single slices."""
    patients = {each.first.patient_id for each in (chosen, *fit)} - {""}
    if len(patients) > 1:
        other = next(filter(can_be_screened, fit), chosen)
        raise InputRefused(
            "several_patients",
            f"{found.place.name} contains CT of {len(patients)} patients: "
            f"{in_a_row(map(found.listed, (chosen, *fit)))}. {_advice(found, other)}",
        )
    if fit and len(chosen.frames) == 1:
        raise InputRefused(
            "single_slices",
            f"{found.place.name} contains {len(fit) + 1} single CT slices that do not belong to "
            "one scan. Export the whole series again, or screen one slice alone.",
        )


def _left_out(found: Found, chosen: Scan, left: list[Scan]) -> Warned:
    if not left:
        return ()
    other = next(filter(can_be_screened, left), None)
    advice = f" {_advice(found, other)}" if other else ""
    reasons = in_a_row(_reasons(found, chosen, left), "; ")
    text = f"{found.listed(chosen)} was screened. Left out: {reasons}.{advice}"
    return (("several_series", text),)


def _reasons(found: Found, chosen: Scan, left: list[Scan]) -> list[str]:
    """Each scan with why it was left out; neighbors of which the same is said, together."""
    tallest = tallest_of_mm(found.scans)
    indices = [found.scans.index(each) + 1 for each in left]
    said = [(str(each), why_not(each, chosen, tallest)) for each in left]
    reasons = []
    for _, group in groupby(range(len(left)), key=lambda i: (said[i], indices[i] - i)):
        first, *more = group
        span = f"[{indices[first]}] to [{indices[more[-1]]}]" if more else f"[{indices[first]}]"
        scan, why = said[first]
        reasons.append(f"{span} {scan} {'each ' if more else ''}{why}")
    return reasons


def _advice(found: Found, other: Scan) -> str:
    index = found.scans.index(other) + 1
    return f'Choose one by index, number or UID, for example --series "[{index}]".'


def _damaged(found: Found) -> Warned:
    if not found.damaged:
        return ()
    names = in_a_row(each.path.name for each in found.damaged)
    what = (
        "could not be opened (no permission)"
        if all(each.is_locked for each in found.damaged)
        else "are damaged"
    )
    text = f"These files {what} and were left out: {names}. If they are slices, copy them again."
    return (("damaged_files", text),)


def _saved_oddly(chosen: Scan) -> Warned:
    if chosen.first.sop_class not in CAPTURE_CLASSES:
        return ()
    text = (
        f"{chosen} is stored as secondary capture, but was read as CT because it has everything a "
        "CT image needs. Check that it is the original CT."
    )
    return (("secondary_capture", text),)


def _copied(chosen: Scan) -> Warned:
    if not chosen.copies:
        return ()
    images = "image was" if chosen.copies == 1 else "images were"
    text = (
        f"{chosen.copies} {images} stored twice: the same position and pixels under another "
        "UID. Each was used once."
    )
    return (("copies", text),)


def _derived(chosen: Scan) -> Warned:
    image_type = chosen.first.image_type
    if image_type[:1] != ("DERIVED",):
        return ()
    text = (
        f"{chosen} was computed from other images (Image Type {' '.join(image_type)}), such as by "
        "reformatting or projection, which can hide or imitate lesions. Screen the original series."
    )
    return (("derived_series", text),)


def _slabs(chosen: Scan) -> Warned:
    if not chosen.is_slabs:
        return ()
    text = (
        f"{chosen} has slices of {chosen.first.thickness_mm:.0f} mm every "
        f"{chosen.spacing_mm:.1f} mm: each shows what its neighbors show, too, as in averaged or "
        "projected slabs. Screen the original thin slices."
    )
    return (("overlapping_slabs", text),)
