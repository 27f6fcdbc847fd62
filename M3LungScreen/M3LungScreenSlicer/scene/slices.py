"""Positions of the slices of a result: for scrolling, charts and jumps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .scene_result import SceneResult
from .volumes import ijk_to_world, world_geometry


def slice_at(result: SceneResult, ras_mm: Sequence[float]) -> dict[str, Any] | None:
    """The `slices` entry of result.json at a RAS position of the scene, None outside the CT."""
    volume = result.volume
    if volume is None or volume.GetImageData() is None:
        return None
    ijk = np.linalg.solve(ijk_to_world(volume), [*ras_mm, 1.0])[:3]
    nearest = np.floor(ijk + 0.5).astype(int)
    if (nearest < 0).any() or (nearest >= volume.GetImageData().GetDimensions()).any():
        return None
    return result.content["slices"][nearest[feet_head_axis(volume)]]


def position_of(result: SceneResult, index: int) -> tuple[float, float, float]:
    """RAS mm of the centre of the slice with this `index`, for a jump."""
    volume = result.volume
    ijk = (np.array(volume.GetImageData().GetDimensions()) - 1) / 2
    ijk[feet_head_axis(volume)] = index
    r, a, s, _ = ijk_to_world(volume) @ [*ijk, 1.0]
    return float(r), float(a), float(s)


def feet_head_axis(volume: Any) -> int:
    """0, 1 or 2: which voxel axis the library counts slices along."""
    from M3LungScreenLib.ct import Geometry

    fields = {name: tuple(values) for name, values in world_geometry(volume).items()}
    orientation = Geometry(**fields).orientation
    return max(orientation.find("S"), orientation.find("I"))


def most_suspicious(result: SceneResult) -> int | None:
    """`index` of the most suspicious slice, which is also the first in the report."""
    from M3LungScreenLib.key_slices import most_telling_slices

    return next(iter(most_telling_slices(result.content)), None)


def suspicious_neighbour(result: SceneResult, index: int, step: int) -> int | None:
    """The next (`step` 1) or previous (-1) slice not classified as Healthy, None at the end."""
    slices = result.content["slices"]
    index += step
    while 0 <= index < len(slices):
        if slices[index]["predicted"] not in (None, "healthy"):
            return index
        index += step
    return None


def healthy_slices(result: SceneResult) -> list[int]:
    """Indices of slices classified as Healthy, on which the location map is hidden by default."""
    slices = result.content["slices"]
    return [each["index"] for each in slices if each["predicted"] == "healthy"]
