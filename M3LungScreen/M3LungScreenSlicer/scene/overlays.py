"""The location map and the label map as nodes with their colours."""

from __future__ import annotations

from typing import Any


def set_threshold(location_map: Any, threshold: float) -> None:
    """Show the location map from `threshold` (0 to 1) up; lower values are transparent."""
    raise NotImplementedError


def lung_window(volume: Any) -> tuple[float, float]:
    """Set the lung preset, 1200 / -600 HU; returns (window, level) as they were."""
    raise NotImplementedError


def set_window(volume: Any, window: float, level: float) -> None:
    """Back to what it was."""
    raise NotImplementedError
