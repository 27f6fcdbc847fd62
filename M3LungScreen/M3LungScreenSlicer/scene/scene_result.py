"""What a result is in the scene: a text node, and by its references all that belongs to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from .nodes import RESULT_ATTRIBUTE

REVIEW_ATTRIBUTE = "M3LungScreen.review"
FRAME_ATTRIBUTE = "M3LungScreen.frame"
OPINIONS = ("agree", "disagree", "other")
VOLUME = "M3LungScreen.volume"


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
    def frame(self) -> dict[str, Any]:
        """The frame of a sequence that was screened (see frames.py), empty where the CT is none."""
        return json.loads(self.node.GetAttribute(FRAME_ATTRIBUTE) or "{}")

    @property
    def location_map(self) -> Any:
        """Lesion location map in the lungs, vtkMRMLScalarVolumeNode, float in [0, 1]."""
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
        """Make `node` part of this result; it is deleted with the result."""
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


@lru_cache(maxsize=4)
def _parsed(text: str) -> dict[str, Any]:
    return json.loads(text)
