"""Fine-tune both networks end to end on volumes, which the paper does not do.

    python -m Training.finetune_joint --config Training/configs/compact.yaml \
        --init Resources/Models/compact --backgrounds build/backgrounds --out runs/joint
    python -m Training.export --config … --out runs/joint --bundle runs/joint/bundle

The patient-level loss is backpropagated through the slice level, whose own losses on slices with
and without lesions preserve P(lesion) and the location map. Batch-normalisation statistics are
frozen, because the slices of one patient are similar.
"""

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from M3LungScreenLib.errors import UsageError
from Training.command_line import add_config_arguments, config_of, run_script
from Training.config import TrainingConfig
from Training.learning import patient_level, slice_level
from Training.learning.compatibility import check_trained
from Training.learning.fabric import make_fabric
from Training.learning.joint_level import JointLevel, JointNetwork
from Training.learning.loop import fit
from Training.learning.run import BEST, Run
from Training.learning.weights import load_weights
from Training.sources.learning_data import data_of


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument("--run", type=Path, help="finished run of both levels to start from")
    parsed = parser.parse_args(arguments)
    config = config_of(parsed)
    fabric = make_fabric(parsed.device, config.joint.precision, parsed.out / "joint")
    data = data_of(config, parsed)
    with fabric.rank_zero_first():
        slices = data.slices(validation=False)
        training, validation = data.patients(validation=False), data.patients(validation=True)
    network = make_network(config, parsed.init, parsed.run)
    level = JointLevel(network, slices, training, validation, config)
    train(fabric, level, parsed.out, parsed.resume, data.origin())


def make_network(config: TrainingConfig, init: Path | None, run: Path | None) -> JointNetwork:
    """Both networks with the weights of a bundle, or of a finished run of both levels.

    UsageError if neither is named, or if the run was trained with other model settings.
    """
    if init is None and run is None:
        raise UsageError(
            "start",
            "Fine-tuning needs a trained model to start from. Name a finished run of both levels "
            "with --run, or a bundle with --init.",
        )
    if run is not None and init is None:
        check_trained(run, config)
    slices = slice_level.make_network(config, init or (run / "slice" / BEST if run else None), None)
    patients = patient_level.make_network(config, init)
    if run is not None and init is None:
        patients.load_state_dict(load_weights(run / "patient" / BEST))
    return JointNetwork(slices, patients, config.joint.activation_checkpointing)


def train(
    fabric: Fabric,
    level: JointLevel,
    out: Path,
    resume: bool = False,
    origin: Mapping[str, Any] | None = None,
) -> Run:
    """Train to the end; the best weights of both levels are saved where Training.export reads them.

    `origin` describes the data, which must not change when a run is resumed.
    """
    network = level.network
    kept = {out / "slice": network.slices, out / "patient": network.patients}
    config = {k: v for k, v in asdict(level.config).items() if k != "stages"}
    config["origin"] = dict(origin or {})
    run = Run.start(fabric, level, network, out / "joint", config, kept)
    return fit(run, level, resume)


if __name__ == "__main__":
    run_script(main)
