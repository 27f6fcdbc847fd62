"""Carries out a plan of installation: pip in processes beside Slicer, one after the other.

    idle ─ start ─▶ running: a step, the next step … ─▶ idle, with an Outcome

The window stays free; while it is running, another start is refused.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from slicer.i18n import translate

from .child_process import ChildProcess, Exit, QtProcess, slicer_python
from .installation import InstallationRefused, Plan, ask, still_missing
from .packages import constraints, installed_versions, replaced_while_loaded
from .pip_messages import PROGRESS, WRITING, failure_message, progress_text

LAST_LINES = 60
WAIT_S = 1.0
# Unpacking PyTorch with CUDA takes a minute or two on a slow disk.
LONGEST_WRITING_S = 180


@dataclass(frozen=True)
class Outcome:
    """How an installation ended: `message` is '' where it succeeded, else one sentence.

    `details` are pip's last lines; `replaced` names packages that Slicer had loaded
    before they were replaced, for which it wants a restart.
    """

    message: str = ""
    details: str = ""
    replaced: tuple[str, ...] = ()


OnLine = Callable[[str], None]
OnEnd = Callable[[Outcome], None]


def python_process(arguments: Sequence[str], folder: Path) -> ChildProcess:
    """Slicer's Python with `arguments`, not yet started."""
    return QtProcess(slicer_python(), arguments, folder)


@dataclass
class _Run:
    """One installation on its way."""

    plan: Plan
    steps: deque[tuple[str, ...]]
    on_line: OnLine
    on_end: OnEnd
    folder: tempfile.TemporaryDirectory[str]
    versions_before: dict[str, str]
    output: deque[str]
    process: ChildProcess | None = None


class Installer:
    """Runs one plan at a time; `make_process` is an argument so that tests give another."""

    def __init__(
        self, make_process: Callable[[Sequence[str], Path], ChildProcess] = python_process
    ) -> None:
        self._make_process = make_process
        self._run: _Run | None = None
        self.line = ""  # pip's last one, with how much of a download is there

    @property
    def running(self) -> bool:
        """Whether an installation is going on."""
        return self._run is not None

    def check_free(self) -> None:
        """InstallationRefused while an installation is going on."""
        if self._run is not None:
            raise InstallationRefused(
                translate(
                    "M3LungScreen",
                    "Packages are being installed. Wait until the installation has finished.",
                )
            )

    def start(self, plan: Plan, on_line: OnLine, on_end: OnEnd) -> None:
        """Install; `on_line` hears each line of pip, `on_end` the outcome, once.

        InstallationRefused while another installation is going on.
        """
        self.check_free()
        folder = tempfile.TemporaryDirectory(prefix="M3LungScreen-pip-")
        lines = "\n".join(constraints(plan.missing))
        (Path(folder.name) / "constraints.txt").write_text(f"{lines}\n", "utf-8")
        steps, output = deque(plan.steps), deque[str](maxlen=LAST_LINES)
        self._run = _Run(plan, steps, on_line, on_end, folder, installed_versions(), output)
        self._start_next_step(self._run)

    def wait(self) -> None:
        """Come back when the installation has ended, for callers without an event loop."""
        while self._run is not None and self._run.process is not None:
            self._run.process.wait(WAIT_S)

    def close(self) -> None:
        """End the installation without a word; a package that pip is writing gets whole."""
        run, self._run = self._run, None
        if run is not None and run.process is not None:
            if self.line.startswith(WRITING):
                run.process.wait_for_finished(LONGEST_WRITING_S)
            run.process.kill()
            run.folder.cleanup()
        self.line = ""

    def _start_next_step(self, run: _Run) -> None:
        if not run.steps:
            missing = still_missing(run.plan)
            self._finish(
                run,
                Outcome(missing, "\n".join(run.output), replaced_while_loaded(run.versions_before)),
            )
            return
        place = Path(run.folder.name)
        step = (*run.steps.popleft(), "--constraint", str(place / "constraints.txt"))
        run.process = self._make_process(step, place)
        run.process.start(
            lambda line: self._on_line(run, line), lambda how: self._on_step_finished(run, how)
        )

    def _on_line(self, run: _Run, line: str) -> None:
        if run is not self._run or not line.strip():
            return
        if not line.startswith(PROGRESS):
            run.output.append(line)
        self.line = progress_text(self.line, line)
        run.on_line(self.line)

    def _on_step_finished(self, run: _Run, how: Exit) -> None:
        if run is not self._run:
            return
        if how.status == 0:
            self._start_next_step(run)
            return
        details = "\n".join((*run.output, how.last_lines)).strip()
        self._finish(run, Outcome(failure_message(details, run.plan.folder), details))

    def _finish(self, run: _Run, outcome: Outcome) -> None:
        self._run, self.line = None, ""
        run.folder.cleanup()
        run.on_end(outcome)


INSTALLER = Installer()  # one for the panel, the console and the sample data


def install_and_wait(plan: Plan) -> None:
    """Ask, carry out `plan` and come back when it is done; InstallationRefused says why not."""
    if not plan.missing:
        return
    ask(plan)
    ends: list[Outcome] = []
    INSTALLER.start(plan, lambda line: None, ends.append)
    INSTALLER.wait()
    if ends and ends[0].message:
        raise InstallationRefused(ends[0].message)
