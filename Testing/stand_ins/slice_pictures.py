"""What a slice view of Slicer shows, from the scene's own slice logic; needs no OpenGL."""

from typing import Any

import numpy as np
import vtk
from vtk.util.numpy_support import vtk_to_numpy


class SlicePicture:
    """A slice view of `width` × `height` pixels on `volume`, with its layers blended."""

    def __init__(
        self,
        scene: Any,
        volume: Any,
        *,
        foreground: Any = None,
        label: Any = None,
        orientation: str = "Axial",
        size: tuple[int, int] = (300, 300),
    ) -> None:
        import slicer

        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLScene(scene)
        self.node = self.logic.AddSliceNode(scene.GenerateUniqueName(orientation))
        self.node.SetOrientation(orientation)
        self.node.SetDimensions(*size, 1)
        layers = self.logic.GetSliceCompositeNode()
        layers.SetBackgroundVolumeID(volume.GetID())
        layers.SetForegroundVolumeID(foreground.GetID() if foreground else None)
        layers.SetForegroundOpacity(0.6)
        layers.SetLabelVolumeID(label.GetID() if label else None)
        layers.SetLabelOpacity(0.6)
        self.logic.FitSliceToAll()

    def look_at(self, ras_mm: tuple[float, float, float]) -> None:
        """Move the slice through a position."""
        self.node.JumpSliceByCentering(*ras_mm)

    def pixel_of(self, ras_mm: tuple[float, float, float]) -> tuple[int, int]:
        """(row, column) in `pixels` of a position on the slice."""
        back = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.node.GetXYToRAS(), back)
        x, y, _, _ = back.MultiplyPoint((*ras_mm, 1.0))
        return self.node.GetDimensions()[1] - 1 - round(y), round(x)

    def pixels(self) -> np.ndarray:
        """RGB uint8 `[row, column, 3]`, row 0 at the top; black outside the volume."""
        self.logic.UpdatePipeline()
        port = self.logic.GetImageDataConnection()
        port.GetProducer().Update()
        image = port.GetProducer().GetOutputDataObject(port.GetIndex())
        columns, rows, _ = image.GetDimensions()
        values = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(rows, columns, -1)
        seen = values[..., :3] * (values[..., 3:4] > 0) if values.shape[2] == 4 else values
        return np.ascontiguousarray(seen[::-1]).astype(np.uint8)
