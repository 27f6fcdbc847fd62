"""Run screenings requested as JSON lines on stdin (used by the Slicer module)."""

import argparse
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue

import psutil

from M3LungScreenLib.worker import serve

# How often the parent is looked for: where others inherited its end of the pipe, stdin stays open.
POLL_S = 1.0
# A cancelled run cleans up between two batches of slices; after this time the process ends anyway.
GRACE_S = 20.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments: commands come on stdin."""


def run(arguments: argparse.Namespace) -> int:
    """Reserve stdout for the JSON lines; everything else that is printed goes to stderr."""
    parent_lives = _parent_lives()  # before it is told that the worker is ready
    lines = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # Bytes that are not UTF-8 make only their own line invalid.
    sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]
    return serve(lines_of_parent(sys.stdin, parent_lives), lines)


def lines_of_parent(stdin: Iterable[str], parent_lives: Callable[[], bool]) -> Iterator[str]:
    """Lines until `stdin` or the parent ends; the process then ends within GRACE_S."""
    waiting: SimpleQueue[str | None] = SimpleQueue()
    threading.Thread(target=_read, args=(stdin, waiting), daemon=True).start()
    threading.Thread(target=_follow, args=(parent_lives, waiting), daemon=True).start()
    try:
        yield from iter(waiting.get, None)
    finally:
        last = threading.Timer(GRACE_S, os._exit, (1,))
        last.daemon = True
        last.start()


def _read(stdin: Iterable[str], waiting: SimpleQueue[str | None]) -> None:
    try:
        for line in stdin:
            waiting.put(line)
    finally:
        waiting.put(None)


def _follow(parent_lives: Callable[[], bool], waiting: SimpleQueue[str | None]) -> None:
    while parent_lives():
        time.sleep(POLL_S)
    waiting.put(None)


def _parent_lives() -> Callable[[], bool]:
    """A check whether the current parent process is still running."""
    first = os.getppid()
    if sys.platform != "win32":
        return lambda: os.getppid() == first  # an orphan is given another one
    try:
        return psutil.Process(first).is_running
    except psutil.NoSuchProcess:
        return lambda: False
