"""The child process as the module sees it, and the one that Qt runs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

LAST_LINES = 40
WORKER_ARGUMENTS = ("-m", "M3LungScreenLib", "worker")


@dataclass(frozen=True)
class Exit:
    """How a child ended: `status` is None where it could not be started at all.

    `crashed` is True for a signal, a kill or an access violation; `last_words` are
    the last lines of its stderr.
    """

    status: int | None
    crashed: bool
    last_words: str


OnLine = Callable[[str], None]
OnExit = Callable[[Exit], None]


class ChildProcess(Protocol):
    """A process that speaks JSON lines; its callbacks are called on the main thread.

    After `kill` no callback comes any more. A process is started once; for another
    run after its end make another one.
    """

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""

    def start(self, on_line: OnLine, on_exit: OnExit) -> None:
        """Start it; `on_line` hears each line of stdout, `on_exit` its end, once."""

    def send(self, line: str) -> None:
        """Write `line` and a line break to its stdin; ignored where it has ended."""

    def kill(self) -> None:
        """End it and all its children at once; nothing is heard of it any more."""


def slicer_python() -> str:
    """The Python that Slicer brings for processes beside it, or the one that runs this."""
    return shutil.which("PythonSlicer") or sys.executable


def end_tree(pid: int) -> None:
    """Kill `pid` and its descendants; PythonSlicer is a launcher whose child is Python."""
    import psutil

    try:
        process = psutil.Process(pid)
        family = [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return
    for each in family:
        try:
            each.kill()
        except psutil.NoSuchProcess:
            continue
