"""The label map as a segmentation with terminology."""

from __future__ import annotations

from typing import Any

from .results import SceneResult


def convert_to_segmentation(result: SceneResult) -> Any:
    """A vtkMRMLSegmentationNode with one named, coloured, coded segment a disease found.

    A second call renews the same node.
    """
    raise NotImplementedError


def show_in_3d(result: SceneResult, shown: bool) -> Any:
    """Closed surfaces of the segmentation in 3D views; made on demand."""
    raise NotImplementedError
