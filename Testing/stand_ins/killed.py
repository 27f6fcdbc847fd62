"""A script of Training killed without warning at a chosen moment."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]


def kill_when(arguments: list[str], ready: Callable[[], bool]) -> None:
    """SIGKILL `python -m arguments` once `ready`; it must not have ended by then, nor leave any."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, "-m", *arguments], cwd=ROOT, **quiet)  # type: ignore[call-overload]
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None and not ready():
        time.sleep(0.001)
    assert process.poll() is None, "it ended before it could be killed"
    assert time.monotonic() < deadline, "the moment to kill it never came"
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    _, left = psutil.wait_procs(children, timeout=60)
    assert not left, "processes of the killed one go on"
