"""A MRML scene as Slicer's application sets one up, without the application."""

from pathlib import Path
from typing import Any

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk

LOGICS = (
    "vtkSlicerColorLogic",
    "vtkSlicerVolumesLogic",
    "vtkSlicerTablesLogic",
    "vtkSlicerPlotsLogic",
    "vtkSlicerSegmentationsModuleLogic",
    "vtkSlicerSubjectHierarchyModuleLogic",
    "vtkSlicerTextsLogic",
    "vtkSlicerTransformLogic",
    "vtkSlicerModelsLogic",
)


class SceneOfSlicer:
    """`scene` with the logics that register its node classes; keep this as long as the scene."""

    def __init__(self, cache: Path) -> None:
        import slicer

        self.scene = slicer.vtkMRMLScene()
        self._cache = slicer.vtkCacheManager()
        self._cache.SetRemoteCacheDirectory(str(cache))
        self._cache.SetMRMLScene(self.scene)
        self._io = slicer.vtkDataIOManager()
        self._io.SetCacheManager(self._cache)
        self.scene.SetCacheManager(self._cache)
        self.scene.SetDataIOManager(self._io)
        self._application = slicer.vtkMRMLApplicationLogic()
        self._application.SetMRMLScene(self.scene)
        self._logics = [getattr(slicer, name)() for name in LOGICS]
        for logic in self._logics:
            logic.SetMRMLScene(self.scene)


def add_volume(
    scene: Any,
    array: np.ndarray,
    ijk_to_ras: np.ndarray | None = None,
    name: str = "CT",
    kind: str = "vtkMRMLScalarVolumeNode",
) -> Any:
    """A volume node with voxels `[k, j, i]` and a 4×4 matrix, with a display node."""
    node = scene.AddNewNodeByClass(kind, name)
    image = vtk.vtkImageData()
    image.SetDimensions(array.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(array.ravel(), deep=True))
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy((np.eye(4) if ijk_to_ras is None else ijk_to_ras).ravel())
    node.SetIJKToRASMatrix(matrix)
    node.SetAndObserveImageData(image)
    node.CreateDefaultDisplayNodes()
    return node


def ijk_to_ras_of(geometry: Any) -> np.ndarray:
    """`[4, 4]` for a library Geometry (LPS)."""
    flip = np.diag([-1.0, -1.0, 1.0])
    matrix = np.eye(4)
    matrix[:3, :3] = flip @ (np.reshape(geometry.direction, (3, 3)) * geometry.spacing_mm)
    matrix[:3, 3] = flip @ geometry.origin_mm
    return matrix


def node_names(scene: Any) -> list[str]:
    """Class and name of every node, to compare a scene before and after."""
    nodes = (scene.GetNthNode(i) for i in range(scene.GetNumberOfNodes()))
    return sorted(f"{node.GetClassName()} {node.GetName()}" for node in nodes)
