"""Train the slice-level network (Sections III-B and IV-A).

    python -m Training.train_slice --config Training/configs/compact.yaml \
        --backgrounds build/backgrounds --out runs/compact [--set slice.epochs=2]
    python -m Training.train_slice --config … --out runs/compact --resume
"""

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from M3LungScreenLib.bundle import load_bundle
from M3LungScreenLib.networks.backbones import imagenet_weights
from M3LungScreenLib.networks.slice_network import SliceNetwork, SliceOutput
from Training.augmentation import NONE, apply, draw, place
from Training.backgrounds import names_in
from Training.config import TrainingConfig, add_config_arguments, config_of, run_script
from Training.learning import (
    Run,
    balanced_order,
    batches,
    choose_device,
    make_optimiser,
    make_schedule,
    pooled_truth,
    steps_per_epoch,
)
from Training.metrics import auc
from Training.samples import SliceSamples, cached_slices, slice_sources

VALIDATION_BATCH = 32
CPU = torch.device("cpu")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    parser.add_argument("--init", type=Path, help="bundle whose weights to start from")
    parser.add_argument("--backbone-weights", type=Path, help="ImageNet weights as a file")
    parsed = parser.parse_args(arguments)
    config = config_of(parsed)
    training, validation = (load_samples(config, parsed, held_out) for held_out in (False, True))
    network = make_network(config, parsed.init, parsed.backbone_weights)
    network.to(choose_device(parsed.device)).to(memory_format=torch.channels_last)
    fit(network, training, validation, config, parsed.out / "slice", parsed.resume)


def load_samples(
    config: TrainingConfig, parsed: argparse.Namespace, validation: bool
) -> SliceSamples:
    """The slices of one split, made once and kept under `--cache`."""
    sources = slice_sources(config.data, names_in(parsed.backgrounds), validation)
    return cached_slices(
        sources, parsed.cache, parsed.backgrounds, config.data, config.model.preprocessing
    )


def make_network(
    config: TrainingConfig, init: Path | None, backbone_weights: Path | None
) -> SliceNetwork:
    """The network with ImageNet weights, or with those of a bundle."""
    settings = config.model.slice_network
    if init is None:
        return SliceNetwork(settings, imagenet_weights(settings.backbone, backbone_weights))
    network = SliceNetwork(settings)
    weights = load_bundle(init).weights("slice")
    network.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return network


