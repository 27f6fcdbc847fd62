"""What the user chose, saved with the scene."""

from typing import Annotated

from slicer import vtkMRMLScalarVolumeNode
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper


@parameterNodeWrapper
class M3LungScreenParameterNode:
    """`model` is a bundle's folder, '' for the first; `device` what the logic takes."""

    inputVolume: vtkMRMLScalarVolumeNode
    model: str = ""
    device: str = "auto"
    keepPrevious: bool = False
    showLocationMap: bool = True
    locationOpacity: Annotated[float, WithinRange(0, 1)] = 0.5
    locationThreshold: Annotated[float, WithinRange(0, 1)] = 0.2
    showOnHealthy: bool = False
    showLabelMap: bool = False
    showLegend: bool = True
    showCrop: bool = False
