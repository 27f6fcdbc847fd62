"""The child process of the Slicer module: JSON lines in and out, models stay loaded between runs.

    in   {"command": "screen", "run": 1, "volume": FILE, "geometry": {…}, "model": FOLDER,
          "device": "auto", "engine": "auto", "detail": "full", "out": FOLDER}
         {"command": "dicom", "run": 2, "result": FOLDER, "geometry": {…}, "files": [FILE, …],
          "pdf": FILE, "out": FOLDER}
         {"command": "cancel", "run": 1}
         {"command": "quit"}
    out  {"event": "hello", …}, then the events of events.py with the number of their run

`volume` is a raw file of int16 HU, which is memory-mapped; `geometry` has the fields of
ct.Geometry. An invalid line is answered by an error of kind 'command'. The process ends when
stdin or the parent process ends (commands/worker.py). stdout carries only these lines;
everything else that is printed goes to stderr.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TextIO

import numpy as np

from M3LungScreenLib.bundle import Bundle, load_bundle
from M3LungScreenLib.ct import CTVolume, Geometry
from M3LungScreenLib.engines.choice import EngineName, describe_devices
from M3LungScreenLib.engines.fallback_engine import (
    GPU_MEMORY_RAN_OUT,
    FallbackEngine,
    start_engine,
)
from M3LungScreenLib.engines.interface import Engine
from M3LungScreenLib.errors import (
    MEMORY_RAN_OUT,
    Cancelled,
    InputRefused,
    M3LungScreenError,
    UsageError,
    memory_ran_out,
)
from M3LungScreenLib.events import (
    Crashed,
    Event,
    Failed,
    Finished,
    Hello,
    Listener,
    Notice,
    Progress,
    to_json,
)
from M3LungScreenLib.kept_result import read_kept_result
from M3LungScreenLib.outputs.folder import check_target, write
from M3LungScreenLib.provenance import package_versions
from M3LungScreenLib.reading import read_ct
from M3LungScreenLib.screening import screen
from M3LungScreenLib.worker_commands import Dicom, Inbox, Job, Malformed, Run, Screen


class NobodyListens(BaseException):
    """stdout is closed, so no result can be reported."""


def serve(lines: Iterable[str], out: TextIO) -> int:
    """Carry out the commands of `lines` until 'quit' or their end; returns the exit status."""
    try:
        _tell(out, Hello(package_versions(), describe_devices()))
        inbox = Inbox(lines)
        engines = EngineShelf()
        for command in inbox:
            cancelled = partial(inbox.cancelled, command.run)
            carry_out(command, engines, partial(_tell, out, run=command.run), cancelled)
    except ImportError as missing:
        message = f"A package is missing ({missing.name}). Install the packages and try again."
        _tell(out, Failed("packages_missing", message))
        return 1
    except NobodyListens:
        return 1
    return 0


def _tell(out: TextIO, event: Event, run: Run = None) -> None:
    """Write one line; raises NobodyListens if that fails."""
    told = json.loads(to_json(event))
    try:
        out.write(json.dumps(told if run is None else {**told, "run": run}) + "\n")
        out.flush()
    except (OSError, ValueError) as broken:  # ValueError: closed
        raise NobodyListens from broken


class EngineShelf:
    """The last engine, kept for the next run of the same bundle on the same device."""

    def __init__(self) -> None:
        self._key: tuple[Bundle, str, EngineName] | None = None
        self._engine: Engine | None = None

    def engine_for(
        self, bundle: Bundle, device: str, engine: EngineName, listen: Listener
    ) -> Engine:
        """As engines.choice.make_engine; the CPU takes over if the GPU runs out of memory."""

        def fall_back() -> None:
            self._key = None  # the next run asks the GPU again
            listen(Notice(GPU_MEMORY_RAN_OUT))

        if self._engine is None or self._key != (bundle, device, engine):
            self._engine = None  # makes room before the next one is loaded
            self._key = (bundle, device, engine)
            self._engine = start_engine(bundle, device, engine, fall_back)
        return FallbackEngine(bundle, self._engine, engine, fall_back)


def carry_out(
    command: Job | Malformed,
    engines: EngineShelf,
    listen: Listener,
    cancelled: Callable[[], bool],
) -> None:
    """Carry out one command; every error becomes an event, and the worker continues."""
    try:
        if isinstance(command, Malformed):
            raise UsageError("command", command.message)
        if isinstance(command, Dicom):
            listen(Finished(str(write_dicom(command, listen))))
        else:
            listen(Finished(str(screen_mapped(command, engines, listen, cancelled))))
    except M3LungScreenError as refusal:
        listen(Failed(refusal.kind, refusal.message))
    except Exception as wrong:
        what = "The DICOM output" if isinstance(command, Dicom) else "The screening"
        summary = f"{what} failed ({type(wrong).__name__}). If it fails again, report it."
        message = MEMORY_RAN_OUT if memory_ran_out(wrong) else summary
        listen(Crashed(message, traceback.format_exc()))


def screen_mapped(
    command: Screen, engines: EngineShelf, listen: Listener, cancelled: Callable[[], bool]
) -> Path:
    """Screen the mapped volume of a 'screen' command and write its result folder."""
    out = Path(command.out)
    check_target(out)
    listen(Progress("read", 0, 1))
    bundle = load_bundle(command.model)
    volume = map_volume(Path(command.volume), Geometry(**vars(command.geometry)))
    listen(Progress("read", 1, 1))
    engine = engines.engine_for(bundle, command.device, command.engine, listen)
    result = screen(
        volume,
        bundle,
        detail=command.detail,
        progress=listen,
        cancelled=cancelled,
        engine=engine,
    )
    listen(Progress("write", 0, 1))
    if cancelled():
        raise Cancelled
    write(result, out, volumes="raw")
    listen(Progress("write", 1, 1))
    return out


def write_dicom(command: Dicom, listen: Listener) -> Path:
    """Write the DICOM objects of a 'dicom' command into its folder."""
    from M3LungScreenLib.outputs.dicom_objects.writing import write_dicom_objects

    listen(Progress("read", 0, 1))
    volume = read_ct([Path(each) for each in command.files])
    geometry = Geometry(**vars(command.geometry))
    result = read_kept_result(Path(command.result), geometry, volume)
    listen(Progress("write", 0, 1))
    out = Path(command.out)
    write_dicom_objects(result, Path(command.pdf).read_bytes(), out)
    listen(Progress("write", 1, 1))
    return out


def map_volume(path: Path, geometry: Geometry) -> CTVolume:
    """The raw int16 file `[slice, row, column]`, memory-mapped; `screen` checks its values."""
    expected = 2 * int(np.prod(geometry.size))
    if path.stat().st_size != expected:
        raise InputRefused(
            "cut_off",
            f"The temporary copy of the volume has {path.stat().st_size} bytes instead of "
            f"{expected}; the disk may be full. Free some space and try again.",
        )
    mapped = np.memmap(path, np.int16, "r").reshape(geometry.size[::-1])
    return CTVolume.stored_in(geometry, mapped)
