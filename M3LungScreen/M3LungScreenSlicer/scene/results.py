"""One screening in the scene: a text node that holds result.json and refers to all the rest."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from .chart import fill_chart, fill_series
from .hierarchy import gather, remove_folder
from .nodes import RESULT_ATTRIBUTE, nodes_of_class, remove_with_attendants, reusable
from .overlays import fill_label_map, fill_location_map
from .tables import fill_involvement_table, fill_mark_table, fill_slices_table

REVIEW_ATTRIBUTE = "M3LungScreen.review"
OPINIONS = ("agree", "disagree", "other")
VOLUME = "M3LungScreen.volume"
# Set on the segmentation of a former run.
OUTDATED_ATTRIBUTE = "M3LungScreen.outdated"
# What a result is made of: role of the reference, class of the node, its name after the CT's.
PARTS = {
    "location_map": ("vtkMRMLScalarVolumeNode", "lesion location map"),
    "label_map": ("vtkMRMLLabelMapVolumeNode", "lesions by disease"),
    "slices_table": ("vtkMRMLTableNode", "slices"),
    "involvement_table": ("vtkMRMLTableNode", "involvement"),
    "mark_table": ("vtkMRMLTableNode", "current slice"),
    "chart": ("vtkMRMLPlotChartNode", "probability along the volume"),
    "report": ("vtkMRMLTextNode", "report"),
    "attention": ("vtkMRMLTextNode", "attention maps"),
}


@dataclass(frozen=True)
class SceneResult:
    """A result by its text node; every other node is found by a named reference.

    The text node is what is saved, reloaded and deleted. Each property is a MRML node
    or None where it was deleted by hand.
    """

    node: Any

    @property
    def content(self) -> dict[str, Any]:
        """result.json as plain values (see result.schema.json); not to be changed."""
        return _parsed(self.node.GetText())

    @property
    def volume(self) -> Any:
        """The CT, vtkMRMLScalarVolumeNode."""
        return self.node.GetNodeReference(VOLUME)

    @property
    def location_map(self) -> Any:
        """Lesion location map in the lungs, vtkMRMLScalarVolumeNode, float in [0, 1].

        Below 0 where the panel hides it, on slices called Healthy; the absolute value
        is the map.
        """
        return self.part("location_map")

    @property
    def label_map(self) -> Any:
        """Lesions by disease, vtkMRMLLabelMapVolumeNode: 1 COVID-19, 2 H1N1, 3 CAP."""
        return self.part("label_map")

    @property
    def slices_table(self) -> Any:
        """One row a slice, vtkMRMLTableNode (columns in tables.SLICE_COLUMNS)."""
        return self.part("slices_table")

    @property
    def involvement_table(self) -> Any:
        """One row for each lung and both, vtkMRMLTableNode (tables.INVOLVEMENT_COLUMNS)."""
        return self.part("involvement_table")

    @property
    def mark_table(self) -> Any:
        """Two points of the line that marks the current slice in the chart."""
        return self.part("mark_table")

    @property
    def chart(self) -> Any:
        """Probability along the volume, vtkMRMLPlotChartNode."""
        return self.part("chart")

    @property
    def segmentation(self) -> Any:
        """vtkMRMLSegmentationNode, None until `convert_to_segmentation`."""
        return self.part("segmentation")

    @property
    def report(self) -> str:
        """The HTML report as written by the child, '' where there is none."""
        node = self.part("report")
        return "" if node is None else node.GetText() or ""

    @property
    def review(self) -> dict[str, str]:
        """What the reader recorded: {'opinion', 'note', 'time'}, empty if nothing yet."""
        return json.loads(self.node.GetAttribute(REVIEW_ATTRIBUTE) or "{}")

    def set_review(self, opinion: str, note: str = "") -> None:
        """Record 'agree', 'disagree' or 'other' with a note; kept with the scene."""
        if opinion not in OPINIONS:
            raise ValueError(f"{opinion!r} is none of {', '.join(OPINIONS)}")
        now = datetime.now(UTC).isoformat(timespec="seconds")
        review = {"opinion": opinion, "note": note, "time": now}
        self.node.SetAttribute(REVIEW_ATTRIBUTE, json.dumps(review))

    def part(self, role: str) -> Any:
        """The node with this role, None where there is none."""
        return self.node.GetNodeReference(f"M3LungScreen.{role}")

    def set_part(self, role: str, node: Any) -> None:
        """Let `node` belong to this result; it goes when the result is deleted."""
        node.SetAttribute(RESULT_ATTRIBUTE, role)
        self.node.SetNodeReferenceID(f"M3LungScreen.{role}", node.GetID())

    def parts(self) -> Iterator[Any]:
        """Every node that this result made, the text node last."""
        roles: list[str] = []
        self.node.GetNodeReferenceRoles(roles)
        for role in roles:
            node = self.node.GetNodeReference(role)
            # A role is there once it was asked for.
            if node is not None and role.startswith("M3LungScreen.") and role != VOLUME:
                yield node
        yield self.node


def add_result(scene: Any, volume: Any, folder: Path) -> SceneResult:
    """Bring the result folder that the child wrote for `volume` into the scene.

    A second run on the same volume fills the nodes of the first. Raises OSError,
    the scene untouched, where the folder is not complete.
    """
    _check_complete(folder, volume)
    result = result_of(volume) or _new_result(scene, volume)
    result.node.SetText((folder / "result.json").read_text("utf-8"))
    result.node.RemoveAttribute(REVIEW_ATTRIBUTE)
    made = {role: _made_part(scene, result, role) for role in PARTS}
    threshold = result.content["settings"]["model"]["localization"]["threshold"]
    fill_location_map(made["location_map"], volume, folder, threshold)
    fill_label_map(made["label_map"], volume, folder)
    fill_slices_table(made["slices_table"], result.content)
    fill_involvement_table(made["involvement_table"], result.content)
    fill_mark_table(made["mark_table"], 0)
    made["mark_table"].SetHideFromEditors(True)
    made["report"].SetText((folder / "report.html").read_text("utf-8"))
    made["attention"].SetText(base64.b64encode((folder / "attention.npz").read_bytes()).decode())
    _outdate(result.segmentation)
    series = fill_series(scene, result)
    slice_count = made["slices_table"].GetNumberOfRows()
    fill_chart(made["chart"], series, volume.GetName(), slice_count)
    gather(scene, volume, list(result.parts()))
    return result


def results_in(scene: Any) -> list[SceneResult]:
    """Every result of the scene, also of a reloaded one."""
    texts = nodes_of_class(scene, "vtkMRMLTextNode")
    return [SceneResult(node) for node in texts if node.GetAttribute(RESULT_ATTRIBUTE) == "result"]


def result_of(volume: Any) -> SceneResult | None:
    """The result of this CT, None where it was never screened."""
    for result in results_in(volume.GetScene()) if volume.GetScene() else ():
        if result.volume is volume:
            return result
    return None


def delete_result(result: SceneResult) -> None:
    """Remove the result and every node that it made, and nothing else."""
    scene = result.node.GetScene()
    nodes = list(result.parts())
    remove_folder(scene, result.node)
    remove_with_attendants(scene, nodes)
    if not results_in(scene):
        shared = [*nodes_of_class(scene, "vtkMRMLColorTableNode")]
        remove_with_attendants(scene, [n for n in shared if n.GetAttribute(RESULT_ATTRIBUTE)])


def _check_complete(folder: Path, volume: Any) -> None:
    """Before the first node is made: all files are there, the volumes of the right size."""
    voxels = math.prod(volume.GetImageData().GetDimensions())
    for name, size in (("lesion_location_map.raw", 4 * voxels), ("lesions.raw", voxels)):
        found = (folder / name).stat().st_size
        if found != size:
            raise OSError(f"{folder / name} has {found} bytes instead of {size}")
    for name in ("result.json", "report.html", "attention.npz"):
        (folder / name).stat()


def _new_result(scene: Any, volume: Any) -> SceneResult:
    name = f"{volume.GetName()} screening"
    node = scene.AddNewNodeByClass("vtkMRMLTextNode", scene.GenerateUniqueName(name))
    node.SetAttribute(RESULT_ATTRIBUTE, "result")
    node.SetNodeReferenceID(VOLUME, volume.GetID())
    return SceneResult(node)


def _made_part(scene: Any, result: SceneResult, role: str) -> Any:
    kind, name = PARTS[role]
    node = reusable(scene, result.part(role), kind, f"{result.volume.GetName()} {name}")
    result.set_part(role, node)
    return node


def _outdate(segmentation: Any) -> None:
    """Hide what a former run found; it may hold a reader's own work, so it stays."""
    if segmentation is not None:
        segmentation.SetAttribute(OUTDATED_ATTRIBUTE, "1")
        segmentation.GetDisplayNode().SetVisibility(False)


@lru_cache(maxsize=4)
def _parsed(text: str) -> dict[str, Any]:
    return json.loads(text)
