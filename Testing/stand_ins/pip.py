"""pip without pip: processes that say and do what a test tells them; wheels that hold nothing."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from M3LungScreenSlicer.child_process import Exit


class Process:
    """A ChildProcess; `say` is a line of its stdout, `end` its end."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.arguments = list(arguments)
        self.running = False
        self.waited: list[float] = []
        self.killed = False

    @property
    def constraints(self) -> list[str]:
        """The lines of its constraints file, which is there while it runs."""
        path = self.arguments[self.arguments.index("--constraint") + 1]
        return Path(path).read_text("utf-8").splitlines()

    def start(self, on_line: Any, on_exit: Any) -> None:
        self._on_line, self._on_exit, self.running = on_line, on_exit, True

    def send(self, line: str) -> None:
        raise AssertionError("pip reads nothing")

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)

    wait_for_finished = wait

    def kill(self) -> None:
        self.running, self.killed = False, True

    def say(self, line: str) -> None:
        if not self.killed:
            self._on_line(line)

    def end(self, status: int = 0, last_lines: str = "") -> None:
        self.running = False
        if not self.killed:
            self._on_exit(Exit(status, False, last_lines))


class Pip:
    """Makes such processes and keeps them; for an Installer."""

    def __init__(self) -> None:
        self.started: list[Process] = []

    def __call__(self, arguments: Sequence[str], folder: Path) -> Process:
        self.started.append(Process(arguments))
        return self.started[-1]

    @property
    def last(self) -> Process:
        return self.started[-1]


def make_wheel(folder: Path, name: str, version: str, *needs: str) -> Path:
    """A pure wheel with one empty module, which requires `needs`."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    requires = "".join(f"Requires-Dist: {each}\n" for each in needs)
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", f"version = {version!r}\n")
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}"
        wheel.writestr(f"{info}/METADATA", metadata)
        tags = "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr(f"{info}/WHEEL", tags)
        wheel.writestr(f"{info}/RECORD", "")
    return path
