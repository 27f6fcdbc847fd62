"""Does training wait for its data? Steps per second from the crop cache, against bare steps.

    python -m Testing.benchmarks.crop_cache_rate [--workers 2] [--steps 40]

The bare rate is that of the same batches lying in memory. Bare steps and steps from the cache take
turns, so that what else the machine does falls on both; a worker reads the next batch while the
step that took the last one runs. With the compact preset's network.
"""

import argparse
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from M3LungScreenLib.networks.slice_network import SliceNetwork
from Testing.stand_ins.slices import slices_with_discs
from Training.config import TrainingConfig, load_config
from Training.learning.fabric import make_fabric
from Training.learning.level import Share
from Training.learning.run import Run
from Training.learning.slice_batches import SliceBatch, slice_batches
from Training.learning.slice_level import SliceLevel
from Training.sources.indexed_data import StoredRows
from Training.sources.simulated_slices import SliceSamples

COMPACT = Path(__file__).parents[2] / "Training/configs/compact.yaml"
CASES, SLICES_OF_A_CASE = 12, 40


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--device", default="auto", choices=("auto", "cuda", "mps", "cpu"))
    parsed = parser.parse_args(arguments)
    # 'steps' has no end, however short the epochs; batches are those of two cores.
    overrides = [f"slice.workers={parsed.workers}", "slice.schedule=steps"]
    overrides += ["slice.pairs=9", "slice.healthy=6"]
    config = load_config(COMPACT, overrides)
    fabric = make_fabric(parsed.device, config.slice.precision)
    with TemporaryDirectory() as folder:
        samples = stored(Path(folder), config.model.preprocessing.input_size)
        level = SliceLevel(SliceNetwork(config.model.slice_network), samples, samples, config)
        run = Run.start(fabric, level, level.network, Path(folder), {})
        # The same ones, for what their augmentation costs differs.
        in_memory = list(from_cache(samples, config, parsed.steps))
        cached = from_cache(samples, config, parsed.steps)
        bare_seconds, cache_seconds = [], []
        for batch in in_memory:
            bare_seconds.append(step_seconds(run, level, iter([batch])))
            cache_seconds.append(step_seconds(run, level, cached))
    # The first pair only fills the pipeline.
    bare, cache = (1 / float(np.median(each[1:])) for each in (bare_seconds, cache_seconds))
    print(f"{bare:.3f} bare steps/s, {cache:.3f} from the cache: ratio {cache / bare:.3f}")


def step_seconds(run: Run, level: SliceLevel, source: Iterator[SliceBatch]) -> float:
    """What a step takes, with the wait for its batch."""
    started = time.perf_counter()
    run.take_step(level, next(source))
    return time.perf_counter() - started


def from_cache(samples: SliceSamples, config: TrainingConfig, steps: int) -> Iterator[SliceBatch]:
    """The first batches of an epoch, read by workers."""
    return islice(slice_batches(samples, config, 0, 0, Share()), steps)


def stored(folder: Path, size: int) -> SliceSamples:
    """Cases as a crop cache holds them, half of them ill."""
    arrays = []
    for n in range(CASES):
        path = folder / f"{n}.npy"
        np.save(path, slices_with_discs(SLICES_OF_A_CASE, n, size).ill[:])
        arrays.append(np.load(path, mmap_mode="r"))
    ill, healthy = arrays[: CASES // 2], arrays[CASES // 2 :]
    rows = [np.arange(SLICES_OF_A_CASE)] * (CASES // 2)
    return SliceSamples(
        ill=StoredRows(ill, rows),
        clean=StoredRows([], []),
        truth=StoredRows([np.broadcast_to(np.False_, each.shape) for each in ill], rows),
        classes=1 + np.arange(len(ill) * SLICES_OF_A_CASE) % 3,
        healthy=StoredRows(healthy, rows),
        has_truth=np.zeros(len(ill) * SLICES_OF_A_CASE, bool),
    )


if __name__ == "__main__":
    main()
