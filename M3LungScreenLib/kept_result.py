"""Reads a result that a Slicer scene kept, on the DICOM files of its CT."""

import itertools
import json
from pathlib import Path

import numpy as np

from M3LungScreenLib.ct import CTVolume, Geometry, to_axial
from M3LungScreenLib.errors import UsageError
from M3LungScreenLib.result import Arrays, Result

# Programs read the same files with spacings that differ in the last digits.
LARGEST_SHIFT_VOXELS = 0.25


def read_kept_result(folder: Path, geometry: Geometry, volume: CTVolume) -> Result:
    """result.json of `folder` with its lesions and location map, on the voxels of `volume`.

    lesions.raw (uint8) and lesion_location_map.raw (float32) are `[z, y, x]` in `geometry`. The
    lungs are not kept. Raises UsageError if the result is of another version, or if `volume` is
    not the CT that was screened.
    """
    plain = json.loads((folder / "result.json").read_text("utf-8"))
    lesions = _axial(folder / "lesions.raw", np.uint8, geometry, volume)
    location = _axial(folder / "lesion_location_map.raw", np.float32, geometry, volume)
    lungs = np.zeros((0, 0, 0), np.uint8)
    try:
        result = Result.from_dict(plain, volume, Arrays(location, lesions, lungs))
    except (ValueError, KeyError, TypeError) as wrong:
        raise UsageError(
            "other_version",
            "This result was made by another version of M3LungScreen. Screen the CT again.",
        ) from wrong
    if result.input.hu_range != (int(volume.hu.min()), int(volume.hu.max())):
        raise _another_ct("other values")
    return result


def _axial(path: Path, kind: type, geometry: Geometry, volume: CTVolume) -> np.ndarray:
    values = np.fromfile(path, kind).reshape(geometry.size[::-1])
    array, place = to_axial(values, geometry)
    if not _is_same(place, volume.geometry):
        raise _another_ct("another position or size")
    return np.ascontiguousarray(array)


def _is_same(one: Geometry, other: Geometry) -> bool:
    """Whether all corners lie at the same place."""
    if one.size != other.size:
        return False
    axes = np.reshape(other.direction, (3, 3))
    for corner in itertools.product(*((0, size - 1) for size in one.size)):
        apart = np.subtract(one.position_mm(corner), other.position_mm(corner)) @ axes
        if np.abs(apart / other.spacing_mm).max() > LARGEST_SHIFT_VOXELS:
            return False
    return True


def _another_ct(what: str) -> UsageError:
    return UsageError(
        "another_ct",
        f"The CT in the scene has {what} than in the DICOM files: it was cropped, resampled, moved "
        "or edited. Load it again from the DICOM database and screen it.",
    )
