"""From a click to a result: the states of one screening over a child process.

    idle ─ start ─▶ starting ─ hello ─▶ running ─▶ provisional ─▶ done
                        │                  │            │
                        └──────────────────┴────────────┴──▶ refused, failed, cancelled

Every end is followed by the next `start`; the child stays warm between runs and is
replaced where it has died. No Qt and no MRML here: the child is injected.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from .child_process import ChildProcess


class State(Enum):
    """Where a screening stands."""

    IDLE = "idle"
    STARTING = "starting"
    RUNNING = "running"
    PROVISIONAL = "provisional"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def busy(self) -> bool:
        """Whether the button is Cancel."""
        return self in (State.STARTING, State.RUNNING, State.PROVISIONAL)


@dataclass(frozen=True)
class Request:
    """One run: the raw int16 file `volume` with its geometry (LPS, as ct.Geometry), and how."""

    volume: Path
    geometry: dict[str, Any]
    model: Path
    out: Path
    device: str = "auto"
    detail: str = "full"


@dataclass(frozen=True)
class Status:
    """What a person may be told now; every change makes a new one.

    `step` is one of events.STEPS or '', `fraction` 0 to 1 of the whole run,
    `seconds_left` None while unknown. `message` is one sentence where the state is
    refused, failed or cancelled, `kind` the word for programs beside it, `details`
    the child's last lines. `notices` are sentences said on the way (a GPU that ran
    out of memory). `provisional` is the event of that name as a dict, `result` the
    folder that the child has written. `hello` is what the child said of itself:
    version, packages, devices (each with name, description, free_mb).
    """

    state: State = State.IDLE
    step: str = ""
    fraction: float = 0.0
    seconds_left: float | None = None
    message: str = ""
    kind: str = ""
    details: str = ""
    notices: tuple[str, ...] = ()
    provisional: dict[str, Any] | None = None
    result: Path | None = None
    hello: dict[str, Any] | None = field(default=None, repr=False)


class ScreeningSession:
    """Runs one request after another in a warm child; tells every change to `on_change`."""

    def __init__(
        self,
        make_child: Callable[[], ChildProcess],
        on_change: Callable[[Status], None] = lambda status: None,
    ) -> None:
        self.on_change = on_change
        self.status = Status()
        self._make_child = make_child
        self._child: ChildProcess | None = None

    def warm_up(self) -> None:
        """Start the child ahead of the first click; `status.hello` follows."""
        raise NotImplementedError

    def start(self, request: Request) -> None:
        """Screen; RuntimeError while another run is going on."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Stop the run; the state is `cancelled` at once, and nothing more is heard of it."""
        raise NotImplementedError

    def close(self) -> None:
        """End the child and its children; the session is idle and can start anew."""
        raise NotImplementedError
