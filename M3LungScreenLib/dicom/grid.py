"""The evenly spaced grid of a scan's slices; gaps are interpolated."""

from dataclasses import dataclass

import numpy as np

from M3LungScreenLib.ct import Geometry
from M3LungScreenLib.dicom.scan import SAME_PLACE_MM, Scan, axes_of
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.suitability import Warned

# A slice this close to its grid position (a share of the step) is used as it is.
NEAR_SHARE = 0.25
# The corners of straight slices are aligned; a tilted gantry shifts them.
LARGEST_SHIFT_MM = 5.0


@dataclass(frozen=True)
class Grid:
    """Which stored slices make up each slice of the volume.

    `mixed` is (lower, upper, share of the upper) for each; a slice used as it is has a
    share of 0.
    """

    geometry: Geometry
    mixed: tuple[tuple[int, int, float], ...]
    warnings: Warned = ()


def grid_of(scan: Scan) -> Grid:
    """The grid with the scan's usual spacing, from the positions of its slices.

    Missing slices are interpolated from their neighbors, so that all others keep their
    position and volumes are correct. Raises InputRefused for several slices at the same position.
    """
    _check_places(scan)
    places = scan.positions_mm[:, 2]
    count = len(places)
    if count == 1:
        return Grid(_geometry(scan, 1, 1.0), ((0, 0, 0.0),))
    usual = scan.spacing_mm
    if np.abs(scan.steps_mm - usual).max() <= NEAR_SHARE * usual:
        step = (places[-1] - places[0]) / (count - 1)
        taken = tuple((k, k, 0.0) for k in range(count))
        return Grid(_geometry(scan, count, step), taken, _tilted(scan))
    total = round((places[-1] - places[0]) / usual)
    step = (places[-1] - places[0]) / total
    mixed = tuple(_mixed(places, places[0] + k * step, step) for k in range(total + 1))
    warnings = (_uneven(scan, mixed), *_tilted(scan))
    return Grid(_geometry(scan, total + 1, step), mixed, warnings)


def _check_places(scan: Scan) -> None:
    if not scan.has_shared_places:
        return
    if np.ptp(scan.positions_mm[:, 2]) < SAME_PLACE_MM:
        what = (
            f"All {len(scan.frames)} slices of {scan} have the same position (Image Position "
            "Patient)"
        )
        remedy = "Export the original CT series again"
    else:
        what = f"{scan} has several slices at the same position, and no tag tells the scans apart"
        remedy = "Export each scan as a separate series"
    raise InputRefused("duplicate_slices", f"{what}. {remedy}.")


def _mixed(places: np.ndarray, place: float, step: float) -> tuple[int, int, float]:
    nearest = int(np.argmin(np.abs(places - place)))
    if abs(places[nearest] - place) <= NEAR_SHARE * step:
        return nearest, nearest, 0.0
    upper = int(np.clip(np.searchsorted(places, place), 1, len(places) - 1))
    low, high = places[upper - 1], places[upper]
    return upper - 1, upper, float((place - low) / (high - low))


def _geometry(scan: Scan, count: int, step_mm: float) -> Geometry:
    first = scan.first
    assert first.pixel_spacing_mm is not None
    assert first.position_mm is not None
    rows, columns = first.matrix
    between_rows, between_columns = first.pixel_spacing_mm
    direction = tuple(float(each) for each in axes_of(first).T.ravel())
    spacing = (between_columns, between_rows, float(step_mm))
    x, y, z = first.position_mm
    return Geometry((columns, rows, count), spacing, (x, y, z), direction)


def _uneven(scan: Scan, mixed: tuple[tuple[int, int, float], ...]) -> tuple[str, str]:
    bridged = sum(share > 0 for _, _, share in mixed)
    low, high = scan.steps_mm.min(), scan.steps_mm.max()
    return (
        "uneven_spacing",
        f"Slices are {low:.1f} to {high:.1f} mm apart: some are missing or thicker than others. "
        f"{bridged} of {len(mixed)} slices were interpolated from their neighbors.",
    )


def _tilted(scan: Scan) -> Warned:
    shift = float(np.ptp(scan.positions_mm[:, :2], axis=0).max())
    if shift <= LARGEST_SHIFT_MM:
        return ()
    return (
        (
            "tilted_gantry",
            f"Slices are shifted by up to {shift:.0f} mm, as with a tilted gantry. Positions are "
            "computed as if the slices were stacked straight.",
        ),
    )
