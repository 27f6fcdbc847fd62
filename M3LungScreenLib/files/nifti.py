"""Reads NIfTI and Analyze files, and checks their headers for contradictions.

ITK is not used here: it cannot read NIfTI-2, silently ignores one of the header's two
affines, and turns NaN into 0 HU. Field offsets are those of nifti1.h and nifti2.h;
affines are in RAS mm.
"""

from __future__ import annotations

import gzip
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from M3LungScreenLib.completeness import compare_bytes
from M3LungScreenLib.ct import LARGEST_COSINE_BETWEEN_AXES, Geometry
from M3LungScreenLib.errors import InputRefused

Warned = tuple[tuple[str, str], ...]

# xyzt_units: meter, millimetre, micrometre; 0 is unknown and nearly always mm.
_UNIT_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
# Data types by their codes; others are colors, complex or of 128 bits.
_TYPES = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
_LONGEST_HEADER = 540
_GZIP = b"\x1f\x8b"
# Field: offset and format in NIfTI-1, offset and format in NIfTI-2.
_FIELDS: dict[str, tuple[int, str, int, str]] = {
    "dim": (40, "8h", 16, "8q"),
    "datatype": (70, "h", 12, "h"),
    "bitpix": (72, "h", 14, "h"),
    "pixdim": (76, "8f", 104, "8d"),
    "vox_offset": (108, "f", 168, "q"),
    "scale": (112, "2f", 176, "2d"),
    "units": (123, "B", 500, "i"),
    "codes": (252, "2h", 344, "2i"),
    "quaternion": (256, "3f", 352, "3d"),
    "offset": (268, "3f", 376, "3d"),
    "srow": (280, "12f", 400, "12d"),
}
# Two claims of one spacing differ by less than this where they were only rounded.
LARGEST_DIFFERENCE = 0.02


