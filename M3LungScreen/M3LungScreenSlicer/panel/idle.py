"""Ends the idle child: some minutes after the module was left, or when memory is wanted."""

from __future__ import annotations

import time
from collections.abc import Callable

import qt

# A user who looks at the result in another module comes back within minutes.
AWAY_MINUTES = 5
LOOK_EVERY_S = 20
# Below this share of free memory systems begin to swap.
LEAST_FREE_MEMORY = 0.1


class IdleWatch:
    """Calls `rest` when the child is not worth its memory; `rest` does nothing in a run."""

    def __init__(self, rest: Callable[[], None]) -> None:
        self._rest = rest
        self._left_at: float | None = None
        self._timer = qt.QTimer()
        self._timer.connect("timeout()", self.look)

    def back(self) -> None:
        """The user is in the module."""
        self._left_at = None
        self._timer.start(1000 * LOOK_EVERY_S)

    def left(self) -> None:
        """The user went to another module."""
        self._left_at = time.monotonic()

    def stop(self) -> None:
        """The widget goes."""
        self._timer.stop()

    def look(self) -> None:
        """End the child if it is time."""
        away = self._left_at is not None and time.monotonic() - self._left_at > 60 * AWAY_MINUTES
        if away or free_memory() < LEAST_FREE_MEMORY:
            self._rest()


def free_memory() -> float:
    """The share of the machine's memory that is free; 1 while psutil is not installed."""
    try:
        import psutil
    except ImportError:  # then there is no child either
        return 1.0
    memory = psutil.virtual_memory()
    return float(memory.available / memory.total)
