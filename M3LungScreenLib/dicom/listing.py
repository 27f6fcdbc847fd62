"""What a DICOM folder contains, which scan would be screened, and why not the others."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from M3LungScreenLib.dicom.choice import choose
from M3LungScreenLib.dicom.found import Found
from M3LungScreenLib.dicom.grid import grid_of
from M3LungScreenLib.dicom.preference import tallest_of_mm, why_not
from M3LungScreenLib.dicom.scan import Scan
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.suitability import check_geometry

PLANES = ("sagittal", "coronal", "axial")


@dataclass(frozen=True)
class ListedSeries:
    """One scan; a series with several kernels or phases has several.

    `index` selects it (`--series "[1]"`). `spacing_mm` is the distance between slices, None for
    images that are no slices; `pixel_spacing_mm` is rows, then columns. `reason` says why it
    would not be screened; '' for the one that would, and for those that could be.
    """

    index: int
    series_uid: str
    study_uid: str
    number: str
    modality: str
    description: str
    kernel: str
    images: int
    spacing_mm: float | None
    pixel_spacing_mm: tuple[float, ...] | None
    matrix: tuple[int, int]
    plane: str
    screened: bool
    reason: str


@dataclass(frozen=True)
class Listing:
    """All series, the best first; files that are no image; and the refusal of `screen`, or ''."""

    series: tuple[ListedSeries, ...]
    no_images: tuple[tuple[str, str], ...]  # (path in the folder, what it is)
    damaged: tuple[str, ...]
    refusal: str


def listing_of(found: Found) -> Listing:
    """What `screen` would do with `found`, according to the headers: no pixels are read."""
    chosen, refusal = None, ""
    try:
        best, _ = choose(found, None)
        _check(best)
        chosen = best
    except InputRefused as refused:
        refusal = refused.message
    tallest = tallest_of_mm(found.scans)
    series = tuple(
        _listed(
            index,
            scan,
            scan is chosen,
            why_not(scan, chosen, tallest) if chosen and scan is not chosen else _problem(scan),
        )
        for index, scan in enumerate(found.scans, 1)
    )
    return Listing(
        series,
        tuple((_inside(found, each.path), str(each)) for each in found.no_images),
        tuple(_inside(found, each.path) for each in found.damaged),
        refusal,
    )


def _check(scan: Scan) -> None:
    """Raise InputRefused if the scan cannot be screened by its geometry."""
    check_geometry(grid_of(scan).geometry)


def _problem(scan: Scan) -> str:
    """Why the scan cannot be screened, even alone; '' if it can."""
    if scan.flaw is not None:
        return scan.flaw.what
    try:
        _check(scan)
    except InputRefused as refused:
        return refused.message
    return ""


def _listed(index: int, scan: Scan, screened: bool, reason: str) -> ListedSeries:
    first = scan.first
    return ListedSeries(
        index=index,
        series_uid=scan.uid,
        study_uid=first.study_uid,
        number=first.series_number,
        modality=first.modality,
        description=first.description,
        kernel=first.kernel,
        images=len(scan.frames),
        spacing_mm=scan.spacing_mm if scan.flaw is None and len(scan.frames) > 1 else None,
        pixel_spacing_mm=first.pixel_spacing_mm,
        matrix=first.matrix,
        plane=_plane(first.orientation),
        screened=screened,
        reason=reason,
    )


def _plane(orientation: tuple[float, ...] | None) -> str:
    """The plane that the image is closest to; '' without an orientation."""
    if orientation is None:
        return ""
    normal = np.abs(np.cross(orientation[:3], orientation[3:]))
    return PLANES[int(normal.argmax())]


def _inside(found: Found, path: Path) -> str:
    return str(path.relative_to(found.place)) if found.is_folder else path.name
