"""Stops the idle child process minutes after the module was left, or if memory is short."""

from __future__ import annotations

import time
from collections.abc import Callable

import qt

# A user who looks at the result in another module comes back within minutes.
AWAY_MINUTES = 5
CHECK_INTERVAL_S = 20
# Below this share of free memory systems begin to swap.
MIN_FREE_MEMORY = 0.1


class IdleTimer:
    """Calls `stop_child`, which does nothing during a screening, when the memory is needed."""

    def __init__(self, stop_child: Callable[[], None]) -> None:
        self._stop_child = stop_child
        self._exited_at: float | None = None
        self._timer = qt.QTimer()
        self._timer.connect("timeout()", self.check)

    def onEnter(self) -> None:
        """The user is in the module."""
        self._exited_at = None
        self._timer.start(1000 * CHECK_INTERVAL_S)

    def onExit(self) -> None:
        """The user went to another module."""
        self._exited_at = time.monotonic()

    def stop(self) -> None:
        """The widget is deleted."""
        self._timer.stop()

    def check(self) -> None:
        """Stop the child if the module was left long ago or memory is short."""
        away = (
            self._exited_at is not None and time.monotonic() - self._exited_at > 60 * AWAY_MINUTES
        )
        if away or free_memory() < MIN_FREE_MEMORY:
            self._stop_child()


def free_memory() -> float:
    """The share of the machine's memory that is free; 1 while psutil is not installed."""
    try:
        import psutil
    except ImportError:  # then there is no child either
        return 1.0
    memory = psutil.virtual_memory()
    return float(memory.available / memory.total)
