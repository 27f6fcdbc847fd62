"""Which volumes can be screened, and how their voxels are exported for the child process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import vtk
from slicer.i18n import translate
from vtk.util.numpy_support import vtk_to_numpy

from .frames import frame_of
from .nodes import RESULT_ATTRIBUTE, nodes_of_class

# The axes of a CT are at right angles; no image format can store a shear.
LARGEST_COSINE_BETWEEN_AXES = 1e-4
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])
SEVERAL_VALUES = (
    "vtkMRMLVectorVolumeNode",
    "vtkMRMLDiffusionTensorVolumeNode",
    "vtkMRMLDiffusionWeightedVolumeNode",
)


@dataclass(frozen=True)
class ExportedVolume:
    """`path` holds int16 voxels in the node's own order; `geometry` is ct.Geometry's (LPS mm).

    `frame` is that of frames.frame_of; `grid` is the node's own grid, to compare later.
    """

    path: Path
    geometry: dict[str, Any]
    frame: dict[str, Any]
    grid: tuple[float, ...]


class VolumeRefused(Exception):
    """This node cannot be screened; the message is one sentence with the way out."""


def problem_with(node: Any) -> str:
    """Why `node`, or None, cannot be screened, in one sentence; '' if it can."""
    if node is None:
        return translate("M3LungScreen", "No volume is selected. Load a chest CT and select it.")
    return (_problem_with_type(node) or _problem_with_geometry(node)).format(name=node.GetName())


def screenable(scene: Any) -> list[Any]:
    """The scalar volumes of `scene` that can be screened, in their order."""
    return [
        node for node in nodes_of_class(scene, "vtkMRMLScalarVolumeNode") if not problem_with(node)
    ]


def export_volume(node: Any, folder: Path) -> ExportedVolume:
    """Write the voxels of `node`, linear parent transforms hardened in its geometry.

    The node itself is left as it is. Raises VolumeRefused if `problem_with` finds one,
    or if the disk is full.
    """
    problem = problem_with(node)
    if problem:
        raise VolumeRefused(problem)
    path = folder / "volume.raw"
    try:
        with path.open("wb") as file:
            for part in _int16_parts(voxels(node)):
                file.write(part.tobytes())  # `tofile` loses its last buffer on a full disk
    except OSError as wrong:
        words = translate(
            "M3LungScreen", "The CT could not be written to {folder}: {why}. Free some disk space."
        )
        raise VolumeRefused(words.format(folder=folder, why=wrong.strerror or wrong)) from wrong
    return ExportedVolume(path, world_geometry(node), frame_of(node), grid_of(node))


def voxels(node: Any) -> np.ndarray:
    """The scalars of a volume node as a view `[k, j, i]`."""
    image = node.GetImageData()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])


def world_geometry(node: Any) -> dict[str, Any]:
    """Fields of ct.Geometry for the node's grid in LPS mm, linear transforms included."""
    matrix = RAS_TO_LPS @ ijk_to_world(node)[:3, :3]
    spacing = np.linalg.norm(matrix, axis=0)
    origin = RAS_TO_LPS @ ijk_to_world(node)[:3, 3]
    return {
        "size": list(node.GetImageData().GetDimensions()),
        "spacing_mm": spacing.tolist(),
        "origin_mm": origin.tolist(),
        "direction": (matrix / spacing).ravel().tolist(),
    }


def grid_of(node: Any) -> tuple[float, ...]:
    """Size and IJK-to-RAS matrix of a volume node, without its parent transform."""
    own = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(own)
    return (*node.GetImageData().GetDimensions(), *as_array(own).ravel().tolist())


def ijk_to_world(node: Any) -> np.ndarray:
    """`[4, 4]` from voxel indices to RAS mm of the scene; the parent transform must be linear."""
    own, parent = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(own)
    if node.GetParentTransformNode() is not None:
        node.GetParentTransformNode().GetMatrixTransformToWorld(parent)
    return as_array(parent) @ as_array(own)


def as_array(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    """`[4, 4]` float64."""
    return np.array([[matrix.GetElement(i, j) for j in range(4)] for i in range(4)])


def _problem_with_type(node: Any) -> str:
    several = translate(
        "M3LungScreen", "{name} has more than one value per voxel. Select a CT in Hounsfield units."
    )
    if node.IsA("vtkMRMLLabelMapVolumeNode"):
        return translate("M3LungScreen", "{name} is a label map. Select the CT itself.")
    if any(node.IsA(kind) for kind in SEVERAL_VALUES):
        return several
    if not node.IsA("vtkMRMLScalarVolumeNode"):
        return translate("M3LungScreen", "{name} is not a scalar volume. Select a chest CT.")
    if node.GetAttribute(RESULT_ATTRIBUTE):
        return translate(
            "M3LungScreen", "{name} is the result of a screening. Select the CT itself."
        )
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        return translate("M3LungScreen", "{name} contains no voxels. Load it again.")
    if image.GetNumberOfScalarComponents() != 1:
        return several
    return _problem_with_depth(image)


def _problem_with_geometry(node: Any) -> str:
    parent = node.GetParentTransformNode()
    if parent is not None and not parent.IsTransformToWorldLinear():
        return translate(
            "M3LungScreen",
            "{name} is under a non-linear transform. Resample it with the transform first, "
            "or take it out of the transform.",
        )
    matrix = ijk_to_world(node)[:3, :3]
    lengths = np.linalg.norm(matrix, axis=0)
    if not lengths.all():
        return translate(
            "M3LungScreen",
            "{name} has an axis of zero length. Correct its geometry or load it again.",
        )
    axes = matrix / lengths
    if np.abs(axes.T @ axes - np.eye(3)).max() > LARGEST_COSINE_BETWEEN_AXES:
        return translate(
            "M3LungScreen", "The axes of {name} are not at right angles. Resample it first."
        )
    return ""


def _problem_with_depth(image: Any) -> str:
    from M3LungScreenLib.hounsfield import check_bytes

    return _refusal(check_bytes, image.GetScalarSize())


def _int16_parts(array: np.ndarray) -> Iterator[np.ndarray]:
    """The slabs of `array` rounded to int16, so that no second volume is held in memory.

    The library rounds, so that NaN means the same here as in a file.
    """
    from M3LungScreenLib.hounsfield import rounded_hu

    if array.dtype == np.int16:
        yield array
        return
    for slab in array:
        yield rounded_hu(slab[np.newaxis])


def _refusal(check: Callable[[Any], None], value: Any) -> str:
    """The message of the library's `check` if it refuses `value`, else ''."""
    from M3LungScreenLib.errors import InputRefused

    try:
        check(value)
    except InputRefused as refusal:
        return refusal.message
    return ""
