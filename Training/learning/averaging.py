"""Averaging the weights of slice levels."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from M3LungScreenLib.errors import UsageError
from M3LungScreenLib.networks.slice_network import SliceNetwork
from Training.atomic_files import save_tensors, write_atomically
from Training.config import TrainingConfig
from Training.learning.compatibility import TRAINED_WITH, check_trained
from Training.learning.run import BEST, BEST_FIGURES, CHECKPOINT
from Training.learning.slice_level import validate
from Training.learning.weights import load_weights
from Training.sources.simulated_slices import SliceSamples

Weights = Mapping[str, Tensor]


def average_runs(
    runs: Sequence[Path],
    out: Path,
    config: TrainingConfig,
    validation: SliceSamples,
    device: torch.device,
) -> dict[str, float]:
    """Write the mean of the runs' slice levels to `out`; its metrics on `validation`.

    UsageError if the runs have other model settings than `config`, or if `out` holds other weights.
    """
    for run in runs:
        check_trained(run, config, ("slice",))
    weights = mean_of([load_weights(run / "slice" / BEST) for run in runs])
    check_free(out, weights)
    network = SliceNetwork(config.model.slice_network)
    network.load_state_dict(weights)
    figures = validate(network.to(device), validation, config)
    folder = out / "slice"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / TRAINED_WITH, asdict(config))
    save_tensors(weights, folder / BEST)
    write_atomically(folder / BEST_FIGURES, figures)
    return figures


def mean_of(weights: Sequence[Weights]) -> dict[str, Tensor]:
    """The mean of each tensor; counters come from the last. UsageError for different networks."""
    shapes = [{name: each.shape for name, each in one.items()} for one in weights]
    if any(each != shapes[0] for each in shapes):
        raise UsageError(
            "run", "These runs trained different networks. Name runs of the same network."
        )
    last = weights[-1]
    return {
        name: torch.stack([each[name] for each in weights]).mean(dim=0)
        if last[name].is_floating_point()
        else last[name]
        for name in last
    }


def check_free(out: Path, mean: Weights) -> None:
    """UsageError if `out` holds a run of its own, or a patient level trained on another mean."""
    folder = out / "slice"
    is_mean = (folder / TRAINED_WITH).exists()
    is_run = (folder / CHECKPOINT).exists() or ((folder / BEST).exists() and not is_mean)
    is_used = any((out / level / CHECKPOINT).exists() for level in ("patient", "joint"))
    if is_run or (is_used and not _same(folder / BEST, mean)):
        raise UsageError(
            "out",
            f"{out} already holds other slice-level weights than this mean. Name another --out, "
            "or delete the folder.",
        )


def _same(path: Path, weights: Weights) -> bool:
    if not path.exists():
        return False
    kept = load_weights(path)
    return kept.keys() == weights.keys() and all(torch.equal(kept[k], weights[k]) for k in weights)
