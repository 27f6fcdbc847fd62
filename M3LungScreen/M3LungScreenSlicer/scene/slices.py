"""Which slice of a result lies where: for scrolling, charts and jumps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .results import SceneResult


def slice_at(result: SceneResult, ras_mm: Sequence[float]) -> dict[str, Any] | None:
    """The `slices` entry of result.json at a RAS position of the scene, None outside the CT."""
    raise NotImplementedError


def position_of(result: SceneResult, index: int) -> tuple[float, float, float]:
    """RAS mm of the centre of the slice with this `index`, for a jump."""
    raise NotImplementedError


def most_suspicious(result: SceneResult) -> int | None:
    """`index` of the screened slice with the highest P(lesion)."""
    raise NotImplementedError


def suspicious_neighbour(result: SceneResult, index: int, step: int) -> int | None:
    """The next (`step` 1) or previous (-1) slice not called Healthy, None at the end."""
    raise NotImplementedError


def is_called_healthy(result: SceneResult, index: int) -> bool:
    """Whether the overlay hides on this slice unless asked."""
    raise NotImplementedError
