"""The mean of slice levels, one trained on from the other: right where they differ more often.

    python -m Training.average_weights runs/compact-third runs/compact-fourth --out runs/compact \
        --config Training/configs/compact.yaml --backgrounds build/backgrounds

Weights of one training run and of its start lie in one valley: their mean has kept what the start
knew and has learnt what the end knows (Wortsman et al., Robust fine-tuning of zero-shot models,
CVPR 2022). One process; a mean that is already there is made again.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from M3LungScreenLib.errors import UsageError
from M3LungScreenLib.networks.slice_network import SliceNetwork
from Training.atomic_files import write_atomically
from Training.config import add_config_arguments, config_of, run_script
from Training.learning.compatibility import TRAINED_WITH, check_trained
from Training.learning.fabric import choose_device
from Training.learning.run import BEST, BEST_FIGURES, CHECKPOINT
from Training.learning.slice_level import validate
from Training.learning.weights import load_weights
from Training.sources.learning_data import data_of

Weights = Mapping[str, Tensor]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs with a slice level")
    add_config_arguments(parser)
    parsed = parser.parse_args(arguments)
    config, folder = config_of(parsed), parsed.out / "slice"
    for run in parsed.runs:
        check_trained(run, config, ("slice",))
    weights = mean_of([load_weights(run / "slice" / BEST) for run in parsed.runs])
    check_free(parsed.out, weights)
    network = SliceNetwork(config.model.slice_network)
    network.load_state_dict(weights)
    network.to(choose_device(parsed.device))
    figures = validate(network, data_of(config, parsed).slices(validation=True), config)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / TRAINED_WITH, asdict(config))
    beside = folder / f"{BEST}.part"
    torch.save(weights, beside)
    os.replace(beside, folder / BEST)
    write_atomically(folder / BEST_FIGURES, figures)
    told = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
    print(f"{folder / BEST}: {told}")


def mean_of(weights: Sequence[Weights]) -> dict[str, Tensor]:
    """Tensor by tensor; counters are those of the last. UsageError where they do not fit."""
    shapes = [{name: each.shape for name, each in one.items()} for one in weights]
    if any(each != shapes[0] for each in shapes):
        raise UsageError("run", "These runs trained different networks. Name runs of one.")
    last = weights[-1]
    return {
        name: torch.stack([each[name] for each in weights]).mean(dim=0)
        if last[name].is_floating_point()
        else last[name]
        for name in last
    }


def check_free(out: Path, mean: Weights) -> None:
    """UsageError where `out` holds a run's own slice level, or a level trained on another mean."""
    folder = out / "slice"
    is_mean = (folder / TRAINED_WITH).exists()
    is_run = (folder / CHECKPOINT).exists() or ((folder / BEST).exists() and not is_mean)
    is_used = any((out / level / CHECKPOINT).exists() for level in ("patient", "joint"))
    if is_run or (is_used and not _same(folder / BEST, mean)):
        raise UsageError(
            "out",
            f"{out} holds a run with other slice-level weights than this mean. Name another --out, "
            "or delete the folder.",
        )


def _same(path: Path, weights: Weights) -> bool:
    if not path.exists():
        return False
    kept = load_weights(path)
    return kept.keys() == weights.keys() and all(torch.equal(kept[k], weights[k]) for k in weights)


if __name__ == "__main__":
    run_script(main)
