"""A CT volume in HU with its geometry, converted to LPS axial and back.

Arrays are `[slice, row, column]`. In `CTVolume.hu`, slices run from feet to head,
rows from front to back, columns from the patient's right to left (LPS axial).
`stored` is the geometry of the input; all outputs are converted back to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from M3LungScreenLib.errors import UsageError
from M3LungScreenLib.fill import mark_outside
from M3LungScreenLib.hounsfield import check_numbers, rounded_hu

if TYPE_CHECKING:  # needed by images alone: a simulated volume does without
    import SimpleITK as sitk

AXIAL = "LPS"
# Passes directions rounded to two decimals, but not a gantry tilt of one degree.
LARGEST_COSINE_BETWEEN_AXES = 0.015


@dataclass(frozen=True)
class Geometry:
    """Size, spacing, origin and direction of a volume, as in SimpleITK.

    `size`, `spacing_mm`, `origin_mm` in x, y, z; `direction` is the 3×3 matrix row
    by row; positions are LPS mm.
    """

    size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
    origin_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = (1, 0, 0, 0, 1, 0, 0, 0, 1)

    @classmethod
    def of(cls, image: sitk.Image) -> Geometry:
        return cls(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())

    def with_array(self, array: np.ndarray) -> sitk.Image:
        """`array` `[slice, row, column]` as an image with this geometry.

        Raises ValueError if the array has another size.
        """
        if array.shape != self.size[::-1]:
            raise ValueError(f"the array has {array.shape[::-1]} voxels, the geometry {self.size}")
        import SimpleITK as sitk

        image = sitk.GetImageFromArray(array)
        image.SetSpacing(self.spacing_mm)
        image.SetOrigin(self.origin_mm)
        image.SetDirection(self.direction)
        return image

    def check(self) -> None:
        """Raise UsageError if the geometry is invalid, such as a spacing of 0 or oblique axes."""
        lengths = (self.size, self.spacing_mm, self.origin_mm)
        if any(len(each) != 3 for each in lengths) or len(self.direction) != 9:
            raise _no_place(f"size, spacing and origin need 3 numbers, direction 9: {self}")
        if not all(each > 0 and np.isfinite(each) for each in self.spacing_mm):
            raise _no_place(f"the spacing must be above 0 mm but is {self.spacing_mm}")
        if not np.isfinite(self.origin_mm).all():
            raise _no_place(f"the origin is {self.origin_mm}")
        axes = np.reshape(np.array(self.direction, float), (3, 3))
        if not np.abs(axes.T @ axes - np.eye(3)).max() <= LARGEST_COSINE_BETWEEN_AXES:
            raise _no_place("the direction's axes are not unit vectors at right angles")

    @property
    def orientation(self) -> str:
        """The anatomical directions of x, y and z, such as 'LPS' or 'RAI'."""
        import SimpleITK as sitk

        return sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(self.direction)

    def position_mm(self, index: Sequence[float]) -> tuple[float, float, float]:
        """Position (LPS mm) of a voxel index x, y, z, which may be fractional."""
        matrix = np.reshape(self.direction, (3, 3)) * self.spacing_mm
        x, y, z = matrix @ np.asarray(index, float) + self.origin_mm
        return float(x), float(y), float(z)


@dataclass(frozen=True)
class CTVolume:
    """HU in LPS axial order, with the geometry of the input.

    `hu` is int16 `[slice, row, column]`, read-only, and `outside.OUTSIDE_HU` outside the scanned
    image; `geometry` is that of `hu`; `kind` is the type of input ('dicom_series', 'dicom_file',
    'file', 'array'); `series_uid_sha256` is a digest of the DICOM series UID, None for files.
    `dicom_files` are the files whose slices `hu` shows; no output names them.
    """

    hu: np.ndarray
    geometry: Geometry
    stored: Geometry
    kind: str = "array"
    series_uid_sha256: str | None = None
    warnings: tuple[tuple[str, str], ...] = field(default=())
    dicom_files: tuple[Path, ...] = field(default=(), repr=False)

    @classmethod
    def from_image(
        cls,
        image: sitk.Image,
        kind: str = "file",
        series_uid_sha256: str | None = None,
        warnings: tuple[tuple[str, str], ...] = (),
    ) -> CTVolume:
        """A volume from a 3D image of HU in any orientation; raises as `stored_in`."""
        import SimpleITK as sitk

        if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
            raise _not_a_volume(sitk.GetArrayViewFromImage(image).shape)
        values = sitk.GetArrayViewFromImage(image)
        return cls.stored_in(Geometry.of(image), values, kind, series_uid_sha256, warnings)

    @classmethod
    def from_array(
        cls,
        hu: np.ndarray,
        spacing_mm: Sequence[float] = (1.0, 1.0, 1.0),
        origin_mm: Sequence[float] = (0.0, 0.0, 0.0),
        direction: Sequence[float] = (1, 0, 0, 0, 1, 0, 0, 0, 1),
    ) -> CTVolume:
        """A volume from HU `[slice, row, column]` and their geometry.

        `spacing_mm` and `origin_mm` are x, y, z as in SimpleITK; any orientation is
        accepted. Raises as `stored_in`.
        """
        hu = np.asarray(hu)
        if hu.ndim != 3 or not hu.size:
            raise _not_a_volume(hu.shape)
        size = hu.shape[::-1]
        place = Geometry(size, tuple(spacing_mm), tuple(origin_mm), tuple(direction))  # type: ignore[arg-type]
        return cls.stored_in(place, hu)

    @classmethod
    def stored_in(
        cls,
        stored: Geometry,
        values: np.ndarray,
        kind: str = "array",
        series_uid_sha256: str | None = None,
        warnings: tuple[tuple[str, str], ...] = (),
    ) -> CTVolume:
        """A volume from values `[z, y, x]` of any real type with the geometry `stored`.

        HU are rounded to int16, and fill is marked. Raises UsageError if the values are not
        numbers or the geometry is invalid, InputRefused if values in the body are NaN.
        """
        stored.check()
        axial, geometry = to_axial(values, stored)
        hu = rounded_hu(axial)
        mark_outside(hu)
        check_numbers(hu)
        hu.flags.writeable = False
        return cls(hu, geometry, stored, kind, series_uid_sha256, warnings)

    @cached_property
    def scanned(self) -> slice:
        """The slices from the first to the last that are not padding."""
        shown = [k for k, each in enumerate(self.hu) if each.min() < each.max()]
        return slice(shown[0], shown[-1] + 1) if shown else slice(0, self.slice_count)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """x, y, z of the LPS axial array."""
        return self.geometry.spacing_mm

    @property
    def slice_count(self) -> int:
        return int(self.hu.shape[0])

    @cached_property
    def counts_from_head(self) -> bool:
        """Whether the stored order of slices runs from head to feet."""
        return "I" in self.stored.orientation

    def stored_slice_index(self, k: int) -> int:
        """The index of axial slice `k` along the stored feet–head axis."""
        return self.slice_count - 1 - k if self.counts_from_head else k

    def slice_position_mm(self, k: int) -> tuple[float, float, float]:
        """LPS mm of the center of axial slice `k`."""
        columns, rows, _ = self.geometry.size
        return self.geometry.position_mm(((columns - 1) / 2, (rows - 1) / 2, k))

    def to_stored(self, array: np.ndarray) -> sitk.Image:
        """An array that lies on `hu` as an image with exactly the stored geometry."""
        return self.stored.with_array(self.in_stored_order(array))

    def in_stored_order(self, array: np.ndarray) -> np.ndarray:
        """A view of an array that lies on `hu` in the order of the stored axes, `[z, y, x]`."""
        order, flipped = _way_to_axial(self.stored)
        steps = tuple(slice(None, None, -1 if flip else 1) for flip in reversed(flipped))
        back = [2 - order.index(axis) for axis in (2, 1, 0)]
        return array[steps].transpose(back)


def to_axial(values: np.ndarray, stored: Geometry) -> tuple[np.ndarray, Geometry]:
    """`values` `[z, y, x]` as a view in the order nearest to LPS axial, and where that lies."""
    axes = np.reshape(np.array(stored.direction, float), (3, 3))
    order, flipped = _way_to_axial(stored)
    corner = [0.0, 0.0, 0.0]
    for axis, flip in zip(order, flipped, strict=True):
        corner[axis] = stored.size[axis] - 1.0 if flip else 0.0
    turned = axes[:, order] * np.where(flipped, -1.0, 1.0)
    geometry = Geometry(
        tuple(stored.size[axis] for axis in order),  # type: ignore[arg-type]
        tuple(stored.spacing_mm[axis] for axis in order),  # type: ignore[arg-type]
        stored.position_mm(corner) if any(flipped) else stored.origin_mm,
        tuple(float(each) for each in turned.ravel()),
    )
    view = values.transpose([2 - axis for axis in reversed(order)])
    steps = tuple(slice(None, None, -1 if flip else 1) for flip in reversed(flipped))
    return view[steps], geometry


def _way_to_axial(stored: Geometry) -> tuple[list[int], list[bool]]:
    """The stored axes that run along L, P and S, and whether the other way."""
    # A machine that only trains, on axial arrays, has no SimpleITK.
    if tuple(stored.direction) == (1, 0, 0, 0, 1, 0, 0, 0, 1):
        return [0, 1, 2], [False, False, False]
    import SimpleITK as sitk

    nearest = sitk.DICOMOrientImageFilter.GetDirectionCosinesFromOrientation(stored.orientation)
    signs = np.reshape(nearest, (3, 3))
    order = [int(np.abs(row).argmax()) for row in signs]
    return order, [bool(signs[i, axis] < 0) for i, axis in enumerate(order)]


def _not_a_volume(shape: Sequence[int]) -> UsageError:
    size = " × ".join(map(str, shape)) or "one number"
    return UsageError(
        "not_a_volume",
        f"A CT volume is an array [slice, row, column] that is not empty; this one is {size}. "
        "Pass one volume; pass a single slice as [1, row, column].",
    )


def _no_place(reason: str) -> UsageError:
    return UsageError(
        "not_a_place",
        f"The geometry of the volume is invalid: {reason}. Pass the spacing, origin and direction "
        "from the CT's own file.",
    )
