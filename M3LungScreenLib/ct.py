"""A CT volume as HU with its geometry, and the way to LPS axial and back.

Arrays are `[slice, row, column]`. In `CTVolume.hu` slices run from feet to head,
rows from front to back, columns from the patient's right to the left (LPS axial).
`stored` keeps the geometry in which the volume came; everything that leaves the
pipeline goes back to exactly that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # needed by images alone: a simulated volume does without
    import SimpleITK as sitk

AXIAL = "LPS"


@dataclass(frozen=True)
class Geometry:
    """Where voxels lie, in SimpleITK's convention.

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
        """`array` `[slice, row, column]` of this size as an image that lies here.

        Raises ValueError where the shape is another.
        """
        if array.shape != self.size[::-1]:
            raise ValueError(f"array of {array.shape[::-1]} voxels for a geometry of {self.size}")
        import SimpleITK as sitk

        image = sitk.GetImageFromArray(array)
        image.SetSpacing(self.spacing_mm)
        image.SetOrigin(self.origin_mm)
        image.SetDirection(self.direction)
        return image

    @property
    def is_axial(self) -> bool:
        """Whether x, y, z are exactly L, P, S."""
        return tuple(self.direction) == (1, 0, 0, 0, 1, 0, 0, 0, 1)

    @property
    def orientation(self) -> str:
        """The anatomical directions that x, y, z run towards, such as 'LPS' or 'RAI'."""
        import SimpleITK as sitk

        return sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(self.direction)

    def position_mm(self, index: Sequence[float]) -> tuple[float, float, float]:
        """LPS mm of the (possibly fractional) voxel index x, y, z."""
        matrix = np.reshape(self.direction, (3, 3)) * self.spacing_mm
        x, y, z = matrix @ np.asarray(index, float) + self.origin_mm
        return float(x), float(y), float(z)


def lps_to_ras(position_mm: Sequence[float]) -> tuple[float, float, float]:
    """The one place where LPS mm (SimpleITK) becomes RAS mm (Slicer), and back."""
    x, y, z = position_mm
    return -x, -y, z


@dataclass(frozen=True)
class CTVolume:
    """HU in LPS axial order with the geometry it was stored in.

    `hu` int16 `[slice, row, column]`, read-only; `geometry` lies where `hu` lies;
    `kind` says what was read ('dicom_series', 'dicom_file', 'file', 'array');
    `series_uid_sha256` is a digest of the DICOM series UID, None for files.
    """

    hu: np.ndarray
    geometry: Geometry
    stored: Geometry
    kind: str = "array"
    series_uid_sha256: str | None = None
    warnings: tuple[tuple[str, str], ...] = field(default=())

    @classmethod
    def from_image(
        cls,
        image: sitk.Image,
        kind: str = "file",
        series_uid_sha256: str | None = None,
        warnings: tuple[tuple[str, str], ...] = (),
    ) -> CTVolume:
        """A volume from a 3D image of HU in any orientation; HU are rounded to int16."""
        import SimpleITK as sitk

        axial = sitk.DICOMOrient(image, AXIAL)
        array = sitk.GetArrayFromImage(axial)
        if array.dtype != np.int16:
            array = np.clip(np.rint(array), -32768, 32767).astype(np.int16)
        array.flags.writeable = False
        return cls(array, Geometry.of(axial), Geometry.of(image), kind, series_uid_sha256, warnings)

    @classmethod
    def from_array(
        cls,
        hu: np.ndarray,
        spacing_mm: Sequence[float] = (1.0, 1.0, 1.0),
        origin_mm: Sequence[float] = (0.0, 0.0, 0.0),
        direction: Sequence[float] = (1, 0, 0, 0, 1, 0, 0, 0, 1),
    ) -> CTVolume:
        """A volume from HU `[slice, row, column]` and the geometry they lie in.

        `spacing_mm` and `origin_mm` are x, y, z as SimpleITK gives them; any
        orientation is accepted.
        """
        size = hu.shape[::-1]
        place = Geometry(size, tuple(spacing_mm), tuple(origin_mm), tuple(direction))  # type: ignore[arg-type]
        if place.is_axial and hu.dtype == np.int16:
            axial = hu.copy()
            axial.flags.writeable = False
            return cls(axial, place, place)
        return cls.from_image(place.with_array(hu), kind="array")

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
        """LPS mm of the centre of axial slice `k`."""
        columns, rows, _ = self.geometry.size
        return self.geometry.position_mm(((columns - 1) / 2, (rows - 1) / 2, k))

    def to_stored(self, array: np.ndarray) -> sitk.Image:
        """An array that lies on `hu` as an image with exactly the stored geometry."""
        import SimpleITK as sitk

        image = sitk.DICOMOrient(self.geometry.with_array(array), self.stored.orientation)
        return self.stored.with_array(sitk.GetArrayFromImage(image))
