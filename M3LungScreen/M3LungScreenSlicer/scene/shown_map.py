"""The location map as shown in the views, without the slices classified as Healthy.

The location map itself is never changed, and is saved and measured as a whole. The volume made
here is only for the views and is not saved.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from .nodes import RESULT_ATTRIBUTE, new_unsaved, remove_nodes
from .scene_result import SceneResult
from .slices import feet_head_axis, healthy_slices
from .volumes import voxels

SHOWN = "M3LungScreen location map without Healthy slices"
SOURCE_ATTRIBUTE = "M3LungScreen.source"
# Below any threshold.
HIDDEN = -1.0


def map_to_show(result: SceneResult, on_healthy: bool) -> Any:
    """The location map, or a volume that shows it except on slices classified as Healthy.

    That volume covers only the box in which the map is above 0, has the window, colours and
    threshold of the map, and is the same node from result to result.
    """
    whole = result.location_map
    if whole is None or on_healthy or not healthy_slices(result):
        remove_shown_map(whole.GetScene() if whole is not None else result.node.GetScene())
        return whole
    node = _shown(whole.GetScene())
    made_of = f"{whole.GetID()} {whole.GetImageData().GetMTime()}"
    if node.GetAttribute(SOURCE_ATTRIBUTE) != made_of:
        _fill(node, result)
        node.SetAttribute(SOURCE_ATTRIBUTE, made_of)
    _copy_display(node.GetDisplayNode(), whole.GetDisplayNode())
    node.SetAndObserveTransformNodeID(whole.GetTransformNodeID())
    return node


def shown_map(scene: Any) -> Any:
    """The volume that `map_to_show` made, None where there is none."""
    return scene.GetFirstNodeByName(SHOWN)


def remove_shown_map(scene: Any) -> None:
    """Take the volume of `map_to_show` out of the scene; the location map stays."""
    node = shown_map(scene)
    if node is not None:
        remove_nodes(scene, [node])


def shows_map_of(result: SceneResult) -> bool:
    """Whether the volume of `map_to_show` was made of this result."""
    node, whole = shown_map(result.node.GetScene()), result.location_map
    if node is None or whole is None:
        return False
    return str(node.GetAttribute(SOURCE_ATTRIBUTE)).split()[0] == whole.GetID()


def _shown(scene: Any) -> Any:
    node = shown_map(scene)
    if node is None:
        node = new_unsaved(scene, "vtkMRMLScalarVolumeNode", SHOWN)
        node.SetAttribute(RESULT_ATTRIBUTE, "shown map")
        display = new_unsaved(scene, "vtkMRMLScalarVolumeDisplayNode", SHOWN)
        node.SetAndObserveDisplayNodeID(display.GetID())
    return node


def _copy_display(display: Any, other: Any) -> None:
    was_modified = display.StartModify()
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(other.GetWindowLevelMin(), other.GetWindowLevelMax())
    display.SetThreshold(other.GetLowerThreshold(), other.GetUpperThreshold())
    display.SetApplyThreshold(other.GetApplyThreshold())
    display.SetInterpolate(other.GetInterpolate())
    display.SetAndObserveColorNodeID(other.GetColorNodeID())
    display.EndModify(was_modified)


def _fill(node: Any, result: SceneResult) -> None:
    whole = result.location_map
    values, axis = voxels(whole), feet_head_axis(result.volume)
    box = _box_above_zero(values)
    part = values[box].copy()
    first = box[2 - axis].start
    inside = range(first, box[2 - axis].stop)
    healthy = [index - first for index in healthy_slices(result) if index in inside]
    np.moveaxis(part, 2 - axis, 0)[healthy] = HIDDEN
    matrix = vtk.vtkMatrix4x4()
    whole.GetIJKToRASMatrix(matrix)
    origin = matrix.MultiplyPoint((*(each.start for each in reversed(box)), 1.0))
    was_modified = node.StartModify()
    node.SetIJKToRASMatrix(matrix)
    node.SetOrigin(*origin[:3])
    node.SetAndObserveImageData(_image(part))
    node.EndModify(was_modified)


def _box_above_zero(values: np.ndarray) -> tuple[slice, ...]:
    """The smallest box `[k, j, i]` with every voxel above 0, one voxel where there is none."""
    slices, rows, columns = (np.zeros(size, bool) for size in values.shape)
    for k, plane in enumerate(values):  # plane by plane, so that no second volume is held
        above = plane > 0
        rows |= above.any(axis=1)
        columns |= above.any(axis=0)
        slices[k] = above.any()
    return tuple(_extent(each) for each in (slices, rows, columns))


def _extent(positive: np.ndarray) -> slice:
    found = np.flatnonzero(positive)
    return slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, 1)


def _image(values: np.ndarray) -> vtk.vtkImageData:
    image = vtk.vtkImageData()
    image.SetDimensions(values.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(values.ravel(), deep=True))
    return image