@dataclass(frozen=True)
class NiftiHeader:
    """The header fields for type and geometry; lengths in mm."""

    size: tuple[int, ...]
    datatype: int
    byte_order: str
    bytes_of_pixels: int
    vox_offset: int
    scale: tuple[float, float]  # slope, intercept
    pixdim_mm: np.ndarray  # [3], as written, sign included
    qform: np.ndarray | None  # [4, 4], None where the code is 0
    sform: np.ndarray | None

    @classmethod
    def read(cls, path: Path) -> NiftiHeader:
        """Raises ValueError or struct.error if `path` has no NIfTI or Analyze header."""
        with opened(path) as file:
            head = file.read(_LONGEST_HEADER)
        order = "<" if head[:4] in (b"\x5c\x01\0\0", b"\x1c\x02\0\0") else ">"
        length = struct.unpack(order + "i", head[:4])[0]
        if length not in (348, 540):
            raise ValueError(path.name)
        field = {
            name: struct.unpack_from(order + two, head, at_two)
            if length == 540
            else struct.unpack_from(order + one, head, at_one)
            for name, (at_one, one, at_two, two) in _FIELDS.items()
        }
        is_nifti = length == 540 or head[344:347] in (b"n+1", b"ni1")
        dim = field["dim"]
        size = tuple(int(each) for each in dim[1 : 1 + dim[0]])
        mm = _UNIT_MM.get(int(field["units"][0]) & 7, 1.0) if is_nifti else 1.0
        q_code, s_code = field["codes"] if is_nifti else (0, 0)
        return cls(
            size,
            field["datatype"][0],
            order,
            int(np.prod(size, dtype=object)) * field["bitpix"][0] // 8,
            int(field["vox_offset"][0]),
            (float(field["scale"][0]), float(field["scale"][1])) if is_nifti else (1.0, 0.0),
            np.array(field["pixdim"][1:4]) * mm,
            _scaled(_qform(field), mm) if q_code > 0 else None,
            _scaled(_sform(field), mm) if s_code > 0 else None,
        )

    def values(self, header: Path, data: Path) -> np.ndarray:
        """The rescaled values in `data`, `[…, z, y, x]`. Raises InputRefused if truncated."""
        if self.datatype not in _TYPES:
            raise InputRefused(
                "not_hu",
                f"{header.name} has color or complex values, not Hounsfield units. Load the "
                "original CT series.",
            )
        pixels = b""
        if data.is_file():
            with opened(data) as file:
                file.read(self.vox_offset)
                pixels = file.read(self.bytes_of_pixels)
                while file.read(1 << 22):  # a damaged end shows there
                    pass
        compare_bytes(header, data, self.bytes_of_pixels, len(pixels))
        kind = np.dtype(self.byte_order + _TYPES[self.datatype])
        stored = np.frombuffer(pixels, kind).reshape(self.size[::-1])
        return _rescaled(stored.astype(kind.newbyteorder("="), copy=False), *self.scale)

    def geometry(self, name: str) -> tuple[Geometry, Warned]:
        """The geometry, and warnings about contradictions in the header.

        Raises InputRefused if the affine is sheared or the spacing is missing.
        """
        known = np.isfinite(self.pixdim_mm) & (self.pixdim_mm != 0)
        if not all(known[i] for i, count in enumerate(self.size[:3]) if count > 1):
            raise no_spacing(name)
        sform, singular = self.sform, self.sform is not None and _is_singular(self.sform)
        qform = None if self.qform is None or _is_singular(self.qform) else self.qform
        warnings = _singular(name, qform is not None) if singular else ()
        chosen = qform if sform is None or singular else sform
        if chosen is None:
            return self._unplaced(), (*warnings, *orientation_unknown(name))
        _check_shear(chosen, name)
        claims = {"sform": None if singular else sform, "qform": qform}
        found = {key: _claim(each) for key, each in claims.items() if each is not None}
        if len(found) == 1:
            found["pixdim"] = (np.abs(self.pixdim_mm), next(iter(found.values()))[1])
        return self._placed(chosen), (*warnings, *_contradiction(name, found))

    def _unplaced(self) -> Geometry:
        spacing = [abs(each) or 1.0 for each in self.pixdim_mm.tolist()]
        return Geometry(tuple((*self.size, 1, 1)[:3]), tuple(spacing))  # type: ignore[arg-type]

    def _placed(self, affine: np.ndarray) -> Geometry:
        lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
        spacing = np.linalg.norm(lps[:3, :3], axis=0)
        axes = lps[:3, :3] / spacing
        return Geometry(
            tuple((*self.size, 1, 1)[:3]),  # type: ignore[arg-type]
            tuple(spacing.tolist()),
            tuple(lps[:3, 3].tolist()),
            tuple(axes.ravel().tolist()),
        )


def read_nifti(header_path: Path, data: Path) -> tuple[np.ndarray, Geometry, Warned]:
    """Values `[…, z, y, x]`, their geometry, and warnings about it.

    Raises InputRefused for a file that is truncated, sheared or without spacing.
    """
    header = NiftiHeader.read(header_path)
    values = header.values(header_path, data)
    return values, *header.geometry(header_path.name)


