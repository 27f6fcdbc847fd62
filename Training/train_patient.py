"""Train the patient-level network on features of a trained slice level (III-C, IV-A).

    python -m Training.train_patient --config Training/configs/compact.yaml \
        --backgrounds build/backgrounds --out runs/compact
    python -m Training.train_patient … --set model.patient_network.correlation=signed_sum
"""

import argparse
from dataclasses import asdict
from hashlib import file_digest
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm

from M3LungScreenLib.engines.pytorch_engine import SliceRunner
from M3LungScreenLib.networks.patient_network import PatientNetwork
from M3LungScreenLib.networks.slice_network import SliceNetwork
from Training.backgrounds import names_in
from Training.config import TrainingConfig, add_config_arguments, config_of, run_script
from Training.datasets.shards import keyed_folder
from Training.learning import (
    BEST,
    Run,
    balanced_order,
    batches,
    choose_device,
    load_weights,
    make_optimiser,
    make_schedule,
    steps_per_epoch,
)
from Training.metrics import patient_errors
from Training.patients import (
    PatientFeatures,
    cached_patients,
    features_of,
    padded,
    patient_sources,
)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    parsed = parser.parse_args(arguments)
    config = config_of(parsed)
    training, validation = (load_features(config, parsed, held_out) for held_out in (False, True))
    network = PatientNetwork(config.model.patient_network).to(choose_device(parsed.device))
    run = fit(network, training, validation, config, parsed.out / "patient", parsed.resume)
    print(f"best cross-entropy on {len(validation)} validation patients: {-run.best:.3f}")


def load_features(
    config: TrainingConfig, parsed: argparse.Namespace, validation: bool
) -> list[PatientFeatures]:
    """Features of one split's patients by the slice level in `--out`, kept under `--cache`."""
    sources = patient_sources(config, names_in(parsed.backgrounds), validation)
    patients = cached_patients(sources, parsed.cache, parsed.backgrounds, config)
    network = SliceNetwork(config.model.slice_network)
    weights = parsed.out / "slice" / BEST
    network.load_state_dict(load_weights(weights))
    runner = SliceRunner(network, choose_device(parsed.device).type)
    with weights.open("rb") as file:
        folder = keyed_folder(parsed.cache, "features", file_digest(file, "sha256").hexdigest())
    return features_of(patients, runner, config.model.preprocessing, folder)


def fit(
    network: PatientNetwork,
    training: list[PatientFeatures],
    validation: list[PatientFeatures],
    config: TrainingConfig,
    folder: Path,
    resume: bool,
) -> Run:
    """Train to the end; the best epoch by validation lies in `folder`/best.pt."""
    torch.manual_seed(config.seed)
    chosen = config.patient
    classes = np.array([each.class_index for each in training])
    steps = steps_per_epoch(classes, chosen.batch)
    groups = [(network, chosen.learning_rate)]
    optimiser = make_optimiser(groups, chosen.optimiser, chosen.weight_decay)
    schedule = make_schedule(optimiser, chosen, steps)
    run = Run(folder, network, optimiser, schedule, asdict(config))
    if resume:
        run.resume()
    for epoch in tqdm(range(run.step // steps, chosen.epochs), desc="patient level"):
        order = balanced_order(classes, config.seed, epoch)
        for batch in batches(order, chosen.batch):
            loss = take_step(run, [training[i] for i in batch], config.seed)
        metrics = validate(network, validation)
        run.log(loss=loss, **metrics)
        # Cross-entropy, for accuracy goes on rising where the answers are merely louder.
        run.keep_if_best(-metrics["cross_entropy"], metrics)
        run.save()
    return run


def take_step(run: Run, patients: list[PatientFeatures], seed: int) -> float:
    run.network.train()
    features, mask = padded(patients, (seed, run.step))
    classes = torch.tensor([each.class_index for each in patients])
    inputs = (torch.from_numpy(each).to(run.device) for each in (features, mask))
    loss = F.cross_entropy(run.network(*inputs).logits, classes.to(run.device))
    run.optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(run.network.parameters(), 1.0)
    run.optimiser.step()
    run.schedule.step()
    run.step += 1
    return float(loss.detach())


@torch.inference_mode()
def validate(network: PatientNetwork, patients: list[PatientFeatures]) -> dict[str, float]:
    """Accuracy, cross-entropy and the paper's three errors (IV-B) on whole patients."""
    network.eval()
    features, mask = padded(patients, None)
    device = next(network.parameters()).device
    inputs = (torch.from_numpy(each).to(device) for each in (features, mask))
    logits = network(*inputs).logits.cpu()
    truth = torch.tensor([each.class_index for each in patients])
    errors = patient_errors(truth.numpy(), logits.argmax(1).numpy())
    return {**errors, "cross_entropy": float(F.cross_entropy(logits, truth))}


if __name__ == "__main__":
    run_script(main)
