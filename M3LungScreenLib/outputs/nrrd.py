"""Writes NRRD files that give back exactly the geometry of the image.

NRRD stores each axis as one vector, spacing times direction. A reader separates them again, and
rounding changes the last bit of spacing or direction. The vector is therefore chosen so that the
reader's result is exact or, if there is no such vector, off by about 1e-16.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import BinaryIO

import numpy as np
import SimpleITK as sitk

from M3LungScreenLib.ct import Geometry

# Maps and masks are mostly zeros: more effort saves little.
LEVEL = 1
# NRRD's names of what numpy calls otherwise.
TYPES = {"float32": "float", "float64": "double"}
GZIP = 31  # zlib's word for a gzip stream with its size and checksum
STEPS = (0, 1, -1, 2, -2, 3, -3)  # units in the last place that are tried


@dataclass(frozen=True)
class Slices:
    """Arrays `[y, x]` of one type by z, each computed when it is needed, with their geometry."""

    arrays: Iterable[np.ndarray]
    geometry: Geometry


def write_nrrd(image: sitk.Image | Slices, path: Path) -> None:
    """Write a compressed volume; `path` ends in .nrrd. Raises OSError if writing fails."""
    if not isinstance(image, Slices):
        image = Slices(sitk.GetArrayViewFromImage(image), Geometry.of(image))
    try:
        with path.open("wb") as file:
            _write(image, file)
    except OSError as wrong:
        raise OSError(wrong.errno, wrong.strerror, str(path)) from wrong


def _write(image: Slices, file: BinaryIO) -> None:
    packer = zlib.compressobj(LEVEL, wbits=GZIP)
    for number, each in enumerate(image.arrays):
        if number == 0:
            file.write(_header(image.geometry, each.dtype).encode("ascii"))
        little = np.ascontiguousarray(each, each.dtype.newbyteorder("<"))
        file.write(packer.compress(little.data))
    file.write(packer.flush())


def _header(geometry: Geometry, kind: np.dtype) -> str:
    """As ITK writes it; ends in the empty line before the pixels."""
    matrix = np.reshape(geometry.direction, (3, 3))
    vectors = [
        axis_vector(spacing, matrix[:, axis]) for axis, spacing in enumerate(geometry.spacing_mm)
    ]
    lines = (
        "NRRD0004",
        f"type: {TYPES.get(kind.name, kind.name)}",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, geometry.size))}",
        f"space directions: {' '.join(map(_vector, vectors))}",
        "kinds: domain domain domain",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(geometry.origin_mm)}",
    )
    return "\n".join(lines) + "\n\n"


def _vector(numbers: Iterable[float]) -> str:
    return f"({','.join(repr(float(each)) for each in numbers)})"


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
