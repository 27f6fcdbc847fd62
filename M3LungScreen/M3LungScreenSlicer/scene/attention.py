"""The network's own maps over the CT, slice by slice and window by window."""

from __future__ import annotations

import base64
import io
from functools import lru_cache
from typing import Any

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from .axial import crop_corners
from .colors import warm_colors
from .nodes import RESULT_ATTRIBUTE, new_unsaved, remove_nodes
from .scene_result import SceneResult
from .slices import feet_head_axis
from .volumes import world_geometry

OVERLAY = "M3LungScreen attention"


def attention_of(result: SceneResult, index: int) -> np.ndarray | None:
    """float16 `[window, h, w]` in [0, 1] over the crop of slice `index`; None if it has none.

    Windows are in the order of result.json's `settings.window_centers_hu`.
    """
    node = result.part("attention")
    return _unpacked(node.GetText() or "").get(index) if node is not None else None


def show_attention(result: SceneResult, entry: dict[str, Any], window: int | None) -> Any:
    """A volume of one slice with the map of `entry`, None where it was not screened.

    `window` None is the mean of all. The node is the same from slice to slice and
    is not saved.
    """
    maps = attention_of(result, entry["index"])
    if maps is None:
        return None
    chosen = maps.mean(axis=0, dtype=np.float32) if window is None else maps[window]
    node = _overlay(result.node.GetScene())
    was_modified = node.StartModify()
    node.SetIJKToRASMatrix(_place(result.volume, entry, chosen.shape))
    node.SetAndObserveImageData(_image(chosen))
    node.EndModify(was_modified)
    return node


def attention_node(scene: Any) -> Any:
    """The volume of `show_attention`, None where there is none."""
    return scene.GetFirstNodeByName(OVERLAY)


def remove_attention(scene: Any) -> None:
    """Take the volume of `show_attention` out of the scene."""
    node = attention_node(scene)
    if node is not None:
        remove_nodes(scene, [node])


def _overlay(scene: Any) -> Any:
    node = attention_node(scene)
    if node is None:
        node = new_unsaved(scene, "vtkMRMLScalarVolumeNode", OVERLAY)
        node.SetAttribute(RESULT_ATTRIBUTE, "attention")
        display = new_unsaved(scene, "vtkMRMLScalarVolumeDisplayNode", OVERLAY)
        display.SetAndObserveColorNodeID(warm_colors(scene).GetID())
        display.AutoWindowLevelOff()
        display.SetWindowLevelMinMax(0.0, 1.0)
        node.SetAndObserveDisplayNodeID(display.GetID())
    return node


def _place(volume: Any, entry: dict[str, Any], shape: tuple[int, ...]) -> vtk.vtkMatrix4x4:
    """Voxel indices of a map (column, row, 0) to RAS: it covers the crop, one slice thick."""
    first, along_columns, _, along_rows = map(
        np.array, crop_corners(volume, entry["index"], entry["crop"])
    )
    column, row = (along_columns - first) / shape[1], (along_rows - first) / shape[0]
    normal = np.cross(column, row)
    thickness = world_geometry(volume)["spacing_mm"][feet_head_axis(volume)]
    axes = np.eye(4)
    axes[:3, 0], axes[:3, 1] = column, row
    axes[:3, 2] = normal / np.linalg.norm(normal) * thickness
    axes[:3, 3] = first + (column + row) / 2
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(axes.ravel())
    return matrix


def _image(values: np.ndarray) -> vtk.vtkImageData:
    image = vtk.vtkImageData()
    image.SetDimensions(values.shape[1], values.shape[0], 1)
    scalars = numpy_to_vtk(values.astype(np.float32).ravel(), deep=True)
    image.GetPointData().SetScalars(scalars)
    return image


@lru_cache(maxsize=2)
def _unpacked(text: str) -> dict[int, np.ndarray]:
    if not text:
        return {}
    with np.load(io.BytesIO(base64.b64decode(text))) as packed:
        return {int(name): packed[name] for name in packed.files}