def _rescaled(values: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """A slope of 0 means none. Integers stay integers: floats need twice the memory."""
    if slope == 0 or not np.isfinite([slope, intercept]).all() or (slope, intercept) == (1, 0):
        return values
    if values.dtype.kind in "iu" and slope == 1 and intercept.is_integer():
        return values.astype(np.int32) + np.int32(intercept)
    return values.astype(np.float32) * np.float32(slope) + np.float32(intercept)


def opened(path: Path) -> BinaryIO:
    """`path` opened for reading, and unpacked if its content is gzip."""
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
    return gzip.open(path) if packed else path.open("rb")  # type: ignore[return-value]


def no_spacing(name: str) -> InputRefused:
    return InputRefused(
        "no_spacing",
        f"{name} does not give its voxel spacing, without which nothing can be measured. Save the "
        "CT with its spacing, or convert it from DICOM again.",
    )


def orientation_unknown(name: str) -> Warned:
    return (
        (
            "orientation_unknown",
            f"{name} does not give the patient's orientation. Rows were assumed to run from front "
            "to back, columns from right to left and slices from feet to head. A file converted "
            "from DICOM has the orientation.",
        ),
    )


def _qform(field: dict[str, tuple[float, ...]]) -> np.ndarray:
    b, c, d = field["quaternion"]
    a = np.sqrt(max(0.0, 1 - b * b - c * c - d * d))
    affine = np.eye(4)
    affine[:3, :3] = (
        (a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)),
        (2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)),
        (2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c),
    )
    flip = -1.0 if field["pixdim"][0] < 0 else 1.0
    affine[:3, :3] *= np.abs(field["pixdim"][1:4]) * (1.0, 1.0, flip)
    affine[:3, 3] = field["offset"]
    return affine


def _sform(field: dict[str, tuple[float, ...]]) -> np.ndarray:
    return np.vstack([np.reshape(field["srow"], (3, 4)), (0, 0, 0, 1)])


def _scaled(affine: np.ndarray, mm: float) -> np.ndarray:
    return np.asarray(np.diag([mm, mm, mm, 1.0]) @ affine)


def _is_singular(affine: np.ndarray) -> bool:
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not (np.isfinite(affine).all() and lengths.all()):
        return True
    return bool(abs(np.linalg.det(affine[:3, :3] / lengths)) < 0.1)


def _singular(name: str, has_qform: bool) -> Warned:
    instead = "its qform" if has_qform else "only its spacing"
    return (
        (
            "singular_affine",
            f"The sform of {name} puts all voxels in one plane, so {instead} was used instead. "
            "If the orientation is wrong, convert the CT from DICOM again.",
        ),
    )


def _check_shear(affine: np.ndarray, name: str) -> None:
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    cosine = np.abs(axes.T @ axes - np.eye(3)).max()
    if not cosine <= LARGEST_COSINE_BETWEEN_AXES:
        raise sheared(name, float(np.rad2deg(np.arcsin(min(1.0, cosine)))))


def sheared(name: str, degrees: float | None = None) -> InputRefused:
    by = f" by {degrees:.0f}°" if degrees else ""
    return InputRefused(
        "sheared",
        f"{name} is sheared{by}: its axes are not at right angles, as after a scan with a tilted "
        "gantry. Load the DICOM series in Slicer, which corrects this, and save it as .nrrd; or "
        "use the file ending in _Tilt that dcm2niix writes next to this one.",
    )


def _claim(affine: np.ndarray) -> tuple[np.ndarray, str]:
    """Spacing in mm and the anatomical directions nearest to the axes, such as 'LPS'."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    rows = np.abs(affine[:3, :3] / spacing).argmax(axis=0)
    letters = [("LR", "PA", "IS")[row][int(affine[row, i] > 0)] for i, row in enumerate(rows)]
    return spacing, "".join(letters)


def _contradiction(name: str, claims: dict[str, tuple[np.ndarray, str]]) -> Warned:
    (one, (spacing, letters)), (other, (spacing_2, letters_2)) = claims.items()
    apart = np.abs(spacing - spacing_2).max() > LARGEST_DIFFERENCE * spacing.min()
    if not apart and letters == letters_2:
        return ()
    sizes = [" × ".join(f"{each:.3g}" for each in mm) for mm in (spacing, spacing_2)]
    what = (
        f"voxels measure {sizes[0]} mm by its {one}, {sizes[1]} mm by its {other}"
        if apart
        else f"axes point to {letters} by its {one}, to {letters_2} by its {other}"
    )
    return (
        (
            "geometry_contradicts",
            f"{name} contradicts itself: {what}. Convert the CT from DICOM again.",
        ),
    )
