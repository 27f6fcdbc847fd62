"""The states of a screening that runs in a child process.

    idle ─ start ─▶ starting ─ hello ─▶ running ─▶ provisional ─▶ done
                        │                  │            │
                        └──────────────────┴────────────┴──▶ refused, failed, cancelled

Every end is followed by the next `start`; the child stays warm between runs and is
replaced where it has died. No Qt and no MRML here: the child is injected.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

from slicer.i18n import translate

from .child_process import ChildProcess, Exit

# Typical shares of the time on a CPU; the remaining time is only an estimate.
STEP_SHARES = {
    "read": 0.02,
    "preprocess": 0.18,
    "slice_network": 0.68,
    "patient_network": 0.01,
    "localization": 0.07,
    "write": 0.04,
}
SMALLEST_ESTIMATE = 0.05
MEMORY_WORDS = ("MemoryError", "bad_alloc", "Cannot allocate memory")


class State(Enum):
    """The state of a screening or an installation."""

    IDLE = "idle"
    STARTING = "starting"
    RUNNING = "running"
    PROVISIONAL = "provisional"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INSTALLING = "installing"  # these three are the logic's; no session is ever in them
    INSTALLED = "installed"
    NOT_INSTALLED = "not_installed"

    @property
    def busy(self) -> bool:
        """Whether the button is Cancel."""
        return self in (State.STARTING, State.RUNNING, State.PROVISIONAL)


@dataclass(frozen=True)
class Request:
    """One run: the raw int16 file `volume` with its geometry (LPS, as ct.Geometry), and how."""

    command: ClassVar[str] = "screen"
    volume: Path
    geometry: dict[str, Any]
    model: Path
    out: Path
    device: str = "auto"
    detail: str = "full"


@dataclass(frozen=True)
class DicomRequest:
    """DICOM objects of a result: worker_commands.Dicom has the fields."""

    command: ClassVar[str] = "dicom"
    result: Path
    geometry: dict[str, Any]
    files: list[str]
    pdf: Path
    out: Path


@dataclass(frozen=True)
class Status:
    """The current state and what the panel shows of it; every change makes a new one.

    `step` is one of events.STEPS or '', `fraction` 0 to 1 of the whole run,
    `seconds_left` None while unknown. `message` is one sentence where the state is
    refused, failed or cancelled, and pip's last line while installing; `kind` is the word
    for programs beside it, `details` the child's last lines. `replaced` are packages that
    Slicer had loaded when they were replaced. `notices` are messages during the run (a
    GPU that ran out of memory). `provisional` is the event of that name as a dict, `result`
    the folder that the child has written. `hello` is the first event of the child:
    version, packages, devices (each with name, description, free_mb).
    """

    state: State = State.IDLE
    step: str = ""
    fraction: float = 0.0
    seconds_left: float | None = None
    message: str = ""
    kind: str = ""
    details: str = ""
    replaced: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    provisional: dict[str, Any] | None = None
    result: Path | None = None
    hello: dict[str, Any] | None = field(default=None, repr=False)


class ScreeningSession:
    """Runs one request after another in the same child; `on_change` gets every change."""

    def __init__(
        self,
        make_child: Callable[[], ChildProcess],
        on_change: Callable[[Status], None] = lambda status: None,
    ) -> None:
        self.on_change = on_change
        self.status = Status()
        self._make_child = make_child
        self._child: ChildProcess | None = None
        self._hello: dict[str, Any] | None = None
        self._run = 0
        self._pending: Request | DicomRequest | None = None
        self._started = 0.0

    @property
    def child(self) -> ChildProcess | None:
        """The running child, for callers that wait for its lines."""
        return self._child

    def warm_up(self) -> None:
        """Start the child ahead of the first click; `status.hello` follows."""
        if self._child is None:
            self._child = self._make_child()
            self._child.start(self.onProcessLine, self.onProcessFinished)

    def start(self, request: Request | DicomRequest) -> None:
        """Screen, or make DICOM objects; RuntimeError while another run is going on."""
        if self.status.state.busy:
            raise RuntimeError("A screening is running; cancel it first.")
        self._run += 1
        self._pending = request
        self._set_status(Status(State.STARTING, hello=self._hello))
        self.warm_up()
        if self._hello is not None:
            self._send_request()

    def cancel(self) -> None:
        """Stop the run; the state is `cancelled` at once."""
        if not self.status.state.busy:
            return
        if self._child is not None and self._pending is None:
            self._child.send(json.dumps({"command": "cancel", "run": self._run}))
        self._pending = None
        message = translate("M3LungScreen", "The scene was not changed.")
        self._set_status(
            Status(State.CANCELLED, message=message, kind="cancelled", hello=self._hello)
        )

    def stop_if_idle(self) -> None:
        """End the child if it is idle, to free its memory; the next start makes another one."""
        if not self.status.state.busy:
            self.close()

    def close(self) -> None:
        """Kill the child and its children; `start` works again afterwards."""
        if self._child is not None:
            self._child.kill()
        self._child = self._hello = self._pending = None
        self.status = Status()

    def _send_request(self) -> None:
        request, self._pending = self._pending, None
        if request is None or self._child is None:
            return
        fields = {name: _plain(value) for name, value in vars(request).items()}
        self._child.send(json.dumps({"command": request.command, "run": self._run, **fields}))
        self._started = time.monotonic()
        self._set_status(replace(self.status, state=State.RUNNING))

    def onProcessLine(self, line: str) -> None:
        event = json.loads(line)
        if event["event"] == "hello":
            self._hello = event
            self._set_status(replace(self.status, hello=event))
            self._send_request()
        elif self.status.state.busy and event.get("run", self._run) == self._run:
            self._set_status(status_after(self.status, event, time.monotonic() - self._started))

    def onProcessFinished(self, how: Exit) -> None:
        self._child = self._hello = self._pending = None
        if self.status.state.busy:
            self._set_status(
                Status(State.FAILED, message=exit_message(how), details=how.last_lines)
            )

    def _set_status(self, status: Status) -> None:
        self.status = status
        self.on_change(status)


def status_after(status: Status, event: dict[str, Any], seconds: float) -> Status:
    """`status` after an event of the worker, `seconds` after the run began."""
    match event["event"]:
        case "progress":
            fraction = max(status.fraction, fraction_done(event))
            left = seconds * (1 - fraction) / fraction if fraction > SMALLEST_ESTIMATE else None
            return replace(status, step=event["step"], fraction=fraction, seconds_left=left)
        case "provisional":
            return replace(status, state=State.PROVISIONAL, provisional=event)
        case "notice":
            return replace(status, notices=(*status.notices, event["message"]))
        case "result":
            done = replace(status, state=State.DONE, fraction=1.0, seconds_left=0.0)
            return replace(done, result=Path(event["path"]))
        case "crash":
            failed = replace(status, state=State.FAILED, message=event["message"])
            return replace(failed, details=event["details"])
        case "error":
            state = State.CANCELLED if event["kind"] == "cancelled" else State.REFUSED
            return replace(status, state=state, message=event["message"], kind=event["kind"])
    return status


def fraction_done(event: dict[str, Any]) -> float:
    """The fraction of the run that is done at a progress event, 0 to 1."""
    steps = list(STEP_SHARES)
    before = sum(STEP_SHARES[step] for step in steps[: steps.index(event["step"])])
    return before + STEP_SHARES[event["step"]] * event["done"] / max(event["total"], 1)


def exit_message(how: Exit) -> str:
    """Why the child ended, in one sentence with what to do."""
    if how.status is None:
        return translate(
            "M3LungScreen", "The screening process could not be started. Reinstall the extension."
        )
    if any(word in how.last_lines for word in MEMORY_WORDS):
        return translate(
            "M3LungScreen",
            "There was not enough memory. Close other programs or volumes and screen again.",
        )
    if how.crashed:
        return translate(
            "M3LungScreen",
            "The screening process crashed or was killed, possibly because there was not "
            "enough memory. Close other programs or volumes and screen again.",
        )
    return translate(
        "M3LungScreen",
        "The screening process ended unexpectedly. Screen again. The reason is under Details.",
    )


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
