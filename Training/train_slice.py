"""Train the slice-level network (Sections III-B and IV-A).

    python -m Training.train_slice --config Training/configs/compact.yaml \
        --backgrounds build/backgrounds --out runs/compact [--set slice.epochs=2]
    python -m Training.train_slice --config … --data index.csv --out runs/hospital
    python -m Training.train_slice --config … --out runs/compact --resume

On several GPUs: torchrun --nproc_per_node 4 -m Training.train_slice …
"""

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from M3LungScreenLib.networks.slice_network import SliceNetwork
from Training.config import (
    TrainingConfig,
    add_config_arguments,
    config_of,
    run_script,
)
from Training.learning.fabric import make_fabric
from Training.learning.loop import fit
from Training.learning.run import Run
from Training.learning.slice_level import SliceLevel, make_network
from Training.sources.learning_data import data_of
from Training.sources.simulated_slices import SliceSamples


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    parser.add_argument("--backbone-weights", type=Path, help="ImageNet weights as a file")
    parsed = parser.parse_args(arguments)
    config, folder = config_of(parsed), parsed.out / "slice"
    fabric = make_fabric(parsed.device, config.slice.precision, folder)
    data = data_of(config, parsed)
    # One process makes what is not yet in the cache; the others find it there.
    with fabric.rank_zero_first():
        training, validation = data.slices(validation=False), data.slices(validation=True)
    network = make_network(config, parsed.init, parsed.backbone_weights)
    run = train(fabric, network, training, validation, config, folder, parsed.resume, data.origin())
    if fabric.is_global_zero:
        best = ", ".join(f"{name} {value:.3f}" for name, value in run.metrics.items())
        print(f"best epoch on {len(validation)} validation slices with a lesion: {best}")


def train(
    fabric: Fabric,
    network: SliceNetwork,
    training: SliceSamples,
    validation: SliceSamples,
    config: TrainingConfig,
    folder: Path,
    resume: bool = False,
    origin: Mapping[str, Any] | None = None,
) -> Run:
    """To the end; the best epoch by validation lies in `folder`/best.pt.

    `origin` tells of the data: a run goes on with those that it began with.
    """
    network.to(memory_format=torch.channels_last)
    level = SliceLevel(network, training, validation, config)
    relevant = {k: v for k, v in asdict(config).items() if k not in ("patient", "joint")}
    relevant["origin"] = dict(origin or {})
    return fit(Run.start(fabric, level, network, folder, relevant), level, resume)


if __name__ == "__main__":
    run_script(main)
