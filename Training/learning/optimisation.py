"""What the training scripts share: optimisers, schedules, the order of batches."""

from collections.abc import Iterator, Sequence
from hashlib import file_digest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from M3LungScreenLib.bundle import load_bundle
from M3LungScreenLib.engines.pytorch_engine import available_devices
from M3LungScreenLib.errors import UsageError
from Training.config import Optimiser, ScheduleSettings, flat


def check_same(before: dict[str, Any], now: dict[str, Any], path: Path) -> None:
    """A run goes on under the settings it began with, else its numbers mean nothing.

    What it learnt from (`origin`) may not have lost anything either.
    """
    then, today = flat(before), flat(now)
    for name in [*today, *flat({"origin": before.get("origin", {})})]:
        old, value = then.get(name), today.get(name)
        if old != value:
            raise UsageError(
                "config",
                f"The checkpoint {path} was trained with {name}={old}, this run asks for {value}. "
                "Resume with the same settings or name another --out.",
            )


def load_weights(path: Path) -> dict[str, torch.Tensor]:
    """A network's weights on the CPU, wherever it was trained; UsageError for none."""
    _check_there(path)
    return dict(torch.load(path, map_location="cpu", weights_only=True))


def weights_sha256(path: Path) -> str:
    """The SHA-256 of a file of weights; UsageError for none."""
    _check_there(path)
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise UsageError(
            "run",
            f"There are no weights {path}. Train the slice level first, then the patient level, "
            "with the same --out.",
        )


def bundled_weights(bundle: Path, level: str) -> dict[str, torch.Tensor]:
    """A bundle's weights of 'slice' or 'patient'."""
    weights = load_bundle(bundle).weights(level)
    return {name: torch.from_numpy(array) for name, array in weights.items()}


def choose_device(name: str) -> torch.device:
    """'auto' is the best device there is; UsageError for one that is not there."""
    found = available_devices()
    if name != "auto" and name not in found:
        raise UsageError("device", f"No {name} here; there are {', '.join(found)}.")
    return torch.device(found[0] if name == "auto" else name)


def make_optimiser(
    groups: Sequence[tuple[nn.Module, float]], name: Optimiser, weight_decay: float
) -> torch.optim.Optimizer:
    """'adamw', or 'sgd' with momentum 0.9 (method, Training), over modules and their rates."""
    parameters = [{"params": list(each.parameters()), "lr": rate} for each, rate in groups]
    if name == "sgd":
        return torch.optim.SGD(parameters, momentum=0.9, weight_decay=weight_decay)
    return torch.optim.AdamW(parameters, weight_decay=weight_decay)


def make_schedule(
    optimiser: torch.optim.Optimizer, chosen: ScheduleSettings, steps_per_epoch: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """Stepped once a batch: 'one_cycle', or 'steps' down by ten as the paper's (IV-A)."""
    steps = steps_per_epoch * chosen.epochs
    if chosen.schedule == "steps":
        every = steps_per_epoch * chosen.decay_every_epochs
        return torch.optim.lr_scheduler.StepLR(optimiser, every, gamma=0.1)
    rates = [group["lr"] for group in optimiser.param_groups]
    return torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rates, total_steps=max(steps, 20) + 1, pct_start=0.1
    )


def balanced_order(classes: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Indices of one epoch, every class as often as the most frequent one, shuffled."""
    rng = np.random.default_rng((seed, epoch))
    largest = int(np.bincount(classes).max())
    drawn = [
        np.resize(rng.permutation(np.flatnonzero(classes == each)), largest)
        for each in np.unique(classes)
    ]
    return np.asarray(rng.permutation(np.concatenate(drawn)))


def batches(order: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Whole batches of `size`; what is left over comes in another epoch."""
    for start in range(0, len(order) - size + 1, size):
        yield order[start : start + size]


def steps_per_epoch(classes: np.ndarray, size: int) -> int:
    """Whole batches of `size` with all classes alike; UsageError where there is none."""
    count = int(np.bincount(classes).max()) * len(np.unique(classes))
    steps = count // size
    if steps == 0:
        raise UsageError(
            "batch",
            f"The training split makes {count} samples, no batch of {size}. Lower slice.pairs, "
            "patient.batch or joint.patients by --set, or add cases.",
        )
    return steps


def pooled_truth(truth: Tensor, side: int) -> Tensor:
    """The share of each map cell that is lesion: `[B, S, S]` to `[B, side, side]`."""
    return nn.functional.adaptive_avg_pool2d(truth[:, None].float(), side)[:, 0]
