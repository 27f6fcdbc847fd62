"""The location map and the label map as nodes with their colours."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import vtk
from vtk.util.numpy_support import vtk_to_numpy

from .colors import disease_colors, warm_colors

READING_THREADS = 4
BYTES_A_THREAD = 16 * 2**20
# Half a step of the map, which is written in steps of 1/250: outside the lungs it is 0.
LEAST_SHOWN = 0.002
LUNG_WINDOW_HU, LUNG_LEVEL_HU = 1200.0, -600.0


def fill_location_map(node: Any, volume: Any, folder: Path, threshold: float) -> None:
    """lesion_location_map.raw of `folder` into `node`, in the place of `volume`."""
    scene = node.GetScene()
    display = _display(node, "vtkMRMLScalarVolumeDisplayNode", warm_colors(scene))
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(0.0, 1.0)
    display.AutoThresholdOff()
    _fill(node, volume, folder / "lesion_location_map.raw", vtk.VTK_FLOAT)
    set_threshold(node, threshold)


def fill_label_map(node: Any, volume: Any, folder: Path) -> None:
    """lesions.raw of `folder` into `node`, in the place of `volume`."""
    _display(node, "vtkMRMLLabelMapVolumeDisplayNode", disease_colors(node.GetScene()))
    _fill(node, volume, folder / "lesions.raw", vtk.VTK_UNSIGNED_CHAR)


def set_threshold(location_map: Any, threshold: float) -> None:
    """Show the location map from `threshold` (0 to 1) up; lower values, and 0, are transparent."""
    display = location_map.GetDisplayNode()
    display.SetThreshold(max(threshold, LEAST_SHOWN), 1.0)
    display.ApplyThresholdOn()


def lung_window(volume: Any) -> tuple[float, float]:
    """Set the lung preset, 1200 / -600 HU; returns (window, level) as they were."""
    before = window_of(volume)
    set_window(volume, LUNG_WINDOW_HU, LUNG_LEVEL_HU)
    return before


def window_of(volume: Any) -> tuple[float, float]:
    """(window, level) of a volume that has a display node."""
    display = volume.GetDisplayNode()
    return display.GetWindow(), display.GetLevel()


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
