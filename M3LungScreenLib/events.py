"""Progress events of a running screening, and their JSON."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

STEPS = ("read", "preprocess", "slice_network", "patient_network", "localization", "write")


@dataclass(frozen=True)
class Progress:
    """`done` of `total` units of `step` (one of STEPS) are finished."""

    step: str
    done: int
    total: int
    event: str = "progress"


@dataclass(frozen=True)
class Provisional:
    """A first verdict from part of the slices; the final one replaces it."""

    predicted: str
    verdict: str
    probabilities: dict[str, float]
    slices_screened: int
    event: str = "provisional"


@dataclass(frozen=True)
class Finished:
    """The result folder is complete at `path`."""

    path: str
    event: str = "result"


@dataclass(frozen=True)
class Failed:
    """The run was refused; `kind` and `message` as in errors.py."""

    kind: str
    message: str
    event: str = "error"


@dataclass(frozen=True)
class Crashed:
    """The program itself failed: `message` for people, `details` the traceback."""

    message: str
    details: str
    event: str = "crash"


@dataclass(frozen=True)
class Notice:
    """The run continues, but differently than requested; one sentence for people."""

    message: str
    event: str = "notice"


@dataclass(frozen=True)
class Hello:
    """A worker is ready: package versions and devices, the fastest first.

    Each device has `name` (what `device` may be), `description` for people and
    `free_mb`, its free memory in MiB, or None if unknown.
    """

    packages: dict[str, str]
    devices: tuple[dict[str, Any], ...]
    event: str = "hello"


Event = Progress | Provisional | Finished | Failed | Crashed | Notice | Hello
Listener = Callable[[Event], None]


def ignore(_: Event) -> None:
    """A listener that ignores all events."""


def to_json(event: Event) -> str:
    """One line of JSON, `event` first."""
    fields: dict[str, Any] = asdict(event)
    return json.dumps({"event": fields.pop("event"), **fields})
