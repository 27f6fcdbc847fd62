"""Train the slice-level network (Sections III-B and IV-A).

    python -m Training.train_slice --config Training/configs/compact.yaml \
        --backgrounds build/backgrounds --out runs/compact [--set slice.epochs=2]
    python -m Training.train_slice --config … --data index.csv --out runs/hospital
    python -m Training.train_slice --config … --out runs/compact --resume

The stages of the config are trained in order, each from the best weights of the one before;
all but the last lie in OUT/stages. They vary the simulated patients: with --data the slice
level is trained once, with the settings of the config itself.

On several GPUs: torchrun --nproc_per_node 4 -m Training.train_slice …
"""

import argparse
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from M3LungScreenLib.errors import UsageError
from M3LungScreenLib.networks.slice_network import SliceNetwork
from Training.command_line import add_config_arguments, config_of, run_script
from Training.config import TrainingConfig
from Training.learning.averaging import average_runs
from Training.learning.fabric import make_fabric
from Training.learning.loop import fit
from Training.learning.run import BEST, Run
from Training.learning.slice_level import SliceLevel, make_network
from Training.learning.weights import weights_sha256
from Training.sources.learning_data import data_of
from Training.sources.simulated_slices import SliceSamples
from Training.stages import Stage, config_of_stage


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument(
        "--backbone-weights", type=Path, help="file with ImageNet weights of the backbone"
    )
    parsed = parser.parse_args(arguments)
    config = config_of(parsed)
    if parsed.data is not None and config.stages:
        print(f"{config.name} is trained without stages, because --data is given.")
        config = replace(config, stages=())
    train_stages(config, parsed)


def train_stages(config: TrainingConfig, parsed: argparse.Namespace) -> None:
    """Every stage of `config`, or one of its own settings where it has none."""
    stages = config.stages or (Stage(config.name),)
    runs = [parsed.out / "stages" / each.name for each in stages[:-1]] + [parsed.out]
    folders = {each.name: run for each, run in zip(stages, runs, strict=True)}
    check_stages_there(stages, folders)
    before: Path | None = None
    for stage, out in zip(stages, runs, strict=True):
        own = config_of_stage(config, stage)
        if stage.mean_of:
            average_stage(own, [folders[each] for each in stage.mean_of], out, parsed)
        else:
            train_stage(own, out, before, parsed)
        before = out / "slice" / BEST


def check_stages_there(stages: tuple[Stage, ...], folders: Mapping[str, Path]) -> None:
    """UsageError where a stage has weights and one before it has none: it is of another run."""
    there = [(folders[each.name] / "slice" / BEST).exists() for each in stages]
    for stage, later in zip(stages, range(1, len(stages) + 1), strict=True):
        if not there[later - 1] and any(there[later:]):
            out = folders[stages[-1].name]
            raise UsageError(
                "out",
                f"{out} holds weights that were not trained by these stages: stage {stage.name} "
                "is missing. Name another --out, or delete the folder.",
            )


def train_stage(
    config: TrainingConfig, out: Path, before: Path | None, parsed: argparse.Namespace
) -> None:
    """One stage to its end, from the weights `before` or else from --init or ImageNet's."""
    folder = out / "slice"
    fabric = make_fabric(parsed.device, config.slice.precision, folder)
    data = data_of(config, parsed)
    # One process fills the cache; the others read it.
    with fabric.rank_zero_first():
        training, validation = data.slices(validation=False), data.slices(validation=True)
    network = make_network(config, before or parsed.init, parsed.backbone_weights)
    origin = data.origin()
    if before is not None:
        origin["initial_weights_sha256"] = weights_sha256(before)
    run = train(fabric, network, training, validation, config, folder, parsed.resume, origin)
    if fabric.is_global_zero:
        best = ", ".join(f"{name} {value:.3f}" for name, value in run.metrics.items())
        print(f"{out}: best epoch on {len(validation)} validation slices with a lesion: {best}")


def average_stage(
    config: TrainingConfig, runs: list[Path], out: Path, parsed: argparse.Namespace
) -> None:
    """The mean of earlier stages, computed by one process while the others wait."""
    fabric = make_fabric(parsed.device, config.slice.precision)
    if fabric.is_global_zero:
        validation = data_of(config, parsed).slices(validation=True)
        figures = average_runs(runs, out, config, validation, fabric.device)
        told = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
        print(f"{out}: mean of {len(runs)} stages: {told}")
    fabric.barrier()


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
    """Train to the end; the weights of the best validation epoch are saved in `folder`/best.pt.

    `origin` describes the data, which must not change when a run is resumed.
    """
    network.to(memory_format=torch.channels_last)
    level = SliceLevel(network, training, validation, config)
    others = ("patient", "joint", "stages")
    relevant = {k: v for k, v in asdict(config).items() if k not in others}
    relevant["origin"] = dict(origin or {})
    return fit(Run.start(fabric, level, network, folder, relevant), level, resume)


if __name__ == "__main__":
    run_script(main)
