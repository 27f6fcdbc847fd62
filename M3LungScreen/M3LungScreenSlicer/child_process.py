"""The child process as a Protocol, and its implementation with QProcess."""

from __future__ import annotations

import shutil
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from .environment import added_to_environment, worker_environment

LAST_LINES = 200  # a traceback of pip is long, and the cause is printed before it
KILL_WAIT_MS = 2000
WORKER_ARGUMENTS = ("-m", "M3LungScreenLib", "worker")


@dataclass(frozen=True)
class Exit:
    """How a child ended: `status` is None if it could not be started.

    `crashed` is True for a signal, a kill or an access violation; `last_lines` are
    the last lines of its stderr.
    """

    status: int | None
    crashed: bool
    last_lines: str


OnLine = Callable[[str], None]
OnExit = Callable[[Exit], None]


class ChildProcess(Protocol):
    """A process that exchanges JSON lines; its callbacks are called on the main thread.

    No callback is called after `kill`. A process can be started only once.
    """

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""

    def start(self, on_line: OnLine, on_exit: OnExit) -> None:
        """Start it; `on_line` gets each line of stdout, `on_exit` is called once, when it ends."""

    def send(self, line: str) -> None:
        """Write `line` and a line break to its stdin; does nothing if it has ended."""

    def wait(self, seconds: float) -> None:
        """Wait up to `seconds` for its next output, for callers without an event loop."""

    def wait_for_finished(self, seconds: float) -> None:
        """Wait until it has ended, at most `seconds`."""

    def kill(self) -> None:
        """Kill it and all its children; no callback is called any more."""


class LineReader:
    """Whole lines out of chunks of bytes."""

    def __init__(self) -> None:
        self._rest = b""

    def lines(self, chunk: bytes) -> list[str]:
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        return [each.decode("utf-8", "replace").rstrip("\r") for each in whole]


class QtProcess:
    """A ChildProcess with QProcess, whose signals arrive in Slicer's event loop.

    `environment` is added to Slicer's own.
    """

    def __init__(
        self,
        program: str,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        import qt

        self._command = program, list(arguments)
        self._environment = dict(environment or {})
        self._kind: Any = qt.QProcess
        self._process = self._kind()
        self._process.setWorkingDirectory(str(folder))
        self._reader = LineReader()
        self._last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self._on_line: OnLine | None = None
        self._on_exit: OnExit | None = None

    @property
    def running(self) -> bool:
        return bool(self._process.processId())

    @property
    def pid(self) -> int:
        """Its process ID, 0 while it does not run."""
        return int(self._process.processId())

    def start(self, on_line: OnLine, on_exit: OnExit) -> None:
        self._on_line, self._on_exit = on_line, on_exit
        self._process.connect("readyReadStandardOutput()", self.onReadyReadStandardOutput)
        self._process.connect("readyReadStandardError()", self.onReadyReadStandardError)
        self._process.connect("finished(int,QProcess::ExitStatus)", self.onProcessFinished)
        self._process.connect("errorOccurred(QProcess::ProcessError)", self.onProcessError)
        with added_to_environment(self._environment):
            self._process.start(*self._command)

    def send(self, line: str) -> None:
        if self.running:
            self._process.write((line + "\n").encode())

    def wait(self, seconds: float) -> None:
        # Qt sends the signals of this process, and no others, while it waits.
        self._process.waitForReadyRead(round(1000 * seconds))

    def wait_for_finished(self, seconds: float) -> None:
        if self.running:
            self._process.waitForFinished(round(1000 * seconds))

    def kill(self) -> None:
        self._on_line = self._on_exit = None
        if self.running:
            kill_process_tree(self.pid)
            self._process.kill()
            self._process.waitForFinished(KILL_WAIT_MS)

    def onReadyReadStandardOutput(self) -> None:
        for line in self._reader.lines(_bytes(self._process.readAllStandardOutput())):
            if self._on_line is not None:
                self._on_line(line)

    def onReadyReadStandardError(self) -> None:
        text = _bytes(self._process.readAllStandardError()).decode("utf-8", "replace")
        self._last_lines.extend(text.splitlines())

    def onProcessFinished(self, status: int, how: Any) -> None:
        self.onReadyReadStandardOutput()
        self.onReadyReadStandardError()
        crashed = how != self._kind.NormalExit
        self._exit(Exit(int(status), crashed, "\n".join(self._last_lines)))

    def onProcessError(self, error: Any) -> None:
        if error == self._kind.FailedToStart:  # the only error without a `finished`
            self._exit(Exit(None, False, f"{self._command[0]}: {self._process.errorString()}"))

    def _exit(self, how: Exit) -> None:
        on_exit, self._on_line, self._on_exit = self._on_exit, None, None
        if on_exit is not None:
            on_exit(how)


def _bytes(read: Any) -> bytes:
    """PythonQt gives a QByteArray."""
    return bytes(read.data())


def worker_process(library_root: Path) -> QtProcess:
    """The library's worker under Slicer's Python, not yet started."""
    return QtProcess(slicer_python(), WORKER_ARGUMENTS, library_root, worker_environment())


def slicer_python() -> str:
    """Slicer's Python for child processes, or the one that runs this.

    Slicer starts its own scripted command line modules by python-real, too: the launcher
    PythonSlicer would stand between the child and its stdin.
    """
    launcher = shutil.which("PythonSlicer")
    if launcher is None:
        return sys.executable
    return shutil.which("python-real", path=str(Path(launcher).parent)) or launcher


def kill_process_tree(pid: int) -> None:
    """Kill `pid` and its descendants: `pid` may be a launcher whose child is Python.

    Does nothing while psutil itself is being installed; pip has no children.
    """
    try:
        import psutil
    except ImportError:
        return
    try:
        process = psutil.Process(pid)
        family = [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return
    for each in family:
        with suppress(psutil.NoSuchProcess):
            each.kill()
