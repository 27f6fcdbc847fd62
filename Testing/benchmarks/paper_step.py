"""One optimisation step of each network at the paper's full size: seconds and memory.

    python -m Testing.benchmarks.paper_step [--micro-batch 4] [--only slice]

ResNet-50 at 512 pixels, 16 slices with a lesion and 16 without (Section IV-A), gathered from
micro-batches; 16 patients of 100 slices; both networks on volumes. Weights are random.
"""

import argparse
import resource
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from M3LungScreenLib.networks.patient_network import PatientNetwork
from M3LungScreenLib.networks.slice_network import SliceNetwork
from Testing.stand_ins.slices import slices_with_discs
from Training.config import TrainingConfig, load_config
from Training.learning.fabric import make_fabric
from Training.learning.joint_level import JointLevel, JointNetwork
from Training.learning.level import Level, Share
from Training.learning.patient_level import PatientLevel
from Training.learning.run import Run
from Training.learning.slice_level import SliceLevel
from Training.sources.patient_features import PatientCrops, PatientFeatures

PAPER = Path(__file__).parents[2] / "Training/configs/paper.yaml"
SLICES_OF_A_PATIENT = 100


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--micro-batch", type=int, default=4)
    parser.add_argument("--device", default="auto", choices=("auto", "cuda", "mps", "cpu"))
    parser.add_argument("--only", choices=LEVELS)
    parsed = parser.parse_args(arguments)
    config = load_config(PAPER, [f"slice.micro_batch={parsed.micro_batch}"])
    for name in [parsed.only] if parsed.only else LEVELS:
        measure(name, config, parsed.device)


def measure(name: str, config: TrainingConfig, device: str) -> None:
    """Print the seconds of one step, its loss and the process's largest memory so far."""
    fabric = make_fabric(device)
    network, level = LEVELS[name](config)
    with TemporaryDirectory() as folder:
        run = Run.start(fabric, level, network, Path(folder), {})
        batch = next(iter(level.batches(0, 0, Share())))
        started = time.perf_counter()
        losses = run.take_step(level, batch)
        seconds = time.perf_counter() - started
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if fabric.device.type == "cuda":
        gib = torch.cuda.max_memory_allocated() / 2**30
    print(f"{name}: {seconds:.1f} s, loss {losses['loss']:.3f}, at most {gib:.1f} GiB so far")


def slice_level(config: TrainingConfig) -> tuple[SliceNetwork, Level]:
    """As many slices as one batch of the paper holds."""
    size = config.model.preprocessing.input_size
    samples = slices_with_discs(3 * config.slice.pairs, size=size)
    network = SliceNetwork(config.model.slice_network)
    return network, SliceLevel(network, samples, samples, config)


def patient_level(config: TrainingConfig) -> tuple[PatientNetwork, Level]:
    """Features of whole patients, as many as one batch holds."""
    rng = np.random.default_rng(0)
    shape = (1, SLICES_OF_A_PATIENT, config.model.patient_network.feature_size)
    patients = [
        PatientFeatures(np.abs(rng.normal(size=shape)).astype(np.float32), k % 4)
        for k in range(config.patient.batch)
    ]
    network = PatientNetwork(config.model.patient_network)
    return network, PatientLevel(network, patients, patients, config)


def joint_level(config: TrainingConfig) -> tuple[JointNetwork, Level]:
    """Patients of discs, as many as one batch holds."""
    size, number = config.model.preprocessing.input_size, config.joint.slices
    samples = slices_with_discs(3 * config.joint.pairs, size=size)
    patients = [
        PatientCrops(str(k), np.resize(samples.ill, (number, size, size)), k % 4) for k in range(4)
    ]
    network = JointNetwork(
        SliceNetwork(config.model.slice_network),
        PatientNetwork(config.model.patient_network),
        config.joint.activation_checkpointing,
    )
    return network, JointLevel(network, samples, patients, patients, config)


LEVELS = {"slice": slice_level, "patient": patient_level, "joint": joint_level}


if __name__ == "__main__":
    main()
