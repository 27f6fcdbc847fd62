"""The location map and the label map as nodes with their colours."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from .colors import disease_colors, warm_colors
from .volumes import voxels

READING_THREADS = 4
BYTES_A_THREAD = 16 * 2**20
HIDDEN_ATTRIBUTE = "M3LungScreen.hidden"
LUNG_WINDOW_HU, LUNG_LEVEL_HU = 1200.0, -600.0


def fill_location_map(node: Any, volume: Any, folder: Path, threshold: float) -> None:
    """lesion_location_map.raw of `folder` into `node`, in the place of `volume`."""
    scene = node.GetScene()
    display = _display(node, "vtkMRMLScalarVolumeDisplayNode", warm_colors(scene))
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(0.0, 1.0)
    display.AutoThresholdOff()
    _fill(node, volume, folder / "lesion_location_map.raw", vtk.VTK_FLOAT)
    node.RemoveAttribute(HIDDEN_ATTRIBUTE)
    set_threshold(node, threshold)


def fill_label_map(node: Any, volume: Any, folder: Path) -> None:
    """lesions.raw of `folder` into `node`, in the place of `volume`."""
    _display(node, "vtkMRMLLabelMapVolumeDisplayNode", disease_colors(node.GetScene()))
    _fill(node, volume, folder / "lesions.raw", vtk.VTK_UNSIGNED_CHAR)


def set_threshold(location_map: Any, threshold: float) -> None:
    """Show the location map from `threshold` (0 to 1) up; lower values are transparent."""
    display = location_map.GetDisplayNode()
    display.SetThreshold(threshold, 1.0)
    display.ApplyThresholdOn()


def hide_slices(location_map: Any, axis: int, indices: Sequence[int], hidden: bool) -> None:
    """Hide these slices of the map in every view, or show them again.

    A hidden voxel bears its value with a minus sign, which is below any threshold; `axis`
    (0, 1, 2 for i, j, k) is the one that `indices` count along.
    """
    if not indices or (location_map.GetAttribute(HIDDEN_ATTRIBUTE) == "1") == hidden:
        return
    array = voxels(location_map)
    signs = np.ones(array.shape[2 - axis], array.dtype)
    signs[list(indices)] = -1
    # In the order of memory: slice by slice, a sagittal volume would take seconds.
    np.multiply(array, signs.reshape([-1] + [1] * axis), out=array)
    location_map.SetAttribute(HIDDEN_ATTRIBUTE, str(int(hidden)))
    image = location_map.GetImageData()
    image.GetPointData().GetScalars().Modified()
    image.Modified()


def lung_window(volume: Any) -> tuple[float, float]:
    """Set the lung preset, 1200 / -600 HU; returns (window, level) as they were."""
    display = volume.GetDisplayNode()
    before = display.GetWindow(), display.GetLevel()
    set_window(volume, LUNG_WINDOW_HU, LUNG_LEVEL_HU)
    return before


def set_window(volume: Any, window: float, level: float) -> None:
    """Window and level by hand, no longer automatic."""
    display = volume.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevel(window, level)


def _display(node: Any, kind: str, colors: Any) -> Any:
    """The node's display node, made before there are voxels, whose range would be searched."""
    display = node.GetDisplayNode()
    if display is None:
        display = node.GetScene().AddNewNodeByClass(kind)
        node.SetAndObserveDisplayNodeID(display.GetID())
    display.SetAndObserveColorNodeID(colors.GetID())
    return display


def _fill(node: Any, volume: Any, path: Path, scalar_type: int) -> None:
    """Voxels of a raw file straight into VTK's memory, the grid and transform of `volume`."""
    image = _image(node.GetImageData(), volume.GetImageData().GetDimensions(), scalar_type)
    read_into(memoryview(vtk_to_numpy(image.GetPointData().GetScalars())).cast("B"), path)
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    was_modified = node.StartModify()
    node.SetIJKToRASMatrix(matrix)
    node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    node.SetAndObserveImageData(image)
    image.GetPointData().GetScalars().Modified()
    image.Modified()
    node.EndModify(was_modified)


def read_into(memory: memoryview, path: Path) -> None:
    """All bytes of a file, by several threads: most of the time goes into new memory pages."""

    def read_part(start: int) -> None:
        with path.open("rb") as file:
            file.seek(start)
            file.readinto(memory[start : start + BYTES_A_THREAD])

    with ThreadPoolExecutor(READING_THREADS) as threads:
        list(threads.map(read_part, range(0, len(memory), BYTES_A_THREAD)))


def _image(old: Any, size: tuple[int, int, int], scalar_type: int) -> Any:
    """`old` where it fits, whose memory is already there; otherwise new voxels."""
    if old is not None and (old.GetDimensions(), old.GetScalarType()) == (size, scalar_type):
        return old
    image = vtk.vtkImageData()
    image.SetDimensions(size)
    image.AllocateScalars(scalar_type, 1)
    return image
