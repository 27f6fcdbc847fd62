"""The child process without Qt, for callers that wait: the Python console and scripts."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, SimpleQueue

from .child_process import (
    LAST_LINES,
    WORKER_ARGUMENTS,
    Exit,
    OnExit,
    OnLine,
    end_tree,
    slicer_python,
)


class PipeProcess:
    """A ChildProcess whose callbacks are called by `pump`, on the caller's thread."""

    def __init__(self, program: str, arguments: Sequence[str], folder: Path) -> None:
        self._command = [program, *arguments]
        self._folder = folder
        self._heard: SimpleQueue[str | None] = SimpleQueue()
        self._last_words: deque[str] = deque(maxlen=LAST_LINES)
        self._process: subprocess.Popen[str] | None = None
        self._threads: list[threading.Thread] = []
        self._on_line: OnLine | None = None
        self._on_exit: OnExit | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, on_line: OnLine, on_exit: OnExit) -> None:
        self._on_line, self._on_exit = on_line, on_exit
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                cwd=self._folder,
                creationflags=creation_flags(),
            )
        except OSError as wrong:
            self._last_words.append(str(wrong))
            self._heard.put(None)
            return
        for read in (self._read_lines, self._read_last_words):
            self._threads.append(threading.Thread(target=read, args=(self._process,), daemon=True))
            self._threads[-1].start()

    def pump(self, seconds: float) -> bool:
        """Wait up to `seconds` for the next line or the end and call back; False if none came."""
        try:
            line = self._heard.get(timeout=seconds)
        except Empty:
            return False
        if line is None:
            self._end()
        elif self._on_line is not None:
            self._on_line(line)
        return True

    def send(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None and self.running:
            try:
                self._process.stdin.write(line + "\n")
                self._process.stdin.flush()
            except OSError:
                return  # it has just ended; `pump` is about to tell

    def kill(self) -> None:
        self._on_line = self._on_exit = None
        if self.running:
            end_tree(self.pid)
        self._close()

    def _end(self) -> None:
        status = None if self._process is None else self._process.wait()
        self._close()
        on_exit, self._on_line, self._on_exit = self._on_exit, None, None
        if on_exit is not None:
            crashed = status is not None and (status < 0 or status > 255)
            on_exit(Exit(status, crashed, "\n".join(self._last_words)))

    def _close(self) -> None:
        if self._process is None:
            return
        self._process.wait()
        for thread in self._threads:
            thread.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _read_lines(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._heard.put(line.rstrip("\n"))
        self._heard.put(None)

    def _read_last_words(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        self._last_words.extend(line.rstrip("\n") for line in process.stderr)


def creation_flags() -> int:
    """No console window on Windows."""
    if sys.platform == "win32":
        return subprocess.CREATE_NO_WINDOW
    return 0


def pipe_worker(library_root: Path) -> PipeProcess:
    """The library's worker under Slicer's Python, not yet started."""
    return PipeProcess(slicer_python(), WORKER_ARGUMENTS, library_root)
