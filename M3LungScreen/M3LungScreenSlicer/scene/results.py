"""Adds results to the scene, finds them there, and deletes them."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .chart import fill_chart, fill_series
from .hierarchy import add_to_hierarchy, remove_folder
from .nodes import RESULT_ATTRIBUTE, existing_or_new, nodes_of_class, remove_nodes
from .overlays import fill_label_map, fill_location_map
from .scene_result import FRAME_ATTRIBUTE, REVIEW_ATTRIBUTE, VOLUME, SceneResult
from .shown_map import remove_shown_map, shows_map_of
from .tables import fill_involvement_table, fill_mark_table, fill_slices_table
from .volumes import voxels, world_geometry

# Set on the segmentation of a former run.
OUTDATED_ATTRIBUTE = "M3LungScreen.outdated"
# The nodes of a result: role of the reference, class of the node, its name after the CT's.
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


def add_result(
    scene: Any,
    volume: Any,
    folder: Path,
    *,
    frame: Mapping[str, Any] | None = None,
    keep_previous: bool = False,
) -> SceneResult:
    """Add the result folder that the child wrote for `volume` to the scene.

    A second run on the same volume fills the nodes of the latest one, or with `keep_previous`
    makes nodes of its own. `frame` is what frames.frame_of returned at export.
    Raises OSError, the scene untouched, where the folder is not complete.
    """
    _check_complete(folder, volume)
    former = None if keep_previous else result_of(volume)
    result = former or _new_result(scene, volume)
    result.node.SetText((folder / "result.json").read_text("utf-8"))
    result.node.SetAttribute(FRAME_ATTRIBUTE, json.dumps(frame) if frame else None)
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
    _mark_outdated(result.segmentation)
    series = fill_series(scene, result)
    slice_count = made["slices_table"].GetNumberOfRows()
    fill_chart(made["chart"], series, volume.GetName(), slice_count)
    add_to_hierarchy(scene, volume, list(result.parts()))
    return result


def export_result(result: SceneResult, folder: Path) -> dict[str, Any]:
    """result.json, lesions.raw and lesion_location_map.raw as `add_result` reads them.

    Returns their geometry, fields of ct.Geometry. Raises OSError if the disk is full.
    """
    (folder / "result.json").write_text(result.node.GetText(), "utf-8")
    for name, node, kind in (
        ("lesions", result.label_map, np.uint8),
        ("lesion_location_map", result.location_map, np.float32),
    ):
        (folder / f"{name}.raw").write_bytes(voxels(node).astype(kind).tobytes())
    return world_geometry(result.label_map)


def results_in(scene: Any) -> list[SceneResult]:
    """Every result of the scene, also of a reloaded one."""
    texts = nodes_of_class(scene, "vtkMRMLTextNode")
    return [SceneResult(node) for node in texts if node.GetAttribute(RESULT_ATTRIBUTE) == "result"]


def results_of(volume: Any) -> list[SceneResult]:
    """The results of this CT, the latest last."""
    found = results_in(volume.GetScene()) if volume.GetScene() else []
    return [each for each in found if each.volume is volume]


def result_of(volume: Any) -> SceneResult | None:
    """The latest result of this CT, None where it was never screened."""
    return next(reversed(results_of(volume)), None)


def delete_result(result: SceneResult) -> None:
    """Remove the result and every node that it made, and nothing else."""
    scene = result.node.GetScene()
    nodes = list(result.parts())
    if shows_map_of(result):
        remove_shown_map(scene)
    remove_folder(scene, result.node)
    remove_nodes(scene, nodes)
    if not results_in(scene):
        shared = [*nodes_of_class(scene, "vtkMRMLColorTableNode")]
        remove_nodes(scene, [n for n in shared if n.GetAttribute(RESULT_ATTRIBUTE)])


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
    node = existing_or_new(scene, result.part(role), kind, f"{result.volume.GetName()} {name}")
    result.set_part(role, node)
    return node


def _mark_outdated(segmentation: Any) -> None:
    """Hide the segmentation of an earlier run; it may contain manual edits, so it is kept."""
    if segmentation is not None:
        segmentation.SetAttribute(OUTDATED_ATTRIBUTE, "1")
        segmentation.GetDisplayNode().SetVisibility(False)
