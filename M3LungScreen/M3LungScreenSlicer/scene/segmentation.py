"""The label map as a segmentation with terminology."""

from __future__ import annotations

from typing import Any

from .colors import hex_to_rgb
from .hierarchy import add_to_hierarchy
from .nodes import existing_or_new
from .results import OUTDATED_ATTRIBUTE
from .scene_result import SceneResult
from .terminology import entry_of


def convert_to_segmentation(result: SceneResult) -> Any:
    """A vtkMRMLSegmentationNode with one named, coloured, coded segment a disease found.

    A second call renews the same node.
    """
    import slicer

    from M3LungScreenLib.classes import CLASSES

    scene, labels = result.node.GetScene(), result.label_map
    name = f"{result.volume.GetName()} lesions"
    node = existing_or_new(scene, result.segmentation, "vtkMRMLSegmentationNode", name)
    result.set_part("segmentation", node)
    node.GetSegmentation().RemoveAllSegments()
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(result.volume)
    node.SetAndObserveTransformNodeID(labels.GetTransformNodeID())
    slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(labels, node)
    for segment in segments_of(node):
        disease = CLASSES[segment.GetLabelValue()]
        segment.SetName(disease.name)
        segment.SetColor(*hex_to_rgb(disease.color))
        segment.SetTag(segment.GetTerminologyEntryTagName(), entry_of(disease.key))
    node.RemoveAttribute(OUTDATED_ATTRIBUTE)
    node.GetDisplayNode().SetVisibility(True)
    _show_in_slices(node, True)
    add_to_hierarchy(scene, result.volume, list(result.parts()))
    return node


def show_in_3d(result: SceneResult, shown: bool) -> Any:
    """Closed surfaces of the segmentation in 3D views.

    Made on demand, then not in the slice views, where the overlays are; and again
    where it is that of a former run.
    """
    node = result.segmentation
    if node is None or is_outdated(node):
        node = convert_to_segmentation(result)
        _show_in_slices(node, False)
    if shown:
        node.CreateClosedSurfaceRepresentation()
        node.GetDisplayNode().SetVisibility(True)
    node.GetDisplayNode().SetVisibility3D(shown)
    return node


def is_in_3d(result: SceneResult) -> bool:
    """Whether 3D views show the surfaces now."""
    node = result.segmentation
    if node is None or not node.GetSegmentation().ContainsRepresentation("Closed surface"):
        return False
    display = node.GetDisplayNode()
    return bool(display.GetVisibility() and display.GetVisibility3D())


def is_outdated(node: Any) -> bool:
    """Whether a segmentation is that of a former run."""
    return node.GetAttribute(OUTDATED_ATTRIBUTE) is not None


def _show_in_slices(node: Any, shown: bool) -> None:
    # By visibility: with neither fill nor outline Slicer's slice controllers fill the log.
    node.GetDisplayNode().SetVisibility2D(shown)


def segments_of(node: Any) -> list[Any]:
    """The vtkSegments of a segmentation node, in its order."""
    segmentation = node.GetSegmentation()
    return [segmentation.GetNthSegment(i) for i in range(segmentation.GetNumberOfSegments())]