def fit(
    network: SliceNetwork,
    training: SliceSamples,
    validation: SliceSamples,
    config: TrainingConfig,
    folder: Path,
    resume: bool,
) -> Run:
    """Train to the end; the best epoch by validation lies in `folder`/best.pt."""
    torch.manual_seed(config.seed)
    chosen = config.slice
    steps = steps_per_epoch(training.classes, chosen.pairs)
    rate, factor = chosen.learning_rate, chosen.head_learning_rate_factor
    freeze(network, chosen.frozen_stages)
    heads = nn.ModuleList(each for each in (network.lesion_head, network.class_head) if each)
    groups = [(network.backbone, rate), (heads, rate * factor)]
    optimiser = make_optimiser(groups, chosen.optimiser, chosen.weight_decay)
    schedule = make_schedule(optimiser, chosen, steps)
    relevant = {name: value for name, value in asdict(config).items() if name != "patient"}
    run = Run(folder, network, optimiser, schedule, relevant)
    if resume:
        run.resume()
    for epoch in range(run.step // steps, chosen.epochs):
        order = balanced_order(training.classes, config.seed, epoch)
        todo = list(batches(order, chosen.pairs))[run.step - epoch * steps :]
        for pairs in tqdm(todo, desc=f"epoch {epoch + 1} of {chosen.epochs}", mininterval=10):
            losses = take_step(run, training, pairs, epoch, config)
            # A checkpoint at an epoch's end would have a resume skip its validation.
            if run.step % chosen.checkpoint_every_steps == 0 and run.step % steps:
                run.log(**losses)
                run.save()
        metrics = validate(network, validation, config)
        run.log(**metrics)
        run.keep_if_best(metrics["slice_auc"] + metrics["disease_accuracy"], metrics)
        run.save()
    return run


def freeze(network: SliceNetwork, stages: int) -> None:
    """Keep the first `stages` stages of the backbone as they are."""
    for stage in network.backbone.stages()[:stages]:
        stage.requires_grad_(False)


def in_training(network: nn.Module) -> None:
    """Training mode; what is frozen keeps its statistics, too."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and not module.weight.requires_grad:
            module.eval()


def take_step(
    run: Run, samples: SliceSamples, pairs: np.ndarray, epoch: int, config: TrainingConfig
) -> dict[str, float]:
    """One batch: each slice with its lesion and, beside it, without."""
    in_training(run.network)
    device = run.device
    images, truth, classes = pair_batch(samples, pairs, epoch, config, device)
    images = images.contiguous(memory_format=torch.channels_last)
    with torch.autocast(device.type, torch.bfloat16, enabled=config.slice.precision == "bfloat16"):
        out = run.network(images)
    losses = loss_terms(in_float32(out), truth, classes, config.slice.map_loss_weight)
    run.optimiser.zero_grad()
    losses["loss"].backward()
    torch.nn.utils.clip_grad_norm_(run.network.parameters(), 5.0)
    run.optimiser.step()
    run.schedule.step()
    run.step += 1
    return {name: float(value.detach()) for name, value in losses.items()}


def pair_batch(
    samples: SliceSamples,
    pairs: np.ndarray,
    epoch: int,
    config: TrainingConfig,
    device: torch.device = CPU,
) -> tuple[Tensor, Tensor, Tensor]:
    """Images `[B, 3, S, S]`, truth `[B, S, S]`, classes `[B]`: P lesions, P twins, H healthy.

    All are drawn apart, so that noise tells nothing.
    """
    count, first = len(samples), 2 * len(samples)
    healthy = drawn_healthy(samples, pairs, epoch, config)
    chosen = (*pairs, *(pairs + count), *(healthy + first))
    kind = config.slice.augmentation
    drawn = [draw(config.seed, epoch, int(i), kind) for i in chosen]
    hu = np.concatenate([samples.ill[pairs], samples.clean[pairs], samples.healthy[healthy]])
    truth = torch.zeros(hu.shape, device=device)
    lesions = torch.from_numpy(samples.truth[pairs]).to(device)
    truth[: len(pairs)] = place(lesions, drawn[: len(pairs)])
    classes = torch.zeros(len(hu), dtype=torch.long)
    classes[: len(pairs)] = torch.from_numpy(samples.classes[pairs])
    on_device = torch.from_numpy(hu).to(device)
    images = apply(on_device, drawn, config.model.preprocessing.window_width_hu)
    return images, truth, classes.to(device)


def drawn_healthy(
    samples: SliceSamples, pairs: np.ndarray, epoch: int, config: TrainingConfig
) -> np.ndarray:
    """The healthy slices that go with a batch of pairs."""
    rng = np.random.default_rng((config.seed, epoch, *map(int, pairs)))
    number = min(config.slice.healthy, len(samples.healthy))
    return rng.choice(len(samples.healthy), number, replace=False)


def in_float32(out: SliceOutput) -> SliceOutput:
    """Losses are summed in full precision."""
    lesion = None if out.lesion_logits is None else out.lesion_logits.float()
    location = None if out.map_logits is None else out.map_logits.float()
    return SliceOutput(lesion, out.class_logits.float(), location, out.features.float())


def loss_terms(
    out: SliceOutput, truth: Tensor, classes: Tensor, map_loss_weight: float
) -> dict[str, Tensor]:
    """Cross-entropy of both heads, equal weights (III-B), and of the map where it is asked."""
    terms = {"class_loss": F.cross_entropy(out.class_logits, classes)}
    if out.lesion_logits is not None:
        terms["lesion_loss"] = F.cross_entropy(out.lesion_logits, (classes > 0).long())
    if out.map_logits is not None and map_loss_weight > 0:
        target = pooled_truth(truth, out.map_logits.shape[-1])
        map_loss = F.binary_cross_entropy_with_logits(out.map_logits, target)
        terms["map_loss"] = map_loss_weight * map_loss
    total = torch.stack(list(terms.values())).sum()
    return {"loss": total, **terms}


@torch.inference_mode()
def validate(
    network: SliceNetwork, samples: SliceSamples, config: TrainingConfig
) -> dict[str, float]:
    """Slice AUC (lesions against slices without) and the share of diseases called right."""
    network.eval()
    device = next(network.parameters()).device
    p_lesion, classes = [], []
    hu = np.concatenate([samples.ill, samples.clean, samples.healthy])
    for start in range(0, len(hu), VALIDATION_BATCH):
        part = torch.from_numpy(hu[start : start + VALIDATION_BATCH]).to(device)
        images = apply(part, [NONE] * len(part), config.model.preprocessing.window_width_hu)
        out: SliceOutput = network(images)
        classes.append(out.class_logits.softmax(1).cpu().numpy())
        p_lesion.append(1 - classes[-1][:, 0] if out.lesion_logits is None else _p(out))
    p, multi = np.concatenate(p_lesion), np.concatenate(classes)
    is_ill = np.arange(len(hu)) < len(samples)
    called = multi[: len(samples), 1:].argmax(1) + 1
    return {
        "slice_auc": auc(is_ill, p),
        "sensitivity": float((p[is_ill] > 0.5).mean()),
        "false_slices": float((p[~is_ill] > 0.5).mean()),
        "disease_accuracy": float((called == samples.classes).mean()),
    }


def _p(out: SliceOutput) -> np.ndarray:
    assert out.lesion_logits is not None
    return np.asarray(out.lesion_logits.softmax(1)[:, 1].cpu().numpy())


if __name__ == "__main__":
    run_script(main)
