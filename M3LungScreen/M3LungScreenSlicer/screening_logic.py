"""The module's logic on any scene and any child process: from a volume node to a result."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from .child_process import ChildProcess
from .scene.results import SceneResult
from .screening_session import Status

OnStatus = Callable[[Status], None]
OnResult = Callable[[SceneResult], None]


class ScreeningFailed(RuntimeError):
    """A run without a result, for callers that wait; the message is the sentence of the status."""


class ScreeningLogic:
    """Screens volumes of `scene`; `make_child` makes the process, by default Qt's.

    Both are arguments so that tests give another. `status` is the session's.
    """

    def __init__(self, scene: Any, make_child: Callable[[], ChildProcess] | None = None) -> None:
        self.scene = scene
        raise NotImplementedError

    @property
    def status(self) -> Status:
        """Where the asynchronous screening stands."""
        raise NotImplementedError

    def start(
        self,
        volume: Any,
        model: Path | str | None = None,
        *,
        device: str = "auto",
        detail: str = "full",
        on_status: OnStatus = lambda status: None,
        on_result: OnResult = lambda result: None,
    ) -> None:
        """Screen without waiting (the widget's way); needs an event loop.

        `on_status` hears every change, the end too; on success `on_result` hears
        the nodes first, then `on_status` the state DONE. A volume that cannot be
        screened ends in REFUSED at once. RuntimeError while a run is going on.
        """
        raise NotImplementedError

    def warm_up(self, on_status: OnStatus = lambda status: None) -> None:
        """Start the child before the first click, so that the click finds it warm."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Stop the run; the scene is as it was before."""
        raise NotImplementedError

    def close(self) -> None:
        """End the child and delete the temporary files; a later start works again."""
        raise NotImplementedError

    def screen(
        self,
        volume: Any,
        model: Path | str | None = None,
        device: str = "auto",
        detail: str = "full",
        on_status: OnStatus = lambda status: None,
    ) -> SceneResult:
        """Screen and wait, for the console and scripts; the same child, without Qt.

        Raises ScreeningFailed with the sentence a person would have been shown.
        """
        raise NotImplementedError

    def screen_all(
        self, volumes: Iterable[Any] | None = None, **options: Any
    ) -> dict[str, SceneResult | ScreeningFailed]:
        """Every scalar volume of the scene (or these) by node ID, one after another.

        A volume that is refused has its exception in the place of a result.
        """
        raise NotImplementedError
