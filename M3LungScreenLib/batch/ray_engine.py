"""Runs a batch on a Ray cluster: actors hold the model, reading is a task before them.

Paths and the output folder must be the same on every machine (a shared file system).
"""

import logging
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from M3LungScreenLib.batch.one_study import (
    BatchSettings,
    Prepared,
    Refusal,
    prepare_study,
    screen_study,
    write_refusal,
)
from M3LungScreenLib.batch.pool import WORKER_DIED
from M3LungScreenLib.batch.studies import Study
from M3LungScreenLib.bundle import load_bundle
from M3LungScreenLib.engines.choice import make_engine

# How often a study is tried if the machine or process that has it is lost.
TRIES = 3


def screen_on_ray(
    studies: list[Study],
    batch: BatchSettings,
    model: Path,
    device: str,
    workers: int,
    address: str | None = None,
    gpus_per_worker: float = 0.0,
) -> Iterator[tuple[Study, bool]]:
    """Each study once it is done, and whether it was screened (or else refused).

    `address` of the cluster, None for one on this computer. At most two studies for each of
    the `workers` are read ahead. A study that is lost with its worker is done again.
    """
    import ray

    # On this computer as many workers as were asked for must find a place.
    own_cpus = None if address else max(workers, os.cpu_count() or 1)
    environment = {"env_vars": {"PYTHONPATH": str(Path(__file__).parents[2])}}
    ray.init(
        address=address,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env=environment,
        num_cpus=own_cpus,
    )
    try:
        # Reading needs no place of its own: `_run` bounds it, and the actors fill the CPUs.
        read = ray.remote(num_cpus=0, max_retries=TRIES)(prepare_study)
        actor = ray.remote(max_restarts=TRIES, num_cpus=1, num_gpus=gpus_per_worker)(_Actor)
        actors = [actor.remote(batch, model, device) for _ in range(workers)]
        yield from _run(ray, read, actors, studies, batch, model)
    finally:
        ray.shutdown()


def _run(
    ray: Any, read: Any, actors: list[Any], studies: list[Study], batch: BatchSettings, model: Path
) -> Iterator[tuple[Study, bool]]:
    settings = load_bundle(model).settings.preprocessing
    waiting = deque((study, 1) for study in studies)
    idle, ahead = deque(actors), deque[tuple[Study, int, Any]]()
    running: dict[Any, tuple[Study, int, Any]] = {}
    while waiting or ahead or running:
        while waiting and len(ahead) < len(actors):
            study, tries = waiting.popleft()
            ahead.append((study, tries, read.remote(study, settings)))
        while ahead and idle:
            (study, tries, prepared), worker = ahead.popleft(), idle.popleft()
            running[worker.screen.remote(study, prepared)] = (study, tries, worker)
        (done, *_), _ = ray.wait(list(running))
        study, tries, worker = running.pop(done)
        idle.append(worker)
        try:
            screened = bool(ray.get(done))
        except (ray.exceptions.RayError, OSError):
            if tries < TRIES and not batch.is_done(study):
                waiting.append((study, tries + 1))
                continue
            screened = batch.is_done(study)
            if not screened:
                write_refusal(Refusal("worker_died", WORKER_DIED), study, batch)
        yield study, screened


class _Actor:
    """The model on one worker of the cluster."""

    def __init__(self, batch: BatchSettings, model: Path, device: str) -> None:
        self._batch, self._bundle = batch, load_bundle(model)
        self._engine = make_engine(self._bundle, device)

    def screen(self, study: Study, prepared: Prepared | Refusal) -> bool:
        """As `screen_study`; a study that another try has finished stays as it is."""
        if self._batch.is_done(study):
            return True
        return screen_study(study, prepared, self._bundle, self._engine, self._batch)
