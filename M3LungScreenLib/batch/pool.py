"""Runs a batch on this computer: worker processes that keep the model loaded."""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from M3LungScreenLib.batch.one_study import (
    BatchSettings,
    Refusal,
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
_state: dict[str, object] = {}


def screen_in_pool(
    studies: list[Study],
    settings: BatchSettings,
    model: Path,
    device: str,
    workers: int,
) -> Iterator[tuple[Study, bool]]:
    """Each study once it is done, and whether it was screened (or else refused).

    A study whose worker dies is tried once more, alone; if that worker dies too, it is refused.
    """
    suspects = yield from _run(studies, settings, model, device, workers)
    for study in suspects:
        if (yield from _run([study], settings, model, device, 1)):
            write_refusal(Refusal("worker_died", WORKER_DIED), study, settings)
            yield study, False


def _run(
    studies: list[Study], settings: BatchSettings, model: Path, device: str, workers: int
) -> Generator[tuple[Study, bool], None, list[Study]]:
    """As `screen_in_pool`; returns the studies that were being screened when a worker died."""
    waiting, suspects = list(reversed(studies)), list[Study]()
    while waiting:
        pool = _pool(settings, model, device, workers)
        running: dict[Future[bool], Study] = {}
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    study = waiting.pop()
                    running[pool.submit(_screen, study)] = study
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for each in done:
                    screened = each.result()
                    yield running.pop(each), screened
        except BrokenProcessPool:
            # A study may have been finished although its worker's answer was lost.
            for study in running.values():
                if settings.is_done(study):
                    yield study, True
                else:
                    suspects.append(study)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return suspects


def _pool(settings: BatchSettings, model: Path, device: str, workers: int) -> ProcessPoolExecutor:
    # A thread each: several workers with all cores' threads would hinder each other.
    threads = max(1, (os.cpu_count() or 1) // workers)
    return ProcessPoolExecutor(
        workers,
        multiprocessing.get_context("spawn"),
        _start_worker,
        (settings, model, device, threads, os.getpid()),
    )


def _start_worker(
    settings: BatchSettings, model: Path, device: str, threads: int, parent: int
) -> None:
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    for name in ("OMP_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
        os.environ.setdefault(name, str(threads))
    bundle = load_bundle(model)
    _state.update(settings=settings, bundle=bundle, engine=make_engine(bundle, device))


def _end_with(parent: int) -> None:
    """Ends this process once its parent is gone, however that ended."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    os._exit(1)


def _screen(study: Study) -> bool:
    bundle, engine, settings = (_state[name] for name in ("bundle", "engine", "settings"))
    assert isinstance(bundle, Bundle)
    assert isinstance(settings, BatchSettings)
    run: Callable[[Study, Bundle, Engine, BatchSettings], bool] = screen_study
    return run(study, bundle, engine, settings)  # type: ignore[arg-type]
