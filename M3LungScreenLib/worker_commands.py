"""What the parent asks of the worker: lines of JSON, each checked before anything is done."""

import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from queue import SimpleQueue
from typing import Annotated, Any, Literal

from M3LungScreenLib.allowed_values import Count, Range
from M3LungScreenLib.engines.choice import EngineName
from M3LungScreenLib.settings import from_dict

Run = int | str | None
Three = Count(3, 3)


@dataclass(frozen=True)
class GeometryFields:
    """Those of ct.Geometry."""

    size: Annotated[tuple[Annotated[int, Range(1, 65536)], ...], Three]
    spacing_mm: Annotated[tuple[Annotated[float, Range(0, 1000, over=True)], ...], Three]
    origin_mm: Annotated[tuple[float, ...], Three]
    direction: Annotated[tuple[float, ...], Count(9, 9)]


@dataclass(frozen=True)
class Screen:
    """Screen the raw int16 file `volume` with the bundle `model`, write the folder `out`."""

    volume: str
    geometry: GeometryFields
    model: str
    out: str
    device: str = "auto"
    engine: EngineName = "auto"
    detail: Literal["full", "preview"] = "full"
    run: Run = None


@dataclass(frozen=True)
class Dicom:
    """Write the DICOM objects of a result that was kept into the new folder `out`.

    `result` is a folder with result.json and the raw volumes lesions and lesion_location_map in
    `geometry`; `files` are the DICOM files of its CT, `pdf` is the report.
    """

    result: str
    geometry: GeometryFields
    files: Annotated[tuple[str, ...], Count(2, 100_000)]
    pdf: str
    out: str
    run: Run = None


@dataclass(frozen=True)
class Cancel:
    """Stop `run`, whether it has started or not."""

    run: Run = None


@dataclass(frozen=True)
class Quit:
    """Cancel the current run and end the worker."""


@dataclass(frozen=True)
class Malformed:
    """An invalid line; `run` if it names one."""

    message: str
    run: Run = None


Job = Screen | Dicom
Command = Job | Cancel | Quit | Malformed
KINDS: dict[Any, type[Screen] | type[Dicom] | type[Cancel] | type[Quit]] = {
    "screen": Screen,
    "dicom": Dicom,
    "cancel": Cancel,
    "quit": Quit,
}


def command_of(line: str) -> Command:
    """The command in a line of JSON; Malformed says what is wrong with it. Raises nothing."""
    run: Run = None
    try:
        plain = json.loads(line)
        if not isinstance(plain, dict):
            raise ValueError(f"{plain!r:.60} is not an object")
        told = plain.get("run")
        run = told if type(told) in (int, str) else None
        return _checked(plain)
    except (ValueError, RecursionError) as wrong:
        return Malformed(f"The worker received an invalid command: {wrong}.", run)


def _checked(plain: dict[str, Any]) -> Command:
    name = plain.get("command")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueError(f"command is {name!r:.60} but must be one of {', '.join(KINDS)}")
    known = {each.name for each in fields(kind)}
    return from_dict(kind, {key: value for key, value in plain.items() if key in known})


class Inbox:
    """Commands in order. A thread reads them, so 'cancel' works during a run.

    Iteration ends after 'quit', at the end of the input, or by `close`; the current run is then
    cancelled.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self._waiting: SimpleQueue[Job | Malformed | None] = SimpleQueue()
        self._cancelled: set[Run] = set()
        self.closed = threading.Event()
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()

    def __iter__(self) -> Iterator[Job | Malformed]:
        return iter(self._waiting.get, None)

    def cancelled(self, run: Run) -> bool:
        return self.closed.is_set() or run in self._cancelled

    def close(self) -> None:
        """As if the lines had ended."""
        self.closed.set()
        self._waiting.put(None)

    def _read(self, lines: Iterable[str]) -> None:
        try:
            for command in map(command_of, lines):
                if isinstance(command, Quit):
                    break
                if isinstance(command, Cancel):
                    self._cancelled.add(command.run)
                else:
                    self._waiting.put(command)
        finally:  # the worker must not wait forever
            self.close()
