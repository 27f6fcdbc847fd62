"""NRRD files that give back exactly the geometry of the image written.

NRRD stores each axis as one vector, spacing times direction; a reader divides them
again (length, then times its reciprocal), and the rounding of both moves spacing or
direction by a last bit. So the vector is chosen for which the division comes out
right; where there is none, the nearest is off by some 1e-16.
"""

import os
from itertools import product
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from M3LungScreenLib.writing import refused, writer_errors

STEPS = (0, 1, -1, 2, -2, 3, -3)  # units in the last place that are tried


def write_nrrd(image: sitk.Image, path: Path) -> None:
    """Write a 3D image compressed; `path` ends in .nrrd. OSError where the disk refuses."""
    matrix = np.reshape(image.GetDirection(), (3, 3))
    vectors = [
        axis_vector(spacing, matrix[:, axis]) for axis, spacing in enumerate(image.GetSpacing())
    ]
    stored = sitk.Image(image)
    stored.SetSpacing((1.0, 1.0, 1.0))  # so that the writer multiplies nothing
    stored.SetDirection(np.column_stack(vectors).ravel().tolist())
    with writer_errors(path):
        sitk.WriteImage(stored, str(path), useCompression=True)
    _check_end(path, sitk.GetArrayViewFromImage(image).nbytes)


def _check_end(path: Path, size: int) -> None:
    """OSError where the end is missing: ITK does not ask whether its last bytes were written."""
    with path.open("rb") as file:
        file.seek(-4, os.SEEK_END)
        # A gzip stream ends in the size of what it holds (RFC 1952).
        if int.from_bytes(file.read(), "little") != size % 2**32:
            raise refused(path)


def axis_vector(spacing_mm: float, direction: np.ndarray) -> np.ndarray:
    """The vector `[3]` that a reader divides into `spacing_mm` and unit `direction` `[3]`."""
    vector = spacing_mm * direction
    candidates = _neighbours(vector)
    length = np.sqrt(candidates[:, 0] ** 2 + candidates[:, 1] ** 2 + candidates[:, 2] ** 2)
    divided = candidates * (1.0 / length)[:, None]
    wrong = (divided != direction).sum(axis=1) + 3 * (length != spacing_mm)
    return np.asarray(candidates[wrong.argmin()])


def _neighbours(vector: np.ndarray) -> np.ndarray:
    """`vector` itself first, then all within some last places of it; zeros stay zero."""
    steps = sorted(product(STEPS, repeat=3), key=lambda each: sum(map(abs, each)))
    kept = [each for each in steps if not any(np.array(each)[vector == 0])]
    return np.asarray(vector + np.array(kept) * np.spacing(np.abs(vector)))
