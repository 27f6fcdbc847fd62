"""Screens several CTs one after another, and counts what became of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from html import escape
from typing import Any

from slicer.i18n import translate

from ..screening_session import State, Status
from .wording import bullets

OnStatus = Callable[[Status], None]


class ScreeningQueue:
    """`start(volume, on_status)` starts one screening without waiting, as the logic does.

    `on_status` hears each screening while it runs; `on_end` is called once, when all are done or
    one was cancelled.
    """

    def __init__(
        self,
        volumes: Iterable[Any],
        start: Callable[[Any, OnStatus], None],
        on_status: OnStatus,
        on_end: Callable[[], None],
    ) -> None:
        self._waiting = deque((each, each.GetName()) for each in volumes)
        self._total = len(self._waiting)
        self._start, self._on_status, self._on_end = start, on_status, on_end
        self._name = ""
        self._screened = 0
        self._problems: list[str] = []
        self._is_cancelled = False

    @property
    def position(self) -> str:
        """Which CT is being screened, such as '2 of 5: CT of the chest'."""
        return translate("M3LungScreen", "{n} of {of}: {name}").format(
            n=self._total - len(self._waiting), of=self._total, name=self._name
        )

    @property
    def summary(self) -> str:
        """Rich text: how many were screened, and why the others were not."""
        words = (
            translate("M3LungScreen", "Cancelled. {n} of {of} CTs were screened.")
            if self._is_cancelled
            else translate("M3LungScreen", "{n} of {of} CTs were screened.")
        )
        said = words.format(n=self._screened, of=self._total)
        return f"<b>{said}</b>{bullets([escape(each) for each in self._problems])}"

    def start_next(self) -> None:
        """Start with the next CT, or end."""
        if not self._waiting:
            self._on_end()
            return
        volume, self._name = self._waiting.popleft()
        if volume.GetScene() is None:
            removed = translate("M3LungScreen", "It was removed from the scene.")
            self._end_one(Status(State.REFUSED, message=removed))
        else:
            self._start(volume, self._hear)

    def _hear(self, status: Status) -> None:
        if status.state.busy:
            self._on_status(status)
        else:
            self._end_one(status)

    def _end_one(self, status: Status) -> None:
        if status.state is State.DONE:
            self._screened += 1
        elif status.kind == "cancelled":
            self._is_cancelled = True
            self._waiting.clear()
        else:
            self._problems.append(f"{self._name}: {status.message}")
        self.start_next()
