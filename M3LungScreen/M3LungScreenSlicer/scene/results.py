"""One screening in the scene: a text node that holds result.json and refers to all the rest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class SceneResult:
    """A result by its text node; every other node is found by a named reference.

    The text node is what is saved, reloaded and deleted. Each property is a MRML node
    or None where it was deleted by hand.
    """

    node: Any

    @property
    def content(self) -> dict[str, Any]:
        """result.json as plain values (see result.schema.json)."""
        raise NotImplementedError

    @property
    def volume(self) -> Any:
        """The CT, vtkMRMLScalarVolumeNode."""
        raise NotImplementedError

    @property
    def location_map(self) -> Any:
        """Lesion location map, vtkMRMLScalarVolumeNode, float in [0, 1]."""
        raise NotImplementedError

    @property
    def label_map(self) -> Any:
        """Lesions by disease, vtkMRMLLabelMapVolumeNode: 1 COVID-19, 2 H1N1, 3 CAP."""
        raise NotImplementedError

    @property
    def slices_table(self) -> Any:
        """One row a slice, vtkMRMLTableNode (columns in tables.SLICE_COLUMNS)."""
        raise NotImplementedError

    @property
    def involvement_table(self) -> Any:
        """One row for each lung and zone, vtkMRMLTableNode."""
        raise NotImplementedError

    @property
    def chart(self) -> Any:
        """Probability along the volume, vtkMRMLPlotChartNode."""
        raise NotImplementedError

    @property
    def segmentation(self) -> Any:
        """vtkMRMLSegmentationNode, None until `convert_to_segmentation`."""
        raise NotImplementedError

    @property
    def report(self) -> str:
        """The HTML report as written by the child, '' where there is none."""
        raise NotImplementedError

    @property
    def review(self) -> dict[str, str]:
        """What the reader recorded: {'opinion', 'note', 'time'}, empty if nothing yet."""
        raise NotImplementedError

    def set_review(self, opinion: str, note: str = "") -> None:
        """Record 'agree', 'disagree' or 'other' with a note; kept with the scene."""
        raise NotImplementedError


def add_result(scene: Any, volume: Any, folder: Path) -> SceneResult:
    """Bring the result folder that the child wrote for `volume` into the scene.

    A second run on the same volume fills the nodes of the first.
    """
    raise NotImplementedError


def results_in(scene: Any) -> list[SceneResult]:
    """Every result of the scene, also of a reloaded one."""
    raise NotImplementedError


def result_of(volume: Any) -> SceneResult | None:
    """The result of this CT, None where it was never screened."""
    raise NotImplementedError


def delete_result(result: SceneResult) -> None:
    """Remove the result and every node that it made, and nothing else."""
    raise NotImplementedError
