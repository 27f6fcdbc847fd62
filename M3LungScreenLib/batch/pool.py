"""Runs a batch on this computer: worker processes that keep the model loaded."""

import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from M3LungScreenLib.batch.one_study import (
    BatchSettings,
    Prepared,
    Refusal,
    prepare_study,
    screen_study,
    write_refusal,
)
from M3LungScreenLib.batch.studies import Study
from M3LungScreenLib.bundle import Bundle, load_bundle
from M3LungScreenLib.engines.choice import make_engine
from M3LungScreenLib.engines.interface import Engine

PARENT_CHECK_S = 1.0
WORKER_DIED = (
    "The worker process ended while it screened this study, probably for lack of memory. Screen "
    "the study alone, or with fewer workers."
)


@dataclass(frozen=True)
class WorkerSettings:
    """What a worker process needs to start."""

    batch: BatchSettings
    model: Path
    device: str
    threads: int
    parent: int  # process ID


def screen_in_pool(
    studies: list[Study], batch: BatchSettings, model: Path, device: str, workers: int
) -> Iterator[tuple[Study, bool]]:
    """Each study once it is done, and whether it was screened (or else refused).

    A worker reads the next study while it screens one. If it dies, both are tried again, each
    alone; the one that kills a worker again is refused.
    """
    # A share of the cores each: with all cores' threads, workers would hinder each other.
    threads = max(1, (os.cpu_count() or 1) // workers)
    settings = WorkerSettings(batch, model, device, threads, os.getpid())
    suspects: list[Study] = []
    yield from _run(studies, settings, workers, suspects)
    for study in suspects:
        killers: list[Study] = []
        yield from _run([study], settings, 1, killers)
        for each in killers:
            write_refusal(Refusal("worker_died", WORKER_DIED), each, batch)
            yield each, False


def _run(
    studies: list[Study], settings: WorkerSettings, workers: int, suspects: list[Study]
) -> Iterator[tuple[Study, bool]]:
    """As `screen_in_pool`; adds the studies of workers that died to `suspects`."""
    waiting = deque(studies)
    running: dict[Future[bool], _Slot] = {}
    slots = [_Slot(settings) for _ in range(min(workers, len(studies)))]
    try:
        for slot in slots:
            running |= slot.start(waiting)
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for each in done:
                slot = running.pop(each)
                if isinstance(each.exception(), BrokenProcessPool):
                    # Its last study may have been finished although the answer was lost.
                    held = [study for study in slot.held if not settings.batch.is_done(study)]
                    yield from ((study, True) for study in slot.held if study not in held)
                    suspects += held
                    slot.renew()
                else:
                    yield slot.current, each.result()
                running |= slot.start(waiting)
    finally:
        for slot in slots:
            slot.pool.shutdown(wait=True, cancel_futures=True)


class _Slot:
    """One worker process, the study that it screens and the one that it reads meanwhile."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self.held: list[Study] = []
        self.renew()

    def renew(self) -> None:
        """A new process, which holds no study."""
        context = multiprocessing.get_context("spawn")
        self.pool = ProcessPoolExecutor(1, context, _start_worker, (self._settings,))
        self.held = []

    @property
    def current(self) -> Study:
        return self.held[0]

    def start(self, waiting: deque[Study]) -> "dict[Future[bool], _Slot]":
        """Go on with the study that was read, or take the next; empty if there is none."""
        self.held = self.held[1:]
        while waiting and len(self.held) < 2:
            self.held.append(waiting.popleft())
        if not self.held:
            return {}
        upcoming = self.held[1] if len(self.held) > 1 else None
        return {self.pool.submit(_screen, self.current, upcoming): self}


class _Worker:
    """The model in a worker process, and the study that is read ahead."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._batch = settings.batch
        self._bundle: Bundle = load_bundle(settings.model)
        self._engine: Engine = make_engine(self._bundle, settings.device)
        self._reader = ThreadPoolExecutor(1)
        self._read: dict[str, Future[Prepared | Refusal]] = {}

    def screen(self, study: Study, upcoming: Study | None) -> bool:
        prepared = (self._read.pop(study.key, None) or self._prepare(study)).result()
        if upcoming:
            self._read[upcoming.key] = self._prepare(upcoming)
        return screen_study(study, prepared, self._bundle, self._engine, self._batch)

    def _prepare(self, study: Study) -> "Future[Prepared | Refusal]":
        return self._reader.submit(prepare_study, study, self._bundle.settings.preprocessing)


_worker: _Worker | None = None


def _start_worker(settings: WorkerSettings) -> None:
    global _worker
    threading.Thread(target=_end_with, args=(settings.parent,), daemon=True).start()
    for name in ("OMP_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
        os.environ.setdefault(name, str(settings.threads))
    _worker = _Worker(settings)


def _end_with(parent: int) -> None:
    """Ends this process once its parent is gone, however that ended."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    os._exit(1)


def _screen(study: Study, upcoming: Study | None) -> bool:
    assert _worker is not None
    return _worker.screen(study, upcoming)
